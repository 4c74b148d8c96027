//! How far was published, and how far of it is noted.

use super::*;
use crate::publish::Acknowledged;
use crate::tail::{Message, Tail};

/// Where a partition was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// It had reached as far.
    pub end: i64,
    /// What polls have published before that is noted.
    pub noted: i64,
}

/// What is noted with what is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noted<'a> {
    /// How far partitions were acknowledged.
    pub acknowledged: &'a [Acknowledged],
    /// Keys of what was read back from Kafka, and is kept now.
    pub heard: &'a [i64],
    /// Whether this is all that was published since [`State::publishing`].
    pub is_all: bool,
}

impl State {
    /// Where the partitions were that were published to.
    pub async fn marks(&self) -> anyhow::Result<Vec<Mark>> {
        let mut connection = self.connection.lock().await;
        let query = "select name, partition, end_offset, noted_offset from topic order by name, partition";
        let rows = sqlx::query(query).fetch_all(&mut *connection).await?;
        let mark = |row: &sqlx::sqlite::SqliteRow| Mark {
            topic: row.get(0),
            partition: row.get(1),
            end: row.get(2),
            noted: row.get(3),
        };
        Ok(rows.iter().map(mark).collect())
    }

    /// Says that something is published from now on that is not noted yet.
    pub async fn publishing(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        sqlx::query("insert or ignore into publishing (id) values (0)").execute(&mut *connection).await?;
        Ok(())
    }

    /// Whether something was published that was not noted.
    pub async fn is_publishing(&self) -> anyhow::Result<bool> {
        let mut connection = self.connection.lock().await;
        Ok(sqlx::query_scalar("select exists (select 1 from publishing)").fetch_one(&mut *connection).await?)
    }

    /// Keeps what was read back from Kafka until it is asked for again. Up to those ends all is noted then.
    pub async fn keep_tail(&self, tail: &Tail, ends: &[Acknowledged]) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        for (key, Message { dataset, body }) in tail.messages() {
            let query = sqlx::query("insert or replace into tail (key, dataset, body) values (?, ?, ?)");
            query.bind(key).bind(dataset).bind(body).execute(&mut *transaction).await?;
        }
        note(&mut transaction, &Noted { acknowledged: ends, heard: &[], is_all: true }).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What was read back from Kafka and not asked for since.
    pub async fn tail(&self) -> anyhow::Result<Tail> {
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query("select key, dataset, body from tail").fetch_all(&mut *connection).await?;
        Ok(Tail::new(rows.iter().map(|row| (row.get(0), Message { dataset: row.get(1), body: row.get(2) }))))
    }
}

/// Notes how far was published.
pub(super) async fn note(connection: &mut SqliteConnection, noted: &Noted<'_>) -> sqlx::Result<()> {
    for Acknowledged { topic, partition, next } in noted.acknowledged {
        let keep = "insert into topic (name, partition, end_offset, noted_offset) values (?1, ?2, ?3, ?3)
            on conflict (name, partition) do update set end_offset = max(end_offset, ?3),
            noted_offset = case when ?4 then max(noted_offset, ?3) else noted_offset end";
        let query = sqlx::query(keep).bind(topic).bind(partition).bind(next).bind(noted.is_all);
        query.execute(&mut *connection).await?;
    }
    for key in noted.heard {
        sqlx::query("delete from tail where key = ?").bind(key).execute(&mut *connection).await?;
    }
    if noted.is_all {
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

    async fn noted(state: &State) -> Vec<(i32, i64, i64)> {
        state.marks().await.unwrap().iter().map(|mark| (mark.partition, mark.end, mark.noted)).collect()
    }

    #[tokio::test]
    async fn what_others_published_meanwhile_does_not_hide_what_is_not_noted() {
        let state = State::in_memory("fred").await.unwrap();
        let keep = async |partition, next, is_all| {
            let acknowledged = [acknowledged(partition, next)];
            state.keep(&[], &Noted { acknowledged: &acknowledged, heard: &[], is_all }).await.unwrap();
        };
        keep(0, 10, true).await;
        state.publishing().await.unwrap();
        // A backfill beside the polls.
        keep(0, 20, false).await;
        keep(1, 5, false).await;
        assert_eq!(noted(&state).await, [(0, 20, 10), (1, 5, 5)]);
        assert!(state.is_publishing().await.unwrap());
        keep(0, 15, true).await;
        assert_eq!(noted(&state).await, [(0, 20, 15), (1, 5, 5)]);
        assert!(!state.is_publishing().await.unwrap());
        state.forget().await.unwrap();
        assert!(noted(&state).await.is_empty());
    }

    #[tokio::test]
    async fn what_was_read_back_stays_until_it_is_kept() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = State::open(folder.path(), "fred").await.unwrap();
        state.publishing().await.unwrap();
        let message = |body: &[u8]| Message { dataset: "series".to_owned(), body: body.to_vec() };
        let read = Tail::new([(1, message(b"a")), (-2, message(b"b")), (1, message(b"c"))]);
        state.keep_tail(&read, &[acknowledged(0, 7)]).await.unwrap();
        assert_eq!((noted(&state).await, state.is_publishing().await.unwrap()), (vec![(0, 7, 7)], false));
        drop(state);
        let state = State::open(folder.path(), "fred").await.unwrap();
        assert_eq!(state.tail().await.unwrap(), Tail::new([(-2, message(b"b")), (1, message(b"c"))]));
        state.keep(&[], &Noted { heard: &[1], ..Noted::default() }).await.unwrap();
        assert_eq!(state.tail().await.unwrap(), Tail::new([(-2, message(b"b"))]));
        state.forget().await.unwrap();
        assert_eq!(state.tail().await.unwrap(), Tail::default());
    }
}
