//! Financial Modeling Prep's API: statements, ratios, prices and profiles of a few made-up companies.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Map, Value, json};

use crate::calendar::{END, day, days, is_trading_day};
use crate::random::Random;
use crate::range::Range;
use crate::reply::Reply;

/// The companies: symbol, name, exchange.
const COMPANIES: &[(&str, &str, &str)] = &[
    ("ACME", "Acme Anvils Inc.", "NASDAQ"),
    ("BOLT", "Bolt Works Corp.", "NYSE"),
    ("CORE", "Core & Sons", "NASDAQ"),
    ("DYNE", "Dyne Motors Inc.", "NYSE"),
    ("EPSI", "Epsilon Paper Co.", "NYSE"),
    ("FERN", "Fern Foods plc", "LSE"),
    ("GRID", "Grid Power Inc.", "NYSE"),
    ("HALO", "Halo Lighting", "AMEX"),
];
/// Periods returned without `limit`.
const DEFAULT_LIMIT: usize = 5;
/// Years of statements.
const YEARS: usize = 10;
/// Symbols that only the bulk of a day has, beside the companies.
const OTHERS: usize = 200;
/// A day on which the market was closed although it is in no calendar.
const CLOSED: NaiveDate = NaiveDate::from_ymd_opt(2025, 1, 9).expect("a date");

/// The statement that is restated: a symbol and the last day of its quarter.
const RESTATED: (&str, NaiveDate) = ("ACME", day(2025, 9, 30));

/// Symbols of the companies.
pub(crate) fn symbols() -> Vec<String> {
    COMPANIES.iter().map(|(symbol, ..)| (*symbol).to_owned()).collect()
}

/// The same, and each once more for its quarters.
pub(crate) fn periods() -> Vec<String> {
    symbols().into_iter().flat_map(|symbol| [symbol.clone(), format!("{symbol}@quarter")]).collect()
}

/// The last days with trade.
pub(crate) fn dates() -> Vec<String> {
    days(END - Days::new(2)).filter(|date| is_trading_day(*date)).map(|date| date.to_string()).collect()
}

/// Answers the endpoints below `/stable/`.
pub(crate) fn stable(seed: u64, endpoint: &str, query: &HashMap<String, String>, is_corrected: bool) -> Reply {
    let parameter = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let key = parameter("apikey");
    if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let words = "Invalid API KEY. Feel free to create a Free API Key or visit https://site.financialmodelingprep.com/faqs?search=why-is-my-api-key-invalid for more information.";
        return error(401, words);
    }
    if endpoint == "eod-bulk" {
        return bulk(seed, parameter("date"));
    }
    let Some(company) = COMPANIES.iter().find(|(symbol, ..)| *symbol == parameter("symbol")) else {
        return Reply::json(200, "[]".to_owned());
    };
    let rows = match endpoint {
        "historical-price-eod/full" => prices(seed, company.0, Range::of(query, ["from", "to"])),
        "profile" => vec![profile(seed, company)],
        "income-statement" | "balance-sheet-statement" | "cash-flow-statement" | "ratios" | "key-metrics" => {
            let limit = parameter("limit").parse().unwrap_or(DEFAULT_LIMIT);
            let periods = ends(parameter("period") == "quarter").into_iter().take(limit);
            let mut rows: Vec<Value> = periods.map(|period| statement(seed, company.0, endpoint, period)).collect();
            if !is_corrected {
                rows.iter_mut().for_each(unrestated);
            }
            rows
        }
        _ => return error(404, "Not found! Please check the path."),
    };
    Reply::json(200, format!("{:#}", Value::from(rows)))
}

fn error(status: u16, words: &str) -> Reply {
    Reply::json(status, format!("{:#}", json!({ "Error Message": words })))
}

/// Last days of the periods, the newest first, each with its fiscal year and name.
fn ends(is_quarterly: bool) -> Vec<(NaiveDate, i32, &'static str)> {
    let quarters = [(3, 31, "Q1"), (6, 30, "Q2"), (9, 30, "Q3"), (12, 31, if is_quarterly { "Q4" } else { "FY" })];
    let all = (0..=YEARS as i32).flat_map(|back| {
        let year = END.year() - back;
        quarters.into_iter().rev().map(move |(month, date, name)| (day(year, month, date), year, name))
    });
    // The statement of the last period has not been filed yet.
    all.filter(|(end, _, name)| *end < END && (is_quarterly || *name == "FY")).collect()
}

