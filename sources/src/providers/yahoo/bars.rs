//! Makes bars of the columns of a chart.

use std::collections::hash_map::Entry;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use contract::records::OhlcvBar;
use contract::{Record, Text};

use super::{Chart, NAME};
use crate::parse::body::excerpt;
use crate::parse::date::instant;
use crate::parse::duplicates::{Hashing, KeyMap};
use crate::parse::fault::Fault;
use crate::parse::json::{Bounded, Cell};
use crate::response::{PageError, Parsed, Request};
use crate::time::Calendar;

/// Length of a bar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    /// In Yahoo's spelling.
    pub(super) name: &'static str,
    span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// Within a day, in seconds.
    Intraday(i64),
    Day,
    Days(u64),
    Week,
    Months(u32),
}

const INTERVALS: &[Interval] = &[
    Interval { name: "1m", span: Span::Intraday(60) },
    Interval { name: "2m", span: Span::Intraday(2 * 60) },
    Interval { name: "5m", span: Span::Intraday(5 * 60) },
    Interval { name: "15m", span: Span::Intraday(15 * 60) },
    Interval { name: "30m", span: Span::Intraday(30 * 60) },
    Interval { name: "60m", span: Span::Intraday(60 * 60) },
    Interval { name: "90m", span: Span::Intraday(90 * 60) },
    Interval { name: "1h", span: Span::Intraday(60 * 60) },
    Interval { name: "1d", span: Span::Day },
    Interval { name: "5d", span: Span::Days(5) },
    Interval { name: "1wk", span: Span::Week },
    Interval { name: "1mo", span: Span::Months(1) },
    Interval { name: "3mo", span: Span::Months(3) },
];

/// Largest difference between the time of a live quote and `regularMarketTime`, in seconds.
const LIVE_SECONDS: u64 = 1;

impl Interval {
    /// Finds an interval by its name; the error lists the names.
    pub(super) fn named(name: &str) -> Result<Interval, String> {
        INTERVALS.iter().find(|interval| interval.name == name).copied().ok_or_else(|| {
            let names: Vec<&str> = INTERVALS.iter().map(|interval| interval.name).collect();
            format!("unknown interval `{}`; the intervals are {}", excerpt(name.as_bytes()), names.join(", "))
        })
    }

    /// The range of a poll: the longest that Yahoo serves and that we need.
    pub(super) fn range(self) -> &'static str {
        match self.span {
            Span::Intraday(60) => "7d",
            Span::Intraday(_) => "60d",
            _ => "10y",
        }
    }

    /// Most days of history that Yahoo serves; None: any number.
    pub(super) fn longest_days(self) -> Option<i64> {
        match self.span {
            Span::Intraday(60) => Some(7),
            Span::Intraday(_) => Some(59),
            _ => None,
        }
    }

    /// Whether a date lies within the bar that starts on `start`.
    fn covers(self, start: NaiveDate, date: NaiveDate) -> bool {
        let is_before = |end: Option<NaiveDate>| end.is_none_or(|end| date < end);
        start <= date
            && match self.span {
                Span::Intraday(_) | Span::Day => start == date,
                Span::Days(days) => is_before(start.checked_add_days(Days::new(days))),
                Span::Week => start.iso_week() == date.iso_week(),
                Span::Months(1) => (start.year(), start.month()) == (date.year(), date.month()),
                Span::Months(months) => is_before(start.checked_add_months(Months::new(months))),
            }
    }
}

/// Reads every row of a chart. Rows without any value are holes: trading was halted, a fund was not priced.
pub(super) fn parse(
    request: &Request<'_>,
    chart: &Chart<'_>,
    zone: Tz,
    interval: Interval,
) -> Result<Parsed, PageError> {
    let columns = Columns::of(chart)?;
    let rows = columns.timestamp.len();
    let mut page = Page {
        request,
        chart,
        symbol: chart.meta.symbol.as_str().into(),
        currency: chart.meta.currency.as_deref().map(Text::from),
        calendar: Calendar::of(zone),
        interval,
        columns,
        parsed: Parsed { records: Vec::with_capacity(rows), ..Parsed::default() },
        places: KeyMap::with_capacity_and_hasher(rows, Hashing::default()),
        last_date: None,
    };
    for row in 0..rows {
        page.add(row);
    }
    Ok(page.parsed)
}

