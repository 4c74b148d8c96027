//! Why one row is refused.

use crate::response::Reject;

/// Why a row is refused: a class to count by, and a reason in one line. See [`Reject`].
#[derive(Debug, PartialEq, Eq)]
pub struct Fault(pub &'static str, pub String);

impl Fault {
    /// Puts the place of the row before the reason, e.g. `line 7`.
    pub fn at(self, place: impl std::fmt::Display) -> Fault {
        Fault(self.0, format!("{place}: {}", self.1))
    }

    /// The reject of the row.
    pub fn reject(self, row: &[u8]) -> Reject {
        Reject::new(self.0, self.1, row)
    }
}
