//! Parquet: flat columns, row group by row group.

use contract::Decimal;
use contract::validate::MAX_TEXT_BYTES;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::ColumnDescriptor;

use self::pages::Pages;
use super::cell::Cell;
use super::item::Item;
use super::page::{PAGE_ROWS, Page, Row};
use super::part::{self, Part};
use crate::parse::body::excerpt;
use crate::parse::caught::caught;
use crate::response::{PageError, Parsed, Request};

mod pages;
mod thrift;

/// Bytes of text after which a page ends: a few compressed bytes can stand for any number.
const PAGE_TEXT_BYTES: usize = 8 << 20;
/// Most rows of a file, for the same reason.
const MAX_ROWS: u64 = 100_000_000;
/// Longest metadata: thousands of column chunks.
const MAX_METADATA_BYTES: usize = 4 << 20;
/// Most bytes of a row group's wanted columns after decompression: eight times the largest file.
const MAX_GROUP_BYTES: i64 = 512 << 20;
/// Deepest nesting of columns. Nested columns are not read, but may be in the file.
const MAX_DEPTH: usize = 32;
/// First and last bytes of a file.
const MAGIC: &[u8] = b"PAR1";
/// The length of the metadata, and the magic at the end.
const FOOTER_BYTES: usize = 8;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    part::path(&Item::parse(item)?.file, Part::Whole)
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let item = Item::parse(request.item)?;
    let metadata = metadata(body)?;
    // The library has assertions that a damaged file can break. A panic leaves none of our state half changed.
    let outcome = caught(|| rows(request, &item, body, metadata));
    outcome.unwrap_or_else(|| Err(unreadable("the file contradicts itself")))
}

fn unreadable(reason: impl std::fmt::Display) -> PageError {
    PageError::Skip(format!("the Parquet file cannot be read: {}", excerpt(reason.to_string().as_bytes())))
}

/// The metadata at the end of the file, as bytes.
fn metadata(body: &[u8]) -> Result<&[u8], PageError> {
    let metadata = body.strip_prefix(MAGIC).and_then(|rest| {
        let (rest, footer) = rest.split_at_checked(rest.len().checked_sub(FOOTER_BYTES)?)?;
        let (length, magic) = footer.split_first_chunk()?;
        let start = rest.len().checked_sub(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        (magic == MAGIC).then(|| &rest[start..])
    });
    // A file that is being written has no end yet.
    let metadata = metadata.ok_or_else(|| PageError::Retry("not a whole Parquet file".to_owned()))?;
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(unreadable(format_args!("its metadata has more than {MAX_METADATA_BYTES} bytes")));
    }
    match thrift::is_shallow(metadata, MAX_DEPTH) {
        Some(true) => Ok(metadata),
        Some(false) => Err(unreadable(format_args!("its columns are nested more than {MAX_DEPTH} deep"))),
        None => Err(unreadable("its metadata are malformed")),
    }
}

fn rows(request: &Request<'_>, item: &Item, body: &[u8], metadata: &[u8]) -> Result<Parsed, PageError> {
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).map_err(unreadable)?;
    let places = places(item, &metadata)?;
    let total = metadata
        .row_groups()
        .iter()
        .try_fold(0_u64, |total, group| u64::try_from(group.num_rows()).ok().and_then(|rows| total.checked_add(rows)));
    let total = total.filter(|total| *total <= MAX_ROWS);
    let total = total.ok_or_else(|| unreadable(format_args!("it has more than {MAX_ROWS} rows: split it")))?;
    let end = total.min(request.offset.saturating_add(PAGE_ROWS as u64));
    // The number of rows in the metadata is not trusted: a page grows with its rows.
    let mut page = Page::new(item, request, 0);
    let (mut first, mut texts) = (0, 0);
    for group in metadata.row_groups() {
        let after = first + u64::try_from(group.num_rows()).unwrap_or_default();
        let (from, to) = (first.max(request.offset), after.min(end));
        if from < to {
            let columns = columns(body, group, &places, from - first, to - from)?;
            for row in from..to {
                if texts >= PAGE_TEXT_BYTES {
                    return page.done(Some(row));
                }
                let at = (row - from) as usize;
                texts += columns.iter().flatten().map(|column| column.text_bytes(at)).sum::<usize>();
                page.add(Row { text: &[], number: row + 1, unit: "row" }, |slot| {
                    columns[slot].as_ref().map_or(Cell::Null, |column| column.cell(at))
                });
            }
        }
        first = after;
    }
    page.done((end < total).then_some(end))
}