/// The columns of a chart, all of the same length.
#[derive(Default)]
struct Columns<'a> {
    timestamp: &'a [Cell],
    /// Open, high, low, close, volume.
    quote: [&'a [Cell]; 5],
    adjusted_close: Option<&'a [Cell]>,
}

const QUOTE_NAMES: [&str; 5] = ["open", "high", "low", "close", "volume"];

impl<'a> Columns<'a> {
    fn of(chart: &'a Chart<'_>) -> Result<Columns<'a>, PageError> {
        let timestamp = cells(&chart.timestamp).unwrap_or_default();
        let quote = chart.indicators.quote.0.first();
        let quote = quote.map(|quote| [&quote.open, &quote.high, &quote.low, &quote.close, &quote.volume].map(cells));
        let quote = quote.unwrap_or_default();
        // Without any trade the columns and the timestamps are absent.
        if timestamp.is_empty() && quote.iter().all(Option::is_none) {
            return Ok(Columns::default());
        }
        let mut columns = Columns { timestamp, ..Columns::default() };
        for (at, column) in quote.into_iter().enumerate() {
            let column = column.ok_or_else(|| PageError::Retry(format!("the chart has no `{}`", QUOTE_NAMES[at])))?;
            columns.quote[at] = columns.aligned(QUOTE_NAMES[at], column)?;
        }
        let adjusted = chart.indicators.adjclose.as_ref().and_then(|list| cells(&list.0.first()?.adjclose));
        columns.adjusted_close = adjusted.map(|column| columns.aligned("adjclose", column)).transpose()?;
        Ok(columns)
    }

    /// The column, if it is as long as the timestamps: otherwise no value can be assigned to a time.
    fn aligned(&self, name: &str, column: &'a [Cell]) -> Result<&'a [Cell], PageError> {
        let (found, expected) = (column.len(), self.timestamp.len());
        if found == expected {
            return Ok(column);
        }
        Err(PageError::Retry(format!("the chart has {found} values of `{name}` for {expected} timestamps")))
    }

    /// A row as JSON, for a dead letter.
    fn fragment(&self, row: usize) -> String {
        let mut text = format!("{{\"timestamp\":{}", self.timestamp[row]);
        let adjusted = self.adjusted_close.map(|column| ("adjclose", column));
        for (name, column) in QUOTE_NAMES.into_iter().zip(self.quote).chain(adjusted) {
            text.push_str(&format!(",\"{name}\":{}", column[row]));
        }
        text + "}"
    }
}

fn cells(column: &Option<Bounded<Cell>>) -> Option<&[Cell]> {
    column.as_ref().map(|Bounded(cells)| cells.as_slice())
}

/// A page while its rows are read.
struct Page<'a> {
    request: &'a Request<'a>,
    chart: &'a Chart<'a>,
    symbol: Text,
    currency: Option<Text>,
    calendar: Calendar,
    interval: Interval,
    columns: Columns<'a>,
    parsed: Parsed,
    /// For each start of a bar, the index of its record and its row.
    places: KeyMap<DateTime<Utc>, (usize, usize)>,
    /// Trading date of the last record.
    last_date: Option<NaiveDate>,
}

