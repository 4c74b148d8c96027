//! The write paths into PostgreSQL: the upsert, `COPY` for new keys, and keys and versions first. The table is the same
//! by each. In SQLite it is the same for rows in one statement as for rows one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::rows::Value;
use contract::{Dataset, Decimal, Kind, Original, datasets};
use store::chunk::{Chunk, ChunkBuilder, SinkPartition, Target};
use store::sql::revision;
use store::{Commit, Database, Outcome, Store};
use tempfile::TempDir;
use tests::broker::{Bench, block_on, postgres, timescale};
use tests::proxy::{Action, Point, Protocol, Proxy, Trap};
use tests::workload::Random;

/// Rows in a chunk: enough for `COPY` to be tried.
const CHUNK: usize = 600;
/// Rows in a chunk that is too small for `COPY`.
const SMALL_CHUNK: usize = 400;

/// A database behind a proxy that sees the statements.
struct Watched {
    bench: Bench,
    proxy: Proxy,
    database: Database,
}

/// PostgreSQL and TimescaleDB, with tapedeck's tables.
fn watched() -> Vec<Watched> {
    let benches = [postgres(), timescale()].into_iter().flatten();
    let watch = |bench: Bench| {
        block_on(bench.database.migrate()).unwrap();
        let address = bench.database.address().expose().to_owned();
        let (server, _) = address.split_once('@').unwrap().1.split_once('/').unwrap();
        let proxy = Proxy::start(None, server, Protocol::Postgres);
        let database = Database::new(&address.replacen(server, &proxy.address(), 1)).unwrap();
        Watched { bench, proxy, database }
    };
    benches.map(watch).collect()
}

impl Watched {
    /// Records the next chunk that executes a statement with this text.
    fn notice(&self, statement: &'static str) -> Arc<Trap> {
        let trap = Arc::new(Trap::new(Point::Statement(statement), Action::Hold(Duration::ZERO)));
        self.proxy.arm(&trap);
        trap
    }
}

fn was_seen(trap: &Trap) -> bool {
    trap.await_strike(Duration::ZERO).is_some()
}

/// A row of that dataset with a key of its own per number; a higher `age` is a later version.
fn row(dataset: &Dataset, number: usize, age: i64, random: &mut Random) -> Vec<Value> {
    let value = |(at, field): (usize, &contract::dataset::Field)| {
        let (in_key, in_version) = (dataset.key.contains(&at), dataset.version_fields.contains(&at));
        match field.kind {
            // Every seventh is a deletion.
            _ if number.is_multiple_of(7) && dataset.values().any(|value| value == at) => Value::Null,
            _ if in_version => Value::Long(1_700_000_000_000_000 + age),
            Kind::Text if in_key => {
                Value::Text(format!("{}{number}", odd_text(&mut Random::new(number as u64))).into())
            }
            Kind::Timestamp if in_key => Value::Long((number as i64 - 300) * 86_400_000_000),
            Kind::Date if in_key => Value::Date(number as i32 - 300),
            Kind::Long if in_key => Value::Long(number as i64 - 300),
            _ if field.nullable && random.below(4) == 0 => Value::Null,
            Kind::Text => Value::Text(odd_text(random).into()),
            Kind::Long => Value::Long(random.number().cast_signed()),
            Kind::Decimal => Value::Decimal(odd_decimal(random)),
            Kind::Json => Value::Text(odd_json(random).into()),
            Kind::Double => Value::Double(odd_number(random)),
            Kind::Date => Value::Date(random.below(1_000_000) as i32 - 500_000),
            Kind::Timestamp => Value::Long(random.number().cast_signed() / 1_000),
            Kind::Bytes => Value::Bytes((0..random.below(40)).map(|_| random.number() as u8).collect()),
            Kind::TextList => Value::TextList((0..random.below(4)).map(|_| format!("{}.", odd_text(random))).collect()),
        }
    };
    dataset.fields.iter().enumerate().map(value).collect()
}

