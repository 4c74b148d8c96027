//! Of what a provider says, what it has not said before.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::Record;
use contract::records::DeadLetter;

use crate::ask::Page;
use crate::fingerprint::{Fingerprints, MICROS_PER_DAY, NO_TIME};
use crate::market::Market;
use crate::memory::{Change, Keep, Memory, Reading};
use crate::source::{Endpoint, LookBack, Range};
use crate::state::{Days, ItemState};
use crate::tail::Tail;

/// Days that are remembered beyond the look-back: the day that a poll begins with is a whole one, and an exchange's.
const SPARE_DAYS: i64 = 3;
/// Days after a session until it is missing: some providers are a night late.
const GRACE_DAYS: i64 = 2;
/// Before it nobody has held the markets' calendars against another source.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");
/// Most days of a range that are looked through for missing ones: more than anybody's history has.
const MAX_DAYS: usize = 50_000;

/// What an item is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// For what is new, and whether what is known is still so.
    Live,
    /// For days that were missing.
    Repair(BTreeSet<NaiveDate>),
    /// For old days, a part of others.
    Backfill {
        /// The part.
        range: Range,
        /// All of them.
        whole: Range,
    },
}

impl Want {
    /// The days to ask for; None: what the provider gives without being told.
    pub fn range(&self, endpoint: &Endpoint, known: &ItemState, today: NaiveDate) -> Option<Range> {
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

/// What is left of a page.
#[derive(Debug, Default)]
pub struct Sifted {
    /// What is to be published, and as what.
    pub records: Vec<(Record, Change)>,
    /// Places of those of them that are on Kafka already.
    pub there: BTreeSet<usize>,
    /// The rows that could not be read, of which that was not said before.
    pub dead_letters: Vec<DeadLetter>,
    /// Records that say what was said before.
    pub unchanged: u64,
}

/// The sieve for one item.
#[derive(Debug)]
pub struct Sieve {
    endpoint: &'static Endpoint,
    market: Option<Market>,
    want: Want,
    /// The days that were asked for.
    range: Option<Range>,
    prints: Fingerprints,
    /// What was said before.
    pub memory: Memory,
    /// Keys of what was published and not noted before, and is noted with this.
    pub heard: Vec<i64>,
    days: Days,
    is_reread: bool,
}

/// What is to be kept of an item that was read to its end.
#[derive(Debug, Default)]
pub struct Whole {
    /// What it tells about the item.
    pub reading: Reading,
    /// Days that were there, and days that were not.
    pub days: Days,
    /// Whether all of it is to be read again; None leaves that as it was.
    pub reread: Option<bool>,
}

impl Sieve {
    /// For an item that is asked for those days.
    pub fn new(endpoint: &'static Endpoint, item: &str, want: Want, range: Option<Range>, known: ItemState) -> Sieve {
        let mut memory = known.memory;
        memory.begin();
        Sieve {
            endpoint,
            market: (endpoint.history.sessions)(item),
            want,
            range,
            prints: Fingerprints::new(endpoint.history.tolerance),
            memory,
            heard: Vec::new(),
            days: Days::default(),
            is_reread: known.reread,
        }
    }

    /// Whether an answer is the whole of what it is about: of a part of the past, or of one page of several, nothing tells
    /// later whether it is still the answer.
    pub fn is_whole(&self, offset: u64) -> bool {
        offset == 0 && self.range.is_none()
    }

    /// Takes out of a page what was said before, and of old days what was not asked for. `tail` is what was published and not
    /// noted.
    pub fn sift(&mut self, page: &mut Page, tail: &mut Tail) -> Sifted {
        let mut sifted = Sifted::default();
        for record in std::mem::take(&mut page.records) {
            self.note_day(&record);
            match self.change(&record, tail) {
                Some(Change::Unchanged) => sifted.unchanged += 1,
                Some(change) => sifted.records.push((record, change)),
                None => {}
            }
        }
        self.days.missing.extend(page.empty_days.iter().copied());
        for letter in std::mem::take(&mut page.dead_letters) {
            let record = Record::from(letter.clone());
            if self.want != Want::Live || self.change(&record, tail) != Some(Change::Unchanged) {
                sifted.dead_letters.push(letter);
            }
        }
        sifted
    }

    /// What a record is; None: it was not asked for.
    fn change(&mut self, record: &Record, tail: &mut Tail) -> Option<Change> {
        if let (Want::Backfill { range, .. }, Some(date)) = (&self.want, trading_date(record))
            && tail.is_empty()
        {
            // Nothing is compared, and nothing but the day decides.
            return (range.first..=range.last).contains(&date).then_some(Change::Insert);
        }
        let tolerance = self.endpoint.history.tolerance.map_or(0.0, |tolerance| tolerance.relative);
        // What has no fingerprint is always new.
        let Some(print) = self.prints.of(record) else { return Some(Change::Insert) };
        let is_asked_for = match &self.want {
            // What was not asked for is no longer remembered.
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
        let said = tail.take(print.key, &mut self.prints);
        self.heard.extend(said.map(|said| said.key));
        if self.want != Want::Live || self.endpoint.history.look_back == LookBack::Nothing {
            let is_said = said.is_some_and(|said| print.says_again(said.content, said.loose, tolerance));
            return Some(if is_said { Change::Unchanged } else { Change::Insert });
        }
        if let Some(said) = said {
            self.memory.hear(&said);
        }
        Some(self.memory.take(&print, tolerance))
    }

    /// Whether a time lies before the days that were asked for, wherever the exchange is.
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

    /// Ends an item of which the last page was read.
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
                    LookBack::Days(days) => Keep::SaidOrSince(span(days)),
                };
                let reading = self.memory.finish(keep);
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

    /// Days on which the market was open from the first day that was there until shortly before now.
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
mod tests {
    use contract::records::OhlcvBar;

    use super::*;
    use crate::fixture::{self, at, date};
    use crate::source::{Parsed, source};

    fn page(parsed: Parsed) -> Page {
        Page { records: parsed.records, ..Page::end(at(fixture::RECEIVED)) }
    }

    fn bar(day: &str, close: f64) -> Record {
        let parsed = fixture::parse(source("cboe").unwrap(), "index_history", "SKEW.csv").unwrap();
        let start = date(day).and_hms_opt(5, 0, 0).unwrap().and_utc();
        let bar = OhlcvBar { trading_date: date(day), ts_start: start, close, ..fixture::bars(&parsed)[0].clone() };
        bar.into()
    }

    fn chart() -> &'static Endpoint {
        source("yahoo").unwrap().endpoint("chart").unwrap()
    }

    /// Reads an answer of some bars; gives what is published of it as day and change, and what is kept.
    fn read(known: ItemState, want: Want, today: &str, bars: &[(&str, f64)]) -> (Vec<(String, Change)>, Sieve, Whole) {
        let range = want.range(chart(), &known, date(today));
        let mut sieve = Sieve::new(chart(), "AAPL", want, range, known);
        let records = bars.iter().map(|(day, close)| bar(day, *close)).collect();
        let sifted = sieve.sift(&mut page(Parsed { records, ..Parsed::default() }), &mut Tail::default());
        let shown = |record: &Record| trading_date(record).unwrap().to_string();
        let published = sifted.records.iter().map(|(record, change)| (shown(record), *change)).collect();
        let whole = sieve.finish(at(&format!("{today}T22:00:00Z")));
        (published, sieve, whole)
    }

    fn kept(sieve: &Sieve, whole: &Whole) -> ItemState {
        let memory = Memory::read(&sieve.memory.write(), sieve.memory.horizon());
        let (latest, reread) = (whole.reading.latest, whole.reread.unwrap_or_default());
        ItemState { memory, latest, reread, ..ItemState::default() }
    }

    /// A session of each week of half a year.
    fn weeks() -> Vec<String> {
        date("2026-06-01").iter_weeks().take(26).map(|day| day.to_string()).collect()
    }

    #[test]
    fn only_what_is_new_or_otherwise_is_published() {
        let days = weeks();
        let bars = |closes: &dyn Fn(usize) -> f64| -> Vec<(&str, f64)> {
            days.iter().enumerate().map(|(at, day)| (day.as_str(), closes(at))).collect()
        };
        let (first, sieve, whole) = read(ItemState::default(), Want::Live, "2026-11-24", &bars(&|_| 1.0)[..25]);
        assert!(first.len() == 25 && first.iter().all(|(_, change)| *change == Change::Insert));
        let known = kept(&sieve, &whole);
        let range = Want::Live.range(chart(), &known, date("2026-11-24")).unwrap();
        assert_eq!((range.first, range.last), (date("2026-10-17"), date("2026-11-25")));
        // A provider that gives all, whatever it is asked for: what lies before the look-back is nobody's business.
        let again = bars(&|at| if at == 3 || at == 23 { 2.0 } else { 1.0 });
        let (published, _, whole) = read(known, Want::Live, "2026-11-24", &again);
        assert_eq!(published, [(days[23].clone(), Change::Correction), (days[25].clone(), Change::Insert)]);
        assert_eq!(whole.reread, Some(false));
    }

    #[test]
    fn a_correction_that_reaches_back_makes_everything_be_read_again_once() {
        let days = weeks();
        let bars = |close: f64| -> Vec<(&str, f64)> { days.iter().map(|day| (day.as_str(), close)).collect() };
        let (_, sieve, whole) = read(ItemState::default(), Want::Live, "2026-11-24", &bars(1.0));
        let (published, sieve, whole) = read(kept(&sieve, &whole), Want::Live, "2026-11-24", &bars(2.0));
        assert!(published.len() < 8 && whole.reread == Some(true), "{published:?}");
        let known = kept(&sieve, &whole);
        assert_eq!(Want::Live.range(chart(), &known, date("2026-11-24")), None);
        let (published, sieve, whole) = read(known, Want::Live, "2026-11-24", &bars(2.0));
        assert_eq!(published.len(), 26 - whole_look_back(&days), "{published:?}");
        assert!(published.iter().all(|(_, change)| *change == Change::Correction));
        assert_eq!(whole.reread, Some(false));
        let (published, ..) = read(kept(&sieve, &whole), Want::Live, "2026-11-24", &bars(2.0));
        assert!(published.is_empty(), "{published:?}");
    }

    /// Days that are still remembered after the first poll.
    fn whole_look_back(days: &[String]) -> usize {
        days.iter().filter(|day| date(day) >= date(days.last().unwrap()) - TimeDelta::days(33)).count()
    }

    #[test]
    fn days_on_which_the_market_was_open_are_missing_and_holidays_are_not() {
        let bars = [("2026-11-23", 1.0), ("2026-11-25", 1.0), ("2026-11-30", 1.0)];
        let (.., whole) = read(ItemState::default(), Want::Live, "2026-12-03", &bars);
        // Thanksgiving on the 26th; the first of December is not late yet... but the day before yesterday is.
        let missing: Vec<String> = whole.days.missing.iter().map(NaiveDate::to_string).collect();
        assert_eq!(missing, ["2026-11-24", "2026-11-27", "2026-12-01"]);
        let (.., whole) = read(ItemState::default(), Want::Live, "2026-11-30", &bars[..2]);
        assert_eq!(
            whole.days.missing.iter().map(NaiveDate::to_string).collect::<Vec<_>>(),
            ["2026-11-24", "2026-11-27"]
        );
    }

    #[test]
    fn the_day_before_those_that_were_asked_for_may_be_the_exchanges_and_none_before_it() {
        let bars = [("2026-10-19", 1.0), ("2026-10-20", 1.0), ("2026-11-20", 1.0)];
        let (_, sieve, whole) = read(ItemState::default(), Want::Live, "2026-11-20", &bars);
        let again = |bars: &[(&str, f64)]| read(kept(&sieve, &whole), Want::Live, "2026-11-20", bars).0;
        let range = Want::Live.range(chart(), &kept(&sieve, &whole), date("2026-11-20")).unwrap();
        assert_eq!(range.first, date("2026-10-21"));
        assert_eq!(again(&bars), []);
        let restated = [("2026-10-19", 2.0), ("2026-10-20", 2.0), ("2026-11-20", 1.0)];
        assert_eq!(again(&restated), [("2026-10-20".to_owned(), Change::Correction)]);
    }

    #[test]
    fn a_record_of_the_future_does_not_move_the_days_that_are_asked_for() {
        let latest = Some(at("2027-06-01T00:00:00Z").timestamp_micros());
        let known = ItemState { latest, ..ItemState::default() };
        let range = Want::Live.range(chart(), &known, date("2026-11-20")).unwrap();
        assert_eq!((range.first, range.last), (date("2026-10-21"), date("2026-11-21")));
    }

    #[test]
    fn before_2000_nothing_is_missing() {
        let bars = [("1999-12-29", 1.0), ("2000-01-05", 1.0)];
        let (.., whole) = read(ItemState::default(), Want::Live, "2000-01-08", &bars);
        assert_eq!(whole.days.missing, BTreeSet::from(["2000-01-03", "2000-01-04", "2000-01-06"].map(date)));
    }

    #[test]
    fn a_day_without_a_value_is_missing_and_an_hour_is_no_day() {
        let Record::OhlcvBar(day) = bar("2026-11-18", 1.0) else { panic!("no bar") };
        let hour = OhlcvBar { bar_interval: "1h".into(), trading_date: date("2026-11-19"), ..*day.clone() };
        let mut sieve = Sieve::new(chart(), "AAPL", Want::Live, None, ItemState::default());
        let empty_days = vec![date("2026-11-17")];
        let mut page = Page { empty_days, ..page(Parsed { records: vec![hour.into()], ..Parsed::default() }) };
        sieve.sift(&mut page, &mut Tail::default());
        let days = sieve.finish(at("2026-11-20T12:00:00Z")).days;
        assert_eq!((days.there, days.missing), (BTreeSet::new(), BTreeSet::from([date("2026-11-17")])));
    }

    #[test]
    fn only_the_first_page_of_all_that_there_is_can_be_the_whole() {
        let sieve = |range| Sieve::new(chart(), "AAPL", Want::Live, range, ItemState::default());
        let day = date("2026-11-20");
        let some = Some(Range { first: day, last: day });
        assert_eq!([0, 100].map(|offset| sieve(None).is_whole(offset)), [true, false]);
        assert_eq!([0, 100].map(|offset| sieve(some).is_whole(offset)), [false, false]);
    }

    /// Reads the same records in two answers; gives how many are published of each.
    fn twice(endpoint: &'static Endpoint, item: &str, records: &[Record]) -> [usize; 2] {
        let mut known = ItemState::default();
        [1, 2].map(|_| {
            let mut sieve = Sieve::new(endpoint, item, Want::Live, None, std::mem::take(&mut known));
            let mut page = page(Parsed { records: records.to_vec(), ..Parsed::default() });
            let published = sieve.sift(&mut page, &mut Tail::default()).records.len();
            let whole = sieve.finish(at(fixture::RECEIVED));
            known = kept(&sieve, &whole);
            published
        })
    }

    #[test]
    fn how_long_something_is_remembered_is_the_endpoints() {
        let cboe = source("cboe").unwrap();
        let parsed = fixture::parse(cboe, "options", "AAPL.json").unwrap();
        let Record::OptionQuote(quote) = &parsed.records[0] else { panic!("no quote") };
        // It is on the page for weeks.
        let old = contract::records::OptionQuote { quoted_at: at("2026-10-01T20:00:00Z"), ..(**quote).clone() };
        let new = contract::records::OptionQuote { quoted_at: at("2026-11-19T20:00:00Z"), ..(**quote).clone() };
        assert_eq!(twice(cboe.endpoint("options").unwrap(), "AAPL", &[old.into(), new.into()]), [2, 0]);
        let bars = ["2020-01-02", "2026-11-19"].map(|day| bar(day, 1.0));
        assert_eq!(twice(cboe.endpoint("index_history").unwrap(), "SKEW", &bars), [2, 0]);
        // Of a file nothing is.
        assert_eq!(twice(source("file").unwrap().endpoint("csv").unwrap(), "x.csv?ohlcv_bar", &bars), [2, 2]);
    }

    #[test]
    fn a_repair_publishes_the_days_that_were_missing_and_moves_nothing() {
        let days = ["2026-08-03", "2026-08-05"].map(date);
        let want = Want::Repair(BTreeSet::from(days));
        let bars = [("2026-08-03", 1.0), ("2026-08-04", 1.0)];
        let (published, sieve, whole) = read(ItemState::default(), want, "2026-11-24", &bars);
        assert_eq!(published, [("2026-08-03".to_owned(), Change::Insert)]);
        assert_eq!((whole.reread, whole.reading), (None, Reading::default()));
        assert_eq!(sieve.memory, Memory::default());
        assert_eq!(whole.days.there, BTreeSet::from([days[0]]));
        assert_eq!(whole.days.missing, BTreeSet::from([days[1]]));
    }

    #[test]
    fn a_backfill_publishes_the_days_that_were_asked_for_and_no_others() {
        let range = Range { first: date("2026-08-03"), last: date("2026-08-04") };
        let want = Want::Backfill { range, whole: range };
        let bars = [("2026-08-02", 1.0), ("2026-08-03", 1.0), ("2026-08-04", 1.0), ("2026-08-05", 1.0)];
        let (published, sieve, whole) = read(ItemState::default(), want, "2026-11-24", &bars);
        assert_eq!(published.iter().map(|(day, _)| day.as_str()).collect::<Vec<_>>(), ["2026-08-03", "2026-08-04"]);
        assert_eq!((whole.reread, sieve.memory), (None, Memory::default()));
        assert_eq!(whole.days.there, BTreeSet::from([range.first, range.last]));
        // Of others it says nothing.
        let want = Want::Backfill { range, whole: range };
        let bars = [("2026-08-03", 1.0), ("2026-08-07", 1.0)];
        let (.., whole) = read(ItemState::default(), want, "2026-11-24", &bars);
        assert_eq!(whole.days.there, BTreeSet::from([range.first]));
        assert_eq!(whole.days.missing, BTreeSet::from([range.last]));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_once() {
        let cboe = source("cboe").unwrap();
        let odd = || {
            let parsed = fixture::parse(cboe, "index_history", "VIX9D~odd_rows.csv").unwrap();
            let request = fixture::request("VIX9D");
            let letter = |reject: crate::source::Reject| reject.into_dead_letter(cboe, &cboe.endpoints[0], &request);
            let dead_letters = parsed.rejects.into_iter().map(letter).collect();
            Page { records: parsed.records, dead_letters, ..Page::end(at(fixture::RECEIVED)) }
        };
        let mut sieve = Sieve::new(&cboe.endpoints[0], "VIX9D", Want::Live, None, ItemState::default());
        let mut tail = Tail::default();
        let first = sieve.sift(&mut odd(), &mut tail);
        assert!(!first.dead_letters.is_empty() && !first.records.is_empty());
        let again = sieve.sift(&mut odd(), &mut tail);
        assert_eq!((again.dead_letters.len(), again.records.len()), (0, 0));
        assert_eq!(again.unchanged, first.records.len() as u64);
    }
}
