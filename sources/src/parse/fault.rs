//! What is wrong with one row.

use crate::response::Reject;

/// What is wrong with a row: a short token for counting by cause, and one line for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str, pub String);

impl Fault {
    /// Says where the row is, e.g. `line 7`.
    pub fn at(self, place: impl std::fmt::Display) -> Fault {
        Fault(self.0, format!("{place}: {}", self.1))
    }

    /// Refuses the row.
    pub fn reject(self, row: &[u8]) -> Reject {
        Reject::new(self.0, self.1, row)
    }
}
