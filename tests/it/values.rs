//! A value is the same in every database, whatever the path by which it is written; and what one of them cannot hold,
//! validation refuses for all of them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use contract::rows::Value;
use contract::validate::{MAX_DAY, MAX_KEY_BYTES, MAX_WHOLE_KEY_BYTES, MIN_DAY, Refusal, validate_last};
use contract::{Column, Dataset, Decimal, Kind, Original, Rows, datasets, json};
use store::chunk::{Chunk, ChunkBuilder, SinkPartition, Target};
use store::sql::revision;
use store::{Batch, Database, Fate, Name, Store, StoreError};
use tempfile::TempDir;
use tests::broker::{Bench, block_on, postgres, timescale};
use tests::workload::Random;

/// Rows in a chunk: enough for `COPY` to be tried.
const CHUNK: usize = 520;
/// Rows of each dataset: the second chunk is copied.
const ROWS: usize = 2 * CHUNK;
/// Rows that are written one by one.
const SINGLE: usize = 60;
/// Clock of the validation, in microseconds: 2026.
const NOW: i64 = 1_770_000_000_000_000;
/// `known_at` of the row that the database refuses, so that the others are written in parts.
const REFUSED: i64 = NOW - 1_000_000_000;

/// Parts of texts that some format misreads.
const PARTS: &[&str] = &[
    "",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\\",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ";",
    "|",
    "\t",
    "\n",
    "\r",
    " ",
    "\u{1}",
    "\u{1f}",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "\\u0000",
    "%00",
    "é",
    "e\u{301}",
    "𝄞",
    "𐀀",
    "a",
    "B",
    "0",
    "--",
    "$1",
    "?",
    "/*",
    "${x}",
];

fn text(random: &mut Random) -> String {
    let character = |random: &mut Random| loop {
        let end = [0x80, 0x800, 0x1_0000, 0x11_0000][random.below(4)];
        if let Some(character) = char::from_u32(1 + random.below(end - 1) as u32) {
            return character;
        }
    };
    (0..random.below(5)).fold(String::new(), |mut text, _| {
        match random.below(2) {
            0 => text.push_str(PARTS[random.below(PARTS.len())]),
            _ => text.push(character(random)),
        }
        text
    })
}

fn double(random: &mut Random) -> f64 {
    let odd =
        [0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, f64::MAX, f64::MIN, f64::EPSILON, 0.1, 1.0 / 3.0, 1e15, 1e16];
    match random.below(3) {
        0 => odd[random.below(odd.len())],
        1 => random.below(1_000_000) as f64 / 100.0,
        _ => Some(f64::from_bits(random.number())).filter(|number| number.is_finite()).unwrap_or(2.5),
    }
}

fn decimal(random: &mut Random) -> Decimal {
    let wide = i128::from(random.number().cast_signed()) * i128::from(random.number() >> 40);
    let mantissa = [0, 1, -1, 10_i128.pow(random.below(26) as u32), wide % 10_i128.pow(26)][random.below(5)];
    Decimal::from_i128_with_scale(mantissa, random.below(13) as u32)
}