/// Texts that some format misreads.
fn odd_text(random: &mut Random) -> String {
    let odd = ["", "\\N", "\\.", "a\tb\nc", "{\"a\",b}", "NULL", "'; --", "žluťoučký", "𝄞", " x ", "\"", "\u{7f}\u{1}"];
    odd[random.below(odd.len())].to_owned()
}

fn odd_decimal(random: &mut Random) -> Decimal {
    let odd = ["0", "-0.000000000001", "99999999999999999999999999", "-1", "10000", "0.0001", "123456789.987654321"];
    odd[random.below(odd.len())].parse().unwrap()
}

fn odd_json(random: &mut Random) -> String {
    let odd = [
        "{}",
        "null",
        "1.50",
        "[1e2, -0.0]",
        r#"{"b":[],"a":"\u00e9","b":{"x":null}}"#,
        r#""\n\t""#,
        "12345678901234567890",
    ];
    odd[random.below(odd.len())].to_owned()
}

fn odd_number(random: &mut Random) -> f64 {
    let odd = [0.0, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::MIN, 0.1, 5e-324, 1.0 / 3.0, 123_456_789.123_456_7];
    odd[random.below(odd.len())]
}

/// A chunk of rows for a table, beginning at an offset.
fn chunk(dataset: &'static Dataset, table: &str, from: i64, rows: impl IntoIterator<Item = Vec<Value>>) -> Chunk {
    let sink = format!("test.{table}");
    let partition = SinkPartition { sink: sink.as_str().into(), topic: "test".into(), incarnation: 0, number: 0 };
    let target =
        Target { dataset, table: table.into(), dead_letters: Some(sink.into()), accounted: true, incarnations: None };
    let mut builder = ChunkBuilder::new(partition, target, from);
    for (offset, row) in (from..).zip(rows) {
        let deleted = dataset.values().all(|at| row[at] == Value::Null);
        builder.rows().push_row(row, deleted);
        let original = Original { offset, timestamp_ms: Some(0), key: None, value: Some(b"bytes"), headers: None };
        builder.took(&original, None, Instant::now());
    }
    builder.take()
}

/// Commits rows in chunks of that size, from an offset on.
fn commit(
    store: &mut dyn Store,
    dataset: &'static Dataset,
    table: &str,
    from: i64,
    rows: &[Vec<Value>],
    size: usize,
) -> Outcome {
    let mut total = Outcome::default();
    for (at, part) in rows.chunks(size).enumerate() {
        let mut chunk = chunk(dataset, table, from + (at * size) as i64, part.iter().cloned());
        let Commit { outcome, already, .. } = block_on_commit(store, &mut chunk);
        assert!(!already);
        total += outcome;
    }
    total
}

/// A connection needs the runtime that it was opened on.
fn block_on_commit(store: &mut dyn Store, chunk: &mut Chunk) -> Commit {
    thread_local!(static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Runtime::new().unwrap());
    RUNTIME.with(|runtime| runtime.block_on(store.commit(chunk))).unwrap()
}

/// Tables like a dataset's, with all kinds of keys and values; in TimescaleDB with several chunks.
fn tables_like(bench: &Bench, dataset: &Dataset, names: &[&str]) {
    let has_chunks = bench.number("select count(*) as n from pg_extension where extname = 'timescaledb'") == 1;
    for name in names {
        for (table, like) in [(name, &dataset.name), (&&*revision(name), &revision(&dataset.name))] {
            bench.execute(&format!("create table {table} (like {like} including indexes including defaults)"));
        }
        if let (true, Some(time)) = (has_chunks, dataset.time) {
            let (time, interval) = (&dataset.fields[time].name, "interval '500 days'");
            bench.execute(&format!("select cast(create_hypertable('{name}', by_range('{time}', {interval})) as text)"));
        }
    }
}

