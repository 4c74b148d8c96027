//! SQLite's migrations.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

use super::fault::{classify, is_locked};
use super::{SYNTAX, Sqlite};
use crate::history::{self, Applied};
use crate::migrations::{Migration, Progress, Report};
use crate::outcome::StoreError;

/// Time between two lines about the same statement.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The table in which sqlx keeps what was applied, as sqlx creates it.
const CREATE_TABLE: &str = "create table if not exists _sqlx_migrations (version bigint primary key, \
    description text not null, installed_on timestamp not null default current_timestamp, success boolean not null, \
    checksum blob not null, execution_time bigint not null)";

/// The first lines of a script.
const HEAD: &str = "-- For sqlite3. It stops at the first error; `--from` makes the script that continues.\n.bail on\n";

/// The bytes of hexadecimal digits.
fn checksum(digits: &str) -> String {
    format!("x'{digits}'")
}

impl Sqlite {
    /// Applies the missing migrations up to `to`, or all: each in a transaction with the write lock, because otherwise
    /// SQLite returns an error to one of two processes that migrate.
    pub(super) async fn migrate_up(
        &self,
        migrations: &[Migration],
        to: Option<i64>,
        report: Report<'_>,
    ) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        let next = |history: &[Applied]| {
            let pending = history::pending(migrations, history, to)?;
            Ok(pending.first().map(|migration| {
                let statements = vec![migration.up.sql.clone(), migration.record(checksum)];
                (format!("applied {}", migration.shown()), statements)
            }))
        };
        while step(&mut connection, &next, report).await? {}
        connection.close().await.map_err(classify)
    }

    /// Reverts the migrations after `to`.
    pub(super) async fn undo(&self, migrations: &[Migration], to: i64, report: Report<'_>) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        let next = |history: &[Applied]| {
            let surplus = history::surplus(migrations, history, to)?;
            let Some(migration) = surplus.first() else { return Ok(None) };
            let Some(down) = &migration.down else {
                return Err(StoreError::Halt(format!("{} cannot be reverted", migration.shown())));
            };
            let statements = [migration.forget(), vec![down.sql.clone(), migration.unrecord()]].concat();
            Ok(Some((format!("reverted {}", migration.shown()), statements)))
        };
        while step(&mut connection, &next, report).await? {}
        connection.close().await.map_err(classify)
    }
}

/// What to do next for a database with that history, and how to call it when it is done.
type Next<'a> = &'a dyn Fn(&[Applied]) -> Result<Option<(String, Vec<String>)>, StoreError>;

/// Runs the next step; false when there is none.
async fn step(connection: &mut SqliteConnection, next: Next<'_>, report: Report<'_>) -> Result<bool, StoreError> {
    // Most starts find nothing to do, and then need no lock.
    if next(&history::read(connection, &SYNTAX).await?)?.is_none() {
        return Ok(false);
    }
    begin(connection, report).await?;
    connection.execute(CREATE_TABLE).await.map_err(classify)?;
    let Some((done, statements)) = next(&history::read(connection, &SYNTAX).await?)? else {
        // Another process was faster.
        connection.execute("rollback").await.map_err(classify)?;
        return Ok(false);
    };
    let start = Instant::now();
    for statement in statements {
        let work = connection.execute(AssertSqlSafe(statement));
        watched(work, report, "the migration runs").await.map_err(classify)?;
    }
    connection.execute("commit").await.map_err(classify)?;
    report(&Progress::Done(format!("{done} in {:.1} s", start.elapsed().as_secs_f32())));
    Ok(true)
}

/// Takes the write lock, however long another process holds it.
async fn begin(connection: &mut SqliteConnection, report: Report<'_>) -> Result<(), StoreError> {
    loop {
        let work = connection.execute("begin immediate");
        match watched(work, report, "the migration waits for another process that writes").await {
            Err(error) if is_locked(&error) => {}
            begun => return begun.map(drop).map_err(classify),
        }
    }
}

