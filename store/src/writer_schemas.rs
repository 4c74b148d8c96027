//! The schemas that registries gave for the ids of records, so that these stay readable without the registry.

use contract::original::fingerprint;

use crate::outcome::StoreError;
use crate::store::Store;

/// All of them, each with its id.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable.
pub async fn all(store: &mut dyn Store) -> Result<Vec<(u32, String)>, StoreError> {
    let query = "select cast(schema_id as text), schema from writer_schema order by schema_id, kept_at, fingerprint";
    let rows = store.rows(query.to_owned(), &[]).await?;
    let row = |row: Vec<Option<String>>| {
        let [id, schema] = <[_; 2]>::try_from(row).ok()?;
        Some((id?.parse().ok()?, schema?))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

/// Keeps the schema of an id. A schema that is kept stays as it is.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable.
pub async fn keep(store: &mut dyn Store, schema_id: u32, schema: &str) -> Result<(), StoreError> {
    let insert = format!(
        "insert into writer_schema (schema_id, fingerprint, schema, kept_at) values ({schema_id}, $1, $2, {}) \
         on conflict do nothing",
        store.syntax().now
    );
    store.rows(insert, &[&fingerprint(schema.as_bytes()), schema]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    #[tokio::test]
    async fn the_first_schema_of_an_id_stays_and_another_one_is_kept_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
        database.migrate().await.unwrap();
        let mut store = database.store("test");
        keep(&mut *store, 7, "a").await.unwrap();
        // Two within a millisecond have no order in SQLite.
        store.rows("update writer_schema set kept_at = '2026-01-01T00:00:00.000Z'".to_owned(), &[]).await.unwrap();
        for (id, schema) in [(7, "a"), (i32::MAX.cast_unsigned(), "c"), (7, "b")] {
            keep(&mut *store, id, schema).await.unwrap();
        }
        let found = all(&mut *store).await.unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], (7, "a".to_owned()));
        assert_eq!(found[2], (2_147_483_647, "c".to_owned()));
    }
}
