//! The releases of a series are those that the oracle finds by trying each vintage, in every database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::{Days, NaiveDate};
use contract::Original;
use contract::rows::Value;
use store::chunk::{ChunkBuilder, SinkPartition, Target};
use store::releases::{Series, Which};
use store::{Found, StoreError};
use tests::workload::Random;

use super::{Place, block_on, places};

/// Histories with other records.
const HISTORIES: usize = 8;
/// Records of a history.
const RECORDS: usize = 120;
const SOURCES: [&str; 2] = ["fred", "test"];
const SERIES: [&str; 2] = ["GDP", "CPI"];
/// Observation dates, and days with a vintage.
const DATES: usize = 4;
const VINTAGES: usize = 6;
/// 2024-01-01, in days since 1970.
const FIRST_DAY: i32 = 19_723;

/// Source, series, observation date and first day, as positions and days after [`FIRST_DAY`].
type Key = (usize, usize, usize, usize);

/// A record of a vintage.
#[derive(Debug, Clone, Copy)]
struct Record {
    key: Key,
    known: i64,
    /// No two differing records of a key share it.
    observed: i64,
    /// Last day, value; None: the vintage is deleted.
    is: Option<(Option<usize>, Option<i64>)>,
}

/// Source, date, number of the release, first and last day, value.
type Release = (usize, usize, Option<i64>, usize, Option<usize>, Option<i64>);

/// Source, date, day: value.
type Cells = BTreeMap<(usize, usize, usize), i64>;

fn day(day: usize) -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + Days::new(day as u64)
}

fn history(random: &mut Random) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for observed in 0..RECORDS as i64 {
        // Vintages are received again, as they were.
        if observed % 4 == 3 {
            records.push(records[random.below(records.len())]);
            continue;
        }
        let starts = random.below(VINTAGES);
        let key = (random.below(2), random.below(2), random.below(DATES), starts);
        let end = (random.below(2) == 0).then(|| starts + random.below(4));
        let value = (random.below(4) > 0).then(|| random.below(5) as i64);
        let is = (random.below(6) > 0).then_some((end, value));
        records.push(Record { key, known: random.below(9) as i64, observed, is });
    }
    // Late ones too.
    for at in (1..records.len()).rev() {
        records.swap(at, random.below(at + 1));
    }
    records
}

/// The vintages of a series that are there in the end, by source, date and first day.
fn vintages(records: &[Record], series: usize, dates: (usize, usize)) -> BTreeMap<Key, (Option<usize>, Option<i64>)> {
    let mut highest: BTreeMap<Key, &Record> = BTreeMap::new();
    for record in records.iter().filter(|record| record.key.1 == series) {
        let stored = highest.entry(record.key).or_insert(record);
        if (record.known, record.observed) > (stored.known, stored.observed) {
            *stored = record;
        }
    }
    let is_asked = |date: usize| dates.0 <= date && date <= dates.1;
    let there = highest.into_iter().filter(|(key, _)| is_asked(key.2));
    there.filter_map(|(key, record)| record.is.map(|is| (key, is))).collect()
}

fn releases(vintages: &BTreeMap<Key, (Option<usize>, Option<i64>)>, which: Which) -> Vec<Release> {
    let mut found = Vec::new();
    for (&(source, series, date, starts), &(end, value)) in vintages {
        let of_date = |(key, _): &(&Key, _)| (key.0, key.1, key.2) == (source, series, date);
        let before = vintages.iter().filter(of_date).filter(|(key, (_, value))| key.3 <= starts && value.is_some());
        let number = value.map(|_| before.count() as i64);
        let is_last = vintages.iter().filter(of_date).all(|(key, _)| key.3 <= starts);
        let is_asked = match which {
            Which::All => true,
            Which::Number(asked) => number == Some(asked.into()),
            Which::Latest => is_last,
        };
        if is_asked {
            found.push((source, date, number, starts, end, value));
        }
    }
    found.sort();
    found
}

/// What was published for each date on each day with a vintage.
fn cells(vintages: &BTreeMap<Key, (Option<usize>, Option<i64>)>) -> Cells {
    let days: BTreeSet<usize> = vintages.keys().map(|key| key.3).collect();
    let mut cells = Cells::new();
    for (source, date) in vintages.keys().map(|key| (key.0, key.2)).collect::<BTreeSet<_>>() {
        for &day in &days {
            let of_date = vintages.iter().filter(|(key, _)| (key.0, key.2) == (source, date));
            let last = of_date.filter(|(key, _)| key.3 <= day).max_by_key(|(key, _)| key.3);
            let Some((_, (end, Some(value)))) = last else { continue };
            if end.is_none_or(|end| end >= day) {
                cells.insert((source, date, day), *value);
            }
        }
    }
    cells
}

