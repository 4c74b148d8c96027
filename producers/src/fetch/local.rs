//! Files on this machine, read in place of a provider's responses: from one folder and nowhere else.

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
    /// With all links resolved, so that a file can be told to lie below it.
    root: PathBuf,
}

/// What was read of a file.
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
        let root =
            fs::canonicalize(path).with_context(|| format!("{}, which is no folder that can be read", what()))?;
        if !root.is_dir() {
            bail!("{}, which is not a folder", what());
        }
        Ok(Folder { root })
    }

    /// Reads what a path of [`sources::providers::file::part::path`] names; more than `limit` bytes are refused.
    pub fn read(&self, path: &str, limit: usize) -> Result<Content, PageError> {
        let no_path = || PageError::Skip(format!("`{}` is not the path of a file", excerpt(path.as_bytes())));
        let (file, part) = parse(path).ok_or_else(no_path)?;
        read(&self.resolved(&file)?, part, limit)
    }

    /// The file's own place, which may be reached by links, but not outside of the folder.
    fn resolved(&self, file: &str) -> Result<PathBuf, PageError> {
        let path = fs::canonicalize(self.root.join(file)).map_err(|error| failure(file, &error))?;
        if path.starts_with(&self.root) {
            return Ok(path);
        }
        Err(PageError::Skip(format!("`{}` leads out of the folder of the files", excerpt(file.as_bytes()))))
    }
}

/// Reads a part of a file.
pub fn read(path: &Path, part: Part, limit: usize) -> Result<Content, PageError> {
    let shown = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failure = |error: std::io::Error| failure(&shown, &error);
    // Looked at before it is opened: to open a pipe is to wait for who writes to it.
    let metadata = fs::metadata(path).map_err(failure)?;
    if !metadata.is_file() {
        return Err(PageError::Skip(format!("`{}` is not a regular file", excerpt(shown.as_bytes()))));
    }
    let mut file = File::open(path).map_err(failure)?;
    let body = match part {
        Part::Whole if metadata.len() > limit as u64 => {
            let (shown, length) = (excerpt(shown.as_bytes()), metadata.len());
            return Err(PageError::GiveUp(format!("`{shown}` has {length} bytes, more than {limit}: divide it")));
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
    let text = format!("`{}` cannot be read: {error}", excerpt(file.as_bytes()));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => PageError::Skip(text),
        _ => PageError::Retry(text),
    }
}

#[cfg(test)]
mod tests {
    use sources::providers::file::part::path;
    use tempfile::TempDir;

    use super::*;

    const LIMIT: usize = 1 << 19;

    fn folder() -> (TempDir, Folder) {
        let outer = TempDir::new().unwrap();
        fs::create_dir_all(outer.path().join("in/deep")).unwrap();
        fs::write(outer.path().join("secret.csv"), "secret").unwrap();
        fs::write(outer.path().join("in/deep/a b.csv"), "x,y\n1,2\n3,4").unwrap();
        let folder = Folder::new("V", &format!("file:{}", outer.path().join("in").display())).unwrap();
        (outer, folder)
    }

    fn skipped(outcome: Result<Content, PageError>) -> String {
        match outcome {
            Err(PageError::Skip(reason) | PageError::GiveUp(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_read_whole_or_from_a_byte_on_with_its_header() {
        let (_outer, folder) = folder();
        let read = |part| {
            let content = folder.read(&path("deep/a b.csv", part).unwrap(), LIMIT).unwrap();
            assert!(content.modified.is_some());
            String::from_utf8(content.body).unwrap()
        };
        assert_eq!(read(Part::Whole), "x,y\n1,2\n3,4");
        assert_eq!(read(Part::Window { offset: 0, header: true }), "x,y\n1,2\n3,4\n");
        assert_eq!(read(Part::Window { offset: 8, header: true }), "x,y\n\n3,4\n");
        assert_eq!(read(Part::Window { offset: 8, header: false }), "\n3,4\n");
        assert_eq!(read(Part::Window { offset: 99, header: true }), "x,y\n");
    }

    #[test]
    fn a_window_is_never_longer_than_it_may_be() {
        let (outer, folder) = folder();
        fs::write(outer.path().join("in/long"), vec![b'x'; WINDOW_BYTES + 10]).unwrap();
        for offset in [0, 5] {
            let part = Part::Window { offset, header: true };
            assert_eq!(folder.read(&path("long", part).unwrap(), LIMIT).unwrap().body.len(), WINDOW_BYTES);
        }
        let reason = skipped(folder.read("/long", LIMIT));
        assert!(reason.contains("more than 524288"), "{reason}");
    }

    #[test]
    fn nothing_outside_of_the_folder_and_nothing_but_files_is_read() {
        let (outer, folder) = folder();
        std::os::unix::fs::symlink(outer.path().join("secret.csv"), outer.path().join("in/link.csv")).unwrap();
        std::os::unix::fs::symlink("deep/a b.csv", outer.path().join("in/inside.csv")).unwrap();
        assert!(skipped(folder.read("/link.csv", LIMIT)).contains("leads out of the folder"));
        assert!(skipped(folder.read("/%2e%2e/secret.csv", LIMIT)).contains("leads out of the folder"));
        assert!(skipped(folder.read("/deep", LIMIT)).contains("not a regular file"));
        assert!(skipped(folder.read("/none.csv", LIMIT)).contains("cannot be read"));
        assert!(folder.read("/inside.csv", LIMIT).is_ok());
    }

    #[test]
    fn an_address_that_is_no_folder_is_refused_with_the_variable() {
        for address in ["http://127.0.0.1", "file:/no/such/folder", "file://host/x", "file:/proc/self/exe"] {
            let error = format!("{:#}", Folder::new("TAPEDECK_FILE_URL", address).unwrap_err());
            assert!(error.starts_with("`TAPEDECK_FILE_URL` is `"), "{error}");
        }
        assert!(Folder::new("V", "file:").is_ok() && Folder::new("V", "file:.").is_ok());
    }
}
