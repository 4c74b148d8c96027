//! Days that a provider has left out, and whether they have come since.

use std::collections::BTreeSet;

use super::*;

/// Days on which a missing one is asked for before it is held that there is none.
const MAX_ASKS: u32 = 10;
/// Most gaps of one item; an item that lacks more is another one than was thought.
const MAX_GAPS: usize = 1000;

/// What has become of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapState {
    /// It is asked for.
    Open,
    /// It has come.
    Filled,
    /// It was asked for often enough, or somebody said so: there is nothing.
    Absent,
}

impl GapState {
    /// As it is kept, and as an operator reads it.
    pub fn name(self) -> &'static str {
        match self {
            GapState::Open => "open",
            GapState::Filled => "filled",
            GapState::Absent => "absent",
        }
    }
}

/// A day of an item that was missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its endpoint.
    pub endpoint: String,
    /// The item.
    pub item: String,
    /// The day, as the exchange counts days.
    pub day: NaiveDate,
    /// When it was missing for the first time.
    pub noticed_at: DateTime<Utc>,
    /// When it was asked for last.
    pub asked_at: DateTime<Utc>,
    /// Days on which it was asked for.
    pub asks: u32,
    /// What has become of it.
    pub state: GapState,
}

/// Days of an item that an answer had, and those that it lacked.
#[derive(Debug, Default)]
pub struct Days {
    /// Those that were there.
    pub there: BTreeSet<NaiveDate>,
    /// Those that were missing.
    pub missing: BTreeSet<NaiveDate>,
}

