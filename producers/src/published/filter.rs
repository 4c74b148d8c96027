//! Removes already published records from a provider's pages: new and changed records remain.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::Record;
use contract::records::DeadLetter;
use sources::market::Market;
use sources::source::{Endpoint, LookBack, Range};

use crate::published::fingerprint::{Fingerprints, MICROS_PER_DAY, NO_TIME};
use crate::published::index::{Change, Index, Keep, Reading};
use crate::published::recover::Recovered;

/// Days in the index beyond the look-back: a poll starts with a whole day, and with one of the exchange's time zone.
const SPARE_DAYS: i64 = 3;
/// Days after a session until it is missing: some providers are a night late.
const GRACE_DAYS: i64 = 2;
/// Earlier days of the markets' calendars have not been checked against another source.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");
/// Most days of a range that are checked for missing sessions: no history is longer.
const MAX_DAYS: usize = 50_000;

/// What an item is fetched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// New and changed records.
    Live,
    /// Days that were missing.
    Repair(BTreeSet<NaiveDate>),
    /// Old days, in several parts.
    Backfill {
        /// The part.
        range: Range,
        /// All parts together.
        whole: Range,
    },
}

/// What earlier polls have published of an item.
#[derive(Debug, Default)]
pub struct Known {
    /// Latest time of its records, in microseconds since 1970.
    pub latest: Option<i64>,
    /// Whether the next poll reads the whole item, because a correction reached the start of the re-read window.
    pub reread: bool,
    /// The index of its records.
    pub index: Index,
}

impl Want {
    /// The days to ask for; None: what the provider sends by default.
    pub fn range(&self, endpoint: &Endpoint, known: &Known, today: NaiveDate) -> Option<Range> {
        match self {
            Want::Backfill { range, .. } => Some(*range),
            Want::Repair(days) => Some(Range { first: *days.first()?, last: *days.last()? }),
            Want::Live => {
                endpoint.history.range?;
                let LookBack::Days(days) = endpoint.history.look_back else { return None };
                let latest = known.latest.filter(|_| !known.reread).and_then(day)?;
                let first = latest.min(today).checked_sub_signed(TimeDelta::days(days.into()))?;
                Some(Range { first, last: today.succ_opt()? })
            }
        }
    }
}

/// The date in UTC of a time in microseconds.
fn day(micros: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(micros).map(|time| time.date_naive())
}

/// What remains of a page.
#[derive(Debug, Default)]
pub struct Filtered {
    /// The records to publish, each new or a correction.
    pub records: Vec<(Record, Change)>,
    /// Positions of records that Kafka turned out to have: a retry leaves them out.
    pub published: BTreeSet<usize>,
    /// The dead letters to publish.
    pub dead_letters: Vec<DeadLetter>,
    /// Number of records that were already published.
    pub unchanged: u64,
}

/// Days of an item that a response had, and days that it lacked.
#[derive(Debug, Default)]
pub struct Days {
    /// Days that it had.
    pub there: BTreeSet<NaiveDate>,
    /// Days that it lacked.
    pub missing: BTreeSet<NaiveDate>,
}

/// The filter for one item, from its first page to its last.
#[derive(Debug)]
pub struct Filter {
    endpoint: &'static Endpoint,
    market: Option<Market>,
    want: Want,
    /// The days that were asked for.
    range: Option<Range>,
    fingerprints: Fingerprints,
    /// The fingerprints of the already published records.
    pub index: Index,
    /// Keys of recovered messages that are recorded together with this item.
    pub recovered: Vec<i64>,
    days: Days,
    is_reread: bool,
}

/// What all pages of an item say together.
#[derive(Debug, Default)]
pub struct Whole {
    /// The reading of its records.
    pub reading: Reading,
    /// Days that it had, and days that it lacked.
    pub days: Days,
    /// Whether the next poll reads all of it; None leaves that as it was.
    pub reread: Option<bool>,
}

impl Filter {
    /// The filter for an item that is asked for those days.
    pub fn new(endpoint: &'static Endpoint, item: &str, want: Want, range: Option<Range>, known: Known) -> Filter {
        let mut index = known.index;
        index.begin();
        Filter {
            endpoint,
            market: (endpoint.history.sessions)(item),
            want,
            range,
            fingerprints: Fingerprints::new(endpoint.history.tolerance).with_by_place(index.is_by_place()),
            index,
            recovered: Vec::new(),
            days: Days::default(),
            is_reread: known.reread,
        }
    }

    /// Whether a response covers its whole item. The validators of a part of the past, or of one page of several, do
    /// not cover the other parts.
    pub fn is_whole(&self, offset: u64) -> bool {
        offset == 0 && self.range.is_none()
    }