fn json_text(random: &mut Random, depth: usize) -> String {
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    match random.below(if depth == 0 { 4 } else { 6 }) {
        0 => [
            "null",
            "true",
            "1.50",
            "-0.0",
            "-0",
            "1e2",
            "12345678901234567890123",
            "1e-16383",
            "1.7976931348623157e308",
        ][random.below(9)]
        .to_owned(),
        1 => quoted(text(random)),
        2 => r#""\u00e9\ud834\udd1e\/\b\f""#.to_owned(),
        3 => double(random).to_string(),
        4 => {
            let items: Vec<String> = (0..random.below(3)).map(|_| json_text(random, depth - 1)).collect();
            format!("[{}]", items.join(" , "))
        }
        _ => {
            let entry = |random: &mut Random| format!("{} : {}", quoted(text(random)), json_text(random, depth - 1));
            let entries: Vec<String> = (0..random.below(3)).map(|_| entry(random)).collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

/// A random value, at the bounds of its kind as often as between them.
fn value(kind: Kind, random: &mut Random) -> Value {
    let day = |random: &mut Random| match random.below(4) {
        0 => MIN_DAY,
        1 => MAX_DAY,
        2 => random.below(7) as i32 - 3,
        _ => MIN_DAY + random.below((MAX_DAY - MIN_DAY) as usize) as i32,
    };
    match kind {
        Kind::Text => Value::Text(text(random).into()),
        Kind::Long => Value::Long([i64::MIN, i64::MAX, 0, random.number().cast_signed()][random.below(4)]),
        Kind::Double => Value::Double(double(random)),
        Kind::Date => Value::Date(day(random)),
        Kind::Timestamp => {
            let micros = [0, 1, 86_399_999_999, random.below(86_400_000_000) as i64][random.below(4)];
            Value::Long(i64::from(day(random)) * 86_400_000_000 + micros)
        }
        Kind::Decimal => Value::Decimal(decimal(random)),
        Kind::Json => Value::Text(json_text(random, 3).into()),
        Kind::Bytes => Value::Bytes((0..random.below(40)).map(|_| random.number() as u8).collect()),
        Kind::TextList => Value::TextList((0..random.below(4)).map(|_| text(random)).collect()),
    }
}

/// A row with a key of its own per number.
fn row(dataset: &Dataset, number: usize, random: &mut Random) -> Vec<Value> {
    let mut is_numbered = false;
    let value = |(at, field): (usize, &contract::dataset::Field)| match field.kind {
        _ if dataset.version_fields.contains(&at) => Value::Long(NOW - 10 - random.below(1000) as i64),
        Kind::Text if dataset.key.contains(&at) && !is_numbered => {
            is_numbered = true;
            Value::Text(format!("{number} {}", text(random)).into())
        }
        _ if field.nullable && random.below(5) == 0 => Value::Null,
        kind => value(kind, random),
    };
    dataset.fields.iter().enumerate().map(value).collect()
}

/// The rows as validation leaves them. They break rules, which the tables of this test do not have.
fn validated(dataset: &Dataset, values: &[Vec<Value>]) -> Rows {
    let mut rows = Rows::new(dataset);
    for row in values {
        rows.push_row(row.iter().cloned(), false);
        match validate_last(dataset, &mut rows, NOW) {
            Ok(()) | Err(Refusal::Rule(_)) => {}
            Err(refusal) => panic!("{}: {refusal}: {row:?}", dataset.name),
        }
    }
    rows
}

/// A value in the one form that every database gives back: PostgreSQL spells JSON and decimals its own way.
fn canonical(column: &Column, row: usize) -> String {
    match column {
        Column::Json(values) => format!("{:?}", values[row].as_deref().map(|text| json::canonical(text).unwrap())),
        Column::Decimal(values) => format!("{:?}", values[row].map(|value| value.normalize())),
        // Not `{:?}` of the number: it would show 0.0 and -0.0 apart, but not which bits they have.
        Column::Double(values) => format!("{:?}", values[row].map(f64::to_bits)),
        Column::Text(values) => format!("{:?}", values[row]),
        Column::Long(values) | Column::Timestamp(values) => format!("{:?}", values[row]),
        Column::Date(values) => format!("{:?}", values[row]),
        Column::Bytes(values) => format!("{:?}", values[row]),
        Column::TextList(values) => format!("{:?}", values[row]),
    }
}

/// The rows as texts, in the order of their texts.
fn shown(dataset: &Dataset, rows: &Rows, hash: impl Fn(usize) -> i64) -> Vec<Vec<String>> {
    let fields = |row| (0..dataset.fields.len()).map(move |at| canonical(rows.column(at), row));
    let mut shown: Vec<Vec<String>> =
        (0..rows.len()).map(|row| fields(row).chain([hash(row).to_string()]).collect()).collect();
    shown.sort();
    shown
}

/// A database, and how to make tables without the rules that random rows break.
struct Place {
    name: &'static str,
    database: Database,
    /// Keeps the database until the test ends.
    _bench: Result<Bench, TempDir>,
}

fn places() -> Vec<Place> {
    let folder = TempDir::new().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
    let mut places = vec![Place { name: "SQLite", database, _bench: Err(folder) }];
    for (name, bench) in [("PostgreSQL", postgres()), ("TimescaleDB", timescale())] {
        let place = |bench: Bench| Place { name, database: bench.database.clone(), _bench: Ok(bench) };
        places.extend(bench.map(place));
    }
    for place in &places {
        block_on(place.database.migrate()).unwrap();
    }
    places
}

impl Place {
    fn execute(&self, statement: &str) {
        block_on(self.database.store("test").rows(statement.to_owned(), &[])).unwrap();
    }

    fn is_sqlite(&self) -> bool {
        self.name == "SQLite"
    }

    /// Makes an empty table like the dataset's, but without its rules.
    fn create(&self, dataset: &Dataset, table: &str) {
        if !self.is_sqlite() {
            for (table, like) in [(table, &*dataset.name), (&revision(table), &revision(&dataset.name))] {
                self.execute(&format!("create table {table} (like {like} including indexes including defaults)"));
            }
            if let (true, Some(time)) = (self.name == "TimescaleDB", dataset.time) {
                let (time, interval) = (&dataset.fields[time].name, "interval '100000 days'");
                self.execute(&format!(
                    "select cast(create_hypertable('{table}', by_range('{time}', {interval})) as text)"
                ));
            }
            return;
        }
        let columns = self.database.columns(dataset);
        let columns = columns.iter().map(|column| {
            format!("{} {}{}", column.name, column.sql_type, if column.nullable { "" } else { " not null" })
        });
        let columns: Vec<String> = columns.collect();
        let key: Vec<&str> = dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect();
        let key = key.join(", ");
        for (table, key) in [(table, &key), (&revision(table), &format!("{key}, known_at, observed_at, content_hash"))]
        {
            let columns = columns.join(", ");
            self.execute(&format!("create table {table} ({columns}, primary key ({key})) strict, without rowid"));
        }
    }

    /// Lets a table refuse the row with [`REFUSED`].
    fn refuse(&self, dataset: &Dataset, table: &str) {
        let known_at = &dataset.fields[dataset.version_fields[0]].name;
        let time = chrono::DateTime::from_timestamp_micros(REFUSED).unwrap().format("%Y-%m-%dT%H:%M:%S%.6fZ");
        if self.is_sqlite() {
            self.execute(&format!(
                "create trigger {table}_refuses before insert on {table} when new.{known_at} = '{time}' \
                 begin select raise(abort, 'refused'); end"
            ));
        } else {
            self.execute(&format!("alter table {table} add check ({known_at} <> '{time}')"));
        }
    }

    /// Reads a whole table.
    fn read(&self, dataset: &Dataset, table: &str) -> Vec<Vec<String>> {
        let declaration = dataset.schema.replacen(&format!("\"{}\"", dataset.name), &format!("\"{table}\""), 1);
        let renamed = Dataset::parse(&declaration).unwrap();
        assert_eq!(renamed.name, table);
        let (mut rows, mut hashes) = (Rows::new(dataset), Vec::new());
        block_on(async {
            let each = self.database.pages(&renamed).each_row(|line| {
                let fields = dataset.fields.iter().enumerate();
                let value = |(at, field): (usize, &contract::dataset::Field)| {
                    line.value(at, field.kind).unwrap_or_else(|| panic!("{table}: {} cannot be read", field.name))
                };
                rows.push_row(fields.map(value), false);
                hashes.push(line.int(dataset.fields.len()));
                Ok::<(), StoreError>(())
            });
            each.await.unwrap();
        });
        shown(dataset, &rows, |row| hashes[row])
    }
}

/// Commits rows in chunks of that size; returns the number of dead letters.
fn commit(store: &mut dyn Store, dataset: &'static Dataset, table: &str, rows: &[Vec<Value>], size: usize) -> u64 {
    thread_local!(static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Runtime::new().unwrap());
    let mut dead = 0;
    for (at, part) in rows.chunks(size).enumerate() {
        let mut chunk = chunk(dataset, table, (at * size) as i64, part);
        dead += RUNTIME.with(|runtime| runtime.block_on(store.commit(&mut chunk))).unwrap().outcome.dead_lettered;
    }
    dead
}

fn chunk(dataset: &'static Dataset, table: &str, from: i64, values: &[Vec<Value>]) -> Chunk {
    let sink = format!("test.{}.{table}", dataset.name);
    let partition = SinkPartition { sink: sink.as_str().into(), topic: "test".into(), incarnation: 0, number: 0 };
    let target =
        Target { dataset, table: table.into(), dead_letters: Some(sink.into()), accounted: true, incarnations: None };
    let mut builder = ChunkBuilder::new(partition, target, from);
    for (offset, row) in (from..).zip(values) {
        builder.rows().push_row(row.iter().cloned(), false);
        let validated = validate_last(dataset, builder.rows(), NOW);
        assert!(matches!(validated, Ok(()) | Err(Refusal::Rule(_))), "{validated:?}");
        let original = Original { offset, timestamp_ms: Some(0), key: None, value: Some(b"bytes"), headers: None };
        builder.took(&original, None, Instant::now());
    }
    builder.take()
}

/// Writes rows as a redrive of dead letters does.
fn redrive(place: &Place, dataset: &'static Dataset, table: &str, values: &[Vec<Value>]) {
    let rows = validated(dataset, values);
    let target = Target { dataset, table: table.into(), dead_letters: None, accounted: false, incarnations: None };
    let name = |number: usize| Name { source: format!("test.{}", dataset.name), id: number.to_string() };
    let names: Vec<Name> = (0..rows.len()).map(name).collect();
    let batch = Batch { target: &target, rows: &rows, names: &names, dry_run: false };
    let fates = block_on(place.database.dead_letters("test").redrive(&batch)).unwrap();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Applied("inserted"))), "{fates:?}");
}

