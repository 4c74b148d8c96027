use contract::records::OhlcvBar;
use sources::fixture::{self, at, date};
use sources::source;

use super::*;

fn bar(day: &str, close: f64) -> Record {
    let parsed = fixture::parse(source("cboe").unwrap(), "index_history", "SKEW.csv").unwrap();
    let start = date(day).and_hms_opt(5, 0, 0).unwrap().and_utc();
    let bar = OhlcvBar { trading_date: date(day), ts_start: start, close, ..fixture::bars(&parsed)[0].clone() };
    bar.into()
}

fn chart() -> &'static Endpoint {
    source("yahoo").unwrap().endpoint("chart").unwrap()
}

/// Filters a response with some bars; returns the published records, as day and change, and the saved index.
fn read(known: Known, want: Want, today: &str, bars: &[(&str, f64)]) -> (Vec<(String, Change)>, Filter, Whole) {
    let range = want.range(chart(), &known, date(today));
    let mut filter = Filter::new(chart(), "AAPL", want, range, known);
    let records = bars.iter().map(|(day, close)| bar(day, *close)).collect();
    let filtered = filter.filter(records, Vec::new(), &[], &mut Recovered::default());
    let shown = |record: &Record| trading_date(record).unwrap().to_string();
    let published = filtered.records.iter().map(|(record, change)| (shown(record), *change)).collect();
    let whole = filter.finish(at(&format!("{today}T22:00:00Z")));
    (published, filter, whole)
}

fn kept(filter: &Filter, whole: &Whole) -> Known {
    let index = Index::read(&filter.index.write(), filter.index.horizon());
    let (latest, reread) = (whole.reading.latest, whole.reread.unwrap_or_default());
    Known { latest, reread, index }
}

/// A session of each week of half a year.
fn weeks() -> Vec<String> {
    date("2026-06-01").iter_weeks().take(26).map(|day| day.to_string()).collect()
}

#[test]
fn only_new_and_changed_records_are_published() {
    let days = weeks();
    let bars = |closes: &dyn Fn(usize) -> f64| -> Vec<(&str, f64)> {
        days.iter().enumerate().map(|(at, day)| (day.as_str(), closes(at))).collect()
    };
    let (first, filter, whole) = read(Known::default(), Want::Live, "2026-11-24", &bars(&|_| 1.0)[..25]);
    assert!(first.len() == 25 && first.iter().all(|(_, change)| *change == Change::Insert));
    let known = kept(&filter, &whole);
    let range = Want::Live.range(chart(), &known, date("2026-11-24")).unwrap();
    assert_eq!((range.first, range.last), (date("2026-10-17"), date("2026-11-25")));
    // A provider that always sends everything: bars before the look-back are ignored.
    let again = bars(&|at| if at == 3 || at == 23 { 2.0 } else { 1.0 });
    let (published, _, whole) = read(known, Want::Live, "2026-11-24", &again);
    assert_eq!(published, [(days[23].clone(), Change::Correction), (days[25].clone(), Change::Insert)]);
    assert_eq!(whole.reread, Some(false));
}

#[test]
fn a_correction_that_reaches_back_triggers_one_full_re_read() {
    let days = weeks();
    let bars = |close: f64| -> Vec<(&str, f64)> { days.iter().map(|day| (day.as_str(), close)).collect() };
    let (_, filter, whole) = read(Known::default(), Want::Live, "2026-11-24", &bars(1.0));
    let (published, filter, whole) = read(kept(&filter, &whole), Want::Live, "2026-11-24", &bars(2.0));
    assert!(published.len() < 8 && whole.reread == Some(true), "{published:?}");
    let known = kept(&filter, &whole);
    assert_eq!(Want::Live.range(chart(), &known, date("2026-11-24")), None);
    let (published, filter, whole) = read(known, Want::Live, "2026-11-24", &bars(2.0));
    assert_eq!(published.len(), 26 - whole_look_back(&days), "{published:?}");
    assert!(published.iter().all(|(_, change)| *change == Change::Correction));
    assert_eq!(whole.reread, Some(false));
    let (published, ..) = read(kept(&filter, &whole), Want::Live, "2026-11-24", &bars(2.0));
    assert!(published.is_empty(), "{published:?}");
}