/// The column of each slot of the item.
fn places(item: &Item, metadata: &ParquetMetaData) -> Result<Vec<Option<usize>>, PageError> {
    let columns = metadata.file_metadata().schema_descr().columns();
    // A nested column counts under its outermost name, once for each leaf.
    let name = |column: &ColumnDescriptor| column.path().parts().first().cloned().unwrap_or_default();
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    let mut firsts = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let (name, is_part) = (name(column), column.path().parts().len() > 1);
        if !is_part || names.last() != Some(&name) {
            names.push(name);
            firsts.push(at);
        }
    }
    let mut places = item.places(&names)?;
    for place in places.iter_mut().flatten() {
        let (name, at) = (&names[*place], firsts[*place]);
        let column = &columns[at];
        if column.path().parts().len() > 1 || column.max_rep_level() > 0 {
            return Err(PageError::Skip(format!(
                "the column `{}` is nested, which is not supported",
                excerpt(name.as_bytes())
            )));
        }
        *place = at;
    }
    Ok(places)
}

/// Rows of the wanted columns, by slot.
fn columns(
    body: &[u8],
    group: &RowGroupMetaData,
    places: &[Option<usize>],
    skipped: u64,
    count: u64,
) -> Result<Vec<Option<Column>>, PageError> {
    let wanted = |place: &usize| places.contains(&Some(*place));
    let sizes = (0..group.num_columns()).filter(wanted).map(|place| group.column(place).uncompressed_size());
    let size = sizes.fold(0_i64, |total, size| total.saturating_add(size.max(0)));
    if size > MAX_GROUP_BYTES {
        return Err(unreadable(format_args!("a row group has more than {MAX_GROUP_BYTES} bytes: write smaller ones")));
    }
    let column = |place: usize| {
        if place >= group.num_columns() {
            return Err(unreadable("a row group lacks a column"));
        }
        let chunk = group.column(place);
        let name = chunk.column_path().string();
        let read = Column::read(body, chunk, skipped as usize, count as usize);
        read.map_err(|reason| unreadable(format_args!("column `{name}`: {reason}")))
    };
    places.iter().map(|place| place.map(column).transpose()).collect()
}

/// Values of a column in a range of rows.
struct Column {
    values: Values,
    /// Index of the value of each row; None if no row is null and both are equal.
    places: Option<Vec<Option<u32>>>,
    meaning: Meaning,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// Meaning of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Plain values.
    Plain,
    Unsigned,
    Date,
    /// A time; that many units are a second.
    Instant(i64),
    /// The same, without a zone.
    Local(i64),
    /// A decimal with that scale.
    Decimal(u32),
    /// Values that no field can hold.
    Other(&'static str),
}

impl Meaning {
    fn of(column: &ColumnDescriptor) -> Meaning {
        let units = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        };
        match column.logical_type_ref() {
            Some(LogicalType::Timestamp(time)) if time.is_adjusted_to_u_t_c => Meaning::Instant(units(&time.unit)),
            Some(LogicalType::Timestamp(time)) => Meaning::Local(units(&time.unit)),
            Some(LogicalType::Date) => Meaning::Date,
            Some(LogicalType::Decimal(decimal)) => {
                u32::try_from(decimal.scale).map_or(Meaning::Other("a decimal of negative scale"), Meaning::Decimal)
            }
            Some(LogicalType::Integer(integer)) if !integer.is_signed => Meaning::Unsigned,
            Some(LogicalType::Integer(_) | LogicalType::String | LogicalType::Enum | LogicalType::Json) => {
                Meaning::Plain
            }
            Some(LogicalType::Unknown) => Meaning::Plain,
            Some(_) => Meaning::Other("a value of this type"),
            None => Meaning::converted(column),
        }
    }

