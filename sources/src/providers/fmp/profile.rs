//! Profiles of companies.

use contract::records::{Company, Instrument};

use super::statements::cik;
use super::{NAME, own_symbol, rows, spelled};
use crate::instrument::{self, FOR_SPLITS, Unit};
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

/// Members with a field of their own, under each of their names.
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
/// Kinds of instruments that are not shares: the name of the flag, and of the kind.
const KINDS: &[(&str, &str)] = &[("isEtf", "ETF"), ("isFund", "fund"), ("isAdr", "ADR")];

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut parsed = Parsed::default();
    for row in rows(body)? {
        let fault = match Object::row(row).and_then(|row| company(request, &row)) {
            Ok(company) if parsed.records.is_empty() => {
                let instrument = instrument(&company);
                parsed.records.extend([company.into(), instrument.into()]);
                continue;
            }
            Ok(_) => Fault("duplicate", "is a second company in the response for one".to_owned()),
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
        // In v3 `exchange` holds the long name.
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

/// What its prices are, as `eod_prices` sends them.
fn instrument(company: &Company) -> Instrument {
    let unit = Unit::of(company.currency.as_deref());
    let mic = company.exchange.as_deref().and_then(instrument::mic);
    Instrument {
        source: NAME,
        symbol: company.symbol.clone(),
        ticker: mic.as_deref().map(|mic| instrument::ticker(&company.symbol, mic)),
        mic,
        isin: company.isin.clone(),
        exchange: company.exchange.clone(),
        kind: instrument::kind(company.kind.as_deref().unwrap_or("Common Stock")),
        currency: unit.currency,
        unit: unit.unit,
        units_per_currency: unit.per_currency,
        price_adjustment: FOR_SPLITS,
        adjusted_close_adjustment: None,
        volume_adjustment: FOR_SPLITS,
        known_at: company.known_at,
        observed_at: company.observed_at,
        flags: Vec::new(),
    }
}

fn is_other(name: &str, value: Raw<'_>) -> bool {
    !KNOWN.contains(&name) && !matches!(value.get(), "null" | "\"\"")
}

#[cfg(test)]
mod tests;