/// Days that are still in the index after the first poll.
fn whole_look_back(days: &[String]) -> usize {
    days.iter().filter(|day| date(day) >= date(days.last().unwrap()) - TimeDelta::days(33)).count()
}

#[test]
fn days_on_which_the_market_was_open_are_missing_and_holidays_are_not() {
    let bars = [("2026-11-23", 1.0), ("2026-11-25", 1.0), ("2026-11-30", 1.0)];
    let (.., whole) = read(Known::default(), Want::Live, "2026-12-03", &bars);
    // Thanksgiving on the 26th; the first of December is not late yet... but the day before yesterday is.
    let missing: Vec<String> = whole.days.missing.iter().map(NaiveDate::to_string).collect();
    assert_eq!(missing, ["2026-11-24", "2026-11-27", "2026-12-01"]);
    let (.., whole) = read(Known::default(), Want::Live, "2026-11-30", &bars[..2]);
    assert_eq!(whole.days.missing.iter().map(NaiveDate::to_string).collect::<Vec<_>>(), ["2026-11-24", "2026-11-27"]);
}

#[test]
fn the_day_before_the_range_may_be_the_exchanges_and_no_earlier_one() {
    let bars = [("2026-10-19", 1.0), ("2026-10-20", 1.0), ("2026-11-20", 1.0)];
    let (_, filter, whole) = read(Known::default(), Want::Live, "2026-11-20", &bars);
    let again = |bars: &[(&str, f64)]| read(kept(&filter, &whole), Want::Live, "2026-11-20", bars).0;
    let range = Want::Live.range(chart(), &kept(&filter, &whole), date("2026-11-20")).unwrap();
    assert_eq!(range.first, date("2026-10-21"));
    assert_eq!(again(&bars), []);
    let restated = [("2026-10-19", 2.0), ("2026-10-20", 2.0), ("2026-11-20", 1.0)];
    assert_eq!(again(&restated), [("2026-10-20".to_owned(), Change::Correction)]);
}

#[test]
fn a_record_of_the_future_does_not_move_the_days_that_are_asked_for() {
    let latest = Some(at("2027-06-01T00:00:00Z").timestamp_micros());
    let known = Known { latest, ..Known::default() };
    let range = Want::Live.range(chart(), &known, date("2026-11-20")).unwrap();
    assert_eq!((range.first, range.last), (date("2026-10-21"), date("2026-11-21")));
}

#[test]
fn before_2000_nothing_is_missing() {
    let bars = [("1999-12-29", 1.0), ("2000-01-05", 1.0)];
    let (.., whole) = read(Known::default(), Want::Live, "2000-01-08", &bars);
    assert_eq!(whole.days.missing, BTreeSet::from(["2000-01-03", "2000-01-04", "2000-01-06"].map(date)));
}

#[test]
fn a_day_without_a_value_is_missing_and_an_hour_is_no_day() {
    let Record::OhlcvBar(day) = bar("2026-11-18", 1.0) else { panic!("no bar") };
    let hour = OhlcvBar { bar_interval: "1h".into(), trading_date: date("2026-11-19"), ..*day.clone() };
    let mut filter = Filter::new(chart(), "AAPL", Want::Live, None, Known::default());
    filter.filter(vec![hour.into()], Vec::new(), &[date("2026-11-17")], &mut Recovered::default());
    let days = filter.finish(at("2026-11-20T12:00:00Z")).days;
    assert_eq!((days.there, days.missing), (BTreeSet::new(), BTreeSet::from([date("2026-11-17")])));
}

#[test]
fn only_a_single_page_without_a_range_is_whole() {
    let filter = |range| Filter::new(chart(), "AAPL", Want::Live, range, Known::default());
    let day = date("2026-11-20");
    let some = Some(Range { first: day, last: day });
    assert_eq!([0, 100].map(|offset| filter(None).is_whole(offset)), [true, false]);
    assert_eq!([0, 100].map(|offset| filter(some).is_whole(offset)), [false, false]);
}

/// Filters the same records in two responses; returns how many are published of each.
fn twice(endpoint: &'static Endpoint, item: &str, records: &[Record]) -> [usize; 2] {
    let mut known = Known::default();
    [1, 2].map(|_| {
        let mut filter = Filter::new(endpoint, item, Want::Live, None, std::mem::take(&mut known));
        let published = filter.filter(records.to_vec(), Vec::new(), &[], &mut Recovered::default()).records.len();
        let whole = filter.finish(at(fixture::RECEIVED));
        known = kept(&filter, &whole);
        published
    })
}

