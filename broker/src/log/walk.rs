//! Walks over the headers of a segment's batches.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use super::batch::{CHECKED_FROM, HEADER, Header};

/// Bytes read at once: several small batches, or the header of a large one.
const BLOCK: usize = 16 << 10;

/// Reads headers from `position` up to `end`.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: &'a File, position: u64, end: u64) -> Walk<'a> {
        Walk { file, position, end, block: Vec::new(), block_at: 0 }
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch's header and position; None at the end and where no whole batch follows.
    pub(super) fn next(&mut self) -> io::Result<Option<(Header, u64)>> {
        let at = self.position;
        if self.end.saturating_sub(at) < HEADER as u64 {
            return Ok(None);
        }
        let header = match self.buffered().and_then(Header::parse) {
            Some(header) => header,
            None => {
                self.fill()?;
                let Some(header) = self.buffered().and_then(Header::parse) else { return Ok(None) };
                header
            }
        };
        let Some(next) = at.checked_add(header.size).filter(|next| *next <= self.end) else { return Ok(None) };
        self.position = next;
        Ok(Some((header, at)))
    }

    fn buffered(&self) -> Option<&[u8]> {
        let skip = usize::try_from(self.position.checked_sub(self.block_at)?).ok()?;
        self.block.get(skip..)
    }

    fn fill(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.end - self.position).unwrap_or(BLOCK).min(BLOCK);
        self.block.resize(length, 0);
        self.block_at = self.position;
        let read = read_up_to(self.file, &mut self.block, self.position)?;
        self.block.truncate(read);
        Ok(())
    }
}

/// Whether the checksum of a batch fits its bytes in the file. Needs one block of memory however large the batch is.
pub(super) fn is_undamaged(file: &File, header: &Header, at: u64, block: &mut Vec<u8>) -> io::Result<bool> {
    block.resize(64 << 10, 0);
    let (mut crc, mut from, end) = (0, at + CHECKED_FROM as u64, at + header.size);
    while from < end {
        let length = usize::try_from(end - from).unwrap_or(usize::MAX).min(block.len());
        let Some(part) = block.get_mut(..length) else { return Ok(false) };
        if read_up_to(file, part, from)? < length {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, part);
        from += length as u64;
    }
    Ok(crc == header.crc)
}

/// Reads a whole batch.
pub(super) fn read_batch(file: &File, header: &Header, at: u64) -> io::Result<Vec<u8>> {
    let mut batch = vec![0; usize::try_from(header.size).map_err(|_| ErrorKind::InvalidData)?];
    file.read_exact_at(&mut batch, at)?;
    Ok(batch)
}

fn read_up_to(file: &File, to: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = to.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
