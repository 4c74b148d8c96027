//! Tables as a database describes them, and the dead letters in theirs.

use contract::records::DeadLetter;
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};
use store::{Database, Filter, Name, StoredDeadLetter};

use crate::broker::block_on;

/// A column: name, type, nullability.
pub type Column = (String, String, bool);

/// Columns, key and checks of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// In the order of names: a later migration appends its columns.
    pub columns: Vec<Column>,
    /// The primary key's columns.
    pub key: Vec<String>,
    /// The conditions as the database writes them.
    pub checks: Vec<String>,
}

/// Columns in the order of their names.
pub fn by_name(columns: impl Iterator<Item = Column>) -> Vec<Column> {
    let mut columns: Vec<Column> = columns.collect();
    columns.sort_unstable();
    columns
}

/// A table of PostgreSQL.
pub async fn postgres(address: &str, table: &str) -> Table {
    let mut connection = PgConnection::connect(address).await.unwrap();
    let columns = "select attname::text, format_type(atttypid, atttypmod), not attnotnull from pg_attribute \
        where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum";
    let columns = sqlx::query(columns).bind(table).fetch_all(&mut connection).await.unwrap();
    let key = "select attname::text from pg_index join unnest(indkey) with ordinality as part(attnum, place) on true \
        join pg_attribute using (attnum) where indrelid = $1::regclass and attrelid = indrelid and indisprimary \
        order by place";
    let key = sqlx::query(key).bind(table).fetch_all(&mut connection).await.unwrap();
    let checks = "select pg_get_constraintdef(oid) from pg_constraint \
        where conrelid = $1::regclass and contype = 'c' order by 1";
    let checks = sqlx::query(checks).bind(table).fetch_all(&mut connection).await.unwrap();
    Table {
        columns: by_name(columns.iter().map(|row| (row.get(0), row.get(1), row.get(2)))),
        key: key.iter().map(|row| row.get(0)).collect(),
        checks: checks.iter().map(|row| row.get(0)).collect(),
    }
}

/// A table of SQLite; its checks are the conditions in its definition.
pub async fn sqlite(address: &str, table: &str) -> Table {
    let mut connection = SqliteConnection::connect(address).await.unwrap();
    let columns = "select name, type, \"notnull\" = 0, pk from pragma_table_info(?)";
    let columns = sqlx::query(columns).bind(table).fetch_all(&mut connection).await.unwrap();
    let mut key: Vec<(i64, String)> =
        columns.iter().map(|row| (row.get(3), row.get(0))).filter(|(place, _)| *place > 0).collect();
    key.sort_unstable();
    let definition = sqlx::query("select sql from sqlite_schema where name = ?").bind(table);
    let definition: String = definition.fetch_one(&mut connection).await.unwrap().get(0);
    let mut checks: Vec<String> =
        definition.split("check (").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect();
    checks.sort_unstable();
    Table {
        columns: by_name(columns.iter().map(|row| (row.get(0), row.get(1), row.get(2)))),
        key: key.into_iter().map(|(_, name)| name).collect(),
        checks,
    }
}

/// The dead letters in the table, whole, in the order of their names.
pub fn letters(database: &Database) -> Vec<DeadLetter> {
    let filter = Filter { all: true, ..Filter::default() };
    let mut after = Name { source: String::new(), id: String::new() };
    let mut all: Vec<DeadLetter> = Vec::new();
    block_on(async {
        let mut store = database.dead_letters("test");
        loop {
            let letters = store.next(&filter, &after).await.unwrap();
            let Some(StoredDeadLetter { record, .. }) = letters.last() else { return };
            after = Name { source: record.source.to_string(), id: record.dead_letter_id.to_string() };
            all.extend(letters.into_iter().map(|letter| letter.record));
        }
    });
    all
}
