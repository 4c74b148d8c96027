//! What was asked for, what came of it, and what is remembered of the answer.

use super::*;
use crate::memory::Memory;

/// What is known of an item when it is asked for.
#[derive(Debug, Default)]
pub struct ItemState {
    /// When it was answered last.
    pub answered_at: Option<DateTime<Utc>>,
    /// Latest time of its records, in microseconds since 1970.
    pub latest: Option<i64>,
    /// Whether all of it is to be read again, because a correction reached farther back than what was read.
    pub reread: bool,
    /// What tells whether its last answer is still the answer.
    pub validators: Validators,
    /// What was said.
    pub memory: Memory,
}

/// Times in a row that an item may be asked for in vain before somebody is told to look.
pub const FAILURES_TO_ALARM: u32 = 3;

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
        self.failures >= FAILURES_TO_ALARM
    }
}

/// What is known of an item, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its endpoint.
    pub endpoint: String,
    /// The item.
    pub item: String,
    /// When it was asked for last.
    pub asked_at: DateTime<Utc>,
    /// When it was answered last.
    pub answered_at: Option<DateTime<Utc>>,
    /// Failures in a row, and whether the log says so.
    pub streak: Streak,
    /// Requests that it took the last time.
    pub calls: u32,
    /// Why it was not answered the last time.
    pub error: Option<String>,
}

/// What is to be kept of an item once Kafka has acknowledged what was published of it.
#[derive(Debug)]
pub struct Kept<'a> {
    /// Its endpoint.
    pub endpoint: &'static str,
    /// The item.
    pub item: &'a str,
    /// What was said of it; None when that has not changed.
    pub memory: Option<&'a Memory>,
    /// How asking for it ended, after its last page.
    pub end: Option<End<'a>>,
}

/// How asking for an item ended.
#[derive(Debug)]
pub struct End<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it was answered.
    pub answered: bool,
    /// Requests that it took.
    pub calls: u64,
    /// Why it was not answered.
    pub error: Option<&'a str>,
    /// Latest time of its records.
    pub latest: Option<i64>,
    /// Whether all of it is to be read again; None leaves that as it was.
    pub reread: Option<bool>,
    /// What tells whether the answer is still the answer; None when it was.
    pub validators: Option<&'a Validators>,
}

impl State {
    /// What is known of an item; nothing of one that was never asked for.
    pub async fn item(&self, endpoint: &str, item: &str) -> anyhow::Result<ItemState> {
        let mut connection = self.connection.lock().await;
        let query = "select answered_at, latest_at, reread, etag, last_modified, memory, horizon_at from item
            where endpoint = ? and item = ?";
        let row = sqlx::query(query).bind(endpoint).bind(item).fetch_optional(&mut *connection).await?;
        let Some(row) = row else { return Ok(ItemState::default()) };
        let validators = [row.get::<Option<String>, _>(3), row.get(4)];
        Ok(ItemState {
            answered_at: row.get::<Option<i64>, _>(0).map(time),
            latest: row.get(1),
            reread: row.get(2),
            validators: Validators::kept(&validators),
            memory: Memory::read(row.get::<Option<&[u8]>, _>(5).unwrap_or_default(), row.get(6)),
        })
    }

    /// What is known of all items that were ever asked for.
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

