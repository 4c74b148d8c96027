//! What PostgreSQL's errors mean, by SQLSTATE.

use crate::dead_letter::Cause;
use crate::isolate::{self, class_of};
use crate::outcome::StoreError;

/// What an attempt to commit a chunk can end in.
pub(super) enum Fault {
    /// A row is refused for what it holds.
    Record(Cause),
    /// A statement took too long: fewer rows at once.
    Slow(String),
    /// TimescaleDB would have to unpack more rows than it may.
    Unpack(String),
    /// Not to do with the rows.
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        match fault {
            Fault::Record(cause) => StoreError::Halt(refused(&cause.reason)),
            Fault::Slow(message) | Fault::Unpack(message) => StoreError::Retry(message),
            Fault::Store(error) => error,
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        let Some(code) = error.as_database_error().and_then(|database| database.code()) else {
            return Fault::Store(classify(error));
        };
        let code = code.into_owned();
        if let Some(class) = class_of(&code) {
            return Fault::Record(isolate::cause(class, Some(code), message(&error)));
        }
        match code.as_str() {
            "57014" => Fault::Slow(message(&error)),
            "53400" => Fault::Unpack(message(&error)),
            _ => Fault::Store(classify(error)),
        }
    }
}

/// Whether a `COPY` cannot be had: one of its keys is there, or the table takes none.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "0A000"))
}

/// The database's message, without its detail, which can hold the row.
fn message(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => format!("{} (SQLSTATE {})", database.message(), database.code().unwrap_or_default()),
        None => error.to_string(),
    }
}

pub(super) fn refused(message: &str) -> String {
    format!("the database refuses what tapedeck sends: {message}")
}

/// What to do after an error, by SQLSTATE.
pub(super) fn classify(error: sqlx::Error) -> StoreError {
    let message = message(&error);
    let Some(database) = error.as_database_error() else {
        return match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => StoreError::Retry(message),
            _ => StoreError::Halt(message),
        };
    };
    let code = database.code().unwrap_or_default();
    match code.get(..2).unwrap_or_default() {
        // Connection, resources, operator intervention, system, read-only or lost transaction, serialization, lock, login,
        // database. A plan or statement that is no longer good (0A, 26) is gone with the connection.
        "08" | "53" | "57" | "58" | "25" | "40" | "55" | "28" | "3D" | "0A" | "26" => StoreError::Retry(message),
        _ => StoreError::Halt(refused(&message)),
    }
}
