//! How a source of the simulator fails.

/// How a source fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outage {
    /// It answers with this status and an HTML page.
    Status(u16),
    /// It closes the connection without a response.
    Reset,
    /// It answers 429 and asks the client to retry after this many seconds.
    TooMany(i64),
    /// It answers 503 and says when to retry.
    Unavailable {
        /// Seconds or an HTTP date; any text is sent as it is.
        retry_after: String,
    },
}