/// Rows that only one of the two tables has, apart from the time of writing.
fn differences(bench: &Bench, dataset: &Dataset, one: &str, other: &str) -> Vec<Vec<Option<String>>> {
    let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
    let names = format!("{}, content_hash, deleted", names.join(", "));
    let side = |left: &str, right: &str| {
        format!("(select '{left}' as side, {names} from {left} except select '{left}', {names} from {right})")
    };
    bench.query(&format!(
        "select cast(difference as text) from ({} union all {}) as difference limit 3",
        side(one, other),
        side(other, one)
    ))
}

#[test]
fn rows_of_every_dataset_are_the_same_by_copy_as_by_upsert() {
    for Watched { bench, proxy, database } in watched() {
        for dataset in datasets() {
            tables_like(&bench, dataset, &["copied", "upserted"]);
            let mut random = Random::new(7);
            let rows: Vec<_> = (0..3 * CHUNK).map(|number| row(dataset, number, 0, &mut random)).collect();
            let seen = Arc::new(Trap::new(Point::Statement("copy copied"), Action::Hold(Duration::ZERO)));
            proxy.arm(&seen);
            let mut store = database.store("test");
            let copied = commit(&mut *store, dataset, "copied", 0, &rows, CHUNK);
            assert!(was_seen(&seen), "{} was not copied", dataset.name);
            let avoided = Arc::new(Trap::new(Point::Statement("copy upserted"), Action::Hold(Duration::ZERO)));
            proxy.arm(&avoided);
            let upserted = commit(&mut *database.store("test"), dataset, "upserted", 0, &rows, SMALL_CHUNK);
            assert!(!was_seen(&avoided), "{} was copied in small chunks", dataset.name);
            assert_eq!(copied, upserted, "{}", dataset.name);
            assert_eq!(copied.inserted, rows.len() as u64, "{}", dataset.name);
            assert_eq!(differences(&bench, dataset, "copied", "upserted"), Vec::<Vec<_>>::new(), "{}", dataset.name);
            for table in ["copied", "upserted"] {
                bench.execute(&format!("drop table {table}"));
                bench.execute(&format!("drop table {}", revision(table)));
            }
            bench.execute("delete from sink_chunk");
            bench.execute("delete from sink_position");
        }
    }
}

#[test]
fn rows_that_share_values_with_their_neighbours_are_stored_in_sqlite_as_each_alone() {
    let folder = TempDir::new().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
    block_on(database.migrate()).unwrap();
    let mut random = Random::new(11);
    for dataset in datasets() {
        // The random values break the rules of the dataset's own table.
        let key: Vec<&str> = dataset.key.iter().map(|at| dataset.fields[*at].name.as_str()).collect();
        for table in ["together", "alone"] {
            for (table, version) in [(table, ""), (&*revision(table), ", known_at, observed_at, content_hash")] {
                execute(&database, format!("create table {table} as select * from {} where 0", dataset.name));
                let key = key.join(", ");
                execute(&database, format!("create unique index {table}_key on {table} ({key}{version})"));
            }
        }
        let mut rows: Vec<_> = (0..400).map(|number| row(dataset, number, number as i64 % 3, &mut random)).collect();
        for at in 1..rows.len() {
            for field in dataset.values() {
                if random.below(4) > 0 && at % 7 > 1 {
                    rows[at][field] = rows[at - 1][field].clone();
                }
            }
        }
        let mut store = database.store("test");
        let together = commit(&mut *store, dataset, "together", 0, &rows, CHUNK);
        let alone = commit(&mut *store, dataset, "alone", 0, &rows, 1);
        assert_eq!((together, together.inserted), (alone, rows.len() as u64), "{}", dataset.name);
        let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
        let content = |table: &str| {
            let (names, key) = (names.join(", "), key.join(", "));
            block_on(database.query(&format!("select {names}, content_hash, deleted from {table} order by {key}")))
                .unwrap()
                .rows
        };
        assert!(content("together") == content("alone"), "{}", dataset.name);
        for table in ["together", "alone"] {
            execute(&database, format!("drop table {table}"));
            execute(&database, format!("drop table {}", revision(table)));
        }
        execute(&database, "delete from sink_chunk".to_owned());
        execute(&database, "delete from sink_position".to_owned());
    }
}

