//! The order of primary keys: what a row is about first, and the source last.

use contract::datasets;
use tests::table;

use super::*;

/// The migration before.
const BEFORE: i64 = 15;

/// Bars of two providers in six years, each of which is a chunk of a hypertable.
const BARS: &str = "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, close, known_at, observed_at, \
    flags, content_hash, updated_at, deleted) \
    with recursive number(n) as (select 0 union all select n + 1 from number where n < 599) \
    select case when n % 2 = 0 then 'yahoo' else 'eodhd' end, 'S' || (n % 7), '1d', \
    cast((2010 + n / 100) || '-03-' || (10 + n % 20) || 'T00:00:00.000000Z' as TIME), \
    cast((2010 + n / 100) || '-03-' || (10 + n % 20) as DAY), n, cast('2020-01-01T00:00:00.000000Z' as TIME), \
    cast('2020-01-01T00:00:00.000000Z' as TIME), 'LIST', n, cast('2020-01-01T00:00:00.000000Z' as TIME), 'FALSE' from number \
    where true on conflict do nothing";

/// What others attach to the tables, and what it shows at last.
const ATTACHED: [&str; 3] = [
    "alter table ohlcv_bar add column note text",
    "create index ohlcv_bar_mine on ohlcv_bar (close)",
    "create view mine as select symbol, sum(close) as total from ohlcv_bar group by symbol",
];

fn is_file(database: &Database) -> bool {
    database.address().expose().starts_with("sqlite:")
}

fn run(database: &Database, statement: &str) {
    block_on(database.store("test").rows(statement.to_owned(), &[])).unwrap();
}

/// Fills the table of bars, whose dialect the statement then has.
fn fill(database: &Database) {
    let words = match is_file(database) {
        true => [("TIME", "text"), ("DAY", "text"), ("LIST", "[]"), ("'FALSE'", "0")],
        false => [("TIME", "timestamptz"), ("DAY", "date"), ("LIST", "{}"), ("'FALSE'", "false")],
    };
    let statement = words.iter().fold(BARS.to_owned(), |text, (from, to)| text.replace(from, to));
    run(database, &statement);
    ATTACHED.iter().for_each(|statement| run(database, statement));
    if is_file(database) {
        run(database, "create trigger mine_too after update on ohlcv_bar begin update series set title = 'fired'; end");
    }
    run(database, "update ohlcv_bar set note = 'note of ' || symbol");
}

/// The primary keys of all datasets' tables.
fn keys(database: &Database) -> Vec<Vec<String>> {
    let address = database.address().expose();
    let key = async |name: &str| match is_file(database) {
        true => table::sqlite(address, name).await.key,
        false => table::postgres(address, name).await.key,
    };
    datasets().iter().map(|dataset| block_on(key(&dataset.name))).collect()
}

/// The bars, and what was attached.
fn content(database: &Database) -> Vec<Vec<Option<String>>> {
    let all = ["select * from ohlcv_bar order by symbol, ts_start, source", "select * from mine order by symbol"];
    all.iter().flat_map(|query| block_on(database.query(query)).unwrap().rows).collect()
}

#[test]
fn keys_are_turned_around_and_back_below_the_rows_and_what_others_attached_stays() {
    let folder = TempDir::new().unwrap();
    let sqlite = Database::new(&format!("sqlite:{}", folder.path().join("keys.db").display())).unwrap();
    let servers = postgres_databases();
    for database in servers.iter().map(|(_, scratch)| &scratch.database).chain([&sqlite]) {
        let name = database.shown();
        migrate(database);
        block_on(database.migrate_down(BEFORE, &|_| {})).unwrap();
        fill(database);
        let rows = content(database);
        let names = |dataset: &contract::Dataset, key: &[usize]| -> Vec<String> {
            key.iter().map(|at| dataset.fields[*at].name.clone()).collect()
        };
        let before: Vec<_> = datasets().iter().map(|dataset| names(dataset, &dataset.key)).collect();
        let after: Vec<_> = datasets().iter().map(|dataset| names(dataset, &dataset.primary_key)).collect();
        assert!(rows.len() > 500 && before != after, "{name}");
        assert_eq!(keys(database), before, "{name}");
        for _ in 0..2 {
            migrate(database);
            assert_eq!((keys(database), content(database)), (after.clone(), rows.clone()), "{name}");
            block_on(database.migrate_down(BEFORE, &|_| {})).unwrap();
            assert_eq!((keys(database), content(database)), (before.clone(), rows.clone()), "{name}");
        }
        migrate(database);
        let index = if is_file(database) { "sqlite_schema where name" } else { "pg_class where relname" };
        let found = block_on(database.query(&format!("select 1 from {index} = 'ohlcv_bar_mine'"))).unwrap();
        assert_eq!(found.rows.len(), 1, "{name}");
    }
    let checked = block_on(sqlite.query("select * from pragma_integrity_check")).unwrap().rows;
    assert_eq!(checked, [[Some("ok".to_owned())]]);
    run(
        &sqlite,
        "insert into series (source, series_id, known_at, observed_at, flags, content_hash, updated_at, deleted) \
        values ('fred', 'GDP', '', '', '[]', 0, '', 1)",
    );
    run(&sqlite, "update ohlcv_bar set close = close + 1 where symbol = 'S1'");
    assert_eq!(block_on(sqlite.query("select title from series")).unwrap().rows, [[Some("fired".to_owned())]]);
}

