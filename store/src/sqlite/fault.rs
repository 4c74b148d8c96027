//! What SQLite's errors mean, by result code.

use sqlx::error::DatabaseError;

use crate::dead_letter::Cause;
use crate::fault::{Fault, refused};
use crate::isolate;
use crate::outcome::{RetryClass, StoreError};

/// What a statement's error means for its rows.
pub(super) fn fault(error: sqlx::Error) -> Fault {
    match refusal(&error) {
        Some(cause) => Fault::Record(cause),
        None => Fault::Store(classify(error)),
    }
}

/// Why the database refuses a row; None when the row is not the cause.
fn refusal(error: &sqlx::Error) -> Option<Cause> {
    let database = error.as_database_error()?;
    let code: u32 = database.code()?.parse().ok()?;
    let class = match (code & 0xff, code >> 8) {
        (19, 1) => "check",
        (19, 3) => "foreign_key",
        (19, 5) => "not_null",
        (19, 7) => "raised",
        (19, _) => "unique",
        (18, _) => "too_large",
        (20, _) => "data",
        _ => return None,
    };
    Some(isolate::cause(class, None, format!("{} (SQLite code {code})", database.message())))
}

/// Whether another process has locked the file.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| code(error) & 0xff == 5)
}

/// SQLite's extended result code.
fn code(error: &dyn DatabaseError) -> u32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// Classifies an error by SQLite's code: retry or halt.
pub(super) fn classify(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return StoreError::connection(error.to_string());
    };
    let code = code(database);
    let reason = format!("{} (SQLite code {code})", database.message());
    match code & 0xff {
        // Busy, locked, out of memory, read-only, input/output, full, cannot open.
        5 | 6 | 7 | 8 | 10 | 13 | 14 => StoreError::Retry { class: RetryClass::Sqlite, reason },
        _ => refused(&reason),
    }
}
