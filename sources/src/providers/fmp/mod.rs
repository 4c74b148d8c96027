//! Financial Modeling Prep: statements, ratios, prices and profiles of companies.
//!
//! - Requests go to `/stable/`. Responses of the older v3 are read as well, so that recorded ones can be replayed.
//! - FMP restates history in place, with the same filing date; the record received later wins.
//! - Statements and ratios cover the newest five periods: with a free key a request for more is an error.
//! - A 0 may stand for an unknown value. `"Infinity"` is left out of the metrics.
//! - `acceptedDate` is New York time. Before about 2008 it and the filing date are the last day of the period, which is
//!   false; both are then null.
//! - Some rows are duplicates. Of two different rows for a period, the one filed last is kept; the other becomes a dead
//!   letter.
//! - The adjusted closes of a bulk file are left out: the same bars from `eod_prices` have none, and the two would
//!   overwrite each other.
//! - A bulk file has the low before the high, and symbols of many exchanges, whose days count as days of New York.
//! - Errors come with any status, even 200. When the plan excludes an item, it is skipped, as others may be included.

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::time::Duration;

use chrono_tz::{America, Tz};
use contract::{Record, Text};

use crate::market::Market;
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::duplicates::{Hashing, KeyMap};
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::percent::percent_encoded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, finite};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, days};
use crate::source::{Auth, Base, Endpoint, History, LookBack, Quota, Range, Ranged, Source};

mod bars;
mod bulk;
mod profile;
mod ratios;
mod statements;