#[test]
fn a_key_that_is_turned_around_is_not_built_again_after_an_interruption() {
    let oid = "select max(indexrelid::bigint) from pg_index where indrelid = 'ohlcv_bar'::regclass and indisprimary";
    for (name, scratch) in postgres_databases() {
        let turn = || block_on(scratch.database.migrate_to(Some(BEFORE + 1), &|_| {})).unwrap();
        turn();
        let mut client = Client::new(&scratch.database);
        let built = client.number(oid);
        client.run("delete from _sqlx_migrations where version = 16");
        turn();
        assert_eq!(client.number(oid), built, "on {name}");
    }
}

#[test]
fn a_foreign_key_on_a_table_stops_its_key_from_being_turned_around_until_it_is_dropped() {
    for (name, scratch) in postgres_databases() {
        let database = &scratch.database;
        migrate(database);
        block_on(database.migrate_down(BEFORE, &|_| {})).unwrap();
        let mut client = Client::new(database);
        client.run("create table mine (source text, symbol text, foreign key (source, symbol) references company)");
        let said = block_on(database.migrate_to(None, &|_| {})).unwrap_err().to_string();
        let expected =
            "failed: cannot drop constraint company_pkey on table company because other objects depend on it";
        assert!(said.starts_with("migration 16 `keys`, statement ") && said.contains(expected), "{said} on {name}");
        client.run("alter table mine drop constraint mine_source_symbol_fkey");
        migrate(database);
        assert_eq!(
            block_on(table::postgres(database.address().expose(), "company")).key,
            ["symbol", "source"],
            "on {name}"
        );
    }
}

#[test]
fn a_foreign_key_that_names_no_columns_stops_the_migration_of_a_file_and_another_one_still_holds_afterwards() {
    let folder = TempDir::new().unwrap();
    let database = Database::new(&format!("sqlite:{}", folder.path().join("keys.db").display())).unwrap();
    migrate(&database);
    block_on(database.migrate_down(BEFORE, &|_| {})).unwrap();
    fill(&database);
    let before = keys(&database);
    run(&database, "create table noted (source text, symbol text, foreign key (source, symbol) references company)");
    let said = block_on(database.migrate_to(None, &|_| {})).unwrap_err().to_string();
    assert!(said.contains("a foreign key refers to a dataset's table without its columns: drop it, migrate"), "{said}");
    assert_eq!(keys(&database), before);
    run(&database, "drop table noted");
    let key = "source, symbol, bar_interval, ts_start";
    run(&database, &format!("create table noted ({key}, foreign key ({key}) references ohlcv_bar ({key}))"));
    let insert = format!("insert into noted select {key} from ohlcv_bar");
    run(&database, &insert);
    migrate(&database);
    assert_ne!(keys(&database), before);
    assert_eq!(block_on(database.query("select 1 from pragma_foreign_key_check")).unwrap().rows, Vec::<Vec<_>>::new());
    run(&database, &insert);
    let other = "insert into noted values ('yahoo', 'OTHER', '1d', '')".to_owned();
    assert!(block_on(database.store("test").rows(other, &[])).unwrap_err().to_string().contains("FOREIGN KEY"));
}