impl Place {
    fn load_vintages(&self, records: &[Record], random: &mut Random) {
        for table in ["observation_vintage", "observation_vintage_revision", "sink_chunk", "sink_position"] {
            block_on(self.database.store("test").rows(format!("delete from {table}"), &[])).unwrap();
        }
        let dataset = contract::dataset("observation_vintage").unwrap();
        let sink: std::sync::Arc<str> = "test.observation_vintage.live".into();
        let topic = "test.observation_vintage.v1".into();
        let partition = SinkPartition { sink: sink.clone(), topic, incarnation: 0, number: 0 };
        let mut builder = ChunkBuilder::new(partition, Target::live(dataset, sink), 0);
        let mut store = self.database.store("test");
        for (at, record) in records.iter().enumerate() {
            let (source, series, date, starts) = record.key;
            let date_of = |day: usize| Value::Date(FIRST_DAY + day as i32);
            let value = |field: &contract::dataset::Field| match (field.name.as_str(), record.is) {
                ("source", _) => Value::Text(SOURCES[source].into()),
                ("series_id", _) => Value::Text(SERIES[series].into()),
                ("observation_date", _) => date_of(date),
                ("realtime_start", _) => date_of(starts),
                ("realtime_end", Some((end, _))) => end.map_or(Value::Null, date_of),
                ("value", Some((_, value))) => value.map_or(Value::Null, |value| Value::Double(value as f64)),
                ("known_at", _) => Value::Long(record.known * 1_000_000),
                ("observed_at", _) => Value::Long(record.observed * 1_000_000),
                ("flags", _) => Value::TextList(Vec::new()),
                _ => Value::Null,
            };
            builder.rows().push_row(dataset.fields.iter().map(value), record.is.is_none());
            let offset = at as i64;
            let original = Original { offset, timestamp_ms: Some(0), key: None, value: Some(b"bytes"), headers: None };
            builder.took(&original, None, Instant::now());
            if random.below(20) == 0 || at + 1 == records.len() {
                block_on(store.commit(&mut builder.take())).unwrap();
            }
        }
    }
}

/// A column of a row.
fn text<'a>(found: &Found, row: &'a [Option<String>], name: &str) -> Option<&'a str> {
    row[found.columns.iter().position(|column| column == name).unwrap()].as_deref()
}

fn source(text: Option<&str>) -> usize {
    SOURCES.iter().position(|name| Some(*name) == text).unwrap()
}

fn day_of(text: &str) -> usize {
    (text.parse::<NaiveDate>().unwrap() - day(0)).num_days() as usize
}

fn number(text: &str) -> i64 {
    text.parse::<f64>().unwrap() as i64
}

fn releases_of(found: &Found) -> Vec<Release> {
    let release = |row: &Vec<Option<String>>| {
        let text = |name: &str| text(found, row, name);
        assert_eq!(text("known_basis"), Some("provider"));
        let starts = day_of(text("realtime_start").unwrap());
        let (end, value) = (text("realtime_end").map(day_of), text("value").map(number));
        let date = day_of(text("observation_date").unwrap());
        (source(text("source")), date, text("release").map(number), starts, end, value)
    };
    let mut releases: Vec<Release> = found.rows.iter().map(release).collect();
    releases.sort();
    releases
}

fn cells_of(found: &Found) -> Cells {
    let mut cells = Cells::new();
    for row in &found.rows {
        assert_eq!(row.last().unwrap().as_deref(), Some("provider"));
        let (source, date) = (source(row[0].as_deref()), day_of(row[1].as_deref().unwrap()));
        for (column, value) in found.columns.iter().zip(row).skip(2) {
            if let (Ok(_), Some(value)) = (column.parse::<NaiveDate>(), value) {
                cells.insert((source, date, day_of(column)), number(value));
            }
        }
    }
    cells
}

