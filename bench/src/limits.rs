//! What PostgreSQL can do at best, and what a plain client does: what the consumer is compared with.

use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{Column, Dataset, Decoder, Record, Rows};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use store::Database;
use store::sql::CONTENT_HASH;

/// Rows in one `insert .. values`.
const VALUES_ROWS: usize = 500;

/// A connection, with an empty table of that name like the dataset's own; None for SQLite.
async fn connect(database: &Database, dataset: &Dataset, table: &str) -> anyhow::Result<Option<PgConnection>> {
    let address = database.address().expose();
    if !address.starts_with("postgres") {
        return Ok(None);
    }
    let mut connection = PgConnection::connect(address).await?;
    let create = format!("create table {table} (like {} including all)", dataset.name);
    connection.execute(AssertSqlSafe(create)).await?;
    Ok(Some(connection))
}

/// Rows per second that plain `COPY` reaches into a table like the dataset's: what the database can do at best.
///
/// None for SQLite, which has no `COPY`.
pub(crate) async fn copy_rate(
    database: &Database,
    dataset: &Dataset,
    records: &[Record],
) -> anyhow::Result<Option<f64>> {
    let Some(mut connection) = connect(database, dataset, "copy_limit").await? else { return Ok(None) };
    let text = copy_text(dataset, records)?;
    let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
    let copy = format!("copy copy_limit ({}, {CONTENT_HASH}) from stdin", names.join(", "));
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
pub(crate) async fn values_rate(
    database: &Database,
    dataset: &'static Dataset,
    records: &[Record],
) -> anyhow::Result<Option<f64>> {
    let Some(mut connection) = connect(database, dataset, "values_limit").await? else { return Ok(None) };
    let rows = decoded(dataset, records)?;
    let began = Instant::now();
    for from in (0..rows.len()).step_by(VALUES_ROWS) {
        let part = from..(from + VALUES_ROWS).min(rows.len());
        insert_values(&mut connection, "values_limit", dataset, &rows, part).await?;
    }
    let rate = rows.len() as f64 / began.elapsed().as_secs_f64();
    connection.execute("drop table values_limit").await?;
    connection.close().await?;
    Ok(Some(rate))
}

/// A plain upsert of some rows, as `insert .. values`, without a look at versions: for comparison only.
async fn insert_values(
    connection: &mut PgConnection,
    table: &str,
    dataset: &'static Dataset,
    rows: &Rows,
    part: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let statement = values_statement(dataset, table, part.len());
    let mut arguments = PgArguments::default();
    for row in part {
        for position in 0..dataset.fields.len() {
            let added = match rows.column(position) {
                Column::Text(values) | Column::Json(values) => arguments.add(values[row].as_deref()),
                Column::Decimal(values) => arguments.add(values[row]),
                Column::Long(values) => arguments.add(values[row]),
                Column::Double(values) => arguments.add(values[row]),
                Column::Bytes(values) => arguments.add(values[row].as_deref()),
                Column::Date(values) => arguments.add(values[row].map(date)),
                Column::Timestamp(values) => arguments.add(values[row].map(time)),
                Column::TextList(values) => arguments.add(&values[row]),
            };
            added.map_err(|error| anyhow::anyhow!("cannot bind a value: {error}"))?;
        }
        let added = arguments.add(rows.content_hash(dataset, row));
        added.map_err(|error| anyhow::anyhow!("cannot bind a value: {error}"))?;
    }
    let query = sqlx::query_with(AssertSqlSafe(statement), arguments);
    query.execute(connection).await?;
    Ok(())
}

/// A plain upsert of `count` rows that knows no versions, for comparison. Parameters per row: all fields of
/// the dataset, the content hash.
fn values_statement(dataset: &Dataset, table: &str, count: usize) -> String {
    let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).chain([CONTENT_HASH]).collect();
    let row = |at: usize| {
        let parameters = (1..=names.len()).map(|place| format!("${}", at * names.len() + place));
        format!("({})", parameters.collect::<Vec<_>>().join(", "))
    };
    let updates = names.iter().map(|name| format!("{name} = excluded.{name}"));
    format!(
        "insert into {table} ({}) values {} on conflict ({}) do update set {}",
        names.join(", "),
        (0..count).map(row).collect::<Vec<_>>().join(", "),
        dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect::<Vec<_>>().join(", "),
        updates.collect::<Vec<_>>().join(", ")
    )
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
        Column::Date(values) => values[row].map(|days| date(days).to_string()),
        Column::Timestamp(values) => values[row].map(|micros| time(micros).to_rfc3339()),
        Column::Bytes(_) => None,
        Column::TextList(_) => Some("{}".to_owned()),
    };
    out.push_str(text.as_deref().unwrap_or("\\N"));
}

fn date(days: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(days).expect("a generated date is a date")
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a generated time is a time")
}
