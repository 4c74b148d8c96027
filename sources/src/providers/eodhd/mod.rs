//! EODHD (EOD Historical Data): prices, corporate actions, fundamentals, news and insiders of the world's exchanges.
//!
//! A symbol is a code and an exchange, `AAPL.US`. Requests ask for JSON, but some responses come as CSV or plain text
//! all the same; JSON and CSV are both read. EODHD rewrites adjusted prices and fundamentals in place. Articles without
//! a sentiment are scored on receipt; `sentiment_scorer` names the scorer.

use std::time::Duration;

use chrono_tz::America;
use contract::Text;

use crate::market::Market;
use crate::parse::body::excerpt;
use crate::parse::percent::percent_encoded;
use crate::response::PageError;
use crate::schedule::{Frequency, Kind, Schedule, When, days, hours};
use crate::source::{Auth, Endpoint, History, LookBack, Quota, Range, Ranged, Source};

mod actions;
mod bars;
mod body;
mod company;
mod entries;
mod fundamentals;
mod insiders;
mod news;
mod row;
mod rows;
mod sections;
mod statements;
mod zone;

/// The source.
pub const SOURCE: Source = Source {
    name: "eodhd",
    doc: "EODHD: prices, corporate actions, fundamentals, news and insiders of the world's exchanges",
    base_url: "https://eodhd.com/api",
    base_url_env: "TAPEDECK_EODHD_URL",
    auth: Auth::Query {
        param: "api_token",
        env: "EODHD_API_TOKEN",
        doc: "token from https://eodhd.com/register; a free one has 20 calls a day and a year of prices",
    },
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // 1,000 requests a minute are allowed for a token; this leaves room for a second process.
    pause: Duration::from_millis(120),
    burst: 10,
    quota: Some(Quota {
        calls: 100_000,
        env: "TAPEDECK_EODHD_DAILY_CALLS",
        costs: &[("bulk_eod", 100), ("fundamentals", 10), ("news", 10)],
    }),
    endpoints: &[EOD, BULK_EOD, DIVIDENDS, SPLITS, FUNDAMENTALS, NEWS, INSIDER_TRANSACTIONS],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

const EOD: Endpoint = Endpoint {
    name: "eod",
    doc: "Every daily bar of a symbol; with a free token, of the last year",
    datasets: &["ohlcv_bar"],
    item: "symbol, e.g. `AAPL.US`",
    known_at: RECEIPT,
    schedule: Schedule::end_of_day(market),
    history: History {
        look_back: LookBack::Days(30),
        range: Some(Ranged { query: dates, longest_days: 36_500 }),
        sessions: |item| Some(market(item)).filter(|market| *market != Market::Always || item.ends_with(".CC")),
        ..History::ALL
    },
    base: None,
    path: |item, _offset| Ok(format!("/eod/{}?fmt=json&period=d&order=a", symbol(item)?)),
    parse: bars::parse_eod,
};

const BULK_EOD: Endpoint = Endpoint {
    name: "bulk_eod",
    doc: "The last daily bar of every symbol of an exchange",
    datasets: &["ohlcv_bar"],
    item: "exchange, e.g. `US`",
    known_at: RECEIPT,
    // A request counts as a hundred calls, like the dividends and splits of an exchange.
    schedule: Schedule { every: hours(12), ..Schedule::end_of_day(market) },
    history: History::PASSING,
    base: None,
    path: |item, _offset| Ok(format!("/eod-bulk-last-day/{}?fmt=json", exchange(item)?)),
    parse: bars::parse_bulk,
};

const DIVIDENDS: Endpoint = Endpoint {
    name: "dividends",
    doc: "Every dividend of a symbol; for an exchange, those of its last day",
    datasets: &["corporate_action"],
    item: "symbol, e.g. `AAPL.US`, or exchange, e.g. `US`",
    known_at: RECEIPT,
    schedule: Schedule::once_a_day(Kind::Prices),
    history: History::ALL,
    base: None,
    path: |item, _offset| action_path("div", "dividends", item),
    parse: actions::parse_dividends,
};

const SPLITS: Endpoint = Endpoint {
    name: "splits",
    doc: "Every split of a symbol; for an exchange, those of its last day",
    datasets: &["corporate_action"],
    item: "symbol, e.g. `AAPL.US`, or exchange, e.g. `US`",
    known_at: RECEIPT,
    schedule: Schedule::once_a_day(Kind::Prices),
    history: History::ALL,
    base: None,
    path: |item, _offset| action_path("splits", "splits", item),
    parse: actions::parse_splits,
};

const FUNDAMENTALS: Endpoint = Endpoint {
    name: "fundamentals",
    doc: "A company or fund: profile, statements, ratios, analyst ratings, trades of insiders",
    datasets: &[
        "company",
        "financial_statement",
        "financial_ratio",
        "analyst_rating",
        "insider_transaction",
        "exchange",
        "instrument",
    ],
    item: "symbol, e.g. `AAPL.US`",
    known_at: "of a statement the end of the day on which it was filed, at its exchange; else the time of receipt",
    // A request counts as ten calls.
    schedule: Schedule::once_a_day(Kind::Fundamentals),
    history: History::ALL,
    base: None,
    path: |item, _offset| Ok(format!("/fundamentals/{}?fmt=json", symbol(item)?)),
    parse: fundamentals::parse,
};

const NEWS: Endpoint = Endpoint {
    name: "news",
    doc: "The newest articles about a symbol, with the provider's sentiment",
    datasets: &["news_article"],
    item: "symbol, e.g. `AAPL.US`",
    known_at: "when the article was published, else the time of receipt",
    // A page counts as ten calls, five of them for the symbol: at most fifty an hour, of 100,000 a day.
    schedule: Schedule {
        kind: Kind::News,
        frequency: Frequency::Intraday,
        every: hours(1),
        when: When::Always,
        sla: hours(6),
    },
    history: History { range: Some(Ranged { query: dates, longest_days: 365 }), ..History::ALL },
    base: None,
    path: |item, offset| {
        let symbol = symbol(item)?;
        Ok(format!("/news?s={symbol}&limit={}&offset={offset}&fmt=json", news::PAGE_ARTICLES))
    },
    parse: news::parse,
};

const INSIDER_TRANSACTIONS: Endpoint = Endpoint {
    name: "insider_transactions",
    doc: "Trades of a company's insiders; with `@form4` line by line as filed with the SEC",
    datasets: &["insider_transaction"],
    item: "symbol, e.g. `AAPL.US`, or `AAPL.US@form4`",
    known_at: "the end of the day on which a form 4 was filed, in New York, else the time of receipt",
    schedule: Schedule { sla: days(2), ..Schedule::on_weekdays(Kind::Filings, America::New_York, hours(12)) },
    history: History::ALL,
    base: None,
    path: insiders::path,
    parse: insiders::parse,
};

const RECEIPT: &str = "the time of receipt: EODHD does not say when it changed a value";
/// Longest symbol that the field `symbol` can hold.
const MAX_SYMBOL_BYTES: usize = 40;
/// Longest code of an exchange; the longest known have six characters.
const MAX_EXCHANGE_BYTES: usize = 12;

/// The market of a symbol or of an exchange; always open where it is unknown.
fn market(item: &str) -> Market {
    match item.rsplit('.').next().unwrap_or_default() {
        "US" | "INDX" => Market::NewYork,
        "LSE" => Market::London,
        "XETRA" => Market::Frankfurt,
        "FOREX" => Market::Currencies,
        _ => Market::Always,
    }
}

/// Requests a range of dates.
fn dates(_item: &str, range: Option<Range>) -> String {
    range.map_or(String::new(), |range| format!("&from={}&to={}", range.first, range.last))
}

/// A symbol as a segment of a path.
fn symbol(item: &str) -> Result<String, PageError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_&$^=".contains(&byte);
    let (code, exchange) = item.rsplit_once('.').unwrap_or_default();
    let is_symbol = code.bytes().any(|byte| byte.is_ascii_alphanumeric()) && item.bytes().all(allowed);
    if !is_symbol || !is_exchange(exchange) || item.len() > MAX_SYMBOL_BYTES {
        return Err(PageError::Skip(format!("`{}` is not a symbol, such as `AAPL.US`", excerpt(item.as_bytes()))));
    }
    Ok(percent_encoded(item))
}

