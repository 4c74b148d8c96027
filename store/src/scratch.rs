//! Databases for benchmarks and tests: beside the one named, and gone afterwards.

use std::fmt::Write as _;
use std::time::Instant;

use contract::{Column, Dataset, Decoder, Record, Rows};
use service::secret::Secret;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::outcome::StoreError;
use crate::{Database, Kind, postgres, sql};

/// Rows in one `insert .. values`.
const VALUES_ROWS: usize = 500;

impl Database {
    /// A new, empty database of that name on the same server, or in the same folder.
    pub async fn scratch(&self, name: &str) -> anyhow::Result<Database> {
        let address = self.address.expose();
        let (path, parameters) = address.split_once('?').unwrap_or((address, ""));
        let (parent, _) = path.rsplit_once(['/', ':']).unwrap_or((path, ""));
        let separator = if parameters.is_empty() { "" } else { "?" };
        match self.kind {
            Kind::Sqlite(_) => Database::new(&format!("{parent}/{name}.db")),
            Kind::Postgres => {
                self.execute(&format!("create database {name}")).await?;
                Database::new(&format!("{parent}/{name}{separator}{parameters}"))
            }
        }
    }

    /// Removes a database that [`Database::scratch`] made; `beside` is what it was made beside.
    pub async fn drop_scratch(&self, beside: &Database, name: &str) -> anyhow::Result<()> {
        match self.kind {
            Kind::Postgres => Ok(beside.execute(&format!("drop database {name} with (force)")).await?),
            Kind::Sqlite(_) => {
                let path = self.address.expose().trim_start_matches("sqlite:").to_owned();
                for ending in ["", "-wal", "-shm"] {
                    // Of the three, the last two are there only sometimes.
                    let _ = std::fs::remove_file(format!("{path}{ending}"));
                }
                Ok(())
            }
        }
    }

    /// The address, for a child process.
    pub fn address(&self) -> &Secret {
        &self.address
    }

    /// Rows per second that plain `COPY` reaches into a table like the dataset's: what the database can do at best.
    ///
    /// None for SQLite, which has no such thing.
    pub async fn copy_rate(&self, dataset: &Dataset, records: &[Record]) -> anyhow::Result<Option<f64>> {
        if !matches!(self.kind, Kind::Postgres) {
            return Ok(None);
        }
        let table = &dataset.name;
        let text = copy_text(dataset, records)?;
        let mut connection = postgres::connect(&self.address, "bench").await?;
        let create = format!("create table copy_limit (like {table} including all)");
        connection.execute(AssertSqlSafe(create)).await?;
        let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
        let copy = format!("copy copy_limit ({}, {}) from stdin", names.join(", "), sql::CONTENT_HASH);
        let began = Instant::now();
        let mut sink = connection.copy_in_raw(&copy).await?;
        sink.send(text.as_bytes()).await?;
        let written = sink.finish().await?;
        let rate = written as f64 / began.elapsed().as_secs_f64();
        connection.execute("drop table copy_limit").await?;
        connection.close().await?;
        Ok(Some(rate))
    }

    /// Rows per second of 500-row `insert .. values .. on conflict` into a table like the dataset's: what a plain client
    /// does.
    ///
    /// None for SQLite.
    pub async fn values_rate(&self, dataset: &'static Dataset, records: &[Record]) -> anyhow::Result<Option<f64>> {
        if !matches!(self.kind, Kind::Postgres) {
            return Ok(None);
        }
        let mut connection = postgres::connect(&self.address, "bench").await?;
        let create = format!("create table values_limit (like {} including all)", dataset.name);
        connection.execute(AssertSqlSafe(create)).await?;
        let rows = decoded(dataset, records)?;
        let began = Instant::now();
        for from in (0..rows.len()).step_by(VALUES_ROWS) {
            let part = from..(from + VALUES_ROWS).min(rows.len());
            postgres::insert_values(&mut connection, "values_limit", dataset, &rows, part).await?;
        }
        let rate = rows.len() as f64 / began.elapsed().as_secs_f64();
        connection.execute("drop table values_limit").await?;
        connection.close().await?;
        Ok(Some(rate))
    }

    async fn execute(&self, statement: &str) -> Result<(), StoreError> {
        let mut connection = postgres::connect(&self.address, "scratch").await?;
        let outcome = connection.execute(AssertSqlSafe(statement.to_owned())).await;
        outcome.map_err(|error| StoreError::Halt(error.to_string()))?;
        Ok(())
    }
}

/// The records as `COPY` reads them; for generated ones, whose texts need no escape.
fn copy_text(dataset: &Dataset, records: &[Record]) -> anyhow::Result<String> {
    let rows = decoded(dataset, records)?;
    let mut out = String::new();
    for row in 0..rows.len() {
        for position in 0..dataset.fields.len() {
            copy_value(rows.column(position), row, &mut out);
            out.push('\t');
        }
        writeln!(out, "{}", rows.content_hash(dataset, row))?;
    }
    Ok(out)
}

fn decoded(dataset: &Dataset, records: &[Record]) -> anyhow::Result<Rows> {
    let decoder = Decoder::new(dataset, &dataset.schema)?;
    let (mut rows, mut body) = (Rows::new(dataset), Vec::new());
    for record in records {
        body.clear();
        record.encode(&mut body);
        decoder.decode(&body, &mut rows)?;
    }
    Ok(rows)
}

fn copy_value(column: &Column, row: usize, out: &mut String) {
    let text = match column {
        Column::Text(values) | Column::Json(values) => values[row].clone(),
        Column::Decimal(values) => values[row].map(|value| value.to_string()),
        Column::Long(values) => values[row].map(|value| value.to_string()),
        Column::Double(values) => values[row].map(|value| value.to_string()),
        Column::Date(values) => values[row].map(|days| postgres::date(days).to_string()),
        Column::Timestamp(values) => values[row].map(|micros| postgres::timestamp(micros).to_rfc3339()),
        Column::Bytes(_) => None,
        Column::TextList(_) => Some("{}".to_owned()),
    };
    out.push_str(text.as_deref().unwrap_or("\\N"));
}
