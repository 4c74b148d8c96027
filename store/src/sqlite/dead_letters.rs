//! Dead letters in SQLite.

use contract::records::DeadLetter;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection};

use super::{Sqlite, classify, refusal, take, write};
use crate::dead_letters::{
    Batch, Count, DeadLetters, Fate, Filter, Forward, Letter, MAX_LETTERS, MAX_RELAYED, Name, Relayed, SQLITE, count,
    filtered, first, in_order, letter, list, settled, sized,
};
use crate::outcome::StoreError;

impl Sqlite {
    async fn redrive_batch(&self, batch: &Batch<'_>) -> Result<Vec<Fate>, StoreError> {
        let mut slot = self.shared.lock().await;
        let mut connection = take(&mut slot, &self.address).await?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(classify)?;
        let (dataset, table) = (batch.target.dataset, &*batch.target.table);
        let mut fates = vec![Fate::Resolved; batch.names.len()];
        for row in in_order(batch) {
            let mut savepoint = transaction.begin().await.map_err(classify)?;
            let fate = match write(&mut savepoint, (dataset, table), batch.rows, &[row]).await {
                Ok(upserted) => Fate::of_upsert(upserted),
                Err(error) => Fate::Refused(refusal(&error).ok_or_else(|| classify(error))?),
            };
            if let Fate::Applied(resolution) = fate
                && resolve(&mut savepoint, &batch.names[row.row], resolution).await?
            {
                savepoint.commit().await.map_err(classify)?;
                fates[row.row] = fate;
            } else {
                savepoint.rollback().await.map_err(classify)?;
                if matches!(fate, Fate::Refused(_)) {
                    fates[row.row] = fate;
                }
            }
        }
        let ended = if batch.dry_run { transaction.rollback().await } else { transaction.commit().await };
        ended.map_err(classify)?;
        *slot = Some(connection);
        Ok(fates)
    }

    /// What is first in the outbox. Nothing is held while it is forwarded: all sinks share this connection.
    async fn outbox(&self) -> Result<(Vec<Name>, Vec<DeadLetter>), StoreError> {
        let mut slot = self.shared.lock().await;
        let mut connection = take(&mut slot, &self.address).await?;
        let query = sqlx::query(SQLITE.outbox.as_str()).bind(MAX_RELAYED);
        let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
        let taken = first(rows.iter().map(sized).collect());
        let letters = read(&mut connection, &taken).await?;
        *slot = Some(connection);
        Ok((taken, letters.into_iter().map(|letter| letter.record).collect()))
    }

    async fn forget(&self, names: &[&Name]) -> Result<(), StoreError> {
        let mut slot = self.shared.lock().await;
        let mut connection = take(&mut slot, &self.address).await?;
        let forget = sqlx::query(SQLITE.forget.as_str()).bind(list(names.iter().copied()));
        forget.execute(&mut connection).await.map_err(classify)?;
        *slot = Some(connection);
        Ok(())
    }

    async fn relay_some(&self, forward: &mut dyn Forward) -> Result<Relayed, StoreError> {
        let (taken, letters) = self.outbox().await?;
        let arrived = forward.forward(&letters).await;
        let settled = settled(&taken, &letters, &arrived);
        self.forget(&settled).await?;
        Ok(Relayed { taken: taken.len(), forwarded: settled.len() })
    }
}

/// Notes what became of a dead letter; false when that was noted before.
async fn resolve(connection: &mut SqliteConnection, name: &Name, resolution: &str) -> Result<bool, StoreError> {
    let query = sqlx::query(SQLITE.resolve.as_str()).bind(&name.source).bind(&name.id).bind(resolution.to_owned());
    Ok(query.execute(connection).await.map_err(classify)?.rows_affected() == 1)
}

async fn read(connection: &mut SqliteConnection, names: &[Name]) -> Result<Vec<Letter>, StoreError> {
    let query = sqlx::query(SQLITE.letters.as_str()).bind(list(names));
    query.fetch_all(connection).await.map_err(classify)?.iter().map(letter).collect()
}

impl DeadLetters for Sqlite {
    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let rows = filtered(&SQLITE.counts, filter).fetch_all(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            Ok(rows.iter().map(count).collect())
        }
        .boxed()
    }

    fn newest<'a>(&'a mut self, filter: &'a Filter, limit: i64) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let query = filtered(&SQLITE.newest, filter).bind(limit);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            rows.iter().map(letter).collect()
        }
        .boxed()
    }

    fn next<'a>(&'a mut self, filter: &'a Filter, after: &'a Name) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let query = filtered(&SQLITE.next, filter).bind(&after.source).bind(&after.id).bind(MAX_LETTERS as i64);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            let letters = read(&mut connection, &first(rows.iter().map(sized).collect())).await?;
            *slot = Some(connection);
            Ok(letters)
        }
        .boxed()
    }

    fn redrive<'a>(&'a mut self, batch: &'a Batch<'a>) -> BoxFuture<'a, Result<Vec<Fate>, StoreError>> {
        self.redrive_batch(batch).boxed()
    }

    fn waiting(&mut self, most: i64) -> BoxFuture<'_, Result<i64, StoreError>> {
        async move {
            let mut slot = self.shared.lock().await;
            let mut connection = take(&mut slot, &self.address).await?;
            let query = sqlx::query_scalar(SQLITE.waiting.as_str()).bind(most);
            let count = query.fetch_one(&mut connection).await.map_err(classify)?;
            *slot = Some(connection);
            Ok(count)
        }
        .boxed()
    }

    fn relay<'a>(&'a mut self, forward: &'a mut dyn Forward) -> BoxFuture<'a, Result<Relayed, StoreError>> {
        self.relay_some(forward).boxed()
    }
}
