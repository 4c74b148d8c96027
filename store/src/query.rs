//! Users' queries: every value as text.

/// The result of a query: the columns' names, and rows of texts; None is null.
#[derive(Debug, Default)]
pub struct Found {
    /// Names of the columns; empty when there is no row.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}