fn seed() -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = std::env::var("TAPEDECK_FAULTS_SEED").map_or(clock.as_micros() as u64, |seed| seed.parse().unwrap());
    eprintln!("TAPEDECK_FAULTS_SEED={seed} makes the same rows again");
    seed
}

#[test]
fn every_value_is_read_back_as_it_was_sent_from_every_database_and_by_every_path() {
    let mut random = Random::new(seed());
    let places = places();
    for dataset in datasets() {
        let values: Vec<Vec<Value>> = (0..ROWS).map(|number| row(dataset, number, &mut random)).collect();
        let mut with_refused = values.clone();
        let mut refused = row(dataset, ROWS, &mut random);
        refused[dataset.version_fields[0]] = Value::Long(REFUSED);
        with_refused.insert(CHUNK / 2, refused);
        let sent = |values: &[Vec<Value>]| {
            let rows = validated(dataset, values);
            shown(dataset, &rows, |row| rows.content_hash(dataset, row))
        };
        let (all, some) = (sent(&values), sent(&values[..SINGLE]));
        for place in &places {
            let mut store = place.database.store("test");
            let tables = ["in_chunks", "in_parts", "one_by_one", "isolated", "redriven"];
            tables.iter().for_each(|table| place.create(dataset, table));
            place.refuse(dataset, "isolated");
            // PostgreSQL copies the second of the large chunks and upserts the others.
            commit(&mut *store, dataset, "in_chunks", &values, CHUNK);
            commit(&mut *store, dataset, "in_parts", &values, CHUNK / 2);
            commit(&mut *store, dataset, "one_by_one", &values[..SINGLE], 1);
            let dead = commit(&mut *store, dataset, "isolated", &with_refused, CHUNK);
            assert_eq!(dead, 1, "{} in {}", dataset.name, place.name);
            redrive(place, dataset, "redriven", &values[..SINGLE]);
            let expected = [&all, &all, &some, &all, &some];
            for (table, expected) in tables.into_iter().zip(expected) {
                let found = place.read(dataset, table);
                let differs = expected.iter().zip(&found).find(|(expected, found)| expected != found);
                assert_eq!(differs, None, "{} {table} in {}", dataset.name, place.name);
                assert_eq!(found.len(), expected.len(), "{} {table} in {}", dataset.name, place.name);
                place.execute(&format!("drop table {table}"));
                place.execute(&format!("drop table {}", revision(table)));
            }
        }
    }
}

