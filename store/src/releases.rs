//! The releases of an economic series: first print, n-th release, latest, and the matrix of its vintages.
//!
//! The words are ALFRED's. A vintage is a day on which values were published. A release is a value that was published for
//! an observation date on such a day; a vintage in which the value is missing (`.`) is none. Any number of records of one
//! vintage is one release, because the table holds one row of a vintage.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::Database;
use crate::as_of::KNOWN_BASIS;
use crate::outcome::StoreError;
use crate::query::Found;

/// Most cells of a matrix: a wider one helps nobody, and all of it is held in memory.
const MAX_CELLS: usize = 1_000_000;
/// Columns that identify an observation.
const OBSERVATION: [&str; 2] = ["source", "observation_date"];

/// Which observations of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The provider's identifier.
    pub id: String,
    /// The first observation date; None: from the first on.
    pub from: Option<NaiveDate>,
    /// The last observation date; None: up to the last.
    pub to: Option<NaiveDate>,
}

/// Which releases of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All, also vintages without a value.
    All,
    /// The n-th one, from 1 on.
    Number(u32),
    /// The value of the last vintage, null if it is missing there.
    Latest,
}

impl Series {
    /// The condition that a row belongs to the series.
    fn condition(&self) -> String {
        let bound = |operator: &str, date: Option<NaiveDate>| {
            date.map(|date| format!(" and observation_date {operator} '{date}'")).unwrap_or_default()
        };
        let id = format!("series_id = '{}'", self.id.replace('\'', "''"));
        format!("{id}{}{}", bound(">=", self.from), bound("<=", self.to))
    }
}

/// Selects the releases of a series.
fn releases(condition: &str) -> String {
    format!(
        "select source, observation_date, case when value is not null then count(value) over earlier end as release, \
         realtime_start, realtime_end, value, realtime_start = max(realtime_start) over every as is_latest, \
         'provider' as {KNOWN_BASIS} from observation_vintage where {condition} and not deleted \
         window every as (partition by source, observation_date), earlier as (every order by realtime_start)"
    )
}

/// Selects the cells of the matrix: what was published for each observation date on each day with a vintage. A vintage
/// lasts until its stated end, and at most until the next one.
fn matrix(condition: &str) -> String {
    format!(
        "select v.source, v.observation_date, d.vintage_date, v.value, 'provider' as {KNOWN_BASIS} \
         from (select distinct realtime_start as vintage_date from observation_vintage \
         where {condition} and not deleted) as d \
         join (select source, observation_date, realtime_start, realtime_end, value, lead(realtime_start) \
         over (partition by source, observation_date order by realtime_start) as next_start \
         from observation_vintage where {condition} and not deleted) as v on d.vintage_date >= v.realtime_start \
         and (v.next_start is null or d.vintage_date < v.next_start) \
         and (v.realtime_end is null or d.vintage_date <= v.realtime_end)"
    )
}

/// The functions of PostgreSQL: `observation_releases(series)` and those named after the questions.
pub fn postgres_releases() -> String {
    let release = "source text, observation_date date, release bigint, realtime_start date, realtime_end date, \
                   value double precision, is_latest boolean, known_basis text";
    let cell = "source text, observation_date date, vintage_date date, value double precision, known_basis text";
    let function = |name: &str, parameters: &str, columns: &str, select: &str| {
        format!(
            "\ncreate function {name}({parameters}) returns table ({columns})\n\
             language sql stable parallel safe as $$\n{select}\n$$;\n"
        )
    };
    let of = |condition: &str| format!("select * from observation_releases($1) where {condition}");
    [
        function("observation_releases", "series text", release, &releases("series_id = $1")),
        function("observation_first_print", "series text", release, &of("release = 1")),
        function("observation_nth_release", "series text, n integer", release, &of("release = $2")),
        function("observation_latest", "series text", release, &of("is_latest")),
        function("observation_vintage_matrix", "series text", cell, &matrix("series_id = $1")),
    ]
    .concat()
}