fn statement(seed: u64, symbol: &str, endpoint: &str, (end, year, period): (NaiveDate, i32, &str)) -> Value {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("date", json!(end));
    put("symbol", symbol.into());
    put("reportedCurrency", "USD".into());
    let filed = end + Days::new(40);
    if endpoint.ends_with("statement") {
        put("cik", format!("{:010}", cik(symbol)).into());
        put("filingDate", json!(filed));
        put("acceptedDate", format!("{filed} 16:30:05").into());
    }
    put("fiscalYear", year.to_string().into());
    put("period", period.into());
    for (name, value) in figures(seed, symbol, endpoint, end, period) {
        put(name, value);
    }
    Value::Object(row)
}

/// A statement as it was before the company restated it, silently: under the same time of acceptance.
fn unrestated(row: &mut Value) {
    if row["symbol"] != RESTATED.0 || row["date"] != json!(RESTATED.1) {
        return;
    }
    for name in ["netIncome", "eps", "epsDiluted"] {
        match row.get_mut(name) {
            Some(value) if value.is_u64() => *value = Value::from(value.as_u64().unwrap_or_default() / 10 * 9),
            Some(value) => *value = Value::from(0.9 * value.as_f64().unwrap_or_default()),
            None => {}
        }
    }
}

fn cik(symbol: &str) -> usize {
    1_000_001 + COMPANIES.iter().position(|(own, ..)| *own == symbol).unwrap_or_default()
}

/// The figures of a period. A year sums up its quarters; what holds at a date is that of its last quarter.
fn figures(seed: u64, symbol: &str, endpoint: &str, end: NaiveDate, period: &str) -> Vec<(&'static str, Value)> {
    let mut figures = metrics(seed, symbol, endpoint, end);
    if period != "FY" {
        return figures;
    }
    let earlier = [(3, 31), (6, 30), (9, 30)].map(|(month, date)| day(end.year(), month, date));
    for quarter in earlier {
        let others = metrics(seed, symbol, endpoint, quarter);
        for ((_, value), (_, other)) in figures.iter_mut().zip(&others).filter(|((name, _), _)| is_sum(name)) {
            *value = match (value.as_u64(), other.as_u64()) {
                (Some(sum), Some(other)) => Value::from(sum + other),
                _ => Value::from(value.as_f64().unwrap_or_default() + other.as_f64().unwrap_or_default()),
            };
        }
    }
    figures
}

/// Whether a figure belongs to a span of time. Then the figure of a year is the sum of its quarters.
fn is_sum(name: &str) -> bool {
    const SUMS: [&str; 9] = [
        "revenue",
        "costOfRevenue",
        "operatingIncome",
        "netIncome",
        "eps",
        "epsDiluted",
        "operatingCashFlow",
        "freeCashFlow",
        "returnOnEquity",
    ];
    SUMS.contains(&name)
}

