//! FRED, the Federal Reserve Bank of St. Louis' collection of economic series.
//!
//! The default `realtime_start` of a page is an artefact of FRED's cache: two requests in the same second returned
//! different ones with equal data. For current values it is therefore ignored; `Last-Modified` tells when data
//! changed. For vintages the request names the dates, and they are right. They are days in Washington without an hour, so
//! a vintage counts as known from the end of its day on.
//!
//! FRED silently ignores unknown parameters. So each response is checked against its request: units, format and window
//! of dates. Responses are JSON or, by default, XML; both are read.

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::America;
use contract::Text;
use contract::records::{Observation, Series};

use crate::parse::body::excerpt;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::{Object, absent, finite, scalar};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Kind, Schedule, hours};
use crate::source::{Auth, Endpoint, History, Range, Ranged, Source};

mod body;
mod json;
mod response;
mod vintages;
mod xml;

use body::Row;
use response::Response;

/// The source.
pub const SOURCE: Source = Source {
    name: "fred",
    doc: "FRED, the economic data of the Federal Reserve Bank of St. Louis",
    base_url: "https://api.stlouisfed.org",
    base_url_env: "TAPEDECK_FRED_URL",
    auth: Auth::Query {
        param: "api_key",
        env: "FRED_API_KEY",
        doc: "free key of 32 characters from https://fredaccount.stlouisfed.org/apikeys",
    },
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // 120 requests a minute are allowed for a key; this leaves room for a second process.
    pause: Duration::from_millis(600),
    burst: 5,
    quota: None,
    endpoints: &[
        Endpoint {
            name: "observations",
            doc: "Every current value of a series; `.` is a period without a value",
            datasets: &["observation"],
            item: "series id, e.g. `GDP`",
            known_at: "`Last-Modified`, the time of the series' last data update, else the time of receipt",
            schedule: Schedule::on_weekdays(Kind::Macro, America::New_York, hours(1)),
            history: History { range: Some(Ranged { query: observation_dates, longest_days: 36_500 }), ..History::ALL },
            base: None,
            path: observations_path,
            parse: parse_observations,
        },
        Endpoint {
            name: "series",
            doc: "Metadata of a series: title, frequency, units, seasonal adjustment, notes",
            datasets: &["series"],
            item: "series id, e.g. `GDP`",
            known_at: "the time of receipt: FRED states when the data changed, and not the description",
            schedule: Schedule::once_a_day(Kind::Reference),
            history: History::ALL,
            base: None,
            path: series_path,
            parse: parse_series,
        },
        Endpoint {
            name: "vintages",
            doc: "Every value of a series that was ever published (ALFRED); refused for more than 2,000 vintages",
            datasets: &["observation_vintage"],
            item: "series id, e.g. `GDP`",
            known_at: "the end of `realtime_start` in Washington; of a replaced value, of the day after `realtime_end`",
            schedule: Schedule::once_a_day(Kind::Macro),
            history: History::ALL,
            base: None,
            path: vintages::path,
            parse: vintages::parse,
        },
        Endpoint {
            name: "vintage_dates",
            doc: "The dates on which values of a series were published or revised (ALFRED)",
            datasets: &["series_vintage"],
            item: "series id, e.g. `GDP`",
            known_at: "the end of `vintage_date` in Washington",
            schedule: Schedule::once_a_day(Kind::Macro),
            history: History::ALL,
            base: None,
            path: vintages::dates_path,
            parse: vintages::parse_dates,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

/// Most rows of a response.
const PAGE_ROWS: u64 = 100_000;
/// Longest series id that the field `series_id` can hold.
const MAX_ID_BYTES: usize = 64;

fn observations_path(item: &str, offset: u64) -> Result<String, PageError> {
    let id = series_id(item)?;
    Ok(format!(
        "/fred/series/observations?series_id={id}&file_type=json&sort_order=asc&limit={PAGE_ROWS}&offset={offset}"
    ))
}

fn observation_dates(_item: &str, range: Option<Range>) -> String {
    range.map_or(String::new(), |range| format!("&observation_start={}&observation_end={}", range.first, range.last))
}

fn series_path(item: &str, _offset: u64) -> Result<String, PageError> {
    Ok(format!("/fred/series?series_id={}&file_type=json", series_id(item)?))
}

/// Series ids need no encoding in a URL.
fn series_id(item: &str) -> Result<&str, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if item.is_empty() || item.len() > MAX_ID_BYTES || !item.bytes().all(allowed) {
        return Err(PageError::Skip(format!("`{}` is not a series id, such as `GDP`", excerpt(item.as_bytes()))));
    }
    Ok(item)
}

fn parse_observations(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let response = Response::read(body, "observations")?;
    check_observations(&response, &["1"])?;
    let mut parsed = response.page(request);
    let (series_id, mut keys) = (Text::from(request.item), Keys::with_capacity(response.rows.len()));
    for row in &response.rows {
        match observation(request, row, &series_id, &mut keys) {
            Ok(observation) => parsed.records.push(observation.into()),
            Err(fault) => parsed.rejects.push(fault.reject(row.sent().as_bytes())),
        }
    }
    Ok(parsed)
}

/// Checks that values are in the series' own units and rows in the requested layout.
fn check_observations(response: &Response<'_>, output_types: &[&str]) -> Result<(), PageError> {
    response.check("units", &["lin"])?;
    response.check("output_type", output_types)
}

fn observation(
    request: &Request<'_>,
    row: &Row<'_>,
    series_id: &Text,
    keys: &mut Keys<NaiveDate>,
) -> Result<Observation, Fault> {
    let row = Object::row(row.raw())?;
    let observation_date = row.needed_date("date")?;
    let value = value_of(&row)?;
    if !keys.insert(observation_date) {
        let reason = format!("{observation_date} is already in the page: only vintages have a date several times");
        return Err(Fault("duplicate", reason));
    }
    Ok(Observation {
        source: NAME,
        series_id: series_id.clone(),
        observation_date,
        value,
        known_at: request.last_modified_or_received(),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// The `value` of a row; None for `.`, a period without a value.
fn value_of(row: &Object<'_>) -> Result<Option<f64>, Fault> {
    let raw = row.raw("value").ok_or_else(|| absent("value"))?;
    let text = scalar(raw).unwrap_or_else(|| raw.get().into());
    if text == "." {
        return Ok(None);
    }
    if let Some(value) = finite(&text) {
        return Ok(Some(value));
    }
    match text.parse::<f64>() {
        Ok(_) => Err(Fault("not_finite", format!("`value` `{}` is not a finite number", excerpt(text.as_bytes())))),
        Err(_) => Err(Fault("number", format!("`value` `{}` is neither a number nor `.`", excerpt(text.as_bytes())))),
    }
}

fn parse_series(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let response = Response::read(body, "seriess")?;
    let Some((first, others)) = response.rows.split_first() else {
        return Err(PageError::Skip(format!("the provider has no series `{}`", request.item)));
    };
    let mut parsed = Parsed::default();
    match Object::row(first.raw()).and_then(|row| series(request, &row)) {
        Ok(series) if series.series_id != request.item => return Err(other_series(request, &series.series_id)),
        Ok(series) => parsed.records.push(series.into()),
        Err(fault) => parsed.rejects.push(fault.reject(first.sent().as_bytes())),
    }
    let fault = || Fault("duplicate", "is a second series in the response for one".to_owned());
    parsed.rejects.extend(others.iter().map(|other| fault().reject(other.sent().as_bytes())));
    Ok(parsed)
}

/// Refuses the response of another series: its records would be under a wrong id.
fn other_series(request: &Request<'_>, id: &str) -> PageError {
    let id = excerpt(id.as_bytes());
    PageError::Skip(format!("requested series `{}`, the response is for `{id}`: write the id like that", request.item))
}

fn series(request: &Request<'_>, row: &Object<'_>) -> Result<Series, Fault> {
    Ok(Series {
        source: NAME,
        series_id: row.needed_text("id")?,
        title: row.needed_text("title")?,
        frequency: row.needed_text("frequency")?,
        units: row.needed_text("units")?,
        seasonal_adjustment: row.needed_text("seasonal_adjustment")?,
        first_observation_date: row.needed_date("observation_start")?,
        last_observation_date: row.needed_date("observation_end")?,
        popularity: row.whole("popularity")?,
        notes: row.text("notes")?,
        // `last_updated` is that of the data: title, notes and popularity change at other times.
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
