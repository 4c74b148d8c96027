//! Values for variables that the environment does not set, above all of the file `.env`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use thiserror::Error;

use super::{ENV_FILE, files, given};

/// The values, by name of the variable, and those around the file; None before [`load`].
static VALUES: RwLock<Option<(HashMap<String, String>, Around)>> = RwLock::new(None);

/// A file of variables that cannot be used.
#[derive(Debug, Error)]
pub enum EnvFileError {
    /// It cannot be read.
    #[error("cannot read `{path}`, which `{name}` names: {error}", path = path.display(), name = ENV_FILE.name)]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not `NAME=value`. The line is not shown: it may hold a key.
    #[error("line {line} of `{path}` is not `NAME=value`; put a value with blanks between quotes", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
}

/// Values around those of the file, by name of the variable.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Take precedence over the file, e.g. the addresses of a running deck.
    pub before: HashMap<String, String>,
    /// Used where the file says nothing.
    pub after: HashMap<String, String>,
}

/// Adds the values of the file that `TAPEDECK_ENV_FILE` names, or of `.env` (see [`files::find`]). To be called once, at the start of a process, before
/// anything reads a variable; later calls change nothing.
///
/// Returns the file's path, for a message; None when no file is named and there is no `.env`.
///
/// # Errors
///
/// A named file that cannot be read, or a line that is not `NAME=value`.
pub fn load(around: Around) -> Result<Option<PathBuf>, EnvFileError> {
    let (path, read) = read()?;
    let has_values = !read.is_empty();
    let mut values = VALUES.write().unwrap_or_else(PoisonError::into_inner);
    if values.is_none() {
        *values = Some((all(&around, read), around));
    }
    Ok(Some(path).filter(|_| has_values))
}

/// Reads the file again, for a daemon that waits for another key. Before [`load`] it does nothing; a file that cannot be
/// used changes nothing.
pub fn reload() {
    // Before the lock is taken, because it asks for a variable.
    let read = read();
    let mut values = VALUES.write().unwrap_or_else(PoisonError::into_inner);
    if let (Some((values, around)), Ok((_, read))) = (&mut *values, read) {
        *values = all(around, read);
    }
}

/// The file and its values; none if no file is named and there is no `.env`.
fn read() -> Result<(PathBuf, HashMap<String, String>), EnvFileError> {
    let named = given(ENV_FILE.name);
    let usual = || files::find(ENV_FILE.default.unwrap_or_default());
    let path = named.as_deref().map_or_else(usual, PathBuf::from);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => String::new(),
        Err(error) => return Err(EnvFileError::Read { path, error }),
    };
    let values = parse(&text, &path)?;
    Ok((path, values))
}

fn all(around: &Around, read: HashMap<String, String>) -> HashMap<String, String> {
    let Around { before, after } = around.clone();
    let mut values = after;
    values.extend(read);
    values.extend(before);
    values
}

/// The same, for the start of an executable: says on standard error which file was read.
///
/// # Errors
///
/// As [`load`].
pub fn begin(around: Around) -> anyhow::Result<()> {
    if let Some(path) = load(around)? {
        eprintln!("settings from `{}`", path.display());
    }
    Ok(())
}

/// The value of a variable that the environment does not set.
pub(super) fn value(name: &str) -> Option<String> {
    let values = VALUES.read().unwrap_or_else(PoisonError::into_inner);
    values.as_ref()?.0.get(name).filter(|value| !value.is_empty()).cloned()
}

fn parse(text: &str, path: &Path) -> Result<HashMap<String, String>, EnvFileError> {
    let mut values = HashMap::new();
    // Line by line, because the errors of `dotenvy` show the line and do not number it.
    for (at, line) in text.lines().enumerate() {
        for pair in dotenvy::from_read_iter(line.as_bytes()) {
            let (name, value) = pair.map_err(|_| EnvFileError::Line { path: path.to_owned(), line: at + 1 })?;
            values.insert(name, value);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut values: Vec<_> =
            parse(text, Path::new(".env")).map_err(|error| error.to_string())?.into_iter().collect();
        values.sort();
        Ok(values)
    }

    #[test]
    fn lines_comments_quotes_and_exports_are_read_as_a_shell_reads_them() {
        let text = "# a comment\n\nFRED_API_KEY=abc # mine\nexport TAPEDECK_LOG='warn'\r\nA=\"b c\"\nEMPTY=\n";
        let pairs = [("A", "b c"), ("EMPTY", ""), ("FRED_API_KEY", "abc"), ("TAPEDECK_LOG", "warn")];
        let expected: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(read_text(text), Ok(expected));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_and_not_shown() {
        let error = read_text("A=b\nFRED_API_KEY hunter2\n").unwrap_err();
        assert!(error.starts_with("line 2 of `.env` is not `NAME=value`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
