//! What a company is.

use contract::records::Company;

use super::statements::cik;
use super::{NAME, own_symbol, rows, spelled};
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

/// What has a column of its own, under each of its names.
const KNOWN: &[&str] = &[
    "symbol",
    "companyName",
    "cik",
    "isin",
    "cusip",
    "exchange",
    "exchangeShortName",
    "currency",
    "country",
    "sector",
    "industry",
    "description",
    "website",
    "fullTimeEmployees",
    "ipoDate",
    "marketCap",
    "mktCap",
];
/// What an instrument is when it is no share: the name of a flag, and of the kind.
const KINDS: &[(&str, &str)] = &[("isEtf", "ETF"), ("isFund", "fund"), ("isAdr", "ADR")];

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut parsed = Parsed::default();
    for row in rows(body)? {
        let fault = match Object::row(row).and_then(|row| company(request, &row)) {
            Ok(company) if parsed.records.is_empty() => {
                parsed.records.push(company.into());
                continue;
            }
            Ok(_) => Fault("duplicate", "is a second company in the answer for one".to_owned()),
            Err(fault) => fault,
        };
        parsed.rejects.push(fault.reject(row.get().as_bytes()));
    }
    Ok(parsed)
}

fn company(request: &Request<'_>, row: &Object<'_>) -> Result<Company, Fault> {
    let kind = KINDS.iter().find(|(flag, _)| row.raw(flag).is_some_and(|value| value.get() == "true"));
    Ok(Company {
        source: NAME,
        symbol: own_symbol(request, row)?,
        name: row.needed_text("companyName")?,
        cik: cik(row)?,
        isin: row.text("isin")?,
        cusip: row.text("cusip")?,
        lei: None,
        kind: kind.map(|(_, kind)| (*kind).into()),
        // v3 has the long name in `exchange`.
        exchange: row.text(spelled(row, &["exchangeShortName", "exchange"]))?,
        currency: row.text("currency")?,
        country: row.text("country")?,
        sector: row.text("sector")?,
        industry: row.text("industry")?,
        sic: None,
        description: row.text("description")?,
        website: row.text("website")?,
        employees: row.whole("fullTimeEmployees")?,
        listed_on: row.date("ipoDate")?,
        delisted_on: None,
        fiscal_year_end: None,
        shares_outstanding: None,
        market_cap: row.decimal(spelled(row, &["marketCap", "mktCap"]))?,
        former_names: Vec::new(),
        other: row.json(is_other),
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

fn is_other(name: &str, value: Raw<'_>) -> bool {
    !KNOWN.contains(&name) && !matches!(value.get(), "null" | "\"\"")
}

#[cfg(test)]
mod tests {
    use contract::{Record, decimal};
    use serde_json::Value;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};
    use crate::providers::fmp::SOURCE;

    fn company_of(file: &str) -> Company {
        let parsed = parse_file(&SOURCE, "profile", file).unwrap();
        assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
        match parsed.records.into_iter().next() {
            Some(Record::Company(company)) => *company,
            other => panic!("not a company: {other:?}"),
        }
    }

    #[test]
    fn a_company_is_described_in_the_words_of_the_provider() {
        let company = company_of("ACME.json");
        assert_eq!(
            (company.source.as_str(), company.symbol.as_str(), company.name.as_str()),
            ("fmp", "ACME", "Acme Anvils Inc.")
        );
        assert_eq!((company.cik.as_deref(), company.isin.as_deref()), (Some("0000001234"), Some("US0000000000")));
        assert_eq!((company.exchange.as_deref(), company.currency.as_deref()), (Some("NASDAQ"), Some("USD")));
        assert_eq!((company.employees, company.listed_on), (Some(1640), Some(date("1980-12-12"))));
        assert_eq!((company.market_cap, company.kind.as_deref()), (decimal::parse("3500823120000"), None));
        assert_eq!((company.known_at, company.observed_at), (at(RECEIVED), at(RECEIVED)));
        let other: Value = serde_json::from_str(company.other.as_deref().unwrap()).unwrap();
        assert_eq!(
            (&other["ceo"], &other["beta"], &other["isEtf"]),
            (&"A. Person".into(), &1.24.into(), &false.into())
        );
        assert!(other.get("zip").is_none() && other.get("sector").is_none(), "{other}");
    }

    #[test]
    fn v3_is_read_in_its_own_spelling() {
        let company = company_of("XFND~v3.json");
        assert_eq!((company.exchange.as_deref(), company.market_cap), (Some("AMEX"), decimal::parse("512000000000")));
        assert_eq!((company.kind.as_deref(), company.employees, company.cik), (Some("ETF"), None, None));
    }

    #[test]
    fn an_unknown_symbol_is_an_empty_page() {
        assert_eq!(parse(&request("NOSUCH"), b"[]").unwrap(), Parsed::default());
    }

    #[test]
    fn each_odd_row_is_refused() {
        let parsed = parse_file(&SOURCE, "profile", "BOLT~odd_rows.json").unwrap();
        assert_eq!(parsed.records.len(), 1);
        let reasons: Vec<&str> = rejects(&parsed).iter().map(|(_, reason)| *reason).collect();
        let expected = [
            "has no `companyName`",
            "is of `ACME`",
            "`fullTimeEmployees` `\"many\"` is not a whole number",
            "is a second company in the answer for one",
        ];
        assert_eq!(reasons, expected);
    }
}