    /// The annotation of older writers.
    fn converted(column: &ColumnDescriptor) -> Meaning {
        match column.converted_type() {
            ConvertedType::DATE => Meaning::Date,
            ConvertedType::TIMESTAMP_MILLIS => Meaning::Instant(1_000),
            ConvertedType::TIMESTAMP_MICROS => Meaning::Instant(1_000_000),
            ConvertedType::DECIMAL => u32::try_from(column.type_scale())
                .map_or(Meaning::Other("a decimal of negative scale"), Meaning::Decimal),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
                Meaning::Unsigned
            }
            ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS => Meaning::Other("a time of day"),
            ConvertedType::BSON | ConvertedType::INTERVAL => Meaning::Other("a value of this type"),
            _ => Meaning::Plain,
        }
    }
}

impl Column {
    fn read(body: &[u8], chunk: &ColumnChunkMetaData, skipped: usize, count: usize) -> Result<Column, String> {
        let column = chunk.column_descr_ptr();
        let bytes = bytes_of(chunk).and_then(|range| body.get(range)).ok_or("it lies outside of the file")?;
        let pages = Pages::new(bytes, chunk.compression(), column.max_def_level() > 0);
        let mut levels = Vec::new();
        /// Reads values with the reader of a physical type.
        macro_rules! read {
            ($reader:expr, $values:path) => {{
                let mut values = Vec::new();
                let skip = $reader.skip_records(skipped).map_err(|error| error.to_string())?;
                let read = $reader.read_records(count, Some(&mut levels), None, &mut values);
                let (rows, ..) = read.map_err(|error| error.to_string())?;
                if (skip, rows) != (skipped, count) {
                    return Err("it has fewer rows than its metadata says".to_owned());
                }
                $values(values)
            }};
        }
        let values = match get_column_reader(column.clone(), Box::new(pages)) {
            ColumnReader::BoolColumnReader(mut reader) => read!(reader, Values::Bool),
            ColumnReader::Int32ColumnReader(mut reader) => read!(reader, Values::Int32),
            ColumnReader::Int64ColumnReader(mut reader) => read!(reader, Values::Int64),
            ColumnReader::Int96ColumnReader(mut reader) => read!(reader, Values::Int96),
            ColumnReader::FloatColumnReader(mut reader) => read!(reader, Values::Float),
            ColumnReader::DoubleColumnReader(mut reader) => read!(reader, Values::Double),
            ColumnReader::ByteArrayColumnReader(mut reader) => read!(reader, Values::Bytes),
            ColumnReader::FixedLenByteArrayColumnReader(mut reader) => read!(reader, Values::Fixed),
        };
        let most = column.max_def_level();
        let places = (most > 0 && levels.iter().any(|level| *level < most)).then(|| {
            let mut next = 0..;
            levels.iter().map(|level| if *level == most { next.next() } else { None }).collect()
        });
        Ok(Column { values, places, meaning: Meaning::of(&column) })
    }

    fn place(&self, row: usize) -> Option<usize> {
        match &self.places {
            None => Some(row),
            Some(places) => places.get(row).copied().flatten().map(|place| place as usize),
        }
    }

    /// Length of the text of a row.
    fn text_bytes(&self, row: usize) -> usize {
        match (&self.values, self.place(row)) {
            (Values::Bytes(values), Some(place)) => values.get(place).map_or(0, ByteArray::len),
            _ => 0,
        }
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        self.place(row).and_then(|place| self.value(place)).unwrap_or(Cell::Null)
    }

