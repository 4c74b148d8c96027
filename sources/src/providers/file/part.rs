//! Which part of a file a path asks for: written here, read by whatever opens the file.

use std::path::{Component, Path};

use crate::parse::body::excerpt;
use crate::parse::percent::{percent_decoded, percent_encoded};
use crate::response::PageError;

/// Most bytes of a window, the header with it: its records take some fifteen times as much, and several pages wait in
/// memory to be published. No text may be longer anyway.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Longest header line: thousands of columns, and little of a window.
pub const MAX_HEADER_BYTES: usize = 64 << 10;

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// At most [`WINDOW_BYTES`] from the first byte on.
    ///
    /// From a later offset on they begin with the byte before it, which tells whether a row begins there, and before that
    /// comes the first line of the file if `header` is set. At the end of the file a last line gets its line feed.
    Window {
        /// Byte that the window begins with.
        offset: u64,
        /// Whether the first line is the names of the columns.
        header: bool,
    },
}

/// Path of a part of a file below the folder; what cannot be the name of such a file is refused.
pub fn path(file: &str, part: Part) -> Result<String, PageError> {
    let is_name = |component| matches!(component, Component::Normal(_));
    if file.is_empty() || file.contains('\0') || !Path::new(file).components().all(is_name) {
        let file = excerpt(file.as_bytes());
        return Err(PageError::Skip(format!("`{file}` is not the path of a file below the folder, such as `a/b.csv`")));
    }
    let segments: Vec<String> = file.split('/').map(percent_encoded).collect();
    let path = format!("/{}", segments.join("/"));
    Ok(match part {
        Part::Whole => path,
        Part::Window { offset, header: false } => format!("{path}?from={offset}"),
        Part::Window { offset, header: true } => format!("{path}?from={offset}&header"),
    })
}

/// File and part that [`path`] has written.
pub fn parse(path: &str) -> Option<(String, Part)> {
    let (file, query) = path.strip_prefix('/')?.split_once('?').map_or((&path[1..], None), |(a, b)| (a, Some(b)));
    let part = match query {
        None => Part::Whole,
        Some(query) => {
            let (offset, header) = query.strip_suffix("&header").map_or((query, false), |query| (query, true));
            Part::Window { offset: offset.strip_prefix("from=")?.parse().ok()?, header }
        }
    };
    Some((percent_decoded(file)?, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_part_of_which_file() {
        for part in [
            Part::Whole,
            Part::Window { offset: 0, header: true },
            Part::Window { offset: 7_000_000_000, header: false },
        ] {
            let path = path("deep/50% & more?.csv", part).unwrap();
            assert_eq!(parse(&path), Some(("deep/50% & more?.csv".to_owned(), part)), "{path}");
        }
        for file in ["", "/etc/passwd", "../x", "a/../x", "./x", "a\0"] {
            assert!(matches!(path(file, Part::Whole), Err(PageError::Skip(_))), "{file}");
        }
    }
}
