//! Queries of a person: every value as text.

/// What a query found: the columns' names, and rows of texts; None is null.
#[derive(Debug, Default)]
pub struct Found {
    /// Names of the columns; none when there is no row.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}
