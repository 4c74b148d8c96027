//! Reads one stream of the container of an `.xls` (MS-CFB).
//!
//! Our own code, as `calamine` 0.36 can be made to abort the process by files of 5 kB: a chain of sectors in a circle,
//! a length in the header, or two cells far apart make it allocate 4 to 137 GB (`docs/decisions/0017`). Here nothing is
//! larger than the file.

/// Bytes of the header. The list of sectors that hold the allocation table (FAT) is at its end.
const HEADER_BYTES: usize = 512;
/// Offset of the list. Only files over 7 MB need a longer list; ICI's have 60 kB.
const FAT_LIST: usize = 76;
/// Sector numbers from this one on are markers, such as the end of a chain.
const FIRST_MARK: u32 = 0xffff_fffa;
/// Bytes of an entry of the directory.
const ENTRY_BYTES: usize = 128;
/// Smaller streams are in a nested container, which is not read: a table does not fit there.
const MIN_STREAM_BYTES: usize = 4096;

/// The stream of that name.
pub(super) fn stream(file: &[u8], name: &str) -> Result<Vec<u8>, &'static str> {
    let container = Container::open(file).ok_or("its header is cut off or of another kind")?;
    let directory = container.chain(container.directory, usize::MAX).ok_or("its directory cannot be followed")?;
    let entry = directory.chunks_exact(ENTRY_BYTES).find(|entry| is_named(entry, name));
    let entry = entry.ok_or("it has no stream `Workbook`")?;
    let (start, size) = u32_at(entry, 116).zip(u32_at(entry, 120)).ok_or("its directory is cut off")?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size < MIN_STREAM_BYTES {
        return Err("its stream `Workbook` is too small for a table");
    }
    container.chain(start, size).filter(|stream| stream.len() == size).ok_or("its stream `Workbook` is cut off")
}

struct Container<'a> {
    file: &'a [u8],
    header: &'a [u8],
    sector_bytes: usize,
    /// First sector of the directory.
    directory: u32,
}

impl<'a> Container<'a> {
    fn open(file: &'a [u8]) -> Option<Container<'a>> {
        let header = file.get(..HEADER_BYTES)?;
        let sector_bytes = match u16_at(header, 30)? {
            9 => 512,
            12 => 4096,
            _ => return None,
        };
        Some(Container { file, header, sector_bytes, directory: u32_at(header, 48)? })
    }

    /// A sector; the last one of the file may be short. The header precedes sector 0.
    fn sector(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number).ok()?.checked_add(1)?.checked_mul(self.sector_bytes)?;
        let rest = self.file.get(start..)?;
        Some(&rest[..rest.len().min(self.sector_bytes)])
    }

    /// The sector after that one in its chain.
    fn next(&self, number: u32) -> Option<u32> {
        let number = usize::try_from(number).ok()?;
        let entries = self.sector_bytes / 4;
        let place = FAT_LIST.checked_add(4 * (number / entries))?;
        let fat = u32_at(self.header, place).filter(|fat| *fat < FIRST_MARK)?;
        u32_at(self.sector(fat)?, 4 * (number % entries))
    }

    /// The contents of a chain of sectors, up to that many bytes; None if it leaves the file or is circular.
    fn chain(&self, first: u32, bytes: usize) -> Option<Vec<u8>> {
        let mut held = Vec::new();
        let mut number = first;
        while number < FIRST_MARK && held.len() < bytes {
            // A chain longer than the file is circular.
            if held.len() > self.file.len() {
                return None;
            }
            let sector = self.sector(number)?;
            held.extend_from_slice(&sector[..sector.len().min(bytes - held.len())]);
            let is_short = sector.len() < self.sector_bytes;
            number = if is_short { FIRST_MARK } else { self.next(number)? };
        }
        Some(held)
    }
}

/// Names are UTF-16 and end with a zero.
fn is_named(entry: &[u8], name: &str) -> bool {
    let units = entry.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    units.take(name.len() + 1).eq(name.encode_utf16().chain([0]))
}

/// The number at an offset.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// As [`u16_at`].
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// As [`u16_at`].
pub(super) fn f64_at(bytes: &[u8], at: usize) -> Option<f64> {
    bytes.get(at..)?.first_chunk().map(|bytes| f64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ici/flows/combined@2026.xls");
        std::fs::read(path).unwrap()
    }

    fn put(file: &mut [u8], at: usize, number: u32) {
        file[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    #[test]
    fn a_stream_is_found_by_its_name() {
        let stream = stream(&file(), "Workbook").unwrap();
        // BIFF8 begins so.
        assert_eq!(&stream[..6], [0x09, 0x08, 0x10, 0x00, 0x00, 0x06]);
        assert_eq!(super::stream(&file(), "Work").unwrap_err(), "it has no stream `Workbook`");
    }

    #[test]
    fn a_file_cut_off_has_no_stream() {
        let file = file();
        for end in [0, 40, 511, 512, 600, 1024, file.len() / 2] {
            assert!(stream(&file[..end], "Workbook").is_err(), "{end}");
        }
    }

    #[test]
    fn a_chain_in_circles_ends() {
        let mut file = file();
        let fat = usize::try_from(u32_at(&file, FAT_LIST).unwrap()).unwrap();
        let fat = (fat + 1) * 512;
        for entry in 0..128 {
            put(&mut file, fat + 4 * entry, 0);
        }
        assert!(stream(&file, "Workbook").is_err());
        // Sectors beyond the file.
        for entry in 0..128 {
            put(&mut file, fat + 4 * entry, 0x7fff_ffff);
        }
        assert!(stream(&file, "Workbook").is_err());
    }

    #[test]
    fn a_size_is_not_taken_at_its_word() {
        let mut file = file();
        let container = Container::open(&file).unwrap();
        let directory = (usize::try_from(container.directory).unwrap() + 1) * 512;
        let sizes: Vec<usize> = (0..4).map(|entry| directory + entry * ENTRY_BYTES + 120).collect();
        for size in [0, 100, u32::MAX] {
            for at in &sizes {
                put(&mut file, *at, size);
            }
            assert!(stream(&file, "Workbook").is_err(), "{size}");
        }
    }
}
