//! SQLite's migrations.

use std::sync::LazyLock;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;

use super::Sqlite;
use super::fault::{classify, migration_failed};
use crate::migrations::{self, migrator};
use crate::outcome::StoreError;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| migrator(migrations::SQLITE));

impl Sqlite {
    /// Brings the tables up to date.
    pub(super) async fn migrate_up(&self) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        // In one transaction with the write lock: otherwise SQLite returns an error to one of two concurrent
        // migrations.
        let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
        MIGRATOR.run(&mut *transaction).await.map_err(migration_failed)?;
        transaction.commit().await.map_err(classify)?;
        connection.close().await.map_err(classify)
    }

    /// Reverts the tables to that migration.
    pub(super) async fn undo(&self, to: i64) -> Result<(), StoreError> {
        let mut connection = self.open().await?;
        MIGRATOR.undo(&mut connection, to).await.map_err(migration_failed)?;
        connection.close().await.map_err(classify)
    }
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
        database.migrate_down(4).await.unwrap();
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
        database.migrate_down(4).await.unwrap();
        let back =
            connection.fetch_all("select strike = contract_symbol, typeof(strike) from option_quote").await.unwrap();
        assert_eq!(back.len(), STRIKES.len());
        assert!(back.iter().all(|row| row.get::<i64, _>(0) == 1 && row.get::<String, _>(1) == "text"));
    }
}