impl Page<'_> {
    fn add(&mut self, row: usize) {
        match self.bar(row) {
            Ok(None) => self.hole(row),
            Ok(Some(bar)) if row + 1 == self.columns.timestamp.len() && self.is_live_quote(&bar, row) => {
                let reason = format!("a live quote of {}, not a bar of {}", bar.trading_date, self.interval.name);
                self.reject(row, Fault("live_quote", reason));
            }
            Ok(Some(bar)) => self.insert(row, bar),
            Err(fault) => self.reject(row, fault),
        }
    }

    /// A row without any value.
    fn hole(&mut self, row: usize) {
        self.parsed.holes += 1;
        let start = self.columns.timestamp[row].number().ok().flatten().and_then(|seconds| instant(seconds as i64));
        if let Some(start) = start.filter(|_| matches!(self.interval.span, Span::Day)) {
            self.parsed.empty_days.push(start.with_timezone(&self.calendar.zone()).date_naive());
        }
    }

    fn reject(&mut self, row: usize, fault: Fault) {
        let fragment = self.columns.fragment(row);
        self.parsed.rejects.push(fault.at(format_args!("row {row}")).reject(fragment.as_bytes()));
    }

    /// Of two rows of one bar the later one is newer: Yahoo appends the current day.
    fn insert(&mut self, row: usize, bar: OhlcvBar) {
        self.last_date = Some(bar.trading_date);
        match self.places.entry(bar.ts_start) {
            Entry::Vacant(place) => {
                place.insert((self.parsed.records.len(), row));
                self.parsed.records.push(bar.into());
            }
            Entry::Occupied(mut place) => {
                let (record, earlier) = place.insert((place.get().0, row));
                self.parsed.records[record] = Record::from(bar);
                self.reject(earlier, Fault("duplicate", format!("row {row} is the same bar, and later")));
            }
        }
    }

    /// The bar of a row; None if the row has no value.
    fn bar(&mut self, row: usize) -> Result<Option<OhlcvBar>, Fault> {
        let cells = self.columns.quote.map(|column| &column[row]);
        if cells.iter().all(|cell| cell.is_null()) {
            return Ok(None);
        }
        let mut values = [None; 5];
        for ((value, cell), name) in values.iter_mut().zip(cells).zip(QUOTE_NAMES) {
            *value = number(name, cell)?;
        }
        let [open, high, low, close, volume] = values;
        let close = close.ok_or_else(|| Fault("no_close", "has values but no close".to_owned()))?;
        let adjusted_close = match self.columns.adjusted_close {
            Some(column) => number("adjclose", &column[row])?,
            None => None,
        };
        let (ts_start, trading_date) = self.time(row)?;
        Ok(Some(OhlcvBar {
            source: NAME,
            symbol: self.symbol.clone(),
            bar_interval: self.interval.name.into(),
            ts_start,
            trading_date,
            open,
            high,
            low,
            close,
            volume,
            adjusted_close,
            currency: self.currency.clone(),
            known_at: self.request.received_at,
            observed_at: self.request.received_at,
            flags: Vec::new(),
        }))
    }

    /// Start of a row's bar, and its trading date in the exchange's zone.
    fn time(&mut self, row: usize) -> Result<(DateTime<Utc>, NaiveDate), Fault> {
        let cell = &self.columns.timestamp[row];
        let fault = || Fault("timestamp", format!("`timestamp` `{cell}` is not a time in seconds since 1970"));
        let (time, date) = self.local(cell).ok_or_else(fault)?;
        if let Span::Intraday(_) = self.interval.span {
            return Ok((time, date));
        }
        Ok((self.calendar.start(date).ok_or_else(fault)?, date))
    }

    fn local(&self, timestamp: &Cell) -> Option<(DateTime<Utc>, NaiveDate)> {
        let Cell::Whole(seconds) = timestamp else {
            return None;
        };
        let time = instant(*seconds)?;
        Some((time, time.with_timezone(&self.calendar.zone()).date_naive()))
    }

    /// Whether the last row is not a bar but the current price, which Yahoo appends while a market trades.
    ///
    /// With daily bars it is the running bar of the day.
    fn is_live_quote(&self, bar: &OhlcvBar, row: usize) -> bool {
        match self.interval.span {
            Span::Intraday(seconds) => self.is_at_market_time(bar) || self.is_off_grid(bar, row, seconds),
            Span::Day => false,
            _ => self.last_date.is_some_and(|start| self.interval.covers(start, bar.trading_date)),
        }
    }

    /// Whether it has no volume and the time of the last trade.
    fn is_at_market_time(&self, bar: &OhlcvBar) -> bool {
        let market_time = self.chart.meta.regular_market_time;
        let is_near = market_time.is_some_and(|time| time.abs_diff(bar.ts_start.timestamp()) <= LIVE_SECONDS);
        is_near && bar.volume.is_none_or(|volume| volume == 0.0)
    }

    /// Whether it is not a whole number of intervals after the first bar of its day, nor after the previous bar.
    ///
    /// The latter covers exchanges with a lunch break.
    fn is_off_grid(&self, bar: &OhlcvBar, row: usize, seconds: i64) -> bool {
        let earlier = self.columns.timestamp[..row].iter().filter_map(|cell| self.local(cell));
        let mut same_day = earlier.filter(|(_, date)| *date == bar.trading_date).map(|(time, _)| time);
        let Some(first) = same_day.next() else {
            return false;
        };
        let previous = same_day.next_back().unwrap_or(first);
        [first, previous].iter().all(|start| (bar.ts_start - start).num_seconds() % seconds != 0)
    }
}

fn number(name: &str, cell: &Cell) -> Result<Option<f64>, Fault> {
    cell.number().map_err(|found| Fault("number", format!("`{name}` `{}` is not a number", excerpt(found.as_bytes()))))
}
