//! How far was published, and how far of that is recorded.

use kafka::publish::Acknowledged;

use super::*;
use crate::published::recover::{Mark, Message, Recovered};

/// How far was published, as recorded together with items.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent<'a> {
    /// How far Kafka has acknowledged each partition.
    pub acknowledged: &'a [Acknowledged],
    /// Keys of recovered messages that are recorded now.
    pub recovered: &'a [i64],
    /// Whether this is all that was published since [`State::publishing`].
    pub is_all: bool,
}

impl State {
    /// How far the partitions were published.
    pub async fn marks(&self) -> anyhow::Result<Vec<Mark>> {
        let mut connection = self.connection.lock().await;
        let query = "select name, partition, end_offset, noted_offset from topic order by name, partition";
        let rows = sqlx::query(query).fetch_all(&mut *connection).await?;
        let mark = |row: &sqlx::sqlite::SqliteRow| Mark {
            topic: row.get(0),
            partition: row.get(1),
            end: row.get(2),
            recorded: row.get(3),
        };
        Ok(rows.iter().map(mark).collect())
    }

    /// Records that from now on something is published that is not recorded yet.
    pub async fn publishing(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        sqlx::query("insert or ignore into publishing (id) values (0)").execute(&mut *connection).await?;
        Ok(())
    }

    /// Whether something was published that is not recorded.
    pub async fn is_publishing(&self) -> anyhow::Result<bool> {
        let mut connection = self.connection.lock().await;
        Ok(sqlx::query_scalar("select exists (select 1 from publishing)").fetch_one(&mut *connection).await?)
    }

    /// Saves recovered messages until their items are fetched again. Up to these ends everything is recorded then.
    pub async fn keep_recovered(&self, recovered: &Recovered, ends: &[Acknowledged]) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        for (key, Message { dataset, body }) in recovered.messages() {
            let query = sqlx::query("insert or replace into tail (key, dataset, body) values (?, ?, ?)");
            query.bind(key).bind(dataset).bind(body).execute(&mut *transaction).await?;
        }
        record(&mut transaction, &Extent { acknowledged: ends, recovered: &[], is_all: true }).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The recovered messages whose items were not fetched since.
    pub async fn recovered(&self) -> anyhow::Result<Recovered> {
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query("select key, dataset, body from tail").fetch_all(&mut *connection).await?;
        Ok(Recovered::new(rows.iter().map(|row| (row.get(0), Message { dataset: row.get(1), body: row.get(2) }))))
    }
}

/// Records how far was published.
pub(super) async fn record(connection: &mut SqliteConnection, extent: &Extent<'_>) -> sqlx::Result<()> {
    for Acknowledged { topic, partition, next } in extent.acknowledged {
        let keep = "insert into topic (name, partition, end_offset, noted_offset) values (?1, ?2, ?3, ?3)
            on conflict (name, partition) do update set end_offset = max(end_offset, ?3),
            noted_offset = case when ?4 then max(noted_offset, ?3) else noted_offset end";
        let query = sqlx::query(keep).bind(topic).bind(partition).bind(next).bind(extent.is_all);
        query.execute(&mut *connection).await?;
    }
    for key in extent.recovered {
        sqlx::query("delete from tail where key = ?").bind(key).execute(&mut *connection).await?;
    }
    if extent.is_all {
        sqlx::query("delete from publishing").execute(connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(partition: i32, next: i64) -> Acknowledged {
        Acknowledged { topic: "a.series.v1".to_owned(), partition, next }
    }

    async fn marks(state: &State) -> Vec<(i32, i64, i64)> {
        state.marks().await.unwrap().iter().map(|mark| (mark.partition, mark.end, mark.recorded)).collect()
    }

    #[tokio::test]
    async fn messages_of_other_producers_do_not_hide_unrecorded_ones() {
        let state = State::in_memory("fred").await.unwrap();
        let save = async |partition, next, is_all| {
            let acknowledged = [acknowledged(partition, next)];
            state.save(&[], &Extent { acknowledged: &acknowledged, recovered: &[], is_all }).await.unwrap();
        };
        save(0, 10, true).await;
        state.publishing().await.unwrap();
        // A backfill beside the polls.
        save(0, 20, false).await;
        save(1, 5, false).await;
        assert_eq!(marks(&state).await, [(0, 20, 10), (1, 5, 5)]);
        assert!(state.is_publishing().await.unwrap());
        save(0, 15, true).await;
        assert_eq!(marks(&state).await, [(0, 20, 15), (1, 5, 5)]);
        assert!(!state.is_publishing().await.unwrap());
        state.forget().await.unwrap();
        assert!(marks(&state).await.is_empty());
    }

    #[tokio::test]
    async fn recovered_messages_stay_until_they_are_recorded() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = State::open(folder.path(), "fred").await.unwrap();
        state.publishing().await.unwrap();
        let message = |body: &[u8]| Message { dataset: "series".to_owned(), body: body.to_vec() };
        let read = Recovered::new([(1, message(b"a")), (-2, message(b"b")), (1, message(b"c"))]);
        state.keep_recovered(&read, &[acknowledged(0, 7)]).await.unwrap();
        assert_eq!((marks(&state).await, state.is_publishing().await.unwrap()), (vec![(0, 7, 7)], false));
        drop(state);
        let state = State::open(folder.path(), "fred").await.unwrap();
        assert_eq!(state.recovered().await.unwrap(), Recovered::new([(-2, message(b"b")), (1, message(b"c"))]));
        state.save(&[], &Extent { recovered: &[1], ..Extent::default() }).await.unwrap();
        assert_eq!(state.recovered().await.unwrap(), Recovered::new([(-2, message(b"b"))]));
        state.forget().await.unwrap();
        assert_eq!(state.recovered().await.unwrap(), Recovered::default());
    }
}
