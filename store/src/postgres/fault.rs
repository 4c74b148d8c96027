//! What PostgreSQL's errors mean, by SQLSTATE.

use crate::fault::{Fault, refused};
use crate::isolate;
use crate::outcome::{RetryClass, StoreError};

/// What a statement's error means for its rows.
pub(super) fn fault(error: sqlx::Error) -> Fault {
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

/// The class of a refusal, by SQLSTATE; None: the record is not the cause.
fn class_of(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "23502" => "not_null",
        "23503" => "foreign_key",
        "23505" => "unique",
        "23514" => "check",
        "23P01" => "exclusion",
        "54000" => "too_large",
        // Raised by a trigger.
        "P0001" => "raised",
        code if code.starts_with("22") => "data",
        _ => return None,
    })
}

/// Whether `COPY` is impossible here: the table already has one of the keys, or does not allow `COPY`.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "0A000"))
}

/// The database's message without its detail, which can contain the row.
pub(super) fn message(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => format!("{} (SQLSTATE {})", database.message(), database.code().unwrap_or_default()),
        None => error.to_string(),
    }
}

/// Classifies an error by SQLSTATE: retry or halt.
pub(super) fn classify(error: sqlx::Error) -> StoreError {
    let message = message(&error);
    let Some(database) = error.as_database_error() else {
        return match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => StoreError::connection(message),
            _ => StoreError::Halt(message),
        };
    };
    let code = database.code().unwrap_or_default();
    match code.get(..2).unwrap_or_default() {
        // Connection, resources, operator intervention, system, read-only or lost transaction, serialization, lock,
        // login, database. A stale plan or statement (0A, 26) is dropped with the connection.
        "08" | "53" | "57" | "58" | "25" | "40" | "55" | "28" | "3D" | "0A" | "26" => {
            StoreError::Retry { class: RetryClass::of_sqlstate(&code), reason: message }
        }
        _ => refused(&message),
    }
}
