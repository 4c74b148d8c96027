//! How far backfills have come.

use super::*;

/// How far a backfill of one item has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackfillProgress {
    /// First day that Kafka has not acknowledged; the day after the last one when it has acknowledged all.
    pub next_day: NaiveDate,
    /// Requests made.
    pub calls: u64,
    /// Records published.
    pub records: u64,
}

/// Identifies a backfill: endpoint, item, first and last day.
pub type BackfillKey<'a> = (&'a str, &'a str, NaiveDate, NaiveDate);

impl State {
    /// How far a backfill has come; None if it was never begun.
    pub async fn backfill(&self, key: BackfillKey<'_>) -> anyhow::Result<Option<BackfillProgress>> {
        let mut connection = self.connection.lock().await;
        let query = "select next_day, calls, records from backfill
            where endpoint = ? and item = ? and first_day = ? and last_day = ?";
        let row = about(sqlx::query(query), key).fetch_optional(&mut *connection).await?;
        let progress = |row: sqlx::sqlite::SqliteRow| {
            let next_day = row.get::<String, _>(0).parse().ok()?;
            Some(BackfillProgress {
                next_day,
                calls: row.get::<i64, _>(1).cast_unsigned(),
                records: row.get::<i64, _>(2).cast_unsigned(),
            })
        };
        Ok(row.and_then(progress))
    }

    /// Lets the backfills of an endpoint and of these days start over.
    pub async fn forget_backfill(&self, endpoint: &str, first: NaiveDate, last: NaiveDate) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let forget = "delete from backfill where endpoint = ? and first_day = ? and last_day = ?";
        let query = sqlx::query(forget).bind(endpoint).bind(first.to_string()).bind(last.to_string());
        query.execute(&mut *connection).await?;
        Ok(())
    }

    /// Records how far a backfill has come.
    pub async fn record_backfill(&self, key: BackfillKey<'_>, progress: BackfillProgress) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let save = "insert or replace into backfill (endpoint, item, first_day, last_day, next_day, calls, records)
            values (?, ?, ?, ?, ?, ?, ?)";
        let query = about(sqlx::query(save), key).bind(progress.next_day.to_string());
        let query = query.bind(progress.calls.cast_signed()).bind(progress.records.cast_signed());
        query.execute(&mut *connection).await?;
        Ok(())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn about<'q>(query: Query<'q>, (endpoint, item, first, last): BackfillKey<'_>) -> Query<'q> {
    query.bind(endpoint.to_owned()).bind(item.to_owned()).bind(first.to_string()).bind(last.to_string())
}

#[cfg(test)]
mod tests {
    use sources::fixture::date;

    use super::*;

    #[tokio::test]
    async fn a_backfill_resumes_where_it_stopped() {
        let state = State::in_memory("yahoo").await.unwrap();
        let key = ("chart", "AAPL", date("2016-01-01"), date("2025-12-31"));
        assert_eq!(state.backfill(key).await.unwrap(), None);
        for (day, calls) in [("2016-02-01", 1), ("2016-03-01", 2)] {
            let progress = BackfillProgress { next_day: date(day), calls, records: 20 * calls };
            state.record_backfill(key, progress).await.unwrap();
            assert_eq!(state.backfill(key).await.unwrap(), Some(progress));
        }
        assert_eq!(state.backfill((key.0, "MSFT", key.2, key.3)).await.unwrap(), None);
        assert_eq!(state.backfill((key.0, key.1, key.2, date("2024-12-31"))).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_backfill_that_starts_over_leaves_the_others() {
        let state = State::in_memory("yahoo").await.unwrap();
        let (first, last) = (date("2016-01-01"), date("2025-12-31"));
        let keys = [("chart", "AAPL", first, last), ("options", "AAPL", first, last), ("chart", "AAPL", first, first)];
        let progress = BackfillProgress { next_day: last, calls: 1, records: 1 };
        for key in keys {
            state.record_backfill(key, progress).await.unwrap();
        }
        state.forget_backfill("chart", first, last).await.unwrap();
        let mut left = Vec::new();
        for key in keys {
            left.push(state.backfill(key).await.unwrap());
        }
        assert_eq!(left, [None, Some(progress), Some(progress)]);
    }
}
