//! The calls and turns that all processes with one state share.

use super::*;

/// Wait when the state cannot be written: no request is made that could not be counted.
const UNCOUNTED_WAIT: Duration = Duration::from_secs(60);

impl State {
    /// Takes calls of the daily quota for a class, or none.
    ///
    /// The calls are counted before this returns: a request after it is never one too many, whatever happens to the
    /// process.
    ///
    /// # Errors
    ///
    /// How long to wait and why, if too few calls are left or they cannot be counted.
    pub async fn take(&self, budget: &Budget, class: Class, calls: u32, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.take_of_day(budget, class, calls, now).await {
            Ok(None) => Ok(()),
            Ok(Some(day)) => {
                let (from, reason) = budget.exhausted(class, day);
                Err(((from - now).to_std().unwrap_or_default(), reason))
            }
            Err(error) => Err((UNCOUNTED_WAIT, format!("cannot count the calls of `{}`: {error}", self.source))),
        }
    }

    /// Takes the calls and returns None, or returns the day with too few calls left.
    async fn take_of_day(
        &self,
        budget: &Budget,
        class: Class,
        calls: u32,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Option<NaiveDate>> {
        let mut connection = self.connection.lock().await;
        // Another process must not count in between.
        let mut transaction = connection.begin_with("begin immediate").await?;
        let (day, spent) = spent(&mut *transaction, now).await?;
        if budget.left(class, spent) < calls {
            return Ok(Some(day));
        }
        let add = "insert into quota (day, class, calls) values (?, ?, ?)
            on conflict (day, class) do update set calls = calls + excluded.calls";
        sqlx::query(add).bind(day.to_string()).bind(class.name()).bind(calls).execute(&mut *transaction).await?;
        sqlx::query("delete from quota where day < ?").bind(day.to_string()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(None)
    }

    /// Calls made on this day, by class.
    pub async fn spent(&self, now: DateTime<Utc>) -> anyhow::Result<Spent> {
        let mut connection = self.connection.lock().await;
        Ok(spent(&mut *connection, now).await?.1)
    }

    /// Takes a turn for a request: at most `burst` at once, then one in each `pause`, for all processes together. Gives
    /// the wait before the next try if it is too early.
    pub async fn turn(&self, pause: Duration, burst: u32, now: DateTime<Utc>) -> anyhow::Result<Option<Duration>> {
        let (pause, now) = (micros(pause), now.timestamp_micros());
        let ahead = pause.saturating_mul(i64::from(burst.max(1)) - 1);
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        let free_at = sqlx::query_scalar("select free_at from pace").fetch_optional(&mut *transaction).await?;
        // If the clock was set back, no wait is longer than after a burst.
        let free_at: i64 = free_at.unwrap_or(now).min(now.saturating_add(ahead + pause));
        let wait = free_at - ahead - now;
        if wait > 0 {
            return Ok(Some(Duration::from_micros(wait.cast_unsigned())));
        }
        let next = free_at.max(now) + pause;
        let save =
            "insert into pace (id, free_at) values (0, ?) on conflict (id) do update set free_at = excluded.free_at";
        sqlx::query(save).bind(next).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(None)
    }
}

/// The day and the calls made on it. A clock that is set back starts no new day.
async fn spent(connection: impl SqliteExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<(NaiveDate, Spent)> {
    let today = now.date_naive();
    let rows = sqlx::query("select day, class, calls from quota where day >= ? order by day desc");
    let rows = rows.bind(today.to_string()).fetch_all(connection).await?;
    let date = |row: &sqlx::sqlite::SqliteRow| row.get::<String, _>(0).parse::<NaiveDate>().ok();
    let day = rows.first().and_then(date).unwrap_or(today);
    let of_day = rows.iter().filter(|row| date(row) == Some(day));
    let mut spent = Spent::default();
    for row in of_day {
        let (class, calls): (String, u32) = (row.get(1), row.get(2));
        if let Some(place) = Class::ALL.iter().position(|own| own.name() == class) {
            spent[place] = calls;
        }
    }
    Ok((day, spent))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
