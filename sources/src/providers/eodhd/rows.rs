//! All rows of a body, from JSON or CSV.

use contract::Record;

use super::body::{Body, recognise};
use super::row::{Row, keep};
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed};

/// Reads every row of a body; a row without a record is a hole.
pub(super) fn each(
    body: &[u8],
    read: impl FnMut(&Row<'_>) -> Result<Option<Record>, Fault>,
) -> Result<Parsed, PageError> {
    each_of(recognise(body)?, body, read)
}

/// As [`each`], for a body that was already recognised.
pub(super) fn each_of(
    recognised: Body<'_>,
    body: &[u8],
    mut read: impl FnMut(&Row<'_>) -> Result<Option<Record>, Fault>,
) -> Result<Parsed, PageError> {
    let mut parsed = Parsed::default();
    let rows = match recognised {
        Body::Empty => Vec::new(),
        Body::Rows(rows) => rows,
        Body::Object(object) => numbered(&object)
            .ok_or_else(|| PageError::Retry(format!("expected a list, received `{}`", excerpt(body))))?,
        Body::Table(table) => {
            table.each(&mut parsed, read)?;
            return Ok(parsed);
        }
    };
    parsed.records.reserve(rows.len());
    for (index, raw) in rows.into_iter().enumerate() {
        let outcome = Object::row(raw).and_then(|object| read(&Row::Json(&object)));
        keep(&mut parsed, outcome, format_args!("row {index}"), raw.get().as_bytes());
    }
    Ok(parsed)
}

/// The rows of a list written as `{"0": .., "1": ..}`.
fn numbered<'a>(object: &Object<'a>) -> Option<Vec<Raw<'a>>> {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    object.iter().map(|(name, raw)| is_number(name).then_some(raw)).collect()
}
