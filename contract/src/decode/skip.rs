//! Passing over values that the dataset does not have.

use super::avro::Avro;
use super::input::{Fault, Input, MISFIT};

/// Deepest nesting of skipped values. A record that holds itself can nest as deep as its writer likes.
const MAX_NESTING: usize = 1000;
/// Most skipped values of a record: two per byte of the longest message. Values such as null have no bytes.
const MAX_SKIPPED: usize = 16 << 20;

/// Passes over values of one record.
pub(super) struct Skipper<'s> {
    /// The types of the fields of the records in the schema.
    records: &'s [Vec<Avro>],
    /// How many more values may be skipped.
    left: usize,
}

impl Skipper<'_> {
    pub(super) fn new(records: &[Vec<Avro>]) -> Skipper<'_> {
        Skipper { records, left: MAX_SKIPPED }
    }

    /// Passes over a value of that type, which lies in so many others.
    pub(super) fn skip(&mut self, input: &mut Input<'_>, avro: &Avro, depth: usize) -> Result<(), Fault> {
        if depth > MAX_NESTING {
            return Err(Fault::Malformed("its values are nested too deeply"));
        }
        let left = self.left.checked_sub(1);
        self.left = left.ok_or(Fault::Malformed("it has more than 16,777,216 values"))?;
        match avro {
            Avro::Null => Ok(()),
            Avro::Boolean => match input.take(1)?[0] {
                0 | 1 => Ok(()),
                _ => Err(Fault::Malformed("a boolean is neither 0 nor 1")),
            },
            Avro::Int | Avro::Date => input.int().map(drop),
            Avro::Enum(symbols) => match usize::try_from(input.int()?) {
                Ok(symbol) if symbol < *symbols => Ok(()),
                _ => Err(Fault::Malformed("an enum has no such symbol")),
            },
            Avro::Long | Avro::TimestampMicros => input.long().map(drop),
            Avro::Float => input.take(4).map(drop),
            Avro::Double => input.take(8).map(drop),
            Avro::Bytes | Avro::Decimal(_) => input.bytes().map(drop),
            Avro::Text => input.text().map(drop),
            Avro::Fixed(size) | Avro::FixedDecimal(_, size) => input.take(*size).map(drop),
            Avro::Array(items) => input.blocks(MAX_SKIPPED, |input| self.skip(input, items, depth + 1)),
            Avro::Map(values) => input.blocks(MAX_SKIPPED, |input| {
                input.text()?;
                self.skip(input, values, depth + 1)
            }),
            Avro::Record(place) => {
                let fields = &self.records[*place];
                fields.iter().try_for_each(|field| self.skip(input, field, depth + 1))
            }
            Avro::Union(branches) => {
                let branch = input.branch(branches)?;
                self.skip(input, branch, depth + 1)
            }
            Avro::Foreign(inner) | Avro::Promoted(inner) => self.skip(input, inner, depth + 1),
            Avro::Misfit => Err(Fault::Malformed(MISFIT)),
        }
    }
}