    /// Keeps what was acknowledged, all of it or nothing; gives each item's failures in a row.
    pub async fn keep(&self, items: &[Kept<'_>], noted: &Noted<'_>) -> anyhow::Result<Vec<Streak>> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        let mut streaks = Vec::with_capacity(items.len());
        for kept in items {
            keep_memory(&mut transaction, kept).await?;
            streaks.push(match &kept.end {
                Some(end) => keep_end(&mut transaction, kept, end).await?,
                None => Streak::default(),
            });
        }
        topics::note(&mut transaction, noted).await?;
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

async fn keep_memory(connection: &mut SqliteConnection, kept: &Kept<'_>) -> sqlx::Result<()> {
    let Some(memory) = kept.memory else { return Ok(()) };
    let keep = "insert into item (endpoint, item, asked_at, memory, horizon_at) values (?, ?, 0, ?, ?)
        on conflict (endpoint, item) do update set memory = excluded.memory, horizon_at = excluded.horizon_at";
    let query = sqlx::query(keep).bind(kept.endpoint).bind(kept.item).bind(memory.write()).bind(memory.horizon());
    query.execute(connection).await?;
    Ok(())
}

/// Gives the item's failures in a row.
async fn keep_end(connection: &mut SqliteConnection, kept: &Kept<'_>, end: &End<'_>) -> sqlx::Result<Streak> {
    let keep = "insert into item
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
    let calls = i64::try_from(end.calls).unwrap_or(i64::MAX).max(1);
    let query = sqlx::query(keep).bind(kept.endpoint).bind(kept.item).bind(super::kept(end.at)).bind(end.answered);
    let query = query.bind(calls).bind(end.error).bind(end.latest).bind(end.reread);
    let row = query.fetch_one(&mut *connection).await?;
    let streak = Streak { failures: row.get(0), is_alerted: row.get(1) };
    if let Some(validators) = end.validators {
        let [etag, last_modified] = validators.texts();
        let keep = "update item set etag = ?, last_modified = ? where endpoint = ? and item = ?";
        let query = sqlx::query(keep).bind(etag).bind(last_modified).bind(kept.endpoint).bind(kept.item);
        query.execute(connection).await?;
    }
    Ok(streak)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::fixture::at;
    use crate::memory::Change;

    fn end(when: &str, answered: bool) -> End<'static> {
        let error = (!answered).then_some("HTTP 500");
        End { at: at(when), answered, calls: 2, error, latest: None, reread: None, validators: None }
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_known_to_the_next_one_who_asks() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = State::open(folder.path(), "cboe").await.unwrap();
        assert_eq!(state.item("index_history", "VIX").await.unwrap().latest, None);
        let print = Fingerprint { key: 1, content: 2, time: 3, loose: 4.5 };
        let mut memory = Memory::default();
        memory.take(&print, 0.0);
        let validators = Validators::kept(&[Some("\"1\"".to_owned()), None]);
        let done = End {
            latest: Some(3),
            reread: Some(true),
            validators: Some(&validators),
            ..end("2026-11-20T12:00:00Z", true)
        };
        let kept = Kept { endpoint: "index_history", item: "VIX", memory: Some(&memory), end: Some(done) };
        state.keep(&[kept], &Noted::default()).await.unwrap();
        drop(state);
        let state = State::open(folder.path(), "cboe").await.unwrap();
        let mut known = state.item("index_history", "VIX").await.unwrap();
        assert_eq!(known.memory.take(&print, 0.0), Change::Unchanged);
        assert_eq!((known.latest, known.reread, known.validators), (Some(3), true, validators));
        assert_eq!(known.answered_at, Some(at("2026-11-20T12:00:00Z")));
        assert!(state.item("options", "VIX").await.unwrap().answered_at.is_none());
        state.forget().await.unwrap();
        assert!(state.item("index_history", "VIX").await.unwrap().answered_at.is_none());
    }

    #[tokio::test]
    async fn what_was_asked_in_vain_counts_and_moves_nothing() {
        let state = State::in_memory("cboe").await.unwrap();
        let keep = async |end: End<'_>| {
            let kept = Kept { endpoint: "index_history", item: "VIX", memory: None, end: Some(end) };
            let streaks = state.keep(&[kept], &Noted::default()).await.unwrap();
            let standing = state.standings().await.unwrap().remove(0);
            assert_eq!(streaks, [standing.streak]);
            standing
        };
        let failed = keep(end("2026-11-20T10:00:00Z", false)).await;
        assert_eq!((failed.answered_at, failed.streak.failures), (None, 1));
        let answered = keep(End { latest: Some(7), ..end("2026-11-20T11:00:00Z", true) }).await;
        assert_eq!(
            (answered.answered_at, answered.streak.failures, answered.error),
            (Some(at("2026-11-20T11:00:00Z")), 0, None)
        );
        keep(end("2026-11-20T12:00:00Z", false)).await;
        let failed = keep(end("2026-11-20T13:00:00Z", false)).await;
        assert_eq!((failed.answered_at, failed.streak.failures), (answered.answered_at, 2));
        assert_eq!((failed.asked_at, failed.error.as_deref()), (at("2026-11-20T13:00:00Z"), Some("HTTP 500")));
        // Calls are those of the last time; what was refused without one counts for one.
        assert_eq!(failed.calls, 2);
        assert_eq!(keep(End { calls: 0, ..end("2026-11-20T13:30:00Z", false) }).await.calls, 1);
        // The latest record stays the latest, and a page that was read moves nothing before the last one has come.
        keep(End { latest: Some(5), ..end("2026-11-20T14:00:00Z", true) }).await;
        assert_eq!(state.item("index_history", "VIX").await.unwrap().latest, Some(7));
        // That all of it is to be read again is not forgotten until it was.
        for (reread, answered, expected) in [(Some(true), true, true), (None, false, true), (Some(false), true, false)]
        {
            keep(End { reread, ..end("2026-11-20T15:00:00Z", answered) }).await;
            assert_eq!(state.item("index_history", "VIX").await.unwrap().reread, expected);
        }
        let memory = Memory::default();
        let page = Kept { endpoint: "options", item: "VIX", memory: Some(&memory), end: None };
        assert_eq!(state.keep(&[page], &Noted::default()).await.unwrap(), [Streak::default()]);
        assert!(state.item("options", "VIX").await.unwrap().answered_at.is_none());
    }
}
