//! Reads files from one folder in place of a provider's responses.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use sources::parse::body::excerpt;
use sources::providers::file::part::{MAX_HEADER_BYTES, Part, WINDOW_BYTES, parse};
use sources::response::PageError;
use sources::source::SCHEME;

/// A folder of files.
#[derive(Debug, Clone)]
pub struct Folder {
    /// With all links resolved, to check that a file lies below it.
    root: PathBuf,
}

/// What a file, or a part of it, contains.
#[derive(Debug)]
pub struct Content {
    /// The bytes.
    pub body: Vec<u8>,
    /// When the file was last written, if the system says so.
    pub modified: Option<SystemTime>,
}

impl Folder {
    /// The folder at an address, `file:` and its path, which may be relative.
    pub fn new(variable: &str, address: &str) -> anyhow::Result<Folder> {
        let what = || format!("`{variable}` is `{address}`");
        let Some(path) = address.strip_prefix(SCHEME) else {
            bail!("{}, which does not begin with `{SCHEME}`", what());
        };
        if path.starts_with("//") && !path.starts_with("///") {
            bail!("{}, which names another machine: write `{SCHEME}/path` or `{SCHEME}path`", what());
        }
        let path = if path.is_empty() { "." } else { path };
        let root = fs::canonicalize(path).with_context(|| format!("{}, which cannot be read", what()))?;
        if !root.is_dir() {
            bail!("{}, which is not a folder", what());
        }
        Ok(Folder { root })
    }

    /// Reads the part of a file that a path of [`sources::providers::file::part::path`] names, up to `limit` bytes.
    pub fn read(&self, path: &str, limit: usize) -> Result<Content, PageError> {
        let no_path = || PageError::Skip(format!("`{}` is not the path of a file", excerpt(path.as_bytes())));
        let (file, part) = parse(path).ok_or_else(no_path)?;
        read(&self.resolved(&file)?, part, limit)
    }

    /// The file's path without links. It must lie in the folder.
    fn resolved(&self, file: &str) -> Result<PathBuf, PageError> {
        let path = fs::canonicalize(self.root.join(file)).map_err(|error| failure(file, &error))?;
        if path.starts_with(&self.root) {
            return Ok(path);
        }
        Err(PageError::Skip(format!("`{}` leads out of the folder", excerpt(file.as_bytes()))))
    }
}

/// Reads a part of a file.
pub fn read(path: &Path, part: Part, limit: usize) -> Result<Content, PageError> {
    let shown = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failure = |error: std::io::Error| failure(&shown, &error);
    // Checked before opening it: opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(failure)?;
    if !metadata.is_file() {
        return Err(PageError::Skip(format!("`{}` is not a regular file", excerpt(shown.as_bytes()))));
    }
    let mut file = File::open(path).map_err(failure)?;
    let body = match part {
        Part::Whole if metadata.len() > limit as u64 => {
            let (shown, length) = (excerpt(shown.as_bytes()), metadata.len());
            return Err(PageError::GiveUp(format!("`{shown}` has {length} bytes, more than {limit}: split it")));
        }
        Part::Whole => head(&mut file, limit).map_err(failure)?,
        Part::Window { offset, header } => window(&mut file, offset, header).map_err(failure)?,
    };
    Ok(Content { body, modified: metadata.modified().ok() })
}

fn head(file: &mut File, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn window(file: &mut File, offset: u64, header: bool) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(before) = offset.checked_sub(1) {
        if header {
            body = head(file, MAX_HEADER_BYTES)?;
            let line = body.iter().position(|byte| *byte == b'\n').map_or(body.len(), |end| end + 1);
            body.truncate(line);
        }
        file.seek(SeekFrom::Start(before))?;
    }
    let room = WINDOW_BYTES - body.len();
    body.append(&mut head(file, room)?);
    if body.len() < WINDOW_BYTES && body.last().is_some_and(|byte| *byte != b'\n') {
        body.push(b'\n');
    }
    Ok(body)
}

fn failure(file: &str, error: &std::io::Error) -> PageError {
    let text = format!("cannot read `{}`: {error}", excerpt(file.as_bytes()));
    match error.kind() {
        // Not `Skip`, which is for what a provider does not have: whoever lists a file means to have it.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => PageError::GiveUp(text),
        _ => PageError::Retry(text),
    }
}

#[cfg(test)]
mod tests;
