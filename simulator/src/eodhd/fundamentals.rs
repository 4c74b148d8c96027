//! EODHD's fundamentals: a company in the United States, one in London, and a currency.

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::{SYMBOLS, files_with_the_sec, later, price};
use crate::calendar::{END, day, months};
use crate::random::Random;

/// Years that there are statements for.
const YEARS: i32 = 6;

/// All fundamentals of a symbol.
pub(super) fn fundamentals(seed: u64, symbol: &str) -> Value {
    let (code, exchange) = symbol.rsplit_once('.').unwrap_or((symbol, ""));
    if exchange == "CC" {
        let general = json!({
            "Code": code, "Type": "Currency", "Name": "Simulated Coin", "Exchange": "CC", "CurrencyCode": "USD",
            "CountryName": "NA", "CountryISO": "NA",
        });
        return json!({ "General": general, "Components": {} });
    }
    let mut random = Random::new(seed, symbol);
    let mut body = json!({
        "General": general(code, exchange, symbol),
        "Highlights": {
            "MarketCapitalization": 1_000_000_000 + random.below(900_000_000), "PERatio": format!("{:.4}", 10.0 + 20.0 * random.unit()),
            "PEGRatio": null, "MostRecentQuarter": last_quarter(), "ProfitMargin": "0.2150", "ReturnOnEquityTTM": "0.5269",
            "RevenueTTM": "259034005504.00", "DividendYield": "0.0137",
        },
        "Valuation": { "TrailingPE": "18.5922", "ForwardPE": null, "PriceBookMRQ": "10.2866" },
        "SharesStats": { "SharesOutstanding": "4519179776.00", "SharesFloat": "4263710755.00", "SharesShort": 42_651_634 },
        "Technicals": { "Beta": "1.0796", "52WeekHigh": "233.4700", "52WeekLow": "142.0000", "SharesShort": 42_651_634 },
        "SplitsDividends": { "PayoutRatio": "0.2513", "LastSplitFactor": "1/7", "LastSplitDate": "0000-00-00" },
        "AnalystRatings": {
            "Rating": price(1.0 + 4.0 * random.unit()), "TargetPrice": price(100.0 + 200.0 * random.unit()),
            "StrongBuy": random.below(20), "Buy": random.below(20), "Hold": random.below(20), "Sell": 2, "StrongSell": 1,
        },
        "outstandingShares": { "annual": { "0": { "date": "2024", "sharesMln": "5000.00" } }, "quarterly": [] },
        "Financials": financials(&mut random),
    });
    if files_with_the_sec(symbol) {
        body["InsiderTransactions"] = insiders();
    }
    body
}

fn general(code: &str, exchange: &str, symbol: &str) -> Value {
    let is_american = exchange == "US";
    let place = SYMBOLS.iter().position(|known| *known == symbol).unwrap_or_default();
    json!({
        "Code": code, "Type": "Common Stock", "Name": format!("{code} (simulated)"),
        "Exchange": if is_american { "NASDAQ" } else { exchange },
        "CurrencyCode": if is_american { "USD" } else { "GBX" }, "CurrencyName": null, "CurrencySymbol": null,
        "CountryName": if is_american { "USA" } else { "UK" }, "CountryISO": if is_american { "US" } else { "GB" },
        "ISIN": null, "CIK": is_american.then(|| (100_000 + place).to_string()), "FiscalYearEnd": "December",
        "IPODate": "1980-12-12", "Sector": "Technology", "Industry": "Consumer Electronics",
        "Description": "Makes things that are like other things.", "Address": "One Street\nA City\n",
        "WebURL": "www.simulator.example", "FullTimeEmployees": 100_000 + place, "UpdatedAt": END,
    })
}

fn insiders() -> Value {
    let line = |index: i64| {
        json!({
            "date": later(END, -index), "ownerCik": null, "ownerName": format!("Insider {index}"),
            "transactionDate": later(END, -index), "transactionCode": "P", "transactionAmount": 10 * index,
            "transactionPrice": 243.85, "transactionAcquiredDisposed": "A", "postTransactionAmount": null, "secLink": null,
        })
    };
    // A list, as the provider writes it.
    Value::Object((0..8).map(|index| (index.to_string(), line(index + 1))).collect())
}

/// Last days of the quarters, the newest first.
fn quarters() -> Vec<NaiveDate> {
    let first = day(chrono::Datelike::year(&END) - YEARS, 1, 1);
    let mut ends: Vec<NaiveDate> = months(first, 3).skip(1).map(|start| later(start, -1)).collect();
    ends.reverse();
    ends
}

fn last_quarter() -> Option<NaiveDate> {
    quarters().first().copied()
}

fn financials(random: &mut Random) -> Value {
    let quarters = quarters();
    let years: Vec<NaiveDate> = quarters.iter().copied().filter(|date| chrono::Datelike::month(date) == 12).collect();
    let section = |names: &[&str], random: &mut Random| {
        json!({
            "currency_symbol": "USD",
            "quarterly": statements(&quarters, names, random),
            "yearly": statements(&years, names, random),
        })
    };
    json!({
        "Balance_Sheet": section(&["totalAssets", "totalLiab", "totalStockholderEquity", "cash"], random),
        "Cash_Flow": section(&["totalCashFromOperatingActivities", "capitalExpenditures", "dividendsPaid"], random),
        "Income_Statement": section(&["totalRevenue", "operatingIncome", "netIncome", "researchDevelopment"], random),
    })
}

/// A map by date, its amounts in quotes.
fn statements(dates: &[NaiveDate], names: &[&str], random: &mut Random) -> Value {
    let statement = |date: &NaiveDate| {
        let mut row = Map::new();
        row.insert("date".to_owned(), json!(date));
        row.insert("filing_date".to_owned(), json!(later(*date, 32)));
        row.insert("goodWill".to_owned(), Value::Null);
        for name in names {
            row.insert((*name).to_owned(), json!(format!("{}000000.00", 100 + random.below(90_000))));
        }
        (date.to_string(), Value::Object(row))
    };
    Value::Object(dates.iter().map(statement).collect())
}
