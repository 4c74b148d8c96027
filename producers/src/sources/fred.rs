//! FRED, the Federal Reserve Bank of St. Louis' collection of economic series.
//!
//! A page's default `realtime_start` is an artefact of FRED's cache (two requests in the same second were answered with
//! different ones and equal data), so nothing here reads it: `Last-Modified` and `last_updated` say when data changed.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use contract::records::{Observation, Series};
use serde::Deserialize;

use crate::json::{Bounded, Json};
use crate::page::{Fault, excerpt, is_markup, without_bom};
use crate::source::{Auth, Endpoint, PageError, Parsed, Request, Source};

/// FRED.
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
    endpoints: &[
        Endpoint {
            name: "observations",
            doc: "Every current value of a series; `.` is a period without a value",
            datasets: &["observation"],
            item: "series id, e.g. `GDP`",
            known_at: "`Last-Modified`, the time of the series' last data update, else the time of receipt",
            poll: Duration::from_secs(3600),
            base: None,
            path: observations_path,
            parse: parse_observations,
        },
        Endpoint {
            name: "series",
            doc: "What a series means: title, frequency, units, seasonal adjustment, notes",
            datasets: &["series"],
            item: "series id, e.g. `GDP`",
            known_at: "`last_updated` of the series",
            poll: Duration::from_secs(24 * 3600),
            base: None,
            path: series_path,
            parse: parse_series,
        },
    ],
};

/// Most rows FRED gives at once.
const PAGE_ROWS: u64 = 100_000;
/// Longest series id that an observation's `series_id` can hold.
const MAX_ID_BYTES: usize = 64;

