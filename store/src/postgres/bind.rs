//! Binds rows as parameters: one array per column.

use contract::rows::Folded;
use contract::{Column, Dataset, Rows};
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;

use crate::chunk::Incoming;
use crate::text;

type Bound = Result<PgArguments, sqlx::error::BoxDynError>;

/// For the upsert: all fields, content hashes, whether deleted, places, least and greatest time.
pub(super) fn arguments(incoming: &Incoming<'_>, folded: &[Folded]) -> Bound {
    let (dataset, rows) = (incoming.dataset, incoming.rows);
    let mut arguments = PgArguments::default();
    for position in 0..dataset.fields.len() {
        add(&mut arguments, rows.column(position), folded)?;
    }
    arguments.add(folded.iter().map(|row| row.version.2).collect::<Vec<i64>>())?;
    arguments.add(folded.iter().map(|row| rows.deleted()[row.row]).collect::<Vec<bool>>())?;
    add_places(&mut arguments, incoming, folded)?;
    add_span(&mut arguments, dataset, rows, folded)?;
    Ok(arguments)
}

/// For the query for newer rows: keys, versions, places, least and greatest time.
pub(super) fn keys_and_versions(incoming: &Incoming<'_>, folded: &[Folded]) -> Bound {
    let (dataset, rows) = (incoming.dataset, incoming.rows);
    let mut arguments = PgArguments::default();
    for position in dataset.key.iter().chain(&dataset.version_fields) {
        add(&mut arguments, rows.column(*position), folded)?;
    }
    arguments.add(folded.iter().map(|row| row.version.2).collect::<Vec<i64>>())?;
    add_places(&mut arguments, incoming, folded)?;
    add_span(&mut arguments, dataset, rows, folded)?;
    Ok(arguments)
}

fn add_places(
    arguments: &mut PgArguments,
    incoming: &Incoming<'_>,
    folded: &[Folded],
) -> Result<(), sqlx::error::BoxDynError> {
    arguments.add(folded.iter().map(|row| incoming.offset(row.row)).collect::<Vec<_>>())?;
    arguments.add(incoming.places.map(|places| places.incarnation))?;
    arguments.add(incoming.places.map(|places| places.partition))
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
            arguments.add(text::time(least))?;
            arguments.add(text::time(greatest))
        }
        Some(Column::Date(values)) => {
            let (least, greatest) = span(folded.iter().filter_map(|row| values[row.row]));
            arguments.add(text::date(least))?;
            arguments.add(text::date(greatest))
        }
        _ => Ok(()),
    }
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
        Column::Date(values) => arguments.add(rows.map(|row| values[row].map(text::date)).collect::<Vec<_>>()),
        Column::Timestamp(values) => arguments.add(rows.map(|row| values[row].map(text::time)).collect::<Vec<_>>()),
        Column::TextList(values) => arguments.add(rows.map(|row| text::of_list(&values[row])).collect::<Vec<_>>()),
    }
}