/// The source.
pub const SOURCE: Source = Source {
    name: "fmp",
    doc: "Financial Modeling Prep: statements, ratios, prices and profiles of companies",
    base_url: "https://financialmodelingprep.com",
    base_url_env: "TAPEDECK_FMP_URL",
    auth: Auth::Query {
        param: "apikey",
        env: "FMP_API_KEY",
        doc: "key from https://site.financialmodelingprep.com/developer/docs; a free one gives 250 requests a day",
    },
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // The smallest paid plan allows 300 requests a minute; this leaves room for a second process.
    pause: Duration::from_millis(400),
    burst: 10,
    quota: Some(Quota { calls: 250, env: "TAPEDECK_FMP_DAILY_CALLS", costs: &[] }),
    endpoints: &[
        statement("income_statement", "Income statements of a company, the newest five", INCOME_PATH, INCOME),
        statement("balance_sheet", "Balance sheets of a company, the newest five", BALANCE_PATH, BALANCE),
        statement("cash_flow", "Cash flow statements of a company, the newest five", CASH_PATH, CASH),
        ratio_set("ratios", "Ratios of a company, of the newest five periods", RATIOS_PATH, RATIOS),
        ratio_set("key_metrics", "Key metrics of a company, of the newest five periods", METRICS_PATH, METRICS),
        Endpoint {
            name: "eod_prices",
            doc: "Daily bars of a symbol, adjusted for splits",
            datasets: &["ohlcv_bar"],
            item: "symbol, e.g. `AAPL`",
            known_at: RECEIPT,
            schedule: Schedule::end_of_day(market),
            history: History {
                look_back: LookBack::Days(30),
                range: Some(Ranged { query: dates, longest_days: 1800 }),
                sessions: |item| Some(market(item)).filter(|market| *market != Market::Always),
                ..History::ALL
            },
            base: HOME,
            path: |item, _| Ok(format!("/stable/historical-price-eod/full?symbol={}", symbol(item)?)),
            parse: bars::parse,
        },
        Endpoint {
            name: "eod_bulk",
            doc: "The bars of one day of all symbols",
            datasets: &["ohlcv_bar"],
            item: "date, e.g. `2024-12-31`",
            known_at: RECEIPT,
            schedule: Schedule { frequency: Frequency::Daily, sla: days(7), ..Schedule::once_a_day(Kind::Prices) },
            history: History::ALL,
            base: HOME,
            path: bulk::path,
            parse: bulk::parse,
        },
        Endpoint {
            name: "profile",
            doc: "Profile of a company and its listing",
            datasets: &["company", "instrument"],
            item: "symbol, e.g. `AAPL`",
            known_at: RECEIPT,
            schedule: REFERENCE,
            history: History::ALL,
            base: HOME,
            path: |item, _| Ok(format!("/stable/profile?symbol={}", symbol(item)?)),
            parse: profile::parse,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

const RECEIPT: &str = "the time of receipt: FMP does not say when it changed a value";
const PERIOD_ITEM: &str = "symbol, e.g. `AAPL`; its quarters: `AAPL@quarter`";
/// Reports of companies, and ratios computed from them.
const REFERENCE: Schedule = Schedule { sla: days(7), ..Schedule::once_a_day(Kind::Reference) };
/// All endpoints are at the source's address.
const HOME: Option<Base> = None;

type PathOf = fn(&str, u64) -> Result<String, PageError>;
type Parser = fn(&Request<'_>, &[u8]) -> Result<Parsed, PageError>;

const INCOME_PATH: PathOf = |item, _| by_period("income-statement", item);
const BALANCE_PATH: PathOf = |item, _| by_period("balance-sheet-statement", item);
const CASH_PATH: PathOf = |item, _| by_period("cash-flow-statement", item);
const RATIOS_PATH: PathOf = |item, _| by_period("ratios", item);
const METRICS_PATH: PathOf = |item, _| by_period("key-metrics", item);
const INCOME: Parser = |request, body| statements::parse(request, body, "income");
const BALANCE: Parser = |request, body| statements::parse(request, body, "balance_sheet");
const CASH: Parser = |request, body| statements::parse(request, body, "cash_flow");
const RATIOS: Parser = |request, body| ratios::parse(request, body, "ratios");
const METRICS: Parser = |request, body| ratios::parse(request, body, "key_metrics");

const fn statement(name: &'static str, doc: &'static str, path: PathOf, parse: Parser) -> Endpoint {
    Endpoint {
        name,
        doc,
        datasets: &["financial_statement"],
        item: PERIOD_ITEM,
        known_at: "when the SEC published the filing, else the end of its day in New York, else the time of receipt",
        schedule: REFERENCE,
        history: History::ALL,
        base: HOME,
        path,
        parse,
    }
}

const fn ratio_set(name: &'static str, doc: &'static str, path: PathOf, parse: Parser) -> Endpoint {
    Endpoint {
        name,
        doc,
        datasets: &["financial_ratio"],
        item: PERIOD_ITEM,
        known_at: RECEIPT,
        schedule: REFERENCE,
        history: History::ALL,
        base: HOME,
        path,
        parse,
    }
}

/// Time zone of the exchanges and of the SEC.
const ZONE: Tz = America::New_York;
/// The market of a symbol, as far as its name tells; otherwise always open.
fn market(item: &str) -> Market {
    match item.rsplit_once('.') {
        None => Market::NewYork,
        Some((_, "L")) => Market::London,
        Some((_, "DE")) => Market::Frankfurt,
        Some(_) => Market::Always,
    }
}

/// Requests a range of dates.
fn dates(_item: &str, range: Option<Range>) -> String {
    range.map_or(String::new(), |range| format!("&from={}&to={}", range.first, range.last))
}

/// Longest symbol that the field `symbol` can hold.
const MAX_SYMBOL_BYTES: usize = 40;
/// Suffix, after `@`, of an item that requests quarters.
const QUARTER: &str = "quarter";

/// FMP's default limit of five periods is kept: with a free key a request for more is an error.
fn by_period(endpoint: &str, item: &str) -> Result<String, PageError> {
    let (name, period) = match item.split_once('@') {
        None => (item, "annual"),
        Some((name, QUARTER)) => (name, QUARTER),
        Some(_) => return Err(PageError::Skip(format!("`{}` is not like `AAPL@quarter`", excerpt(item.as_bytes())))),
    };
    Ok(format!("/stable/{endpoint}?symbol={}&period={period}", symbol(name)?))
}

/// A valid symbol as a value of a query string.
fn symbol(item: &str) -> Result<String, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".^=_-&".contains(&byte);
    let is_symbol = item.bytes().any(|byte| byte.is_ascii_alphanumeric()) && item.bytes().all(allowed);
    if !is_symbol || item.len() > MAX_SYMBOL_BYTES {
        return Err(PageError::Skip(format!("`{}` is not a symbol, such as `AAPL`", excerpt(item.as_bytes()))));
    }
    Ok(percent_encoded(item))
}

/// The rows of a response that is a list.
fn rows(body: &[u8]) -> Result<Vec<Raw<'_>>, PageError> {
    let body = without_bom(body).trim_ascii();
    if body.first() != Some(&b'[') {
        return Err(no_list(body));
    }
    let rows: Result<Bounded<Raw<'_>>, _> = serde_json::from_slice(body);
    rows.map(|Bounded(rows)| rows).map_err(|error| not_json(body, &error))
}

/// The error of a response that is not a list: an object with an `Error Message`, or plain text.
fn no_list(body: &[u8]) -> PageError {
    if body.is_empty() {
        return PageError::Retry("the body is empty".to_owned());
    }
    if is_markup(body) {
        return PageError::Retry(format!("expected JSON, received markup: `{}`", excerpt(body)));
    }
    if body[0] != b'{' {
        return provider_error(body);
    }
    let object: Object<'_> = match serde_json::from_slice(body) {
        Ok(object) => object,
        Err(error) => return not_json(body, &error),
    };
    match object.text("Error Message") {
        Ok(Some(words)) => provider_error(words.as_bytes()),
        _ => PageError::Retry(format!("expected a list: `{}`", excerpt(body))),
    }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote any length of the body.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that FMP sends: {error}: `{}`", excerpt(body)))
}

/// The status tells little (a refusal comes with 200, 402 or 403), so the words decide.
fn provider_error(words: &[u8]) -> PageError {
    let words = excerpt(words);
    let text = format!("the provider says `{words}`");
    let words = words.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    if says(&["limit reach", "too many requests"]) {
        PageError::Retry(text)
    } else if says(&["special endpoint", "exclusive endpoint", "legacy endpoint", "premium"]) {
        // A plan excludes endpoints or symbols: the next item may be included.
        PageError::Skip(text)
    } else if says(&["invalid api key"]) {
        PageError::Halt(text)
    } else {
        PageError::Retry(text)
    }
}

/// The name that a row uses, of several spellings: v3 and stable differ in some.
fn spelled<'n>(row: &Object<'_>, names: &[&'n str]) -> &'n str {
    names.iter().copied().find(|name| row.raw(name).is_some()).unwrap_or(names[0])
}

/// The symbol of a row in FMP's spelling, which must match the item; the item's if the row has none.
fn own_symbol(request: &Request<'_>, row: &Object<'_>) -> Result<Text, Fault> {
    let asked = request.item.split('@').next().unwrap_or_default();
    match row.text("symbol")? {
        None => Ok(asked.into()),
        Some(symbol) if symbol.eq_ignore_ascii_case(asked) => Ok(symbol),
        Some(other) => Err(Fault("symbol", format!("is of `{}`", excerpt(other.as_bytes())))),
    }
}

/// The period of a row.
struct Period {
    symbol: Text,
    period: Text,
    fiscal_year: Option<i64>,
    currency: Option<Text>,
}

fn period(request: &Request<'_>, row: &Object<'_>) -> Result<Period, Fault> {
    let period = row.needed_text("period")?;
    if !matches!(period.as_str(), "FY" | "Q1" | "Q2" | "Q3" | "Q4") {
        let reason = format!("`period` `{}` is neither `FY` nor `Q1` to `Q4`", excerpt(period.as_bytes()));
        return Err(Fault("period", reason));
    }
    Ok(Period {
        symbol: own_symbol(request, row)?,
        period,
        fiscal_year: row.whole(spelled(row, FISCAL_YEAR))?,
        currency: row.text("reportedCurrency")?,
    })
}

const FISCAL_YEAR: &[&str] = &["fiscalYear", "calendarYear"];

/// All numbers of a row as JSON under their own names, without texts, nulls and `"Infinity"`.
fn metrics(row: &Object<'_>) -> Result<String, Fault> {
    let is_number = |value: Raw<'_>| matches!(value.get().as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    let is_metric = |name: &str, value: Raw<'_>| is_number(value) && !FISCAL_YEAR.contains(&name) && name != "cik";
    for (name, value) in row.iter().filter(|(name, value)| is_metric(name, *value)) {
        // JSON allows numbers that no database stores.
        if finite(value.get()).is_none() {
            let reason =
                format!("`{}` `{}` is out of bounds", excerpt(name.as_bytes()), excerpt(value.get().as_bytes()));
            return Err(Fault("number", reason));
        }
    }
    Ok(row.json(is_metric).unwrap_or_else(|| "{}".to_owned()))
}

/// A page while its rows are read, with one record for each key.
///
/// FMP sends some rows twice. Of two different ones, the one of higher rank is kept; of equal rank the first, which is
/// the newest.
struct Page<'a, K, R> {
    parsed: Parsed,
    /// For each key: the index of its record, its rank and its row.
    kept: KeyMap<K, (usize, R, &'a [u8])>,
}

impl<'a, K: Hash + Eq, R: PartialOrd> Page<'a, K, R> {
    fn with_capacity(rows: usize) -> Page<'a, K, R> {
        let parsed = Parsed { records: Vec::with_capacity(rows), ..Parsed::default() };
        Page { parsed, kept: KeyMap::with_capacity_and_hasher(rows, Hashing::default()) }
    }

    fn keep(&mut self, key: K, rank: R, record: impl Into<Record>, row: &'a [u8]) {
        let twice = |row| Fault("duplicate", "another row has the same key".to_owned()).reject(row);
        match self.kept.entry(key) {
            Entry::Vacant(place) => {
                place.insert((self.parsed.records.len(), rank, row));
                self.parsed.records.push(record.into());
            }
            Entry::Occupied(place) if place.get().2 == row => {}
            Entry::Occupied(mut place) if rank > place.get().1 => {
                let at = place.get().0;
                let (_, _, other) = place.insert((at, rank, row));
                self.parsed.records[at] = record.into();
                self.parsed.rejects.push(twice(other));
            }
            Entry::Occupied(_) => self.parsed.rejects.push(twice(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> PageError {
        rows(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_error_of_the_provider_says_what_to_do_next_in_its_words() {
        let key = error(r#"{"Error Message": "Invalid API KEY. Feel free to create a Free API Key"}"#);
        assert!(matches!(&key, PageError::Halt(text) if text.contains("Invalid API KEY. Feel free")), "{key:?}");
        for words in ["Limit Reach . Please upgrade", "Bandwidth Limit Reach . Please upgrade", "Something new"] {
            let error = error(&format!("{{\"Error Message\": \"{words}\"}}"));
            assert!(matches!(&error, PageError::Retry(text) if text.contains(words)), "{error:?}");
        }
        for words in ["Special Endpoint : this", "Exclusive Endpoint : this", "Legacy Endpoint : Due to"] {
            let error = error(&format!("{{\"Error Message\" : \"{words}\"}}"));
            assert!(matches!(&error, PageError::Skip(text) if text.contains(words)), "{error:?}");
        }
        assert!(matches!(error("Premium Query Parameter: 'limit'"), PageError::Skip(_)));
        assert!(matches!(error("Too Many Requests, limit rate per millisecond"), PageError::Retry(_)));
    }

    #[test]
    fn what_is_not_a_list_is_asked_for_again() {
        for body in ["", " ", "{", "{}", "[", "[1", "[]]", "null", "<html>", r#"{"Error Message":null}"#, "\u{feff}"] {
            assert!(matches!(error(body), PageError::Retry(_)), "{body}");
        }
        assert_eq!(rows(b"\xef\xbb\xbf [] ").unwrap().len(), 0);
    }

    #[test]
    fn what_cannot_be_asked_for_is_not() {
        let path = |item| (SOURCE.endpoint("income_statement").unwrap().path)(item, 0);
        assert_eq!(path("BRK-B").unwrap(), "/stable/income-statement?symbol=BRK-B&period=annual");
        assert_eq!(path("M&M.NS@quarter").unwrap(), "/stable/income-statement?symbol=M%26M.NS&period=quarter");
        let prices = (SOURCE.endpoint("eod_prices").unwrap().path)("^GSPC", 0).unwrap();
        assert_eq!(prices, "/stable/historical-price-eod/full?symbol=%5EGSPC");
        for item in ["", "A B", "AAPL@week", "AAPL@quarter@quarter", "^", "AAPL?x=1", "é"] {
            assert!(matches!(path(item), Err(PageError::Skip(_))), "{item}");
        }
    }
}
