//! Writes rows into SQLite.

use std::sync::Arc;

use chrono::{SubsecRound as _, Utc};
use contract::rows::Folded;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqliteConnection};

use super::parameters::Parameters;
use super::sql;
use crate::chunk::Incoming;
use crate::outcome::Upserted;
use crate::text;

/// Most rows per statement: enough to make its fixed cost negligible, few enough for SQLite's 32,766 parameters.
const ROWS_PER_STATEMENT: usize = 250;

/// The rows of a statement that have to be written, each with its mark.
type Standings<'a> = Vec<(&'a Folded, char)>;

/// Writes rows, [`ROWS_PER_STATEMENT`] at a time: upserts those that are new or newer than the stored ones, and keeps the
/// others as revisions. If a key has several rows, all must be older than the stored one.
///
/// SQLite works on a thread of its own. Meanwhile this one builds the parameters of the next statement.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    incoming: Incoming<'_>,
    folded: &[Folded],
) -> sqlx::Result<Upserted> {
    let mut writer = Writer { incoming, parameters: Parameters::new(incoming.rows, incoming.dataset.fields.len()) };
    let (mut upserted, mut are_new) = (Upserted::default(), true);
    let mut parts = folded.chunks(ROWS_PER_STATEMENT);
    let mut next = parts.next().map(|part| (part, writer.keys_and_versions(part)));
    while let Some((part, keys)) = next.take() {
        // A replay finds nothing new, so nothing would use its parameters.
        let all = async { are_new.then(|| writer.values(part.iter())) };
        let (standings, all) = tokio::join!(standings(connection, &incoming, part, keys?), all);
        let standings = standings?;
        are_new = standings.len() == part.len() && standings.iter().all(|(_, mark)| is_upserted(*mark));
        let all = all.filter(|_| are_new).transpose()?;
        upserted += writer.write(connection, &standings, all).await?;
        next = parts.next().map(|part| (part, writer.keys_and_versions(part)));
    }
    Ok(upserted)
}

/// Whether a row with this mark becomes the stored one.
fn is_upserted(mark: char) -> bool {
    [sql::NEW, sql::CHANGED, sql::UNCHANGED].contains(&mark)
}

/// How the rows stand beside the stored ones; without those that are there already.
async fn standings<'a>(
    connection: &mut SqliteConnection,
    incoming: &Incoming<'_>,
    part: &'a [Folded],
    keys_and_versions: SqliteArguments,
) -> sqlx::Result<Standings<'a>> {
    let query = AssertSqlSafe(sql::standings(incoming.dataset, incoming.table, part.len()));
    let found: Option<String> = sqlx::query_scalar_with(query, keys_and_versions).fetch_one(connection).await?;
    let mut rest = found.as_deref().unwrap_or_default();
    let mut standings = Vec::new();
    while let Some(end) = rest.find(|character: char| !character.is_ascii_digit()) {
        let (number, after) = rest.split_at(end);
        let (mark, row) = (after.chars().next(), number.parse().ok().and_then(|number: usize| part.get(number)));
        let standing = row.zip(mark).ok_or_else(|| sqlx::Error::Decode(rest.into()))?;
        standings.push(standing);
        rest = &after[standing.1.len_utf8()..];
    }
    Ok(standings)
}

/// Writes the rows of a chunk.
struct Writer<'a> {
    incoming: Incoming<'a>,
    parameters: Parameters<'a>,
}