    /// Filters a page: removes what is already published, and old days that were not asked for. `recovered` is what
    /// earlier processes published and did not record.
    pub fn filter(
        &mut self,
        records: Vec<Record>,
        dead_letters: Vec<DeadLetter>,
        empty_days: &[NaiveDate],
        recovered: &mut Recovered,
    ) -> Filtered {
        let mut filtered = Filtered::default();
        for record in records {
            self.note_day(&record);
            match self.change(&record, recovered) {
                Some(Change::Unchanged) => filtered.unchanged += 1,
                Some(change) => filtered.records.push((record, change)),
                None => {}
            }
        }
        self.days.missing.extend(empty_days);
        for dead_letter in dead_letters {
            let record = Record::from(dead_letter.clone());
            if self.want != Want::Live || self.change(&record, recovered) != Some(Change::Unchanged) {
                filtered.dead_letters.push(dead_letter);
            }
        }
        filtered
    }

    /// Whether a record is new, changed or already published; None if it was not asked for.
    fn change(&mut self, record: &Record, recovered: &mut Recovered) -> Option<Change> {
        if let (Want::Backfill { range, .. }, Some(date)) = (&self.want, trading_date(record))
            && recovered.is_empty()
        {
            // Nothing to compare with: the day alone decides.
            return (range.first..=range.last).contains(&date).then_some(Change::Insert);
        }
        let tolerance = self.endpoint.history.tolerance.map_or(0.0, |tolerance| tolerance.relative);
        // A record without a fingerprint always counts as new.
        let Some(print) = self.fingerprints.of(record) else { return Some(Change::Insert) };
        let is_asked_for = match &self.want {
            // The index no longer has days that were not requested.
            Want::Live if self.is_before(print.time) => return Some(Change::Unchanged),
            Want::Live => true,
            Want::Repair(days) => trading_date(record).is_some_and(|day| days.contains(&day)),
            Want::Backfill { range, .. } => {
                let date = trading_date(record).or_else(|| day(print.time));
                print.time == NO_TIME || date.is_none_or(|date| (range.first..=range.last).contains(&date))
            }
        };
        if !is_asked_for {
            return None;
        }
        let published = recovered.take(print.key, &mut self.fingerprints);
        self.recovered.extend(published.map(|published| published.key));
        if self.want != Want::Live || self.endpoint.history.look_back == LookBack::Nothing {
            let is_published =
                published.is_some_and(|published| print.is_same(published.content, published.loose, tolerance));
            return Some(if is_published { Change::Unchanged } else { Change::Insert });
        }
        if let Some(published) = published {
            self.index.insert_recovered(&published);
        }
        Some(self.index.compare(&print, tolerance))
    }

    /// Whether a time lies before the days that were asked for, in every time zone.
    fn is_before(&self, time: i64) -> bool {
        let first = self.range.and_then(|range| range.first.pred_opt());
        time != NO_TIME && first.zip(day(time)).is_some_and(|(first, day)| day < first)
    }

    fn note_day(&mut self, record: &Record) {
        if let Record::OhlcvBar(bar) = record
            && bar.bar_interval.as_str() == "1d"
        {
            self.days.there.insert(bar.trading_date);
        }
    }

    /// Ends an item after its last page.
    pub fn finish(&mut self, now: DateTime<Utc>) -> Whole {
        let mut days = std::mem::take(&mut self.days);
        days.missing.extend(self.expected(&days, now));
        days.missing.retain(|day| !days.there.contains(day));
        match &self.want {
            Want::Live if self.endpoint.history.look_back == LookBack::Nothing => Whole { days, ..Whole::default() },
            Want::Live => {
                let span = |days: u16| (i64::from(days) + SPARE_DAYS) * MICROS_PER_DAY;
                let keep = match self.endpoint.history.look_back {
                    LookBack::Nothing | LookBack::All => Keep::All,
                    LookBack::Days(days) if self.endpoint.history.range.is_some() => Keep::Since(span(days)),
                    LookBack::Days(days) => Keep::CurrentOrSince(span(days)),
                };
                let reading = self.index.finish(keep);
                let is_reread = reading.reaches_back && !self.is_reread && self.range.is_some();
                Whole { reading, days, reread: Some(is_reread) }
            }
            Want::Repair(asked) => {
                days.there.retain(|day| asked.contains(day));
                days.missing = asked.difference(&days.there).copied().collect();
                Whole { days, ..Whole::default() }
            }
            Want::Backfill { range, .. } => {
                days.there.retain(|day| (range.first..=range.last).contains(day));
                days.missing.retain(|day| (range.first..=range.last).contains(day));
                Whole { days, ..Whole::default() }
            }
        }
    }

    /// Days on which the market was open, from the first day of the response until shortly before now.
    fn expected(&self, days: &Days, now: DateTime<Utc>) -> Vec<NaiveDate> {
        let (Some(market), Some(first)) = (self.market, days.there.first().copied()) else { return Vec::new() };
        let (first, last) = (first.max(FIRST_DAY), (now - TimeDelta::days(GRACE_DAYS)).date_naive());
        let dates = first.iter_days().take_while(|date| *date <= last).take(MAX_DAYS);
        dates.filter(|date| market.session(*date).is_some()).collect()
    }
}

fn trading_date(record: &Record) -> Option<NaiveDate> {
    match record {
        Record::OhlcvBar(bar) => Some(bar.trading_date),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