fn metrics(seed: u64, symbol: &str, endpoint: &str, end: NaiveDate) -> Vec<(&'static str, Value)> {
    let mut random = Random::new(seed, &format!("fmp/{symbol}/{end}"));
    let mut millions = |most: usize| Value::from(1_000_000 * random.below(most) as u64);
    let amounts: &[(&'static str, usize)] = match endpoint {
        "income-statement" => {
            &[("revenue", 9000), ("costOfRevenue", 5000), ("operatingIncome", 2000), ("netIncome", 1500)]
        }
        "balance-sheet-statement" => {
            &[("totalAssets", 90_000), ("totalLiabilities", 60_000), ("totalStockholdersEquity", 30_000)]
        }
        "cash-flow-statement" => &[("netIncome", 1500), ("operatingCashFlow", 2500), ("freeCashFlow", 2000)],
        "key-metrics" => &[("marketCap", 500_000), ("enterpriseValue", 500_000)],
        _ => &[],
    };
    let mut all: Vec<(&'static str, Value)> = amounts.iter().map(|(name, most)| (*name, millions(*most))).collect();
    let mut ratio = |most: f64| Value::from(most * random.unit());
    match endpoint {
        "income-statement" => all.extend([("eps", ratio(9.0)), ("epsDiluted", ratio(9.0))]),
        "key-metrics" => all.extend([("currentRatio", ratio(3.0)), ("returnOnEquity", ratio(0.4))]),
        "ratios" => all.extend([
            ("netProfitMargin", ratio(0.3)),
            ("currentRatio", ratio(3.0)),
            ("priceToEarningsRatio", ratio(40.0)),
            ("priceToBookRatio", ratio(10.0)),
            ("debtToEquityRatio", ratio(2.0)),
            // FMP writes this for a division by zero.
            ("interestCoverageRatio", "Infinity".into()),
        ]),
        _ => {}
    }
    all
}

/// Open, high, low, close and volume of each day of the last year.
fn bars(seed: u64, symbol: &str) -> Vec<(NaiveDate, [f64; 4], u64)> {
    let mut random = Random::new(seed, &format!("fmp/{symbol}/prices"));
    let cents = |price: f64| (price * 100.0).round() / 100.0;
    let mut close = 20.0 + 180.0 * random.unit();
    let dates = days(day(END.year(), 1, 2)).filter(|date| is_trading_day(*date) && *date != CLOSED);
    dates
        .map(|date| {
            let open = close;
            close = f64::max(1.0, open * (1.0003 + 0.03 * random.swing()));
            let (high, low) = (open.max(close) * 1.01, open.min(close) * 0.99);
            (date, [open, high, low, close].map(cents), 100_000 + random.below(9_900_000) as u64)
        })
        .collect()
}

fn prices(seed: u64, symbol: &str, range: Range<'_>) -> Vec<Value> {
    let mut bars = bars(seed, symbol);
    if range.is_bounded() {
        bars.retain(|(date, ..)| range.holds(&date.to_string()));
    }
    let row = |(date, [open, high, low, close], volume): &(NaiveDate, [f64; 4], u64)| json!({ "symbol": symbol, "date": date, "open": open, "high": high, "low": low, "close": close, "volume": volume });
    bars.iter().rev().map(row).collect()
}

/// The bars of a day; the low comes before the high.
fn bulk(seed: u64, date: &str) -> Reply {
    let mut text = String::from("symbol,date,open,low,high,close,adjClose,volume\n");
    let others = (0..OTHERS).map(|number| format!("BULK{number:03}"));
    for symbol in symbols().into_iter().chain(others) {
        let bars = bars(seed, &symbol);
        let Some((_, [open, high, low, close], volume)) = bars.iter().find(|(own, ..)| own.to_string() == date) else {
            return Reply::json(200, "[]".to_owned());
        };
        writeln!(text, "{symbol},{date},{open},{low},{high},{close},{close},{volume}")
            .expect("writing to a string cannot fail");
    }
    Reply::ok("text/csv", text)
}

fn profile(seed: u64, (symbol, name, exchange): &(&str, &str, &str)) -> Value {
    let mut random = Random::new(seed, &format!("fmp/{symbol}/profile"));
    json!({
        "symbol": symbol, "price": (100.0 * random.unit()).round(), "marketCap": 1_000_000 * random.below(900_000),
        "beta": 1.1, "companyName": name, "currency": "USD", "cik": format!("{:010}", cik(symbol)), "isin": null,
        "exchangeFullName": exchange, "exchange": exchange, "industry": "Made up", "sector": "Simulated",
        "website": "https://example.com", "description": format!("{name} exists in the simulator only."),
        "ceo": "A. Person", "country": "US", "fullTimeEmployees": random.below(90_000).to_string(), "zip": "",
        "ipoDate": "1999-01-04", "isEtf": false, "isActivelyTrading": true, "isAdr": false, "isFund": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::body;

    const KEY: &str = "simulatedsimulatedsimulated00000";

    fn answer(endpoint: &str, symbol: &str, more: &[(&str, &str)]) -> (u16, String) {
        let own = [("apikey", KEY), ("symbol", symbol)];
        let query = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        body(stable(1, endpoint, &query, true))
    }

    #[test]
    fn statements_are_the_newest_five_unless_more_are_asked_for() {
        let rows = |more: &[(&str, &str)]| -> Vec<Value> {
            serde_json::from_str(&answer("income-statement", "ACME", more).1).unwrap()
        };
        assert_eq!(rows(&[]).len(), DEFAULT_LIMIT);
        assert_eq!(rows(&[("limit", "100")]).len(), YEARS);
        assert_eq!((&rows(&[])[0]["date"], &rows(&[])[0]["period"]), (&"2024-12-31".into(), &"FY".into()));
        let quarters = rows(&[("period", "quarter")]);
        assert_eq!((&quarters[0]["date"], &quarters[0]["period"]), (&"2025-09-30".into(), &"Q3".into()));
    }

    #[test]
    fn a_year_is_the_sum_of_its_quarters_and_ends_with_the_balance_of_the_last() {
        let rows = |endpoint: &str, more: &[(&str, &str)]| -> Vec<Value> {
            serde_json::from_str(&answer(endpoint, "ACME", more).1).unwrap()
        };
        let (years, quarters) =
            (rows("income-statement", &[]), rows("income-statement", &[("period", "quarter"), ("limit", "9")]));
        let of_2024 = || quarters.iter().filter(|row| row["fiscalYear"] == "2024");
        for name in ["revenue", "netIncome"] {
            let sum: u64 = of_2024().map(|row| row[name].as_u64().unwrap()).sum();
            assert_eq!((of_2024().count(), years[0][name].as_u64()), (4, Some(sum)), "{name}");
        }
        let sum: f64 = of_2024().map(|row| row["eps"].as_f64().unwrap()).sum();
        assert!((years[0]["eps"].as_f64().unwrap() - sum).abs() < 1e-9);
        let sheets = [
            rows("balance-sheet-statement", &[]),
            rows("balance-sheet-statement", &[("period", "quarter"), ("limit", "9")]),
        ];
        let last = sheets[1].iter().find(|row| row["date"] == "2024-12-31").unwrap();
        assert_eq!(sheets[0][0]["totalAssets"], last["totalAssets"]);
    }

    #[test]
    fn before_its_restatement_a_quarter_has_other_profits_under_the_same_time() {
        let query = [("apikey", KEY), ("symbol", "ACME"), ("period", "quarter")];
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let rows = |is_corrected| -> Vec<Value> {
            serde_json::from_str(&body(stable(1, "income-statement", &query, is_corrected)).1).unwrap()
        };
        let (before, after) = (rows(false), rows(true));
        assert_eq!(before[1..], after[1..]);
        assert_eq!((&before[0]["date"], &before[0]["acceptedDate"]), (&"2025-09-30".into(), &after[0]["acceptedDate"]));
        assert_eq!(before[0]["revenue"], after[0]["revenue"]);
        assert!(["netIncome", "eps"].iter().all(|name| before[0][name] != after[0][name]), "{}", before[0]);
    }

    #[test]
    fn prices_come_newest_first_and_a_day_in_bulk_has_the_same() {
        let rows: Vec<Value> = serde_json::from_str(&answer("historical-price-eod/full", "BOLT", &[]).1).unwrap();
        assert!(rows.len() > 250 && rows[0]["date"] == "2025-12-31");
        assert!(rows.iter().all(|row| row["date"] != "2025-01-09"));
        let (_, text) = answer("eod-bulk", "", &[("date", "2025-12-31")]);
        let line = text.lines().find(|line| line.starts_with("BOLT,")).unwrap();
        assert_eq!(line.split(',').nth(5).unwrap(), rows[0]["close"].to_string());
        assert_eq!(text.lines().count(), 1 + COMPANIES.len() + OTHERS);
        assert_eq!(answer("eod-bulk", "", &[("date", "2025-12-25")]).1, "[]");
        assert_eq!(dates(), ["2025-12-29", "2025-12-30", "2025-12-31"]);
    }

    #[test]
    fn an_unknown_symbol_is_an_empty_list_and_a_wrong_key_is_refused() {
        assert_eq!(answer("profile", "NOSUCH", &[]), (200, "[]".to_owned()));
        let query = HashMap::from([("apikey".to_owned(), "x".to_owned())]);
        let (status, text) = body(stable(1, "profile", &query, true));
        assert!(status == 401 && text.contains("Invalid API KEY"), "{text}");
    }
}
