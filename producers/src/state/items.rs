//! The fetched items: how the last attempt ended, and the index of published records.

use super::*;
use crate::published::filter::Known;
use crate::published::index::Index;

/// What the next poll of an item needs to know.
#[derive(Debug, Default)]
pub struct ItemState {
    /// When it was answered last.
    pub answered_at: Option<DateTime<Utc>>,
    /// Validators of its last response.
    pub validators: Validators,
    /// What is already published.
    pub known: Known,
}

/// Failures of an item in a row that alert an operator.
pub const FAILURES_TO_ALERT: u32 = 3;

/// Failures of an item in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    /// Failures since the item was last answered.
    pub failures: u32,
    /// Whether the log has an alert about the item, and no line yet that the item was answered again.
    pub is_alerted: bool,
}

impl Streak {
    /// Whether the item has failed often enough to alert an operator.
    pub fn is_failing(self) -> bool {
        self.failures >= FAILURES_TO_ALERT
    }
}

/// How an item is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its endpoint.
    pub endpoint: String,
    /// The item.
    pub item: String,
    /// When it was fetched last.
    pub asked_at: DateTime<Utc>,
    /// When it was answered last.
    pub answered_at: Option<DateTime<Utc>>,
    /// Failures in a row, and whether they were logged.
    pub streak: Streak,
    /// Requests of the last fetch.
    pub calls: u32,
    /// Why the last fetch failed.
    pub error: Option<String>,
}

/// What to save of an item once Kafka has acknowledged its records.
#[derive(Debug)]
pub struct Update<'a> {
    /// Its endpoint.
    pub endpoint: &'static str,
    /// The item.
    pub item: &'a str,
    /// Its index; None if that has not changed.
    pub index: Option<&'a Index>,
    /// How the attempt to fetch it ended; None while more pages are to come.
    pub attempt: Option<Attempt<'a>>,
}

/// How an attempt to fetch an item ended.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Whether it was answered.
    pub answered: bool,
    /// Number of requests.
    pub calls: u64,
    /// Why it was not answered.
    pub error: Option<&'a str>,
    /// Latest time of its records.
    pub latest: Option<i64>,
    /// Whether the next poll reads all of it; None leaves that as it was.
    pub reread: Option<bool>,
    /// Validators of the response; None leaves them as they were.
    pub validators: Option<&'a Validators>,
}

impl State {
    /// The state of an item; empty if it was never fetched.
    pub async fn item(&self, endpoint: &str, item: &str) -> anyhow::Result<ItemState> {
        let mut connection = self.connection.lock().await;
        let query = "select answered_at, latest_at, reread, etag, last_modified, memory, horizon_at from item
            where endpoint = ? and item = ?";
        let row = sqlx::query(query).bind(endpoint).bind(item).fetch_optional(&mut *connection).await?;
        let Some(row) = row else { return Ok(ItemState::default()) };
        let validators = [row.get::<Option<String>, _>(3), row.get(4)];
        let index = Index::read(row.get::<Option<&[u8]>, _>(5).unwrap_or_default(), row.get(6));
        Ok(ItemState {
            answered_at: row.get::<Option<i64>, _>(0).map(time),
            validators: Validators::new(validators),
            known: Known { latest: row.get(1), reread: row.get(2), index },
        })
    }

    /// How all items are doing that were ever fetched.
    pub async fn standings(&self) -> anyhow::Result<Vec<Standing>> {
        let mut connection = self.connection.lock().await;
        let query = "select endpoint, item, asked_at, answered_at, failures, alerted, calls, error from item";
        let rows = sqlx::query(query).fetch_all(&mut *connection).await?;
        let standing = |row: &sqlx::sqlite::SqliteRow| Standing {
            endpoint: row.get(0),
            item: row.get(1),
            asked_at: time(row.get(2)),
            answered_at: row.get::<Option<i64>, _>(3).map(time),
            streak: Streak { failures: row.get(4), is_alerted: row.get(5) },
            calls: row.get(6),
            error: row.get(7),
        };
        Ok(rows.iter().map(standing).collect())
    }

    /// Saves items and published offsets, all or nothing; returns each item's failures in a row.
    pub async fn save(&self, updates: &[Update<'_>], extent: &Extent<'_>) -> anyhow::Result<Vec<Streak>> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        let mut streaks = Vec::with_capacity(updates.len());
        for update in updates {
            save_index(&mut transaction, update).await?;
            streaks.push(match &update.attempt {
                Some(attempt) => save_attempt(&mut transaction, update, attempt).await?,
                None => Streak::default(),
            });
        }
        topics::record(&mut transaction, extent).await?;
        transaction.commit().await?;
        Ok(streaks)
    }

    /// Records whether the log has an alert about an item that still fails.
    pub async fn record_alert(&self, endpoint: &str, item: &str, is_alerted: bool) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query("update item set alerted = ? where endpoint = ? and item = ?");
        query.bind(is_alerted).bind(endpoint).bind(item).execute(&mut *connection).await?;
        Ok(())
    }
}

async fn save_index(connection: &mut SqliteConnection, update: &Update<'_>) -> sqlx::Result<()> {
    let Some(index) = update.index else { return Ok(()) };
    let save = "insert into item (endpoint, item, asked_at, memory, horizon_at) values (?, ?, 0, ?, ?)
        on conflict (endpoint, item) do update set memory = excluded.memory, horizon_at = excluded.horizon_at";
    let query = sqlx::query(save).bind(update.endpoint).bind(update.item).bind(index.write()).bind(index.horizon());
    query.execute(connection).await?;
    Ok(())
}

/// Gives the item's failures in a row.
async fn save_attempt(
    connection: &mut SqliteConnection,
    update: &Update<'_>,
    attempt: &Attempt<'_>,
) -> sqlx::Result<Streak> {
    let save = "insert into item
        (endpoint, item, asked_at, answered_at, failures, calls, error, latest_at, reread) values
        (?1, ?2, ?3, case when ?4 then ?3 end, 1 - ?4, ?5, ?6, ?7, coalesce(?8, 0))
        on conflict (endpoint, item) do update set
        asked_at = ?3,
        answered_at = case when ?4 then ?3 else answered_at end,
        failures = case when ?4 then 0 else failures + 1 end,
        calls = ?5,
        error = ?6,
        latest_at = coalesce(max(latest_at, ?7), latest_at, ?7),
        reread = coalesce(?8, reread)
        returning failures, alerted";
    let calls = i64::try_from(attempt.calls).unwrap_or(i64::MAX).max(1);
    let query =
        sqlx::query(save).bind(update.endpoint).bind(update.item).bind(micros_of(attempt.at)).bind(attempt.answered);
    let query = query.bind(calls).bind(attempt.error).bind(attempt.latest).bind(attempt.reread);
    let row = query.fetch_one(&mut *connection).await?;
    let streak = Streak { failures: row.get(0), is_alerted: row.get(1) };
    if let Some(validators) = attempt.validators {
        let [etag, last_modified] = validators.texts();
        let save = "update item set etag = ?, last_modified = ? where endpoint = ? and item = ?";
        let query = sqlx::query(save).bind(etag).bind(last_modified).bind(update.endpoint).bind(update.item);
        query.execute(connection).await?;
    }
    Ok(streak)
}

#[cfg(test)]
mod tests;
