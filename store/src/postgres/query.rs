//! Users' queries in PostgreSQL.

use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::Postgres;
use super::fault::message;
use crate::outcome::StoreError;
use crate::query::Found;

/// Limits of a query: read-only, with a timeout.
const SESSION: [(&str, &str); 2] = [("default_transaction_read_only", "on"), ("statement_timeout", "60s")];

impl Postgres {
    pub(super) async fn find(&self, query: &str) -> Result<Found, StoreError> {
        let mut connection = self.options()?.options(SESSION).connect().await.map_err(failed)?;
        // JSON represents every type as text.
        let wrapped = AssertSqlSafe(format!("select row_to_json(found)::text from ({query}) as found"));
        let rows = sqlx::query(wrapped).fetch_all(&mut connection).await.map_err(failed)?;
        let mut found = Found::default();
        for row in rows {
            let object: Map<String, Value> =
                serde_json::from_str(row.get(0)).map_err(|error| StoreError::Halt(error.to_string()))?;
            found.columns = object.keys().cloned().collect();
            found.rows.push(object.into_iter().map(|(_, value)| text(value)).collect());
        }
        Ok(found)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    StoreError::Halt(format!("the query failed: {}", message(&error)))
}