/// Waits for a statement, and reports from time to time that it is not done.
async fn watched<T>(work: impl Future<Output = T>, report: Report<'_>, what: &str) -> T {
    let start = Instant::now();
    tokio::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep(REPORT_EVERY) => {
                report(&Progress::Slow(format!("{what} for {} s", start.elapsed().as_secs())));
            }
        }
    }
}

/// A script for `sqlite3`: applies the migrations above `from` up to `to`, or reverts those above `to`.
pub(super) fn script(migrations: &[Migration], from: i64, to: i64) -> String {
    let mut text = format!("{HEAD}{CREATE_TABLE};\n");
    for migration in migrations.iter().filter(|one| one.version > from && one.version <= to) {
        // First, so that a migration that is applied ends the script before it changes anything.
        part(&mut text, migration, &[migration.record(checksum), migration.up.sql.clone()]);
    }
    for migration in migrations.iter().rev().filter(|one| one.version > to && one.version <= from) {
        text += &migration.warning();
        let down = migration.down.iter().map(|down| down.sql.clone());
        let statements: Vec<String> =
            migration.forget().into_iter().chain(down).chain([migration.unrecord()]).collect();
        part(&mut text, migration, &statements);
    }
    text
}

fn part(text: &mut String, migration: &Migration, statements: &[String]) {
    write!(text, "\n-- {}\nbegin immediate;\n", migration.shown()).expect("a string takes everything");
    for statement in statements {
        let statement = statement.trim_end();
        *text += &format!("{statement}{}\n", if statement.ends_with(';') { "" } else { "\n;" });
    }
    *text += "commit;\n";
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};

    use crate::Database;

    /// Strikes as text, and how they are stored as numbers.
    const STRIKES: [(&str, &str); 6] = [
        ("300", "real"),
        ("-0.5", "real"),
        ("0", "real"),
        ("999999999999.125", "real"),
        ("0.000000000001", "real"),
        ("9999999999999999.1", "text"),
    ];

    #[tokio::test]
    async fn decimals_become_numbers_and_texts_again_without_a_change_of_their_value() {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", folder.path().join("x.db").display());
        let database = Database::new(&address).unwrap();
        database.migrate().await.unwrap();
        database.migrate_down(4, &|_| {}).await.unwrap();
        let mut connection = SqliteConnection::connect(&address).await.unwrap();
        for (strike, _) in STRIKES {
            let insert = "insert into option_quote (source, contract_symbol, quoted_at, strike, known_at, observed_at, \
                flags, content_hash, updated_at, deleted) values ('x', $1, '', $1, '', '', '[]', 0, '', 1)";
            sqlx::query(insert).bind(strike).execute(&mut connection).await.unwrap();
        }
        // A connection that is open during the migration sees it.
        database.migrate().await.unwrap();
        let query = "select contract_symbol, typeof(strike), strike = cast(contract_symbol as real) from option_quote \
            where typeof(strike) = 'text' or strike < 1000000000000";
        let found = connection.fetch_all(query).await.unwrap();
        let mut kinds: Vec<(String, String)> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut expected = STRIKES.map(|(strike, kind)| (strike.to_owned(), kind.to_owned())).to_vec();
        kinds.sort();
        expected.sort();
        assert_eq!(kinds, expected);
        let equal = |row: &&sqlx::sqlite::SqliteRow| row.get::<String, _>(1) == "real";
        assert!(found.iter().filter(equal).all(|row| row.get::<i64, _>(2) == 1));
        database.migrate_down(4, &|_| {}).await.unwrap();
        let back =
            connection.fetch_all("select strike = contract_symbol, typeof(strike) from option_quote").await.unwrap();
        assert_eq!(back.len(), STRIKES.len());
        assert!(back.iter().all(|row| row.get::<i64, _>(0) == 1 && row.get::<String, _>(1) == "text"));
    }
}
