//! Why a source is stopped, for `producer status`.

use super::*;

/// A source that a daemon has stopped and will try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub reason: String,
    /// When it was stopped first; it was not answered since.
    pub since: DateTime<Utc>,
    /// When it is tried again.
    pub next_try_at: DateTime<Utc>,
}

impl State {
    /// Records that the source is stopped.
    pub async fn stopped(&self, reason: &str, now: DateTime<Utc>, wait: Duration) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let statement = "insert into stopped (id, reason, since, next_try_at) values (0, ?, ?, ?)
            on conflict (id) do update set reason = excluded.reason, next_try_at = excluded.next_try_at";
        let query = sqlx::query(statement).bind(reason).bind(micros_of(now)).bind(micros_of(now + wait));
        query.execute(&mut *connection).await?;
        Ok(())
    }

    /// Records that the source has answered; returns whether it was stopped.
    pub async fn resumed(&self) -> anyhow::Result<bool> {
        let mut connection = self.connection.lock().await;
        Ok(sqlx::query("delete from stopped").execute(&mut *connection).await?.rows_affected() > 0)
    }

    /// Why the source is stopped; None if it is not.
    pub async fn is_stopped(&self) -> anyhow::Result<Option<Stopped>> {
        let mut connection = self.connection.lock().await;
        let row =
            sqlx::query("select reason, since, next_try_at from stopped").fetch_optional(&mut *connection).await?;
        let stopped = |row: sqlx::sqlite::SqliteRow| Stopped {
            reason: row.get(0),
            since: time(row.get(1)),
            next_try_at: time(row.get(2)),
        };
        Ok(row.map(stopped))
    }
}