fn execute(database: &Database, statement: String) {
    block_on(database.store("test").rows(statement, &[])).unwrap();
}

#[test]
fn copy_gives_way_to_the_upsert_as_soon_as_one_key_is_there() {
    for watched in watched() {
        let Watched { bench, database, .. } = &watched;
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        tables_like(bench, dataset, &["mixed"]);
        let mut random = Random::new(8);
        let mut rows = |numbers: std::ops::Range<usize>, age: i64| -> Vec<_> {
            numbers.map(|number| row(dataset, number, age, &mut random)).collect()
        };
        let mut store = database.store("test");
        commit(&mut *store, dataset, "mixed", 0, &rows(0..CHUNK, 5), CHUNK);
        // New keys, a known key with a later version, one with an earlier version, and a key twice.
        let mut mixed = rows(CHUNK..2 * CHUNK, 5);
        mixed.extend(rows(1..2, 9));
        mixed.extend(rows(2..3, 1));
        mixed.extend(rows(CHUNK..CHUNK + 1, 4));
        let tried = watched.notice("copy mixed");
        let outcome = commit(&mut *store, dataset, "mixed", CHUNK as i64, &mixed, mixed.len());
        assert!(was_seen(&tried), "`COPY` was not tried");
        let wanted =
            Outcome { read: CHUNK as u64 + 3, inserted: CHUNK as u64, changed: 1, superseded: 2, ..Outcome::default() };
        assert_eq!(outcome, wanted);
        // `COPY` is not tried again at once, but later.
        let (from, again) = ((2 * CHUNK + 3) as i64, watched.notice("copy mixed"));
        commit(&mut *store, dataset, "mixed", from, &rows(2 * CHUNK..4 * CHUNK, 5), CHUNK);
        assert!(!was_seen(&again), "`COPY` was tried again too soon");
        let again = watched.notice("copy mixed");
        commit(&mut *store, dataset, "mixed", from + 2 * CHUNK as i64, &rows(4 * CHUNK..5 * CHUNK, 5), CHUNK);
        assert!(was_seen(&again), "`COPY` was not tried again");
        assert_eq!(bench.number("select count(*) as n from mixed"), 5 * CHUNK as i64);
    }
}

#[test]
fn a_copy_that_is_cut_off_leaves_no_row_and_is_repeated() {
    for watched in watched() {
        let Watched { bench, proxy, database } = &watched;
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        tables_like(bench, dataset, &["cut"]);
        let mut random = Random::new(9);
        let rows: Vec<_> = (0..3 * CHUNK).map(|number| row(dataset, number, 0, &mut random)).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut store = database.store("test");
        let mut next = |from: usize| {
            let mut chunk = chunk(dataset, "cut", from as i64, rows[from..from + CHUNK].iter().cloned());
            runtime.block_on(store.commit(&mut chunk))
        };
        next(0).unwrap();
        for cut in 0..4 {
            let begun = watched.notice("copy cut");
            // Somewhere in its rows, which take about 100 KB.
            proxy.cut_after(5_000 + 10_000 * cut);
            next(CHUNK).unwrap_err();
            assert!(was_seen(&begun), "the `COPY` was not cut off");
            assert_eq!(bench.number("select count(*) as n from cut"), CHUNK as i64);
        }
        assert_eq!(next(CHUNK).unwrap().outcome.inserted, CHUNK as u64);
        assert_eq!(next(2 * CHUNK).unwrap().outcome.inserted, CHUNK as u64);
        assert_eq!(bench.number("select cast(sum(records_read) as bigint) as n from sink_chunk"), 3 * CHUNK as i64);
        assert_eq!(bench.number("select count(*) as n from cut"), 3 * CHUNK as i64);
    }
}

