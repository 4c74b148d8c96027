//! Where the SQL of the databases differs.

use contract::Kind;

/// The words of one database for what every statement needs.
///
/// A function takes a column or a parameter and gives an expression.
#[derive(Debug)]
pub struct Syntax {
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// The time of the transaction, as a column takes it.
    pub(crate) now: &'static str,
    /// The time in a text parameter.
    pub(crate) time: fn(&str) -> String,
    /// A column of that kind in the form in which [`crate::line::Line::value`] reads it.
    pub(crate) read: fn(Kind, &str) -> String,
    /// The texts of a JSON list in a parameter, as rows `name.value`.
    pub(crate) texts: fn(&str) -> String,
    /// The items of a JSON list of lists in a parameter, as rows `name.value`.
    pub(crate) items: fn(&str) -> String,
    /// What keeps other consumers from the same rows of the outbox, appended to the statement that reads them; empty:
    /// they are not kept away.
    pub(crate) lock_outbox: &'static str,
    /// Lets a transaction be idle for longer than [`crate::FORWARD_PATIENCE`], while Kafka acknowledges dead letters.
    pub(crate) hold_outbox: Option<&'static str>,
    /// An offset mixed into a number of 40 bits, see [`crate::Audit::ledger`].
    pub(crate) mixed: fn(&str) -> String,
    /// Makes the database judge each row of a transaction at once, also by what would wait for the COMMIT.
    pub(crate) judge_at_once: Option<&'static str>,
    /// Lets a transaction unpack as many compressed rows as it needs.
    pub(crate) unpack: Option<&'static str>,
    /// Takes the time limit off the session's statements.
    pub(crate) no_time_limit: Option<&'static str>,
    /// Finds a row when there is a table with the name in the first parameter.
    pub(crate) table_exists: &'static str,
}
