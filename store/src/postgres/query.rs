//! Users' queries in PostgreSQL.

use std::fmt::{Formatter, Result as Written};

use futures::TryStreamExt as _;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _};

use super::Postgres;
use super::fault::message;
use crate::outcome::StoreError;
use crate::query::Found;

/// Limits of a query: read-only, with a timeout.
const SESSION: [(&str, &str); 2] = [("default_transaction_read_only", "on"), ("statement_timeout", "60s")];

impl Postgres {
    pub(super) async fn find(&self, query: &str, limit: usize) -> Result<Found, StoreError> {
        let mut connection = self.options()?.options(SESSION).connect().await.map_err(failed)?;
        let statement = connection.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await.map_err(failed)?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        drop(statement);
        let mut found = Found { columns, ..Found::default() };
        // JSON represents every type as text. The line break ends a comment at the end of the query.
        let wrapped = AssertSqlSafe(format!("select row_to_json(found)::text from ({query}\n) as found"));
        let mut rows = sqlx::query(wrapped).fetch(&mut connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            found.is_cut = found.rows.len() == limit;
            if found.is_cut {
                break;
            }
            let Values(values) = serde_json::from_str(row.get(0)).map_err(unreadable)?;
            let is_text = |at: &usize| values.get(*at).is_some_and(|value| value.get().starts_with(['"', '{', '[']));
            found.texts.extend((0..values.len()).filter(is_text));
            found.rows.push(values.iter().map(|value| text(value)).collect::<Result<_, _>>().map_err(unreadable)?);
        }
        drop(rows);
        Ok(found)
    }
}

/// The values of a JSON object in their order, as they are written: a number keeps all its digits.
struct Values(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Values;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> Written {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some((_, value)) = map.next_entry::<String, _>()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn text(value: &RawValue) -> serde_json::Result<Option<String>> {
    match value.get() {
        "null" => Ok(None),
        text if text.starts_with('"') => serde_json::from_str(text).map(Some),
        other => Ok(Some(other.to_owned())),
    }
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Halt(format!("cannot read the result: {error}"))
}

fn failed(error: sqlx::Error) -> StoreError {
    StoreError::Halt(format!("the query failed: {}", message(&error)))
}