impl State {
    /// Notes what an answer had and lacked; gives how many gaps are new and how many were filled.
    pub async fn note_days(
        &self,
        endpoint: &str,
        item: &str,
        days: &Days,
        now: DateTime<Utc>,
    ) -> anyhow::Result<[usize; 2]> {
        let known = self.gaps(Some((endpoint, item))).await?;
        let (mut new, mut filled) = (0, 0);
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with("begin immediate").await?;
        for gap in known.iter().filter(|gap| gap.state != GapState::Filled && days.there.contains(&gap.day)) {
            set(&mut transaction, gap, GapState::Filled, now).await?;
            filled += 1;
        }
        for day in days.missing.iter().rev().take(MAX_GAPS) {
            match known.iter().find(|gap| gap.day == *day) {
                None => {
                    let insert = "insert into gap (endpoint, item, day, noticed_at, asked_at, asks, state)
                        values (?, ?, ?, ?, ?, 1, 'open')";
                    let query = sqlx::query(insert).bind(endpoint).bind(item).bind(day.to_string());
                    query.bind(kept(now)).bind(kept(now)).execute(&mut *transaction).await?;
                    new += 1;
                }
                Some(gap) if gap.state == GapState::Absent => {}
                Some(gap) => {
                    // Asked for twice on one day it is asked for once.
                    let asks = gap.asks + u32::from(gap.asked_at.date_naive() < now.date_naive());
                    let state = if asks >= MAX_ASKS { GapState::Absent } else { GapState::Open };
                    set(&mut transaction, &Gap { asks, ..gap.clone() }, state, now).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok([new, filled])
    }

    /// The gaps of an item, or all of them, by item and day.
    pub async fn gaps(&self, of: Option<(&str, &str)>) -> anyhow::Result<Vec<Gap>> {
        let mut connection = self.connection.lock().await;
        let query = "select endpoint, item, day, noticed_at, asked_at, asks, state from gap
            where ?1 is null or (endpoint = ?1 and item = ?2) order by endpoint, item, day";
        let (endpoint, item) = of.unzip();
        let rows = sqlx::query(query).bind(endpoint).bind(item).fetch_all(&mut *connection).await?;
        let gap = |row: &sqlx::sqlite::SqliteRow| {
            let state: String = row.get(6);
            let states = [GapState::Open, GapState::Filled, GapState::Absent];
            Some(Gap {
                endpoint: row.get(0),
                item: row.get(1),
                day: row.get::<String, _>(2).parse().ok()?,
                noticed_at: time(row.get(3)),
                asked_at: time(row.get(4)),
                asks: row.get(5),
                state: states.into_iter().find(|own| own.name() == state)?,
            })
        };
        Ok(rows.iter().filter_map(gap).collect())
    }

    /// Notes that there is nothing on a day; false if it is no gap that is asked for.
    pub async fn declare_absent(
        &self,
        endpoint: &str,
        item: &str,
        day: NaiveDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<bool> {
        let gaps = self.gaps(Some((endpoint, item))).await?;
        let Some(gap) = gaps.iter().find(|gap| gap.day == day && gap.state == GapState::Open) else {
            return Ok(false);
        };
        let mut connection = self.connection.lock().await;
        set(&mut connection, gap, GapState::Absent, now).await?;
        Ok(true)
    }
}

async fn set(connection: &mut SqliteConnection, gap: &Gap, state: GapState, now: DateTime<Utc>) -> sqlx::Result<()> {
    let update = "update gap set state = ?, asks = ?, asked_at = ? where endpoint = ? and item = ? and day = ?";
    let query = sqlx::query(update).bind(state.name()).bind(gap.asks).bind(kept(now));
    let query = query.bind(&gap.endpoint).bind(&gap.item).bind(gap.day.to_string());
    query.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, date};

    fn days(there: &[&str], missing: &[&str]) -> Days {
        let dates = |texts: &[&str]| texts.iter().map(|text| date(text)).collect();
        Days { there: dates(there), missing: dates(missing) }
    }

    #[tokio::test]
    async fn a_missing_day_is_open_until_it_comes() {
        let state = State::in_memory("yahoo").await.unwrap();
        let note = async |days: Days, now: &str| state.note_days("chart", "AAPL", &days, at(now)).await.unwrap();
        let open = days(&["2026-11-17"], &["2026-11-16", "2026-11-18"]);
        assert_eq!(note(open, "2026-11-19T12:00:00Z").await, [2, 0]);
        assert_eq!(note(days(&["2026-11-18"], &["2026-11-16"]), "2026-11-20T12:00:00Z").await, [0, 1]);
        let found: Vec<_> = state.gaps(None).await.unwrap();
        let states: Vec<_> = found.iter().map(|gap| (gap.day, gap.asks, gap.state)).collect();
        let expected = [(date("2026-11-16"), 2, GapState::Open), (date("2026-11-18"), 1, GapState::Filled)];
        assert_eq!(states, expected);
        assert!(state.gaps(Some(("chart", "MSFT"))).await.unwrap().is_empty());
        assert!(state.gaps(Some(("options", "AAPL"))).await.unwrap().is_empty());
        // What has come and is gone again is open again.
        note(days(&[], &["2026-11-18"]), "2026-11-20T13:00:00Z").await;
        assert_eq!(state.gaps(None).await.unwrap()[1].state, GapState::Open);
    }

    #[tokio::test]
    async fn what_was_asked_for_on_ten_days_is_held_to_be_absent_and_taken_when_it_comes() {
        let state = State::in_memory("yahoo").await.unwrap();
        let missing = || days(&[], &["2026-10-01"]);
        for day in 1..=10 {
            for hour in [10, 12, 14] {
                let now = at(&format!("2026-11-{day:02}T{hour}:00:00Z"));
                let gap = state.gaps(None).await.unwrap().pop();
                assert!(gap.is_none_or(|gap| gap.state == GapState::Open || day == 10));
                state.note_days("chart", "AAPL", &missing(), now).await.unwrap();
            }
        }
        assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
        let there = days(&["2026-10-01"], &[]);
        assert_eq!(state.note_days("chart", "AAPL", &there, at("2026-11-12T12:00:00Z")).await.unwrap(), [0, 1]);
    }

    #[tokio::test]
    async fn somebody_may_say_that_there_is_nothing() {
        let state = State::in_memory("yahoo").await.unwrap();
        let now = at("2026-11-20T12:00:00Z");
        state.note_days("chart", "AAPL", &days(&[], &["2026-11-16"]), now).await.unwrap();
        let declare = async |day: &str| state.declare_absent("chart", "AAPL", date(day), now).await.unwrap();
        assert!(!declare("2026-11-17").await);
        assert!(declare("2026-11-16").await);
        assert!(!declare("2026-11-16").await);
        assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
        // An answer that lacks it says nothing new.
        let missing = days(&[], &["2026-11-16"]);
        state.note_days("chart", "AAPL", &missing, at("2026-11-22T12:00:00Z")).await.unwrap();
        assert_eq!(state.gaps(None).await.unwrap()[0].state, GapState::Absent);
    }

    #[tokio::test]
    async fn of_an_item_that_lacks_too_many_days_the_latest_are_asked_for() {
        let state = State::in_memory("yahoo").await.unwrap();
        let missing = date("2020-01-01").iter_days().take(MAX_GAPS + 100).collect();
        let days = Days { missing, ..Days::default() };
        let now = at("2026-11-20T12:00:00Z");
        assert_eq!(state.note_days("chart", "AAPL", &days, now).await.unwrap(), [MAX_GAPS, 0]);
        let first = state.gaps(None).await.unwrap()[0].day;
        assert_eq!(Some(&first), days.missing.iter().nth(100));
    }
}