/// A row of a dataset without values, but for those of these fields.
fn row_with(name: &str, fields: &[(&str, Value)]) -> (&'static Dataset, Vec<Value>) {
    let dataset = contract::dataset(name).unwrap();
    let mut values = row(dataset, 1, &mut Random::new(1));
    for (field, value) in fields {
        values[dataset.position(field).unwrap()] = value.clone();
    }
    (dataset, values)
}

#[test]
fn what_a_database_cannot_hold_is_refused_before_any_database_sees_it() {
    let text = |text: &str| Value::Text(text.into());
    let list = |text: &str| Value::TextList(vec!["a".to_owned(), text.to_owned()]);
    let key = ["source", "cik", "taxonomy", "concept", "unit", "period_type", "accession_number"];
    let long = |last: usize| -> Vec<(&str, Value)> {
        let lengths = [[MAX_KEY_BYTES; 4].as_slice(), &[MAX_KEY_BYTES - 8, last, 0]].concat();
        key.into_iter().zip(lengths).map(|(name, length)| (name, text(&"x".repeat(length)))).collect()
    };
    let class = |name: &str, fields: &[(&str, Value)]| {
        let (dataset, values) = row_with(name, fields);
        let mut rows = Rows::new(dataset);
        rows.push_row(values, false);
        match validate_last(dataset, &mut rows, NOW) {
            Ok(()) | Err(Refusal::Rule(_)) => "",
            Err(refusal) => refusal.class(),
        }
    };
    assert_eq!(class("news_article", &[("title", text("a\0b"))]), "nul");
    assert_eq!(class("news_article", &[("tags", list("a\0b"))]), "nul");
    assert_eq!(class("news_article", &[("tags", list("\\u0000"))]), "");
    for (json, expected) in [(r#"["\u0000"]"#, "not_json"), ("[1e-16384]", "not_json"), ("[1e-16383]", "")] {
        assert_eq!(class("financial_ratio", &[("metrics", text(json))]), expected, "{json}");
    }
    assert_eq!((class("xbrl_fact", &long(8)), class("xbrl_fact", &long(9))), ("", "too_long"));
    assert_eq!(class("news_article", &[("sentiment_score", Value::Double(f64::NAN))]), "not_finite");
}

#[test]
fn the_longest_key_fits_into_every_database() {
    let dataset = contract::dataset("xbrl_fact").unwrap();
    let mut random = Random::new(seed());
    let mut values = row(dataset, 1, &mut random);
    // What cannot be compressed takes the most room in an index.
    let mut noise = |length: usize| (0..length).map(|_| char::from(33 + random.below(94) as u8)).collect::<String>();
    let texts: Vec<usize> = dataset.key.iter().copied().filter(|at| dataset.fields[*at].kind == Kind::Text).collect();
    let mut left = MAX_WHOLE_KEY_BYTES;
    for at in texts {
        let length = left.min(MAX_KEY_BYTES);
        left -= length;
        values[at] = Value::Text(noise(length).into());
    }
    assert_eq!(left, 0);
    for place in places() {
        place.create(dataset, "longest");
        commit(&mut *place.database.store("test"), dataset, "longest", &[values.clone()], 1);
        let rows = validated(dataset, &[values.clone()]);
        let sent = shown(dataset, &rows, |row| rows.content_hash(dataset, row));
        assert_eq!(place.read(dataset, "longest"), sent, "in {}", place.name);
    }
}
