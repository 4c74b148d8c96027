//! Reading values from an Avro body.

use super::DecodeError;
use super::avro::Avro;
use crate::column::Column;
use crate::decimal;

/// Longest text or byte string in a message: Kafka's own default bound on a message is 1 MiB.
pub const MAX_BYTES: usize = 8 << 20;
/// Most items in a list.
const MAX_ITEMS: usize = 10_000;

/// A decoding error without its field.
pub(super) enum Fault {
    Truncated,
    Malformed(&'static str),
}

impl Fault {
    pub(super) fn in_field(self, field: &str) -> DecodeError {
        let field = field.to_owned();
        match self {
            Fault::Truncated => DecodeError::Truncated { field },
            Fault::Malformed(what) => DecodeError::Malformed { field, what },
        }
    }
}

/// What is left of a body.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// The whole body.
    pub(super) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes }
    }

    /// How many bytes are left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Fault> {
        // Most numbers of a record are branches and lengths of one byte.
        if let Some((&byte, rest)) = self.bytes.split_first()
            && byte < 0x80
        {
            self.bytes = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.long_of_many_bytes()
    }

    fn long_of_many_bytes(&mut self) -> Result<i64, Fault> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(Fault::Malformed("a number has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Fault::Malformed("a number has more than 64 bits"))
    }

    fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::Malformed("an int has more than 32 bits"))
    }

    fn double(&mut self) -> Result<f64, Fault> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(f64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::Malformed("a length is negative"))?;
        if length > MAX_BYTES {
            return Err(Fault::Malformed("a length is over 8 MiB"));
        }
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Malformed("a text is not UTF-8"))
    }

    /// Reads the blocks of an array or a map, item by item.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut total = 0usize;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // After a negative count follows the block's size in bytes, which only a skipping reader needs.
                self.long()?;
            }
            let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            total = total.saturating_add(count);
            if total > MAX_ITEMS {
                return Err(Fault::Malformed("a list has more than 10,000 items"));
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    #[inline]
    fn branch<'b>(&mut self, branches: &'b [Avro]) -> Result<&'b Avro, Fault> {
        let index = usize::try_from(self.long()?).ok();
        index.and_then(|index| branches.get(index)).ok_or(Fault::Malformed("a union has no such branch"))
    }

    /// Reads a value of that type into its column.
    pub(super) fn read(&mut self, avro: &Avro, column: &mut Column) -> Result<(), Fault> {
        let avro = match avro {
            Avro::Union(branches) => self.branch(branches)?,
            plain => plain,
        };
        if matches!(avro, Avro::Null) {
            column.push_null();
            return Ok(());
        }
        match column {
            Column::Text(values) | Column::Json(values) => values.push(Some(self.text()?.to_owned())),
            Column::Decimal(values) => {
                let Avro::Decimal(scale) = avro else {
                    return Err(Fault::Malformed("a decimal is of another type"));
                };
                let read = decimal::read(self.bytes()?, *scale);
                values.push(Some(read.ok_or(Fault::Malformed("a decimal has too many digits or none"))?));
            }
            Column::Double(values) => values.push(Some(self.double()?)),
            Column::Long(values) if matches!(avro, Avro::Int) => values.push(Some(self.int()?.into())),
            Column::Long(values) | Column::Timestamp(values) => values.push(Some(self.long()?)),
            Column::Date(values) => values.push(Some(self.int()?)),
            Column::Bytes(values) => values.push(Some(self.bytes()?.to_vec())),
            Column::TextList(values) => {
                let mut texts = Vec::new();
                self.blocks(|input| {
                    texts.push(input.text()?.to_owned());
                    Ok(())
                })?;
                values.push(texts);
            }
        }
        Ok(())
    }

    /// Passes over a value of that type.
    pub(super) fn skip(&mut self, avro: &Avro) -> Result<(), Fault> {
        match avro {
            Avro::Null => Ok(()),
            Avro::Boolean => match self.take(1)?[0] {
                0 | 1 => Ok(()),
                _ => Err(Fault::Malformed("a boolean is neither 0 nor 1")),
            },
            Avro::Int | Avro::Date | Avro::Enum => self.int().map(drop),
            Avro::Long | Avro::TimestampMicros => self.long().map(drop),
            Avro::Float => self.take(4).map(drop),
            Avro::Double => self.double().map(drop),
            Avro::Bytes | Avro::Decimal(_) => self.bytes().map(drop),
            Avro::Text => self.text().map(drop),
            Avro::Fixed(size) => self.take(*size).map(drop),
            Avro::Array(items) => self.blocks(|input| input.skip(items)),
            Avro::Map(values) => self.blocks(|input| {
                input.text()?;
                input.skip(values)
            }),
            Avro::Record(fields) => fields.iter().try_for_each(|field| self.skip(field)),
            Avro::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(branch)
            }
        }
    }
}
