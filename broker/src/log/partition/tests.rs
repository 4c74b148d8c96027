//! Lets writes fail.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write as _};

thread_local! {
    /// The bytes that the disk can take before it is full, for the current thread.
    pub(in super::super) static ROOM: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Writes what fits and fails, if the test filled the disk.
pub(super) fn fill_disk(mut file: &File, parts: &[IoSlice<'_>]) -> io::Result<()> {
    let Some(room) = ROOM.get() else { return Ok(()) };
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
    file.write_all(&bytes[..room.min(bytes.len())])?;
    Err(ErrorKind::StorageFull.into())
}