/// No release, or those that were found.
fn asked(place: &Place, series: &Series, which: Which) -> Vec<Release> {
    match block_on(place.database.releases(series, which)) {
        Ok(found) => releases_of(&found),
        Err(StoreError::Halt(reason)) => {
            assert!(reason.contains('`') && !reason.contains('\n'), "{reason}");
            Vec::new()
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn first_prints_releases_and_matrices_are_those_of_the_oracle_in_every_database() {
    let places = places();
    let mut random = Random::new(5);
    for number_of_history in 0..HISTORIES {
        let records = history(&mut random);
        for place in &places {
            place.load_vintages(&records, &mut random);
            for (at, name) in SERIES.iter().enumerate() {
                let what = format!("history {number_of_history}, {name} on {}", place.name);
                for dates in [(0, DATES), (1, 2)] {
                    let is_whole = dates == (0, DATES);
                    let bound = |date: usize| (!is_whole).then(|| day(date));
                    let (id, from, to) = ((*name).to_owned(), bound(dates.0), bound(dates.1));
                    let series = Series { id, from, to };
                    let vintages = vintages(&records, at, dates);
                    let numbers = (1..=VINTAGES as u32 + 1).map(Which::Number);
                    for which in numbers.chain([Which::All, Which::Latest]) {
                        let (found, expected) = (asked(place, &series, which), releases(&vintages, which));
                        assert_eq!(found, expected, "{what}, {which:?} of {dates:?}");
                        if is_whole && place.name != "SQLite" {
                            assert_eq!(of_function(place, name, which), expected, "{what}, {which:?}");
                        }
                    }
                    let matrix = block_on(place.database.vintage_matrix(&series)).map(|found| cells_of(&found));
                    assert_eq!(matrix.unwrap_or_default(), cells(&vintages), "{what}, {dates:?}");
                }
            }
        }
    }
}

/// The same by the functions of PostgreSQL.
fn of_function(place: &Place, series: &str, which: Which) -> Vec<Release> {
    let call = match which {
        Which::All => format!("observation_releases('{series}')"),
        Which::Number(1) => format!("observation_first_print('{series}')"),
        Which::Number(number) => format!("observation_nth_release('{series}', {number})"),
        Which::Latest => format!("observation_latest('{series}')"),
    };
    releases_of(&block_on(place.database.query(&format!("select * from {call}"))).unwrap())
}

#[test]
fn a_matrix_by_the_function_of_postgres_has_the_same_cells() {
    let records = history(&mut Random::new(6));
    for place in places().iter().filter(|place| place.name != "SQLite") {
        place.load_vintages(&records, &mut Random::new(7));
        let found = block_on(place.database.query("select * from observation_vintage_matrix('GDP')")).unwrap();
        let cell = |row: &Vec<Option<String>>| {
            let text = |name: &str| text(&found, row, name);
            let (date, day) = (day_of(text("observation_date").unwrap()), day_of(text("vintage_date").unwrap()));
            text("value").map(|value| ((source(text("source")), date, day), number(value)))
        };
        let found: Cells = found.rows.iter().filter_map(cell).collect();
        assert_eq!(found, cells(&vintages(&records, 0, (0, DATES))), "on {}", place.name);
    }
}

#[test]
fn a_series_that_cannot_be_answered_for_is_refused_in_one_line_by_every_database() {
    let vintage = |value| Record { key: (0, 0, 1, 2), known: 1, observed: 1, is: Some((None, value)) };
    for place in &places() {
        place.load_vintages(&[vintage(Some(1))], &mut Random::new(8));
        let insert = "insert into observation (source, series_id, observation_date, value, known_at, observed_at, flags, \
            content_hash, updated_at) values ('fred', 'BARE', '2024-01-01', 1, '2024-01-01', '2024-01-01', '{}', 1, \
            '2024-01-01')";
        block_on(place.database.store("test").rows(insert.to_owned(), &[])).unwrap();
        let series = |id: &str, from| Series { id: id.to_owned(), from, to: None };
        for (series, which, expected) in [
            (series("GDP", None), Which::Number(2), "`GDP` has no release 2: no observation has more than 1"),
            (series("GDP", Some(day(2))), Which::All, "`GDP` has no such vintages between these observation dates"),
            (series("BARE", None), Which::Latest, "`BARE` has no vintages: list it under FRED's endpoint `vintages`"),
            (series("x' or 1=1 --", None), Which::All, "there is no series `x' or 1=1 --`"),
        ] {
            let said = block_on(place.database.releases(&series, which)).unwrap_err().to_string();
            assert!(said.starts_with(expected) && !said.contains('\n'), "on {}: {said}", place.name);
            if which != Which::Number(2) {
                let said = block_on(place.database.vintage_matrix(&series)).unwrap_err().to_string();
                assert!(said.starts_with(expected), "on {}: {said}", place.name);
            }
        }
        place.load_vintages(&[vintage(None)], &mut Random::new(8));
        let said = block_on(place.database.releases(&series("GDP", None), Which::Number(1))).unwrap_err().to_string();
        assert_eq!(said, "`GDP` has no vintage with a value", "on {}", place.name);
    }
}
