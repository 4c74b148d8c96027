//! Rows as parameters: one array per column.

use chrono::{DateTime, Days, NaiveDate, Utc};
use contract::rows::Folded;
use contract::{Column, Dataset, Rows};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection};

use super::fault::classify;
use crate::outcome::StoreError;
use crate::sql;

type Bound = Result<PgArguments, sqlx::error::BoxDynError>;

/// For the upsert: all fields, content hashes, whether deleted, least and greatest time.
pub(super) fn arguments(dataset: &Dataset, rows: &Rows, folded: &[Folded]) -> Bound {
    let mut arguments = PgArguments::default();
    for position in 0..dataset.fields.len() {
        add(&mut arguments, rows.column(position), folded)?;
    }
    arguments.add(folded.iter().map(|row| row.version.2).collect::<Vec<i64>>())?;
    arguments.add(folded.iter().map(|row| rows.deleted()[row.row]).collect::<Vec<bool>>())?;
    add_span(&mut arguments, dataset, rows, folded)?;
    Ok(arguments)
}

/// For the question which rows are newer: keys, versions, least and greatest time.
pub(super) fn keys_and_versions(dataset: &Dataset, rows: &Rows, folded: &[Folded]) -> Bound {
    let mut arguments = PgArguments::default();
    for position in dataset.key.iter().chain(&dataset.version_fields) {
        add(&mut arguments, rows.column(*position), folded)?;
    }
    arguments.add(folded.iter().map(|row| row.version.2).collect::<Vec<i64>>())?;
    add_span(&mut arguments, dataset, rows, folded)?;
    Ok(arguments)
}

fn add_span(
    arguments: &mut PgArguments,
    dataset: &Dataset,
    rows: &Rows,
    folded: &[Folded],
) -> Result<(), sqlx::error::BoxDynError> {
    match dataset.time.map(|time| rows.column(time)) {
        Some(Column::Timestamp(values)) => {
            let (least, greatest) = span(folded.iter().filter_map(|row| values[row.row]));
            arguments.add(timestamp(least))?;
            arguments.add(timestamp(greatest))
        }
        Some(Column::Date(values)) => {
            let (least, greatest) = span(folded.iter().filter_map(|row| values[row.row]));
            arguments.add(date(least))?;
            arguments.add(date(greatest))
        }
        _ => Ok(()),
    }
}

/// A plain upsert of some rows, as `insert .. values`, without a look at versions: for comparison only.
pub(crate) async fn insert_values(
    connection: &mut PgConnection,
    table: &str,
    dataset: &'static Dataset,
    rows: &Rows,
    part: std::ops::Range<usize>,
) -> Result<(), StoreError> {
    let statement = sql::postgres_values(dataset, table, part.len());
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
                Column::Timestamp(values) => arguments.add(values[row].map(timestamp)),
                Column::TextList(values) => arguments.add(&values[row]),
            };
            added.map_err(|error| StoreError::Halt(error.to_string()))?;
        }
        let added = arguments.add(rows.content_hash(dataset, row));
        added.map_err(|error| StoreError::Halt(error.to_string()))?;
    }
    let query = sqlx::query_with(AssertSqlSafe(statement), arguments);
    query.execute(connection).await.map(drop).map_err(classify)
}

fn span<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> (T, T) {
    values
        .fold(None, |span: Option<(T, T)>, value| {
            let (least, greatest) = span.unwrap_or((value, value));
            Some((least.min(value), greatest.max(value)))
        })
        .unwrap_or_default()
}

fn add(arguments: &mut PgArguments, column: &Column, folded: &[Folded]) -> Result<(), sqlx::error::BoxDynError> {
    let rows = folded.iter().map(|row| row.row);
    match column {
        Column::Text(values) | Column::Json(values) => {
            arguments.add(rows.map(|row| values[row].as_deref()).collect::<Vec<_>>())
        }
        Column::Decimal(values) => arguments.add(rows.map(|row| values[row]).collect::<Vec<_>>()),
        Column::Long(values) => arguments.add(rows.map(|row| values[row]).collect::<Vec<_>>()),
        Column::Double(values) => arguments.add(rows.map(|row| values[row]).collect::<Vec<_>>()),
        Column::Bytes(values) => arguments.add(rows.map(|row| values[row].as_deref()).collect::<Vec<_>>()),
        Column::Date(values) => arguments.add(rows.map(|row| values[row].map(date)).collect::<Vec<_>>()),
        Column::Timestamp(values) => arguments.add(rows.map(|row| values[row].map(timestamp)).collect::<Vec<_>>()),
        Column::TextList(values) => {
            let separator = sql::LIST_SEPARATOR.to_string();
            arguments.add(rows.map(|row| values[row].join(&separator)).collect::<Vec<_>>())
        }
    }
}

pub(crate) fn date(days: i32) -> NaiveDate {
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let distance = Days::new(days.unsigned_abs().into());
    let date = if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    date.expect("validation bounds dates")
}

pub(crate) fn timestamp(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("validation bounds timestamps")
}