#[test]
fn the_endpoint_decides_how_long_the_index_keeps_a_record() {
    let cboe = source("cboe").unwrap();
    let parsed = fixture::parse(cboe, "options", "AAPL.json").unwrap();
    let Record::OptionQuote(quote) = &parsed.records[0] else { panic!("no quote") };
    // It is on the page for weeks.
    let old = contract::records::OptionQuote { quoted_at: at("2026-10-01T20:00:00Z"), ..(**quote).clone() };
    let new = contract::records::OptionQuote { quoted_at: at("2026-11-19T20:00:00Z"), ..(**quote).clone() };
    assert_eq!(twice(cboe.endpoint("options").unwrap(), "AAPL", &[old.into(), new.into()]), [2, 0]);
    let bars = ["2020-01-02", "2026-11-19"].map(|day| bar(day, 1.0));
    assert_eq!(twice(cboe.endpoint("index_history").unwrap(), "SKEW", &bars), [2, 0]);
    // Files have no index.
    assert_eq!(twice(source("file").unwrap().endpoint("csv").unwrap(), "x.csv?ohlcv_bar", &bars), [2, 2]);
}

#[test]
fn a_repair_publishes_the_missing_days_and_leaves_the_index() {
    let days = ["2026-08-03", "2026-08-05"].map(date);
    let want = Want::Repair(BTreeSet::from(days));
    let bars = [("2026-08-03", 1.0), ("2026-08-04", 1.0)];
    let (published, filter, whole) = read(Known::default(), want, "2026-11-24", &bars);
    assert_eq!(published, [("2026-08-03".to_owned(), Change::Insert)]);
    assert_eq!((whole.reread, whole.reading), (None, Reading::default()));
    assert_eq!(filter.index, Index::default());
    assert_eq!(whole.days.there, BTreeSet::from([days[0]]));
    assert_eq!(whole.days.missing, BTreeSet::from([days[1]]));
}

#[test]
fn a_backfill_publishes_only_the_days_that_were_asked_for() {
    let range = Range { first: date("2026-08-03"), last: date("2026-08-04") };
    let want = Want::Backfill { range, whole: range };
    let bars = [("2026-08-02", 1.0), ("2026-08-03", 1.0), ("2026-08-04", 1.0), ("2026-08-05", 1.0)];
    let (published, filter, whole) = read(Known::default(), want, "2026-11-24", &bars);
    assert_eq!(published.iter().map(|(day, _)| day.as_str()).collect::<Vec<_>>(), ["2026-08-03", "2026-08-04"]);
    assert_eq!((whole.reread, filter.index), (None, Index::default()));
    assert_eq!(whole.days.there, BTreeSet::from([range.first, range.last]));
    // Other days do not count.
    let want = Want::Backfill { range, whole: range };
    let bars = [("2026-08-03", 1.0), ("2026-08-07", 1.0)];
    let (.., whole) = read(Known::default(), want, "2026-11-24", &bars);
    assert_eq!(whole.days.there, BTreeSet::from([range.first]));
    assert_eq!(whole.days.missing, BTreeSet::from([range.last]));
}

#[test]
fn a_row_that_cannot_be_read_is_published_once() {
    let cboe = source("cboe").unwrap();
    let odd = || {
        let parsed = fixture::parse(cboe, "index_history", "VIX9D~odd_rows.csv").unwrap();
        let request = fixture::request("VIX9D");
        let dead_letter =
            |reject: sources::response::Reject| reject.into_dead_letter(cboe, &cboe.endpoints[0], &request);
        (parsed.records, parsed.rejects.into_iter().map(dead_letter).collect())
    };
    let mut filter = Filter::new(&cboe.endpoints[0], "VIX9D", Want::Live, None, Known::default());
    let mut filtered = || {
        let (records, dead_letters): (_, Vec<_>) = odd();
        filter.filter(records, dead_letters, &[], &mut Recovered::default())
    };
    let first = filtered();
    assert!(!first.dead_letters.is_empty() && !first.records.is_empty());
    let again = filtered();
    assert_eq!((again.dead_letters.len(), again.records.len()), (0, 0));
    assert_eq!(again.unchanged, first.records.len() as u64);
}
