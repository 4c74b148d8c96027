//! The part of a file that a request path names: the parsers write the path, and the producer that opens the file reads
//! it.

use std::path::{Component, Path};

use crate::parse::body::excerpt;
use crate::parse::percent::{percent_decoded, percent_encoded};
use crate::response::PageError;

/// Most bytes of a window, with its header. Its records take some fifteen times as much, and several pages may wait in
/// memory for publication. No text of a record may be longer anyway.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Longest header line: room for thousands of columns, and a small part of a window.
pub const MAX_HEADER_BYTES: usize = 64 << 10;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The whole file.
    Whole,
    /// A window: at most [`WINDOW_BYTES`] bytes.
    ///
    /// A window at an offset above 0 begins one byte earlier, so that its reader sees whether a row begins at the
    /// offset. If `header` is set, the first line of the file precedes it. A last line without a line feed gets one.
    Window {
        /// Offset of the window in the file.
        offset: u64,
        /// Whether the first line is a header.
        header: bool,
    },
}

/// The request path of a part of a file below the folder. A path that could lead out of the folder is refused.
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

/// The file and the part that a path of [`path`] names.
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