impl Database {
    /// Releases of a series, in the order of the observation dates.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the series is unknown, has no vintages in that range, or no such release.
    pub async fn releases(&self, series: &Series, which: Which) -> Result<Found, StoreError> {
        let condition = match which {
            Which::All => "true".to_owned(),
            Which::Number(number) => format!("release = {number}"),
            Which::Latest => "is_latest".to_owned(),
        };
        let all = releases(&series.condition());
        let query = format!(
            "select source, observation_date, release, realtime_start, realtime_end, value, {KNOWN_BASIS} \
             from ({all}) as releases where {condition} order by source, observation_date, realtime_start"
        );
        let found = self.query(&query).await?;
        if !found.rows.is_empty() {
            return Ok(found);
        }
        let most = self.query(&format!("select max(release) as most from ({all}) as releases")).await?;
        let most = most.rows.into_iter().flatten().flatten().next();
        Err(match (which, most) {
            (Which::Number(number), Some(most)) => StoreError::Halt(format!(
                "`{}` has no release {number}: no observation has more than {most}",
                series.id
            )),
            _ => self.without_vintages(series).await?,
        })
    }

    /// The matrix of a series' vintages: a row per observation date, a column per day with a vintage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the series is unknown, has no vintages in that range, or too many.
    pub async fn vintage_matrix(&self, series: &Series) -> Result<Found, StoreError> {
        let query = format!("{} order by 1, 2, 3", matrix(&series.condition()));
        let cells = self.query_some(&query, MAX_CELLS).await?;
        if cells.rows.is_empty() {
            return Err(self.without_vintages(series).await?);
        }
        if cells.is_cut {
            let reason = format!(
                "the matrix of `{}` has more than {MAX_CELLS} cells: choose fewer observation dates",
                series.id
            );
            return Err(StoreError::Halt(reason));
        }
        Ok(pivoted(cells))
    }

    /// Says why a series has no vintages.
    async fn without_vintages(&self, series: &Series) -> Result<StoreError, StoreError> {
        let Series { id, from, to } = series;
        let whole = Series { id: id.clone(), from: None, to: None };
        let exists =
            |table: &str| format!("exists (select 1 from {table} where {} and not deleted)", whole.condition());
        let query = format!(
            "select case when {} then 'outside' when {} or {} then 'none' else 'unknown' end as what",
            exists("observation_vintage"),
            exists("observation"),
            exists("series")
        );
        let found = self.query(&query).await?;
        let what = found.rows.into_iter().flatten().flatten().next().unwrap_or_default();
        Ok(StoreError::Halt(match &*what {
            "outside" if from.is_some() || to.is_some() => {
                format!("`{id}` has no such vintages between these observation dates")
            }
            "outside" => format!("`{id}` has no vintage with a value"),
            "none" => format!("`{id}` has no vintages: list it under FRED's endpoint `vintages` in the watchlist"),
            _ => format!(
                "there is no series `{id}`: `tapedeck query \"select series_id, title from series\"` lists them"
            ),
        }))
    }
}

/// The cells of a matrix as a table. They are in the order of source, observation date and vintage.
fn pivoted(cells: Found) -> Found {
    let mut vintages = BTreeSet::new();
    let mut rows: BTreeMap<Vec<Option<String>>, BTreeMap<String, Option<String>>> = BTreeMap::new();
    for mut cell in cells.rows {
        let mut values = cell.split_off(OBSERVATION.len()).into_iter();
        let vintage = values.next().flatten().unwrap_or_default();
        vintages.insert(vintage.clone());
        rows.entry(cell).or_default().insert(vintage, values.next().flatten());
    }
    let line = |(mut line, of): (Vec<Option<String>>, BTreeMap<String, Option<String>>)| {
        line.extend(vintages.iter().map(|vintage| of.get(vintage).cloned().flatten()));
        line.push(Some("provider".to_owned()));
        line
    };
    let rows = rows.into_iter().map(line).collect();
    let columns = OBSERVATION.map(str::to_owned).into_iter().chain(vintages).chain([KNOWN_BASIS.to_owned()]);
    let columns: Vec<String> = columns.collect();
    let texts = (0..OBSERVATION.len()).chain([columns.len() - 1]).collect();
    Found { columns, texts, rows, is_cut: false }
}
