//! What a migration says while it runs.

use std::fmt;

/// A line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A migration was applied or reverted.
    Done(String),
    /// A statement takes long, or a lock is in the way.
    Slow(String),
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Progress::Done(line) | Progress::Slow(line)) = self;
        formatter.write_str(line)
    }
}

/// Receives progress.
pub type Report<'a> = &'a dyn Fn(&Progress);