    fn value(&self, place: usize) -> Option<Cell<'_>> {
        let number = match &self.values {
            Values::Int32(values) if self.meaning == Meaning::Unsigned => values.get(place)?.cast_unsigned().into(),
            Values::Int32(values) => i64::from(*values.get(place)?),
            Values::Int64(values) => *values.get(place)?,
            // 96 bits were only ever used for instants.
            Values::Int96(values) => return Some(Cell::Instant(values.get(place)?.to_micros())),
            Values::Bool(values) => return Some(Cell::Text(values.get(place)?.to_string().into())),
            Values::Float(values) => return Some(Cell::Number(f64::from(*values.get(place)?))),
            Values::Double(values) => return Some(Cell::Number(*values.get(place)?)),
            Values::Bytes(values) => return Some(self.bytes(values.get(place)?.data())),
            Values::Fixed(values) => return Some(self.bytes(values.get(place)?.data())),
        };
        Some(match self.meaning {
            Meaning::Plain => Cell::Whole(number),
            Meaning::Unsigned => match u64::try_from(number) {
                Ok(_) => Cell::Whole(number),
                Err(_) => Cell::Decimal(Decimal::from(number.cast_unsigned())),
            },
            Meaning::Date => Cell::Date(number),
            Meaning::Instant(units) => Cell::Instant(micros(number, units)),
            Meaning::Local(units) => Cell::Local(micros(number, units)),
            Meaning::Decimal(scale) => decimal(number.into(), scale),
            Meaning::Other(words) => Cell::Odd(words.into()),
        })
    }

    fn bytes<'a>(&self, bytes: &'a [u8]) -> Cell<'a> {
        match self.meaning {
            Meaning::Decimal(scale) => match whole(bytes) {
                Some(number) => decimal(number, scale),
                None => Cell::Odd("a decimal of more than 16 bytes".into()),
            },
            Meaning::Plain if bytes.len() > MAX_TEXT_BYTES => {
                Cell::Odd(format!("a text of {} bytes", bytes.len()).into())
            }
            Meaning::Plain => match std::str::from_utf8(bytes) {
                Ok(text) => Cell::Text(text.into()),
                Err(_) => Cell::Odd("a text that is not UTF-8".into()),
            },
            Meaning::Other(words) => Cell::Odd(words.into()),
            _ => Cell::Odd("a value of this type".into()),
        }
    }
}

/// The range of bytes of a column chunk.
fn bytes_of(chunk: &ColumnChunkMetaData) -> Option<std::ops::Range<usize>> {
    let data = usize::try_from(chunk.data_page_offset()).ok()?;
    // Some writers write 0 for no dictionary.
    let dictionary = chunk.dictionary_page_offset().and_then(|at| usize::try_from(at).ok()).filter(|at| *at > 0);
    let start = dictionary.map_or(data, |dictionary| dictionary.min(data));
    Some(start..start.checked_add(usize::try_from(chunk.compressed_size()).ok()?)?)
}

fn micros(number: i64, units: i64) -> i64 {
    match units {
        1_000_000_000 => number.div_euclid(1_000),
        // A number too large for a time is also too large for a date, and refused there.
        units => number.saturating_mul(1_000_000 / units),
    }
}

fn decimal(number: i128, scale: u32) -> Cell<'static> {
    match Decimal::try_from_i128_with_scale(number, scale) {
        Ok(number) => Cell::Decimal(number),
        Err(_) => Cell::Odd("a decimal with more than 28 digits".into()),
    }
}

/// A big-endian number in two's complement.
fn whole(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first().filter(|_| bytes.len() <= size_of::<i128>())?;
    let fill = if first < 0x80 { 0 } else { -1 };
    Some(bytes.iter().fold(fill, |number, byte| number << 8 | i128::from(*byte)))
}

#[cfg(test)]
mod tests;
