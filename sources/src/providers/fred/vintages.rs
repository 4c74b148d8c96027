//! ALFRED, the history of FRED: each value with the dates between which it was published, and the dates of publication.
//!
//! A response covers a window of dates and truncates the validity of its rows at both ends. `realtime_start` is part of
//! the key, so the window must start at FRED's first day. A row valid until the end of the window has no end: its value
//! may also hold on the next day.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::{America, Tz};
use contract::Text;
use contract::records::{ObservationVintage, SeriesVintage};

use super::body::Row;
use super::response::Response;
use super::{NAME, check_observations, series_id, value_of};
use crate::parse::body::excerpt;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::{Object, scalar, year_month_day};
use crate::response::{PageError, Parsed, Request};
use crate::time::end_of_day;

/// First and last day of FRED's calendar.
const FIRST_DAY: &str = "1776-07-04";
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");
/// Zone of the agencies' days of release.
const ZONE: Tz = America::New_York;
/// By real-time period, as requested, or initial releases only; the rows of both mean the same.
const OUTPUT_TYPES: &[&str] = &["1", "4"];
/// Most rows of a response.
const PAGE_ROWS: u64 = 100_000;
/// Most vintage dates of a response.
const PAGE_DATES: u64 = 10_000;

pub(super) fn path(item: &str, offset: u64) -> Result<String, PageError> {
    let id = series_id(item)?;
    Ok(format!(
        "/fred/series/observations?series_id={id}&file_type=json&sort_order=asc&realtime_start={FIRST_DAY}\
         &realtime_end={LAST_DAY}&output_type=1&limit={PAGE_ROWS}&offset={offset}"
    ))
}

pub(super) fn dates_path(item: &str, offset: u64) -> Result<String, PageError> {
    let id = series_id(item)?;
    Ok(format!(
        "/fred/series/vintagedates?series_id={id}&file_type=json&sort_order=asc&realtime_start={FIRST_DAY}\
         &realtime_end={LAST_DAY}&limit={PAGE_DATES}&offset={offset}"
    ))
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let response = Response::read(body, "observations")?;
    check_observations(&response, OUTPUT_TYPES)?;
    let window_end = window_end(&response)?;
    let mut parsed = response.page(request);
    let (series_id, mut keys) = (Text::from(request.item), Keys::with_capacity(response.rows.len()));
    for row in &response.rows {
        match vintage(request, row, window_end, &series_id, &mut keys) {
            Ok(vintage) => parsed.records.push(vintage.into()),
            Err(fault) => parsed.rejects.push(fault.reject(row.sent().as_bytes())),
        }
    }
    Ok(parsed)
}

/// The last day of a response's window, which must start at FRED's first day.
fn window_end(response: &Response<'_>) -> Result<NaiveDate, PageError> {
    response.check("realtime_start", &[FIRST_DAY])?;
    let end = response.text("realtime_end").filter(|_| response.text("realtime_start").is_some());
    let end = end.ok_or_else(|| PageError::Retry("the response has no `realtime_end`".to_owned()))?;
    end.parse().map_err(|_| {
        PageError::Retry(format!("`realtime_end` `{}` is not a date like `2024-12-31`", excerpt(end.as_bytes())))
    })
}

fn vintage(
    request: &Request<'_>,
    row: &Row<'_>,
    window_end: NaiveDate,
    series_id: &Text,
    keys: &mut Keys<(NaiveDate, NaiveDate)>,
) -> Result<ObservationVintage, Fault> {
    let row = Object::row(row.raw())?;
    let observation_date = row.needed_date("date")?;
    let realtime_start = row.needed_date("realtime_start")?;
    let realtime_end = row.needed_date("realtime_end")?;
    let realtime_end = (realtime_end != window_end && realtime_end != LAST_DAY).then_some(realtime_end);
    let value = value_of(&row)?;
    if !keys.insert((observation_date, realtime_start)) {
        let reason = format!("{observation_date} as of {realtime_start} is already in the page");
        return Err(Fault("duplicate", reason));
    }
    // The end of a value was known on the first day of the next one.
    let known_on = realtime_end.and_then(|end| end.succ_opt()).unwrap_or(realtime_start);
    Ok(ObservationVintage {
        source: NAME,
        series_id: series_id.clone(),
        observation_date,
        realtime_start,
        realtime_end,
        value,
        known_at: known_by_end_of(known_on, request),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// The hour of a release is unknown: the value was public by the end of that day. It was by the receipt, if that is earlier.
fn known_by_end_of(date: NaiveDate, request: &Request<'_>) -> DateTime<Utc> {
    request.not_after_receipt(end_of_day(date, ZONE).unwrap_or(request.received_at))
}

pub(super) fn parse_dates(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let response = Response::read(body, "vintage_dates")?;
    // A vintage's number is the index of its date among all.
    response.check("sort_order", &["asc"])?;
    window_end(&response)?;
    let mut parsed = response.page(request);
    let (series_id, mut keys) = (Text::from(request.item), Keys::with_capacity(response.rows.len()));
    let mut number = i64::try_from(response.offset(request)).unwrap_or(i64::MAX);
    for row in &response.rows {
        number = number.saturating_add(1);
        match vintage_date(row, &mut keys) {
            Ok(date) => parsed.records.push(series_vintage(request, &series_id, date, number).into()),
            Err(fault) => parsed.rejects.push(fault.reject(row.sent().as_bytes())),
        }
    }
    Ok(parsed)
}

fn vintage_date(row: &Row<'_>, keys: &mut Keys<NaiveDate>) -> Result<NaiveDate, Fault> {
    let text = scalar(row.raw()).unwrap_or_else(|| row.sent().into());
    let other = || Some(&text).filter(|text| text.len() == 10).and_then(|text| text.parse::<NaiveDate>().ok());
    let date = year_month_day(&text).or_else(other);
    let bad = || Fault("date", format!("`{}` is not a date like `2024-12-31`", excerpt(text.as_bytes())));
    let date = date.ok_or_else(bad)?;
    if !keys.insert(date) {
        return Err(Fault("duplicate", format!("{date} is already in the page")));
    }
    Ok(date)
}

fn series_vintage(
    request: &Request<'_>,
    series_id: &Text,
    vintage_date: NaiveDate,
    vintage_number: i64,
) -> SeriesVintage {
    SeriesVintage {
        source: NAME,
        series_id: series_id.clone(),
        vintage_date,
        vintage_number,
        known_at: known_by_end_of(vintage_date, request),
        observed_at: request.received_at,
        flags: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
