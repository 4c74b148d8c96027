//! The pages of a column, decompressed within limits. We decompress them and not the library, as the library trusts the
//! sizes that a file names.

use std::io::Read as _;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

use super::thrift::{STRUCT, Thrift, numbers};

/// Largest page after decompression: most writers make pages of about 1 MiB, some one page of a whole row group.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// Largest dictionary: writers stop at 1 or 2 MiB. In memory its values take up to ten times as much.
const MAX_DICTIONARY_BYTES: usize = 8 << 20;
/// Bytes of the length before each text, the least that a dictionary needs for a value.
const MIN_VALUE_BYTES: usize = 4;

/// Types of pages.
const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;

/// The pages of one column in one row group.
pub(super) struct Pages {
    /// The pages, as in the file.
    chunk: Vec<u8>,
    at: usize,
    compression: Compression,
    /// Whether values can be null, so that definition levels precede them.
    has_levels: bool,
    has_dictionary: bool,
}

/// The header of a page.
struct Header {
    of: i64,
    unpacked: usize,
    /// Offset of the page in the chunk.
    start: usize,
    end: usize,
    /// The numbers of its type-specific header.
    numbers: [Option<i64>; 9],
}

impl Header {
    fn number(&self, id: usize) -> Result<u32> {
        let number = self.numbers.get(id).copied().flatten();
        number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| odd("a page has no number of values"))
    }
}

fn odd(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl Pages {
    /// The pages of a column chunk.
    pub(super) fn new(chunk: &[u8], compression: Compression, has_levels: bool) -> Pages {
        Pages { chunk: chunk.to_vec(), at: 0, compression, has_levels, has_dictionary: false }
    }

    /// The header of the next page that holds values; None after the last one.
    fn header(&mut self) -> Result<Option<Header>> {
        while self.at < self.chunk.len() {
            let header = self.parsed_header().ok_or_else(|| odd("a page's header cannot be read"))?;
            if matches!(header.of, DATA | DICTIONARY | DATA_V2) {
                return Ok(Some(header));
            }
            self.at = header.end;
        }
        Ok(None)
    }

    fn parsed_header(&self) -> Option<Header> {
        let mut thrift = Thrift(self.chunk.get(self.at..)?);
        let (mut own, mut nested, mut last) = ([None; 4], [None; 9], 0);
        while let Some((id, of)) = thrift.field(&mut last)? {
            match id {
                1..=3 => own[usize::try_from(id).ok()?] = thrift.number(of),
                5 | 7 | 8 if of == STRUCT => nested = numbers(&mut thrift)?,
                _ => thrift.skip(of)?,
            }
        }
        let [_, Some(of), Some(unpacked), Some(packed)] = own else { return None };
        let start = self.chunk.len() - thrift.0.len();
        let end = start.checked_add(usize::try_from(packed).ok()?).filter(|end| *end <= self.chunk.len())?;
        Some(Header { of, unpacked: usize::try_from(unpacked).ok()?, start, end, numbers: nested })
    }

    fn page(&mut self, header: &Header) -> Result<Page> {
        let packed = &self.chunk[header.start..header.end];
        match header.of {
            DICTIONARY => {
                let num_values = header.number(1)?;
                let count = num_values as usize;
                if header.unpacked > MAX_DICTIONARY_BYTES || count > header.unpacked / MIN_VALUE_BYTES {
                    return Err(odd("a dictionary is too large"));
                }
                let buf = unpacked(self.compression, packed, header.unpacked)?.into();
                self.has_dictionary = true;
                Ok(Page::DictionaryPage { buf, num_values, encoding: encoding(header.number(2)?)?, is_sorted: false })
            }
            DATA => {
                let (num_values, encoding) = (header.number(1)?, encoding(header.number(2)?)?);
                let buf = unpacked(self.compression, packed, header.unpacked)?;
                let levels = if self.has_levels { levels_of(&buf)? } else { 0 };
                self.check(encoding, num_values, &buf[levels..])?;
                Ok(Page::DataPage {
                    buf: buf.into(),
                    num_values,
                    encoding,
                    def_level_encoding: Encoding::RLE,
                    rep_level_encoding: Encoding::RLE,
                    statistics: None,
                })
            }
            _ => self.page_v2(header),
        }
    }

    /// A page of the second version, whose levels are never compressed.
    fn page_v2(&self, header: &Header) -> Result<Page> {
        let packed = &self.chunk[header.start..header.end];
        let (num_values, encoding) = (header.number(1)?, encoding(header.number(4)?)?);
        let (definitions, repetitions) = (header.number(5)?, header.number(6)?);
        let levels = definitions as usize + repetitions as usize;
        if levels > packed.len() || levels > header.unpacked {
            return Err(odd("a page is shorter than its levels"));
        }
        let is_packed = header.numbers[7] != Some(0);
        let compression = if is_packed { self.compression } else { Compression::UNCOMPRESSED };
        let mut buf = packed[..levels].to_vec();
        if header.unpacked > levels {
            buf.extend(unpacked(compression, &packed[levels..], header.unpacked - levels)?);
        }
        self.check(encoding, num_values, &buf[levels..])?;
        Ok(Page::DataPageV2 {
            buf: buf.into(),
            num_values,
            encoding,
            num_nulls: header.number(2)?,
            num_rows: header.number(3)?,
            def_levels_byte_len: definitions,
            rep_levels_byte_len: repetitions,
            is_compressed: false,
            statistics: None,
        })
    }

    /// Refuses a count of values for which the library would reserve more memory than the page can fill.
    fn check(&self, encoding: Encoding, num_values: u32, values: &[u8]) -> Result<()> {
        match encoding {
            Encoding::PLAIN | Encoding::RLE | Encoding::BYTE_STREAM_SPLIT | Encoding::DELTA_BINARY_PACKED => Ok(()),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if self.has_dictionary => Ok(()),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => Err(odd("a dictionary is missing")),
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let mut header = Thrift(values);
                let count = header.varint().and(header.varint()).and(header.varint());
                match count {
                    Some(count) if count <= num_values.into() => Ok(()),
                    _ => Err(odd("a page has more lengths than values")),
                }
            }
            other => Err(odd(&format!("the encoding {other} is not supported: write the file with another one"))),
        }
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(header) = self.header()? else { return Ok(None) };
        let page = self.page(&header)?;
        self.at = header.end;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let Some(header) = self.header()? else { return Ok(None) };
        let is_dict = header.of == DICTIONARY;
        // A flat column has a value in each row.
        let rows = if is_dict { None } else { Some(header.number(1)? as usize) };
        Ok(Some(PageMetadata { num_rows: rows, num_levels: rows, is_dict }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if let Some(header) = self.header()? {
            self.at = header.end;
        }
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(true)
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        self.get_next_page().transpose()
    }
}

/// Bytes of the levels at the beginning of a page of the first version.
fn levels_of(page: &[u8]) -> Result<usize> {
    let levels = page.first_chunk().map(|length| u32::from_le_bytes(*length) as usize + size_of::<u32>());
    levels.filter(|levels| *levels <= page.len()).ok_or_else(|| odd("a page is shorter than its levels"))
}

fn encoding(number: u32) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        _ => return Err(odd("a page has an unknown encoding")),
    })
}

