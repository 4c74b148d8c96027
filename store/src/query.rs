//! Reading for people: any query, every value as text.

use std::str::FromStr as _;

use service::secret::{Secret, without_credentials};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _};

use crate::outcome::StoreError;

/// What a query found: the columns' names, and rows of texts; None is null.
#[derive(Debug, Default)]
pub struct Found {
    /// Names of the columns; none when there is no row.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

pub(crate) async fn postgres(address: &Secret, query: &str) -> Result<Found, StoreError> {
    let options: PgConnectOptions = address.expose().parse().map_err(|_| not_an_address(address))?;
    service::tls::install();
    let options = options.options([("default_transaction_read_only", "on"), ("statement_timeout", "60s")]);
    let mut connection = options.disable_statement_logging().connect().await.map_err(|error| failed(&error))?;
    // As JSON, because that has a text for every type there is.
    let wrapped = format!("select row_to_json(found)::text from ({query}) as found");
    let rows = sqlx::query(AssertSqlSafe(wrapped)).fetch_all(&mut connection).await.map_err(|error| failed(&error))?;
    let mut found = Found::default();
    for row in rows {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(row.get(0)).map_err(|error| StoreError::Halt(error.to_string()))?;
        found.columns = object.keys().cloned().collect();
        found.rows.push(object.into_iter().map(|(_, value)| text(value)).collect());
    }
    Ok(found)
}

fn text(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

pub(crate) async fn sqlite(address: &Secret, query: &str) -> Result<Found, StoreError> {
    let options = SqliteConnectOptions::from_str(address.expose()).map_err(|_| not_an_address(address))?;
    let options = options.read_only(true).disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| failed(&error))?;
    let rows = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
    let mut found = Found::default();
    for row in rows.map_err(|error| failed(&error))? {
        found.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
        found.rows.push((0..row.len()).map(|at| value(&row, at)).collect());
    }
    Ok(found)
}

fn value(row: &SqliteRow, at: usize) -> Option<String> {
    // A null has its column's declared type.
    let raw = row.try_get_raw(at).ok().filter(|raw| !raw.is_null())?;
    match raw.type_info().name() {
        "INTEGER" => Some(row.get_unchecked::<i64, _>(at).to_string()),
        "REAL" => Some(row.get_unchecked::<f64, _>(at).to_string()),
        "BLOB" => Some(format!("({} bytes)", row.get_unchecked::<Vec<u8>, _>(at).len())),
        _ => Some(row.get_unchecked(at)),
    }
}

fn not_an_address(address: &Secret) -> StoreError {
    StoreError::Halt(format!("`{}` is not a database address", without_credentials(address.expose())))
}

fn failed(error: &sqlx::Error) -> StoreError {
    let message = error.as_database_error().map_or_else(|| error.to_string(), |database| database.message().to_owned());
    StoreError::Halt(format!("the query failed: {message}"))
}
