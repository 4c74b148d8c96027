//! Reading values from an Avro body.

use rust_decimal::Decimal;

use super::DecodeError;
use super::avro::Avro;
use crate::column::Column;
use crate::decimal;

/// Longest text or byte string in a message: Kafka's own default bound on a message is 1 MiB.
pub const MAX_BYTES: usize = 8 << 20;
/// Most items in a list.
const MAX_ITEMS: usize = 10_000;
/// A value of a union whose branch does not fit the field.
pub(super) const MISFIT: &str = "a value is of a type that the dataset does not have";

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

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
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

    pub(super) fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::Malformed("an int has more than 32 bits"))
    }

    fn double(&mut self) -> Result<f64, Fault> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(f64::from_le_bytes(bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::Malformed("a length is negative"))?;
        if length > MAX_BYTES {
            return Err(Fault::Malformed("a length is over 8 MiB"));
        }
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Malformed("a text is not UTF-8"))
    }

    /// Reads the blocks of an array or a map of at most `limit` items, item by item.
    pub(super) fn blocks(
        &mut self,
        limit: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
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
            if total > limit {
                return Err(Fault::Malformed("a list has more than 10,000 items"));
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    #[inline]
    pub(super) fn branch<'b>(&mut self, branches: &'b [Avro]) -> Result<&'b Avro, Fault> {
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
        if let Avro::Misfit | Avro::Promoted(_) = avro {
            return self.read_promoted(avro, column);
        }
        // What is left has the column's own type.
        match column {
            Column::Text(values) | Column::Json(values) => values.push(Some(self.text()?.to_owned())),
            Column::Decimal(values) => {
                let Avro::Decimal(scale) = avro else { return Err(Fault::Malformed(MISFIT)) };
                values.push(Some(decimal_of(self.bytes()?, *scale)?));
            }
            Column::Double(values) => values.push(Some(self.double()?)),
            Column::Long(values) | Column::Timestamp(values) => values.push(Some(self.long()?)),
            Column::Date(values) => values.push(Some(self.int()?)),
            Column::Bytes(values) => values.push(Some(self.bytes()?.to_vec())),
            Column::TextList(values) => {
                let mut texts = Vec::new();
                self.blocks(MAX_ITEMS, |input| {
                    texts.push(input.text()?.to_owned());
                    Ok(())
                })?;
                values.push(texts);
            }
        }
        Ok(())
    }

    /// Reads a value of another type than the column's into it, if it fits.
    #[cold]
    fn read_promoted(&mut self, avro: &Avro, column: &mut Column) -> Result<(), Fault> {
        let Avro::Promoted(avro) = avro else { return Err(Fault::Malformed(MISFIT)) };
        match (column, &**avro) {
            (Column::Text(values) | Column::Json(values), Avro::Bytes) => values.push(Some(self.text()?.to_owned())),
            (Column::Bytes(values), Avro::Text) => values.push(Some(self.text()?.as_bytes().to_vec())),
            (Column::Long(values), Avro::Int) => values.push(Some(self.int()?.into())),
            (Column::Double(values), Avro::Int) => values.push(Some(self.int()?.into())),
            // Avro allows it, and rounds above 2^53.
            (Column::Double(values), Avro::Long) => values.push(Some(self.long()? as f64)),
            (Column::Double(values), Avro::Float) => {
                let bytes = self.take(4)?.try_into().expect("four bytes were taken");
                values.push(Some(f32::from_le_bytes(bytes).into()));
            }
            (Column::Decimal(values), Avro::FixedDecimal(scale, size)) => {
                values.push(Some(decimal_of(self.take(*size)?, *scale)?));
            }
            (Column::TextList(values), Avro::Array(items)) => values.push(self.texts(items)?),
            _ => return Err(Fault::Malformed(MISFIT)),
        }
        Ok(())
    }

    /// Reads a list of texts.
    fn texts(&mut self, items: &Avro) -> Result<Vec<String>, Fault> {
        let mut texts = Vec::new();
        self.blocks(MAX_ITEMS, |input| {
            let item = match items {
                Avro::Union(branches) => input.branch(branches)?,
                plain => plain,
            };
            if matches!(item, Avro::Null | Avro::Misfit) {
                return Err(Fault::Malformed(MISFIT));
            }
            texts.push(input.text()?.to_owned());
            Ok(())
        })?;
        Ok(texts)
    }
}

fn decimal_of(bytes: &[u8], scale: u32) -> Result<Decimal, Fault> {
    decimal::read(bytes, scale).ok_or(Fault::Malformed("a decimal has too many digits or none"))
}
