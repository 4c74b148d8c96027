//! The statements of both databases, each in its own syntax.

use crate::syntax::Syntax;

mod dead_letters;
mod quarantines;
pub(crate) mod sinks;

/// The statements of one database.
#[derive(Debug)]
pub(crate) struct Statements {
    /// For positions, the ledger and gaps.
    pub(crate) sinks: sinks::Statements,
    /// For dead letters and their outbox.
    pub(crate) dead_letters: dead_letters::Statements,
    /// For quarantines and parked records.
    pub(crate) quarantines: quarantines::Statements,
}

impl Statements {
    pub(crate) fn new(syntax: &Syntax) -> Statements {
        Statements {
            sinks: sinks::Statements::new(syntax),
            dead_letters: dead_letters::Statements::new(syntax),
            quarantines: quarantines::Statements::new(syntax),
        }
    }
}
