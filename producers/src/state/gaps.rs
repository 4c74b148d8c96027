//! Days that a provider has left out, and whether it has sent them since.

use super::*;
use crate::published::filter::Days;

/// Days on which a missing day is asked for before it counts as absent.
const MAX_ASKS: u32 = 10;
/// Most gaps of one item: one with more has another calendar than ours.
const MAX_GAPS: usize = 1000;

/// Where a gap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapState {
    /// The day is asked for.
    Open,
    /// The provider has sent it.
    Filled,
    /// The provider has nothing on that day: it was asked for often enough, or an operator declared it.
    Absent,
}

impl GapState {
    /// As in the state file and in the output.
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
    /// When it was first missing.
    pub noticed_at: DateTime<Utc>,
    /// When it was last asked for.
    pub asked_at: DateTime<Utc>,
    /// Days on which it was asked for.
    pub asks: u32,
    /// Where it stands.
    pub state: GapState,
}

impl State {
    /// Records which days a response had and lacked; returns the numbers of new and of filled gaps.
    pub async fn record_days(
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
                    query.bind(micros_of(now)).bind(micros_of(now)).execute(&mut *transaction).await?;
                    new += 1;
                }
                Some(gap) if gap.state == GapState::Absent => {}
                Some(gap) => {
                    // Two requests on one day count as one.
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

    /// Declares that the provider has nothing on a day; false if the day is not an open gap.
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
    let query = sqlx::query(update).bind(state.name()).bind(gap.asks).bind(micros_of(now));
    let query = query.bind(&gap.endpoint).bind(&gap.item).bind(gap.day.to_string());
    query.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
