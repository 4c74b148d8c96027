//! Keeps what a comparison reads in parts, on disk when it is much, so that memory holds one part at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Chain, Cursor, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Number of parts. Keys are spread over them evenly: of 100 million keys a part has 400,000, which need 60 MB of memory.
pub(super) const PARTS: usize = 256;
/// A part with more bytes goes to disk. So the parts need 16 MB of memory, and a small comparison needs no disk.
const BUFFER_BYTES: usize = 64 << 10;
/// Most bytes on disk for the rows of a dataset, and as many for its records: some 400 million of each.
const MAX_DISK_BYTES: u64 = 40 << 30;

/// A fingerprint of a key.
pub(super) type Key = [u64; 2];

/// The part of a key.
fn part_of(key: Key) -> usize {
    key[0] as usize % PARTS
}

/// Entries in parts. Its files have no names, so that they vanish with the process, however it ends.
pub(super) struct Spill {
    folder: PathBuf,
    parts: Vec<Part>,
    disk_bytes: u64,
}

#[derive(Default)]
struct Part {
    buffer: Vec<u8>,
    file: Option<File>,
}

impl Spill {
    pub(super) fn new(folder: &Path) -> Spill {
        let parts = std::iter::repeat_with(Part::default).take(PARTS).collect();
        Spill { folder: folder.to_owned(), parts, disk_bytes: 0 }
    }

    /// Appends an entry about a key: numbers, and a text.
    pub(super) fn push(&mut self, key: Key, numbers: &[i64], text: &str) -> anyhow::Result<()> {
        let part = &mut self.parts[part_of(key)];
        let numbers =
            key.iter().map(|half| half.to_le_bytes()).chain(numbers.iter().map(|number| number.to_le_bytes()));
        numbers.for_each(|number| part.buffer.extend_from_slice(&number));
        part.buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
        part.buffer.extend_from_slice(text.as_bytes());
        if part.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        self.disk_bytes += part.buffer.len() as u64;
        if self.disk_bytes > MAX_DISK_BYTES {
            bail!(
                "the comparison needs more than {} GiB on disk: the dataset is too large for it",
                MAX_DISK_BYTES >> 30
            );
        }
        let cannot = || format!("cannot write to `{}`: name another folder with `--temp-dir`", self.folder.display());
        let file = match &mut part.file {
            Some(file) => file,
            None => part.file.insert(tempfile::tempfile_in(&self.folder).with_context(cannot)?),
        };
        file.write_all(&part.buffer).with_context(cannot)?;
        part.buffer.clear();
        Ok(())
    }

    /// Takes a part's entries out, in the order in which they were appended.
    pub(super) fn take(&mut self, part: usize) -> anyhow::Result<Entries> {
        let Part { buffer, file } = std::mem::take(&mut self.parts[part]);
        let file = match file {
            Some(mut file) => {
                file.rewind()?;
                Some(file)
            }
            None => None,
        };
        let file: Box<dyn std::io::Read> = match file {
            Some(file) => Box::new(file),
            None => Box::new(std::io::empty()),
        };
        Ok(Entries(BufReader::new(file).chain(Cursor::new(buffer))))
    }
}

/// The entries of a part.
pub(super) struct Entries(Chain<BufReader<Box<dyn std::io::Read>>, Cursor<Vec<u8>>>);

impl Entries {
    /// The next entry, which was appended with `N` numbers.
    pub(super) fn next<const N: usize>(&mut self) -> anyhow::Result<Option<(Key, [i64; N], String)>> {
        if self.0.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let key = [self.number()?, self.number()?].map(u64::from_le_bytes);
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = i64::from_le_bytes(self.number()?);
        }
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut text)?;
        Ok(Some((key, numbers, String::from_utf8(text)?)))
    }

    fn number(&mut self) -> anyhow::Result<[u8; 8]> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_from_memory_and_from_disk() {
        let folder = std::env::temp_dir();
        for count in [10, 20_000] {
            let mut spill = Spill::new(&folder);
            // All of one part, so that it exceeds its buffer.
            let key = |number: i64| [number as u64 * PARTS as u64 + 7, 1];
            for number in 0..count {
                spill.push(key(number), &[number, -number], &format!("k{number}")).unwrap();
            }
            assert_eq!(spill.disk_bytes > 0, count > 10);
            assert!(spill.take(6).unwrap().next::<2>().unwrap().is_none());
            let mut entries = spill.take(7).unwrap();
            for number in 0..count {
                let entry = entries.next::<2>().unwrap();
                assert_eq!(entry, Some((key(number), [number, -number], format!("k{number}"))));
            }
            assert!(entries.next::<2>().unwrap().is_none());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let mut spill = Spill::new(Path::new("/no/such/folder"));
        let full = "x".repeat(BUFFER_BYTES);
        let error = format!("{:#}", spill.push([0, 0], &[], &full).unwrap_err());
        assert!(
            error.starts_with("cannot write to `/no/such/folder`: name another folder with `--temp-dir`"),
            "{error}"
        );
    }
}
