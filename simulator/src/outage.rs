//! How a source of the simulator fails.

/// How a source fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outage {
    /// It answers with this status and a page of words.
    Status(u16),
    /// It closes the connection without an answer.
    Reset,
    /// Whoever asks has asked too often, and is told to come again after so many seconds.
    TooMany(i64),
    /// It answers 503 and says when to come again.
    Unavailable {
        /// In seconds or as a date of HTTP; whatever it is, it is sent.
        retry_after: String,
    },
}