/// Decompresses exactly `size` bytes.
fn unpacked(compression: Compression, packed: &[u8], length: usize) -> Result<Vec<u8>> {
    let wrong = || odd("a page does not have the length in its header");
    if length > MAX_PAGE_BYTES {
        return Err(ParquetError::General(format!("a page has more than {MAX_PAGE_BYTES} bytes")));
    }
    // A page without values may be stored uncompressed.
    if length == 0 {
        return Ok(Vec::new());
    }
    let unpacked = match compression {
        Compression::UNCOMPRESSED => packed.to_vec(),
        Compression::SNAPPY => {
            if snap::raw::decompress_len(packed).ok() != Some(length) {
                return Err(wrong());
            }
            snap::raw::Decoder::new().decompress_vec(packed).map_err(|_| wrong())?
        }
        Compression::GZIP(_) => {
            let mut out = Vec::new();
            flate2::read::MultiGzDecoder::new(packed).take(length as u64 + 1).read_to_end(&mut out)?;
            out
        }
        Compression::ZSTD(_) => zstd::bulk::decompress(packed, length)?,
        Compression::LZ4_RAW => {
            let mut out = vec![0; length];
            let count = lz4_flex::block::decompress_into(packed, &mut out).map_err(|_| wrong())?;
            out.truncate(count);
            out
        }
        Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 => {
            return Err(ParquetError::General(format!(
                "the compression {compression} is not supported: write the file with another one"
            )));
        }
    };
    if unpacked.len() == length { Ok(unpacked) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_unpacked_to_more_than_it_says() {
        let zeros = vec![0; 1 << 20];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &zeros).unwrap();
        let gzip = gzip.finish().unwrap();
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        let zstd = zstd::bulk::compress(&zeros, 1).unwrap();
        for (compression, packed) in [
            (Compression::GZIP(Default::default()), gzip),
            (Compression::SNAPPY, snappy),
            (Compression::ZSTD(Default::default()), zstd),
            (Compression::UNCOMPRESSED, zeros.clone()),
        ] {
            assert!(unpacked(compression, &packed, 1 << 20).unwrap() == zeros);
            for length in [1000, (1 << 20) - 1, (1 << 20) + 1, MAX_PAGE_BYTES + 1] {
                assert!(unpacked(compression, &packed, length).is_err(), "{compression} {length}");
            }
        }
    }
}
