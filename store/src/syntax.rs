//! The differences between the databases' SQL.

use contract::{Dataset, Kind};

use crate::as_of::Cut;

/// One database's expressions for the needs of every statement.
///
/// A function turns a column or a parameter into an expression.
#[derive(Debug)]
pub struct Syntax {
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// The time of the transaction, in the form of a column.
    pub(crate) now: &'static str,
    /// The time in a text parameter.
    pub(crate) time: fn(&str) -> String,
    /// A column of that kind in the form in which [`crate::line::Line::value`] reads it.
    pub(crate) read: fn(Kind, &str) -> String,
    /// The texts of a JSON list in a parameter, as rows `name.value`.
    pub(crate) texts: fn(&str) -> String,
    /// The items of a JSON list of lists in a parameter, as rows `name.value`.
    pub(crate) items: fn(&str) -> String,
    /// Locks rows of the outbox against other consumers, appended to the statement that reads them; empty: no lock.
    pub(crate) lock_outbox: &'static str,
    /// Locks rows of quarantines until the end of the transaction, appended as above.
    pub(crate) lock_quarantines: &'static str,
    /// Lets a transaction be idle for longer than [`crate::FORWARD_PATIENCE`], while Kafka acknowledges dead letters.
    pub(crate) hold_outbox: Option<&'static str>,
    /// An offset mixed into a number of 40 bits, see [`crate::Audit::ledger`].
    pub(crate) mixed: fn(&str) -> String,
    /// Makes the database check deferred constraints at once instead of at the COMMIT.
    pub(crate) judge_at_once: Option<&'static str>,
    /// Lets a transaction decompress as many rows as it needs.
    pub(crate) unpack: Option<&'static str>,
    /// Waits until no other connection hashes rows again, however long, and keeps others waiting until this one is closed.
    pub(crate) rehash_alone: &'static [&'static str],
    /// Returns 1 when no other transaction compacts the ledger, and keeps others from it until this one ends.
    pub(crate) compact_alone: Option<&'static str>,
    /// Removes the time limit of the session's statements.
    pub(crate) no_time_limit: Option<&'static str>,
    /// Returns a row when the table named by the first parameter exists.
    pub(crate) table_exists: &'static str,
    /// How the rows of a side table are exchanged.
    pub(crate) exchange: Exchange,
    /// Lists the views.
    pub(crate) views: &'static str,
    /// What was known of a dataset at a past moment, as a `select`.
    pub(crate) as_of: fn(&Dataset, &Cut) -> String,
    /// Returns the version and the licence of TimescaleDB where it is installed; None: it never is.
    pub(crate) timescale: Option<&'static str>,
}

/// What an exchange needs to know from its database. `$1` is the live table, `$2` the side table.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Statements that begin the transaction.
    pub(crate) begin: &'static [&'static str],
    /// Locks the positions of the topic in `$1`; None: the transaction has locked them.
    pub(crate) lock_positions: Option<&'static str>,
    /// Lets others read both tables, but not write them; None: the transaction does.
    pub(crate) lock_tables: Option<fn(&[&str]) -> String>,
    /// Columns that both tables have and that accept values.
    pub(crate) columns: &'static str,
    /// What hides rows from this role, so that nothing can be compared.
    pub(crate) hidden: Option<&'static str>,
    /// What else prevents an exchange, and how to proceed: one text each.
    pub(crate) obstacles: &'static [&'static str],
    /// Foreign keys to the live table: name, table, and the condition that joins its rows `theirs` with `live`.
    pub(crate) references: &'static str,
    /// Triggers of the live table that can leave rows out.
    pub(crate) triggers: &'static str,
}