fn observations_path(item: &str, offset: u64) -> Result<String, PageError> {
    let id = series_id(item)?;
    Ok(format!(
        "/fred/series/observations?series_id={id}&file_type=json&sort_order=asc&limit={PAGE_ROWS}&offset={offset}"
    ))
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

/// What FRED answers, whichever endpoint is asked.
#[derive(Deserialize)]
struct Envelope {
    error_code: Option<i64>,
    error_message: Option<String>,
    count: Option<u64>,
    offset: Option<u64>,
    observations: Option<Bounded<Json>>,
    seriess: Option<Bounded<Json>>,
}

fn envelope(body: &[u8]) -> Result<Envelope, PageError> {
    if is_markup(body) {
        return Err(PageError::Retry(format!("expected JSON, received markup: `{}`", excerpt(body))));
    }
    let envelope: Envelope = serde_json::from_slice(without_bom(body)).map_err(|error| not_json(body, &error))?;
    match (&envelope.error_message, envelope.error_code) {
        (None, None) => Ok(envelope),
        (message, code) => Err(provider_error(code, message.as_deref().unwrap_or("no message"))),
    }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote the body at any length.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that FRED sends: {error}: `{}`", excerpt(body)))
}

/// A bad key is told apart from a bad series only by the words: FRED answers 400 to both.
fn provider_error(code: Option<i64>, message: &str) -> PageError {
    let text = match code {
        Some(code) => format!("the provider says `{}` (error {code})", excerpt(message.as_bytes())),
        None => format!("the provider says `{}`", excerpt(message.as_bytes())),
    };
    match code {
        _ if message.contains("api_key") => PageError::Halt(text),
        Some(401 | 403) => PageError::Halt(text),
        Some(400 | 404) => PageError::Skip(text),
        _ => PageError::Retry(text),
    }
}

fn parse_observations(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let envelope = envelope(body)?;
    let Some(Bounded(rows)) = envelope.observations else {
        return Err(PageError::Retry(format!("the response has no `observations`: `{}`", excerpt(body))));
    };
    let end = envelope.offset.unwrap_or(request.offset).saturating_add(rows.len() as u64);
    let more = !rows.is_empty() && envelope.count.is_some_and(|count| end < count);
    let mut parsed = Parsed { next_offset: more.then_some(end), ..Parsed::default() };
    let mut seen = HashSet::with_capacity(rows.len());
    for row in &rows {
        match observation(request, row, &mut seen) {
            Ok(observation) => parsed.records.push(observation.into()),
            Err(fault) => parsed.rejects.push(fault.reject(row.0.as_bytes())),
        }
    }
    Ok(parsed)
}

#[derive(Deserialize)]
struct Row {
    date: String,
    value: String,
}

/// Reads a row's text: other members than the ones we know are let be.
fn read<'a, T: Deserialize<'a>>(row: &'a Json) -> Result<T, Fault> {
    serde_json::from_str(&row.0).map_err(|error| Fault("shape", excerpt(error.to_string().as_bytes())))
}

fn observation(request: &Request<'_>, row: &Json, seen: &mut HashSet<NaiveDate>) -> Result<Observation, Fault> {
    let row: Row = read(row)?;
    let observation_date = date_of(&row.date)?;
    let value = value_of(&row.value)?;
    if !seen.insert(observation_date) {
        let reason = format!("{observation_date} is in the page already: only vintages have a date several times");
        return Err(Fault("duplicate", reason));
    }
    Ok(Observation {
        source: SOURCE.name.to_owned(),
        series_id: request.item.to_owned(),
        observation_date,
        value,
        known_at: request.last_modified_or_received(),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// `.` is FRED's way of saying that there is no value.
fn value_of(text: &str) -> Result<Option<f64>, Fault> {
    if text == "." {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        Ok(_) => Err(Fault("not_finite", format!("`value` `{}` is not a finite number", excerpt(text.as_bytes())))),
        Err(_) => Err(Fault("number", format!("`value` `{}` is neither a number nor `.`", excerpt(text.as_bytes())))),
    }
}

/// Reads `YYYY-MM-DD`.
fn date_of(text: &str) -> Result<NaiveDate, Fault> {
    let is_shape = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = is_shape.then(|| text.parse::<NaiveDate>().ok()).flatten();
    date.ok_or_else(|| Fault("date", format!("`{}` is not a date like `2024-12-31`", excerpt(text.as_bytes()))))
}

/// What FRED says about a series.
#[derive(Deserialize)]
struct Description {
    id: String,
    title: String,
    frequency: String,
    units: String,
    seasonal_adjustment: String,
    observation_start: String,
    observation_end: String,
    last_updated: String,
    popularity: Option<i64>,
    notes: Option<String>,
}

fn parse_series(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let Some(Bounded(descriptions)) = envelope(body)?.seriess else {
        return Err(PageError::Retry(format!("the response has no `seriess`: `{}`", excerpt(body))));
    };
    let Some((first, others)) = descriptions.split_first() else {
        return Err(PageError::Skip(format!("the provider has no series `{}`", request.item)));
    };
    let mut parsed = Parsed::default();
    match read::<Description>(first) {
        Ok(said) if said.id != request.item => return Err(other_series(request, &said.id)),
        Ok(said) => match series(request, said) {
            Ok(series) => parsed.records.push(series.into()),
            Err(fault) => parsed.rejects.push(fault.reject(first.0.as_bytes())),
        },
        Err(fault) => parsed.rejects.push(fault.reject(first.0.as_bytes())),
    }
    let fault = || Fault("duplicate", "is a second series in the answer for one".to_owned());
    parsed.rejects.extend(others.iter().map(|other| fault().reject(other.0.as_bytes())));
    Ok(parsed)
}

/// Records of one series under two ids would be two series.
fn other_series(request: &Request<'_>, id: &str) -> PageError {
    let id = excerpt(id.as_bytes());
    PageError::Skip(format!("asked for series `{}`, the provider answered for `{id}`: write its id so", request.item))
}

fn series(request: &Request<'_>, said: Description) -> Result<Series, Fault> {
    let known_at = last_updated(&said.last_updated)?;
    Ok(Series {
        source: SOURCE.name.to_owned(),
        series_id: said.id,
        title: said.title,
        frequency: said.frequency,
        units: said.units,
        seasonal_adjustment: said.seasonal_adjustment,
        first_observation_date: date_of(&said.observation_start)?,
        last_observation_date: date_of(&said.observation_end)?,
        popularity: said.popularity,
        notes: said.notes,
        known_at: request.not_after_receipt(known_at),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// Reads `2024-10-30 07:54:01-05`: the offset mostly has no minutes.
fn last_updated(text: &str) -> Result<DateTime<Utc>, Fault> {
    // chrono's `%#z` takes an offset with or without minutes, with or without a colon.
    let time = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%#z");
    let bad = |_| {
        Fault(
            "date",
            format!("`last_updated` `{}` is not a time like `2024-10-30 07:54:01-05`", excerpt(text.as_bytes())),
        )
    };
    time.map(|time| time.to_utc()).map_err(bad)
}

#[cfg(test)]
mod tests {
    use contract::Record;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};

    fn observations(parsed: &Parsed) -> Vec<(NaiveDate, Option<f64>)> {
        let value = |record: &Record| match record {
            Record::Observation(observation) => (observation.observation_date, observation.value),
            other => panic!("not an observation: {other:?}"),
        };
        parsed.records.iter().map(value).collect()
    }

    #[test]
    fn a_dot_is_an_observation_without_a_value() {
        let parsed = parse_file(&SOURCE, "observations", "GDP.json").unwrap();
        let expected = [
            (date("1946-10-01"), None),
            (date("1947-01-01"), Some(243.164)),
            (date("1947-04-01"), Some(245.968)),
            (date("2024-07-01"), Some(29349.924)),
        ];
        assert_eq!(observations(&parsed), expected);
        assert_eq!((parsed.rejects.len(), parsed.holes, parsed.next_offset), (0, 0, None));
        let Record::Observation(first) = &parsed.records[0] else { panic!() };
        assert_eq!((first.source.as_str(), first.series_id.as_str()), ("fred", "GDP"));
    }

    #[test]
    fn a_value_is_read_to_its_last_digit() {
        let parsed = parse_file(&SOURCE, "observations", "CPALTT01PTM659N~decimals.json").unwrap();
        let values: Vec<Option<f64>> = observations(&parsed).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [Some(2.0680099999999997), Some(-0.0), Some(-1.25)]);
    }

    #[test]
    fn a_projection_lies_in_the_future() {
        let parsed = parse_file(&SOURCE, "observations", "FEDTARMD~future.json").unwrap();
        assert_eq!(observations(&parsed)[1], (date("2027-01-01"), Some(3.1)));
    }

    #[test]
    fn known_at_is_the_last_data_update_and_never_the_realtime_start() {
        let known_at = |last_modified: Option<&str>| {
            let request = Request { last_modified: last_modified.map(at), ..request("GDP") };
            let body = br#"{"observations":[{"realtime_start":"1999-01-01","date":"1947-01-01","value":"1"}]}"#;
            let Record::Observation(observation) = &parse_observations(&request, body).unwrap().records[0] else {
                panic!()
            };
            (observation.known_at, observation.observed_at)
        };
        assert_eq!(known_at(Some("2026-10-30T12:56:24Z")), (at("2026-10-30T12:56:24Z"), at(RECEIVED)));
        assert_eq!(known_at(None), (at(RECEIVED), at(RECEIVED)));
    }

    #[test]
    fn a_page_that_is_not_the_last_names_the_next() {
        let parsed = parse_file(&SOURCE, "observations", "DGS10~first_page.json").unwrap();
        assert_eq!(parsed.next_offset, Some(2));
        let last = br#"{"count":5,"offset":4,"observations":[{"date":"1962-01-09","value":"4.1"}]}"#;
        assert_eq!(parse_observations(&request("DGS10"), last).unwrap().next_offset, None);
        let empty = br#"{"count":5,"offset":4,"observations":[]}"#;
        assert_eq!(parse_observations(&request("DGS10"), empty).unwrap().next_offset, None);
    }

    #[test]
    fn each_odd_row_is_refused_and_the_rest_goes_on() {
        let parsed = parse_file(&SOURCE, "observations", "DGS10~odd_rows.json").unwrap();
        assert_eq!(observations(&parsed), [(date("1962-01-02"), Some(4.06))]);
        let classes: Vec<&str> = rejects(&parsed).iter().map(|(class, _)| *class).collect();
        assert_eq!(classes, ["date", "number", "not_finite", "shape", "shape", "duplicate", "number"]);
        assert_eq!(rejects(&parsed)[0].1, "`1962-02-30` is not a date like `2024-12-31`");
        let fragment = std::str::from_utf8(&parsed.rejects[3].fragment).unwrap();
        assert_eq!(fragment, r#"{"date":"1962-01-08","value":4.02}"#);
    }

    #[test]
    fn vintages_are_not_taken_for_current_values() {
        let parsed = parse_file(&SOURCE, "observations", "GDP~vintages.json").unwrap();
        assert_eq!((parsed.records.len(), parsed.rejects.len()), (1, 2));
        assert!(rejects(&parsed).iter().all(|(class, _)| *class == "duplicate"));
    }

    #[test]
    fn an_error_of_the_provider_says_what_to_do_next() {
        let error = |file| parse_file(&SOURCE, "observations", file).unwrap_err();
        let unknown = error("NOSUCH~error_does_not_exist.json");
        assert!(
            matches!(&unknown, PageError::Skip(text) if text.contains("The series does not exist.")),
            "{unknown:?}"
        );
        let key = error("GDP~error_api_key.json");
        assert!(matches!(&key, PageError::Halt(text) if text.contains("api_key is not registered")), "{key:?}");
        let limit = error("GDP~error_rate_limit.json");
        assert!(matches!(&limit, PageError::Retry(text) if text.contains("Exceeded Rate Limit")), "{limit:?}");
        let xml = error("GDP~error_format.xml");
        assert!(matches!(&xml, PageError::Retry(text) if text.contains("received markup")), "{xml:?}");
    }

    #[test]
    fn what_is_not_json_is_asked_for_again() {
        for text in
            ["", "{", "[]", "null", "{}", "Too Many Requests", "{\"observations\":null}", "{\"observations\":{}}"]
        {
            let outcome = parse_observations(&request("GDP"), text.as_bytes());
            assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
        }
    }

    fn series_of(file: &str) -> Series {
        let parsed = parse_file(&SOURCE, "series", file).unwrap();
        assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
        match parsed.records.into_iter().next() {
            Some(Record::Series(series)) => series,
            other => panic!("not a series: {other:?}"),
        }
    }

    #[test]
    fn a_series_is_described_in_the_words_of_the_provider() {
        let series = series_of("GDP.json");
        assert_eq!((series.source.as_str(), series.series_id.as_str()), ("fred", "GDP"));
        assert_eq!((series.title.as_str(), series.frequency.as_str()), ("Gross Domestic Product", "Quarterly"));
        assert_eq!(series.units, "Billions of Dollars");
        assert_eq!(series.seasonal_adjustment, "Seasonally Adjusted Annual Rate");
        assert_eq!(
            (series.first_observation_date, series.last_observation_date),
            (date("1947-01-01"), date("2024-07-01"))
        );
        assert_eq!(series.popularity, Some(93));
        assert_eq!(series.notes.as_deref(), Some("Account: \"A191RC\"\n\nThe value of what is produced."));
        assert_eq!((series.known_at, series.observed_at), (at("2024-10-30T12:54:01Z"), at(RECEIVED)));
    }

    #[test]
    fn notes_and_popularity_may_be_absent() {
        let series = series_of("ECBESTRNUMTRANS~no_notes.json");
        assert_eq!((series.notes, series.popularity), (None, None));
        assert_eq!(series.known_at, at("2024-06-12T22:31:02Z"));
    }

    #[test]
    fn last_updated_has_an_offset_with_or_without_minutes() {
        let read = |text| last_updated(text).map_err(|fault| fault.1);
        assert_eq!(read("2024-10-30 07:54:01-05"), Ok(at("2024-10-30T12:54:01Z")));
        assert_eq!(read("2024-10-30 07:54:01+00"), Ok(at("2024-10-30T07:54:01Z")));
        assert_eq!(read("2024-10-30 07:54:01-05:30"), Ok(at("2024-10-30T13:24:01Z")));
        assert_eq!(read("2024-10-30 07:54:01+0530"), Ok(at("2024-10-30T02:24:01Z")));
        for text in ["", "yesterday", "2024-10-30 07:54:01", "2024-10-30 07:54:01-", "2024-13-30 07:54:01-05"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_series_that_cannot_be_read_is_refused() {
        let parsed = parse_file(&SOURCE, "series", "GDP~odd.json").unwrap();
        assert_eq!(
            rejects(&parsed),
            [("date", "`last_updated` `yesterday` is not a time like `2024-10-30 07:54:01-05`")]
        );
        let parsed = parse_series(&request("GDP"), br#"{"seriess":[{"id":"GDP"}]}"#).unwrap();
        assert_eq!(rejects(&parsed)[0].0, "shape");
    }

    #[test]
    fn the_answer_for_another_series_is_skipped() {
        let error = parse_file(&SOURCE, "series", "gdp~error_other_id.json").unwrap_err();
        let expected = "asked for series `gdp`, the provider answered for `GDP`: write its id so";
        assert_eq!(error, PageError::Skip(expected.to_owned()));
        assert!(matches!(parse_series(&request("GDP"), br#"{"seriess":[]}"#), Err(PageError::Skip(_))));
    }

    #[test]
    fn what_cannot_be_a_series_is_not_asked_for() {
        let path = observations_path("GDP", 100_000).unwrap();
        assert_eq!(
            path,
            "/fred/series/observations?series_id=GDP&file_type=json&sort_order=asc&limit=100000&offset=100000"
        );
        for item in ["", "GDP&api_key=x", "a b", "é"] {
            assert!(matches!(series_path(item, 0), Err(PageError::Skip(_))), "{item}");
        }
    }
}
