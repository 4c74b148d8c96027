//! Dead letters in PostgreSQL.

use contract::records::DeadLetter;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{Care, Fault, Postgres, classify, write};
use crate::dead_letters::{
    Batch, Count, DeadLetters, Fate, Filter, Forward, Letter, MAX_LETTERS, MAX_RELAYED, Name, POSTGRES, Relayed, count,
    filtered, first, in_order, letter, list, settled, sized,
};
use crate::outcome::StoreError;

impl Postgres {
    /// One attempt to apply a batch.
    async fn redrive_once(&mut self, batch: &Batch<'_>) -> Result<Vec<Fate>, Fault> {
        let upsert = self.upsert(batch.target.dataset, &batch.target.table);
        let mut connection = self.take().await?;
        let mut transaction = connection.begin().await?;
        // Each row is judged by itself, also by what would wait for the COMMIT.
        transaction.execute("set constraints all immediate").await?;
        if self.care.unpack {
            // There where TimescaleDB is, which has refused.
            transaction.execute("set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0").await?;
        }
        let mut fates = vec![Fate::Resolved; batch.names.len()];
        for row in in_order(batch) {
            let mut savepoint = transaction.begin().await?;
            let written = write(&mut savepoint, &upsert, batch.target.dataset, batch.rows, &[row]).await;
            let fate = match written.map_err(Fault::from) {
                Ok(upserted) => Fate::of_upsert(upserted),
                Err(Fault::Record(cause)) => Fate::Refused(cause),
                Err(other) => return Err(other),
            };
            if let Fate::Applied(resolution) = fate
                && resolve(&mut savepoint, &batch.names[row.row], resolution).await?
            {
                savepoint.commit().await?;
                fates[row.row] = fate;
            } else {
                savepoint.rollback().await?;
                if matches!(fate, Fate::Refused(_)) {
                    fates[row.row] = fate;
                }
            }
        }
        if batch.dry_run {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        self.connection = Some(connection);
        Ok(fates)
    }

    async fn redrive_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Fate>, StoreError> {
        let outcome = match self.redrive_once(batch).await {
            Err(Fault::Unpack(_)) => {
                self.care.unpack = true;
                self.redrive_once(batch).await
            }
            outcome => outcome,
        };
        self.care = Care::NONE;
        Ok(outcome?)
    }

    async fn relay_some(&mut self, forward: &mut dyn Forward) -> Result<Relayed, StoreError> {
        let mut connection = self.take().await?;
        let mut transaction = connection.begin().await.map_err(classify)?;
        let query = sqlx::query(POSTGRES.outbox.as_str()).bind(MAX_RELAYED);
        let rows = query.fetch_all(&mut *transaction).await.map_err(classify)?;
        let taken = first(rows.iter().map(sized).collect());
        let letters = read(&mut transaction, &taken).await?;
        let letters: Vec<DeadLetter> = letters.into_iter().map(|letter| letter.record).collect();
        let arrived = forward.forward(&letters).await;
        let settled = settled(&taken, &letters, &arrived);
        let forget = sqlx::query(POSTGRES.forget.as_str()).bind(list(settled.iter().copied()));
        forget.execute(&mut *transaction).await.map_err(classify)?;
        transaction.commit().await.map_err(classify)?;
        self.connection = Some(connection);
        Ok(Relayed { taken: taken.len(), forwarded: settled.len() })
    }
}

/// Notes what became of a dead letter; false when that was noted before.
async fn resolve(connection: &mut PgConnection, name: &Name, resolution: &'static str) -> sqlx::Result<bool> {
    let query = sqlx::query(POSTGRES.resolve.as_str()).bind(&name.source).bind(&name.id).bind(resolution);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn read(connection: &mut PgConnection, names: &[Name]) -> Result<Vec<Letter>, StoreError> {
    let query = sqlx::query(POSTGRES.letters.as_str()).bind(list(names));
    query.fetch_all(connection).await.map_err(classify)?.iter().map(letter).collect()
}

impl DeadLetters for Postgres {
    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let rows = filtered(&POSTGRES.counts, filter).fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(rows.iter().map(count).collect())
        }
        .boxed()
    }

    fn newest<'a>(&'a mut self, filter: &'a Filter, limit: i64) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let query = filtered(&POSTGRES.newest, filter).bind(limit);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            rows.iter().map(letter).collect()
        }
        .boxed()
    }

    fn next<'a>(&'a mut self, filter: &'a Filter, after: &'a Name) -> BoxFuture<'a, Result<Vec<Letter>, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let query = filtered(&POSTGRES.next, filter).bind(&after.source).bind(&after.id).bind(MAX_LETTERS as i64);
            let rows = query.fetch_all(&mut connection).await.map_err(classify)?;
            let letters = read(&mut connection, &first(rows.iter().map(sized).collect())).await?;
            self.connection = Some(connection);
            Ok(letters)
        }
        .boxed()
    }

    fn redrive<'a>(&'a mut self, batch: &'a Batch<'a>) -> BoxFuture<'a, Result<Vec<Fate>, StoreError>> {
        self.redrive_batch(batch).boxed()
    }

    fn waiting(&mut self, most: i64) -> BoxFuture<'_, Result<i64, StoreError>> {
        async move {
            let mut connection = self.take().await?;
            let query = sqlx::query_scalar(POSTGRES.waiting.as_str()).bind(most);
            let count = query.fetch_one(&mut connection).await.map_err(classify)?;
            self.connection = Some(connection);
            Ok(count)
        }
        .boxed()
    }

    fn relay<'a>(&'a mut self, forward: &'a mut dyn Forward) -> BoxFuture<'a, Result<Relayed, StoreError>> {
        self.relay_some(forward).boxed()
    }
}
