//! The migrated databases equal the declarations.

use std::collections::HashSet;
use std::sync::Barrier;

use contract::{Dataset, datasets};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use store::Database;
use store::sql;
use tests::broker::{ScratchDatabase, block_on};
use tests::table::{self, Table};
use tests::{service, unique};

/// Files that six processes create at the same time. One failed twice in a hundred files.
const FILES_AT_ONCE: usize = 50;

/// PostgreSQL and TimescaleDB, as available, each with an empty database.
pub(crate) fn postgres_databases() -> Vec<(&'static str, ScratchDatabase)> {
    let variables = ["TAPEDECK_TEST_POSTGRES", "TAPEDECK_TEST_TIMESCALE"];
    let address = |variable| service(variable).map(|address| (variable, ScratchDatabase::create(&address)));
    variables.into_iter().filter_map(address).collect()
}

/// The table of a dataset in SQLite, as declared.
pub(crate) fn declared_in_sqlite(database: &Database, dataset: &Dataset) -> Table {
    let mut checks = sql::checks(dataset);
    checks.sort_unstable();
    declared(database, dataset, checks)
}

/// The table of a dataset in PostgreSQL, as declared; the database has the table.
pub(crate) async fn declared_in_postgres(database: &Database, dataset: &Dataset) -> Table {
    declared(database, dataset, checks_as_written(database.address().expose(), dataset).await)
}

fn declared(database: &Database, dataset: &Dataset, checks: Vec<String>) -> Table {
    let column = |column: sql::ColumnDeclaration| (column.name, column.sql_type.to_owned(), column.nullable);
    Table {
        columns: table::by_name(database.columns(dataset).into_iter().map(column)),
        key: sql::primary_key(dataset).into_iter().map(str::to_owned).collect(),
        checks,
    }
}

/// The declared checks as PostgreSQL prints them, found by adding them to a table without checks.
async fn checks_as_written(address: &str, dataset: &Dataset) -> Vec<String> {
    let mut connection = PgConnection::connect(address).await.unwrap();
    let (table, plain) = (&dataset.name, unique("plain"));
    connection.execute(sqlx::AssertSqlSafe(format!("create table {plain} (like {table})"))).await.unwrap();
    for check in sql::checks(dataset) {
        connection.execute(sqlx::AssertSqlSafe(format!("alter table {plain} add check ({check})"))).await.unwrap();
    }
    let checks = table::postgres(address, &plain).await.checks;
    connection.execute(sqlx::AssertSqlSafe(format!("drop table {plain}"))).await.unwrap();
    checks
}

#[test]
fn the_migrated_postgres_tables_are_the_declared_ones_column_by_column() {
    for (name, scratch) in postgres_databases() {
        block_on(async {
            scratch.database.migrate().await.unwrap();
            let address = scratch.database.address().expose();
            for dataset in datasets() {
                let migrated = table::postgres(address, &dataset.name).await;
                let expected = declared_in_postgres(&scratch.database, dataset).await;
                assert_eq!(migrated, expected, "{} on {name}", dataset.name);
            }
        });
    }
}

#[test]
fn the_migrated_sqlite_tables_are_the_declared_ones_column_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("declared.db").display());
    block_on(async {
        let database = Database::new(&address).unwrap();
        database.migrate().await.unwrap();
        for dataset in datasets() {
            let migrated = table::sqlite(&address, &dataset.name).await;
            assert_eq!(migrated, declared_in_sqlite(&database, dataset), "{}", dataset.name);
        }
    });
}

#[test]
fn tables_and_columns_are_commented_with_the_declarations_texts() {
    for (name, scratch) in postgres_databases() {
        block_on(async {
            scratch.database.migrate().await.unwrap();
            let mut connection = PgConnection::connect(scratch.database.address().expose()).await.unwrap();
            for dataset in datasets() {
                for (column, text) in sql::comments(dataset) {
                    let query = "select coalesce((select col_description(attrelid, attnum) from pg_attribute \
                        where attrelid = $1::regclass and attname = $2), obj_description($1::regclass, 'pg_class'))";
                    let row = sqlx::query(query).bind(&dataset.name).bind(column).fetch_one(&mut connection).await;
                    assert_eq!(row.unwrap().get::<String, _>(0), text, "{}.{column:?} on {name}", dataset.name);
                }
            }
        });
    }
}

#[test]
fn consumers_that_start_together_migrate_an_empty_database_once() {
    let folder = tempfile::tempdir().unwrap();
    // One connection each, as separate processes have. Repeated: SQLite does not wait while another process creates the
    // file.
    let sqlite = |name: &str| Database::new(&format!("sqlite:{}", folder.path().join(name).display())).unwrap();
    for name in (0..FILES_AT_ONCE).map(|index| format!("{index}.db")) {
        migrate_together(&name, || sqlite(&name));
    }
    for (name, scratch) in postgres_databases() {
        migrate_together(name, || scratch.database.clone());
    }
}

fn migrate_together(name: &str, own: impl Fn() -> Database + Sync) {
    let start = Barrier::new(6);
    let migrate = || {
        start.wait();
        block_on(own().migrate())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(migrate)).collect();
        for one in all {
            one.join().unwrap().unwrap_or_else(|error| panic!("on {name}: {error}"));
        }
    });
}

#[test]
fn migrations_go_all_the_way_back_and_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Database::new(&format!("sqlite:{}", folder.path().join("back.db").display())).unwrap();
    let databases = postgres_databases();
    for database in databases.iter().map(|(_, scratch)| &scratch.database).chain([&sqlite]) {
        block_on(async {
            database.migrate().await.unwrap();
            database.migrate_down(0, &|_| {}).await.unwrap();
            assert!(database.query("select 1 from ohlcv_bar").await.is_err(), "the table is still there");
            database.migrate().await.unwrap();
            // A second migration changes nothing.
            database.migrate().await.unwrap();
            assert!(database.query("select 1 from ohlcv_bar").await.unwrap().rows.is_empty());
        });
    }
}

#[test]
fn every_dataset_has_a_source_and_a_version_that_are_never_null() {
    for dataset in datasets() {
        for name in ["source", "known_at", "observed_at", "flags"] {
            let position = dataset.position(name).unwrap_or_else(|| panic!("{} has no {name}", dataset.name));
            assert!(!dataset.fields[position].nullable, "{}.{name}", dataset.name);
        }
        assert!(dataset.key.contains(&dataset.position("source").unwrap()), "{}", dataset.name);
        assert!(dataset.time.is_none_or(|time| dataset.key.contains(&time)), "{}", dataset.name);
        assert!(dataset.key.iter().all(|at| !dataset.fields[*at].nullable), "{}", dataset.name);
    }
}

#[test]
fn names_and_schema_ids_are_unique_and_files_bear_the_names() {
    let ids: HashSet<u32> = datasets().iter().map(|dataset| dataset.schema_id).collect();
    assert_eq!(ids.len(), datasets().len());
    for dataset in datasets() {
        assert!(tests::root().join("schemas").join(format!("{}.avsc", dataset.name)).is_file(), "{}", dataset.name);
        assert!(dataset.fields.iter().all(|field| !field.doc.is_empty()), "{}", dataset.name);
    }
}