/// An exchange as a segment of a path.
fn exchange(item: &str) -> Result<&str, PageError> {
    if is_exchange(item) {
        return Ok(item);
    }
    Err(PageError::Skip(format!("`{}` is not the code of an exchange, such as `US`", excerpt(item.as_bytes()))))
}

fn is_exchange(code: &str) -> bool {
    !code.is_empty() && code.len() <= MAX_EXCHANGE_BYTES && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The path of the history of a symbol, or of the last day of an exchange.
fn action_path(folder: &str, bulk_type: &str, item: &str) -> Result<String, PageError> {
    if item.contains('.') {
        return Ok(format!("/{folder}/{}?fmt=json", symbol(item)?));
    }
    Ok(format!("/eod-bulk-last-day/{}?type={bulk_type}&fmt=json", exchange(item)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(endpoint: &str, item: &str, offset: u64) -> Result<String, PageError> {
        (SOURCE.endpoint(endpoint).unwrap().path)(item, offset)
    }

    #[test]
    fn json_is_always_asked_for() {
        for (endpoint, item, expected) in [
            ("eod", "AAPL.US", "/eod/AAPL.US?fmt=json&period=d&order=a"),
            ("eod", "M&M.NSE", "/eod/M%26M.NSE?fmt=json&period=d&order=a"),
            ("bulk_eod", "US", "/eod-bulk-last-day/US?fmt=json"),
            ("dividends", "AAPL.US", "/div/AAPL.US?fmt=json"),
            ("dividends", "F", "/eod-bulk-last-day/F?type=dividends&fmt=json"),
            ("splits", "AAPL.US", "/splits/AAPL.US?fmt=json"),
            ("splits", "F", "/eod-bulk-last-day/F?type=splits&fmt=json"),
            ("fundamentals", "BRK-B.US", "/fundamentals/BRK-B.US?fmt=json"),
            ("insider_transactions", "AAPL.US", "/insider-transactions?code=AAPL.US&limit=1000&fmt=json"),
        ] {
            assert_eq!(path(endpoint, item, 0).unwrap(), expected);
        }
        assert_eq!(path("news", "AAPL.US", 1000).unwrap(), "/news?s=AAPL.US&limit=1000&offset=1000&fmt=json");
        assert_eq!(
            path("insider_transactions", "AAPL.US@form4", 200).unwrap(),
            "/sec-filings/AAPL.US/form4?page%5Boffset%5D=200&page%5Blimit%5D=100&fmt=json"
        );
    }

    #[test]
    fn what_cannot_be_a_symbol_or_an_exchange_is_not_asked_for() {
        for endpoint in ["eod", "fundamentals", "news", "insider_transactions"] {
            for item in ["", "AAPL", ".US", "AAPL.", "AAPL.US/x", "A B.US", "../x.US", "AAPL.US@x", "é.US", "-.US"] {
                let outcome = path(endpoint, item, 0);
                assert!(matches!(outcome, Err(PageError::Skip(_))), "{endpoint}: {item}: {outcome:?}");
            }
        }
        for endpoint in ["bulk_eod", "dividends", "splits"] {
            for item in ["", "U S", "US?x=1", "../x", &"X".repeat(13)] {
                let outcome = path(endpoint, item, 0);
                assert!(matches!(outcome, Err(PageError::Skip(_))), "{endpoint}: {item}: {outcome:?}");
            }
        }
    }
}