#[test]
fn a_row_that_copy_refuses_becomes_a_dead_letter_and_costs_no_other() {
    for watched in watched() {
        let Watched { bench, database, .. } = &watched;
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        tables_like(bench, dataset, &["strict"]);
        bench.execute("alter table strict add check (currency <> 'XXX')");
        let mut random = Random::new(10);
        let mut rows: Vec<_> = (0..2 * CHUNK).map(|number| row(dataset, number, 0, &mut random)).collect();
        let currency = dataset.position("currency").unwrap();
        // The number of a row that is not a deletion.
        rows[CHUNK + 311][currency] = Value::Text("XXX".into());
        let tried = watched.notice("copy strict");
        let outcome = commit(&mut *database.store("test"), dataset, "strict", 0, &rows, CHUNK);
        assert!(was_seen(&tried), "`COPY` was not tried");
        assert_eq!((outcome.inserted, outcome.dead_lettered), (2 * CHUNK as u64 - 1, 1));
        let letters = bench.query("select kafka_offset, error_class, sqlstate from dead_letter");
        assert_eq!(letters, [[Some((CHUNK + 311).to_string()), Some("check".to_owned()), Some("23514".to_owned())]]);
    }
}

#[test]
fn rows_that_a_trigger_drops_are_accounted_for_and_stop_no_chunk() {
    for watched in watched() {
        let Watched { bench, database, .. } = &watched;
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        tables_like(bench, dataset, &["choosy"]);
        bench.execute(
            "create function choose() returns trigger language plpgsql as \
             'begin if new.currency = ''XXX'' then return null; end if; return new; end'",
        );
        bench.execute("create trigger choose before insert on choosy for each row execute function choose()");
        let mut random = Random::new(12);
        let mut rows: Vec<_> = (0..2 * CHUNK).map(|number| row(dataset, number, 0, &mut random)).collect();
        let currency = dataset.position("currency").unwrap();
        for number in [CHUNK + 100, CHUNK + 311] {
            rows[number][currency] = Value::Text("XXX".into());
        }
        let tried = watched.notice("copy choosy");
        let outcome = commit(&mut *database.store("test"), dataset, "choosy", 0, &rows, CHUNK);
        assert!(was_seen(&tried), "`COPY` was not tried");
        assert_eq!((outcome.inserted, outcome.superseded), (2 * CHUNK as u64 - 2, 2));
        assert_eq!(bench.number("select count(*) as n from choosy"), 2 * CHUNK as i64 - 2);
    }
}

#[test]
fn after_a_chunk_that_changed_nothing_the_next_is_asked_for_by_its_versions_and_loses_nothing() {
    for watched in watched() {
        let Watched { bench, database, .. } = &watched;
        let dataset = contract::dataset("ohlcv_bar").unwrap();
        tables_like(bench, dataset, &["settled"]);
        let mut random = Random::new(11);
        let rows: Vec<_> = (0..CHUNK).map(|number| row(dataset, number, 5, &mut random)).collect();
        let mut store = database.store("test");
        let mut offset = 0;
        let mut put = |rows: &[Vec<Value>]| {
            let outcome = commit(&mut *store, dataset, "settled", offset, rows, rows.len());
            offset += rows.len() as i64;
            outcome
        };
        put(&rows);
        let asked = watched.notice("with ordinality");
        put(&rows);
        assert!(!was_seen(&asked), "it was asked for although the chunk before was new");
        let asked = watched.notice("with ordinality");
        assert_eq!(put(&rows).superseded, CHUNK as u64);
        assert!(was_seen(&asked), "it was not asked for");
        // A new key, a later version and an earlier version among known keys.
        let mut mixed = rows.clone();
        mixed[100] = row(dataset, 100, 9, &mut random);
        mixed[200] = row(dataset, 200, 1, &mut random);
        mixed.push(row(dataset, CHUNK, 5, &mut random));
        let asked = watched.notice("with ordinality");
        let outcome = put(&mixed);
        assert!(was_seen(&asked), "it was not asked for");
        assert_eq!((outcome.inserted, outcome.changed, outcome.superseded), (1, 1, CHUNK as u64 - 1));
        assert_eq!(bench.number("select count(*) as n from settled"), CHUNK as i64 + 1);
    }
}
