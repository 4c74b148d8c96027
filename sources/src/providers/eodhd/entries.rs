//! The page made of the fundamentals of a symbol, and the entries of their sections.

use std::fmt;

use contract::Record;

use super::row;
use crate::parse::body::{MAX_ROWS, excerpt};
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

/// A page while the sections are read.
pub(super) struct Page<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) parsed: Parsed,
    /// Number of entries so far, of all sections.
    rows: usize,
}

impl<'a> Page<'a> {
    /// An empty page.
    pub(super) fn new(request: &'a Request<'a>) -> Page<'a> {
        Page { request, parsed: Parsed::default(), rows: 0 }
    }

    /// Adds the outcome of an entry.
    pub(super) fn keep(&mut self, outcome: Result<Option<Record>, Fault>, place: fmt::Arguments<'_>, text: &str) {
        row::keep(&mut self.parsed, outcome, place, text.as_bytes());
    }

    /// The entries of a section: an object by date or number, or a list. EODHD writes an empty object as an empty list.
    pub(super) fn entries<'b>(
        &mut self,
        section: Option<Raw<'b>>,
        place: fmt::Arguments<'_>,
    ) -> Result<Vec<(String, Raw<'b>)>, PageError> {
        let Some(raw) = section else { return Ok(Vec::new()) };
        let entries = match Object::parse(raw) {
            Some(object) => named(&object),
            None => match serde_json::from_str::<Bounded<Raw<'_>>>(raw.get()) {
                Ok(Bounded(list)) => list.into_iter().enumerate().map(|(at, raw)| (at.to_string(), raw)).collect(),
                Err(_) => {
                    let reason = format!("`{}` is neither an object nor a list", excerpt(raw.get().as_bytes()));
                    self.keep(Err(Fault("shape", reason)), place, raw.get());
                    Vec::new()
                }
            },
        };
        self.rows += entries.len();
        if self.rows > MAX_ROWS {
            return Err(PageError::Retry(format!("the response has more than {MAX_ROWS} entries")));
        }
        Ok(entries)
    }
}

/// The entries of an object, with their names as excerpts for messages.
pub(super) fn named<'a>(object: &Object<'a>) -> Vec<(String, Raw<'a>)> {
    object.iter().map(|(name, raw)| (excerpt(name.as_bytes()), raw)).collect()
}