impl Writer<'_> {
    /// Writes the rows of a statement; `all` are the values of all of them, if all are upserted.
    async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        standings: &Standings<'_>,
        all: Option<SqliteArguments>,
    ) -> sqlx::Result<Upserted> {
        let Incoming { dataset, table, .. } = self.incoming;
        let of = |marks: &[char]| -> Vec<&Folded> {
            standings.iter().filter(|(_, mark)| marks.contains(mark)).map(|(row, _)| *row).collect()
        };
        let replacing = of(&[sql::CHANGED, sql::UNCHANGED]);
        if !replacing.is_empty() {
            let keys = self.keys(&replacing)?;
            run(connection, sql::move_rows(dataset, table, replacing.len()), keys).await?;
        }
        let count = |mark| standings.iter().filter(|(_, other)| *other == mark).count() as u64;
        let seen = [sql::NEW, sql::CHANGED, sql::UNCHANGED].map(count);
        let mut upserted = Upserted { seen, written: 0, kept: count(sql::LATE) };
        let newer = of(&[sql::NEW, sql::CHANGED, sql::UNCHANGED]);
        if !newer.is_empty() {
            let values = match all {
                Some(all) => all,
                None => self.values(newer.iter().copied())?,
            };
            upserted.written = run(connection, sql::upsert(dataset, table, newer.len()), values).await?;
        }
        let (older, same) = (of(&[sql::LATE, sql::KNOWN]), of(&[sql::SAME]));
        if !older.is_empty() {
            let values = self.values(older.iter().copied())?;
            run(connection, sql::keep(dataset, table, older.len()), values).await?;
        }
        if !same.is_empty() {
            let values = self.values(same.iter().copied())?;
            run(connection, sql::lower(dataset, table, same.len()), values).await?;
        }
        Ok(upserted)
    }

    /// The parameters of [`sql::standings`].
    fn keys_and_versions(&mut self, part: &[Folded]) -> sqlx::Result<SqliteArguments> {
        let dataset = self.incoming.dataset;
        let mut arguments = self.places()?;
        for (number, row) in part.iter().enumerate() {
            add(&mut arguments, number as i64)?;
            for field in dataset.key.iter().chain(&dataset.version_fields) {
                self.parameters.add(&mut arguments, *field, row.row).map_err(sqlx::Error::Encode)?;
            }
            add(&mut arguments, row.version.2)?;
            add(&mut arguments, self.incoming.offset(row.row))?;
        }
        Ok(arguments)
    }

    /// The parameters of [`sql::move_rows`].
    fn keys(&mut self, rows: &[&Folded]) -> sqlx::Result<SqliteArguments> {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, written_at())?;
        for row in rows {
            for field in &self.incoming.dataset.primary_key {
                self.parameters.add(&mut arguments, *field, row.row).map_err(sqlx::Error::Encode)?;
            }
        }
        Ok(arguments)
    }

    /// The parameters of [`sql::upsert`], [`sql::keep`] and [`sql::lower`].
    fn values<'r>(&mut self, rows: impl Iterator<Item = &'r Folded>) -> sqlx::Result<SqliteArguments> {
        let mut arguments = self.places()?;
        add(&mut arguments, Arc::<str>::from(written_at()))?;
        for row in rows {
            for field in 0..self.incoming.dataset.fields.len() {
                self.parameters.add(&mut arguments, field, row.row).map_err(sqlx::Error::Encode)?;
            }
            add(&mut arguments, row.version.2)?;
            add(&mut arguments, self.parameters.is_deleted(row.row))?;
            add(&mut arguments, self.incoming.offset(row.row))?;
        }
        Ok(arguments)
    }

    /// Incarnation and partition.
    fn places(&self) -> sqlx::Result<SqliteArguments> {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, self.incoming.places.map(|places| places.incarnation))?;
        add(&mut arguments, self.incoming.places.map(|places| places.partition))?;
        Ok(arguments)
    }
}

/// Now, as precisely as SQLite's own clock: the ledger's time, which is read after it, is never before a row's.
fn written_at() -> String {
    text::of_time(Utc::now().trunc_subsecs(3))
}

fn add<'q, T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
    arguments: &mut SqliteArguments,
    value: T,
) -> sqlx::Result<()> {
    arguments.add(value).map_err(sqlx::Error::Encode)
}

/// Runs a statement; returns the number of rows that it wrote.
async fn run(connection: &mut SqliteConnection, statement: String, arguments: SqliteArguments) -> sqlx::Result<u64> {
    Ok(sqlx::query_with(AssertSqlSafe(statement), arguments).execute(connection).await?.rows_affected())
}
