//! The Kafka cluster that fills a database.

use service::settings;

use crate::outcome::StoreError;
use crate::store::Store;

/// What to do with a cluster other than the one that has filled the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Refuse it: its records would be mixed with the others.
    Refuse,
    /// From now on it is the one that fills the database.
    Adopt,
}

/// Remembers the cluster as the one that fills the database, if none is remembered yet. `cluster_id` is what Kafka calls
/// it. Returns the cluster whose place it has taken.
///
/// # Errors
///
/// [`StoreError::Halt`] when another cluster has filled it and is not to be replaced; [`StoreError::Retry`] when the
/// database is unavailable.
pub async fn remember(store: &mut dyn Store, cluster_id: &str, foreign: Foreign) -> Result<Option<String>, StoreError> {
    let now = store.syntax().now;
    let mut known = remembered(store).await?;
    if known.is_none() {
        let insert = format!(
            "insert into sink_origin (number, cluster_id, noticed_at) select 1, $1, {now} where true on conflict do nothing"
        );
        store.rows(insert, &[cluster_id]).await?;
        // Of two processes one has inserted its cluster.
        known = remembered(store).await?;
    }
    let other = known.filter(|known| known != cluster_id);
    match (&other, foreign) {
        (Some(other), Foreign::Refuse) => return Err(refusal(other, cluster_id)),
        (Some(_), Foreign::Adopt) => {
            let update = format!("update sink_origin set cluster_id = $1, noticed_at = {now}");
            store.rows(update, &[cluster_id]).await?;
        }
        (None, _) => {}
    }
    Ok(other)
}

/// Refuses a cluster other than the one that has filled the database, and remembers nothing.
///
/// # Errors
///
/// As [`remember`].
pub async fn check(store: &mut dyn Store, cluster_id: &str) -> Result<(), StoreError> {
    match remembered(store).await? {
        Some(known) if known != cluster_id => Err(refusal(&known, cluster_id)),
        _ => Ok(()),
    }
}

async fn remembered(store: &mut dyn Store) -> Result<Option<String>, StoreError> {
    let rows = store.rows("select cluster_id from sink_origin".to_owned(), &[]).await?;
    Ok(rows.into_iter().flatten().flatten().next())
}

fn refusal(known: &str, cluster_id: &str) -> StoreError {
    StoreError::Halt(format!(
        "the database was filled from Kafka cluster `{known}`, and this is cluster `{cluster_id}`: use the brokers that \
         filled it, or another database; with `{}=record` this cluster takes the other's place",
        settings::ON_GAP.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    #[tokio::test]
    async fn the_first_cluster_is_remembered_and_another_one_is_refused_until_it_is_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
        database.migrate().await.unwrap();
        let mut store = database.store("test");
        // A look alone remembers nothing.
        check(&mut *store, "b").await.unwrap();
        for _ in 0..2 {
            assert_eq!(remember(&mut *store, "a", Foreign::Refuse).await.unwrap(), None);
        }
        let remembering = remember(&mut *store, "b", Foreign::Refuse).await.map(drop);
        for refused in [remembering, check(&mut *store, "b").await] {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("filled from Kafka cluster `a`, and this is cluster `b`"), "{said}");
        }
        check(&mut *store, "a").await.unwrap();
        assert_eq!(remember(&mut *store, "b", Foreign::Adopt).await.unwrap().as_deref(), Some("a"));
        assert_eq!(remember(&mut *store, "b", Foreign::Refuse).await.unwrap(), None);
        assert!(check(&mut *store, "a").await.is_err());
    }
}
