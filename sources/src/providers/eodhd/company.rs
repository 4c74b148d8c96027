//! A company or fund, and where it is listed.

use contract::Text;
use contract::records::{Company, Exchange, Instrument};
use serde_json::Value;

use super::NAME;
use super::sections::{NOTHING, Sections};
use crate::instrument::{self, FOR_ALL, FOR_SPLITS, UNADJUSTED, Unit};
use crate::parse::fault::Fault;
use crate::parse::value::absent;
use crate::response::Request;

/// Names of `General` that are read.
const READ: &[&str] = &[
    "Code",
    "Type",
    "Name",
    "Exchange",
    "CurrencyCode",
    "CountryName",
    "CountryISO",
    "ISIN",
    "CUSIP",
    "CIK",
    "LEI",
    "FiscalYearEnd",
    "Fiscal_Year_End",
    "IPODate",
    "DelistedDate",
    "Sector",
    "Industry",
    "Description",
    "Fund_Summary",
    "WebURL",
    "FullTimeEmployees",
    "UpdatedAt",
];
/// Values that are not worth keeping.
const NO_VALUES: &[&str] = &["null", "\"\"", "\"NA\"", "\"0000-00-00\""];
/// Most bytes of JSON that is kept as sent: a Kafka message has room for a megabyte.
const MAX_OTHER_BYTES: usize = 512 << 10;
/// Most names of omitted sections, and the longest such name.
const MAX_LEFT_OUT: usize = 20;
const MAX_LEFT_OUT_BYTES: usize = 64;

/// The company of a response.
pub(super) fn company(request: &Request<'_>, sections: &Sections<'_>) -> Result<Company, Fault> {
    let general = &sections.general;
    let text = |name| text(sections, name);
    let name = text("Name")?.ok_or_else(|| absent("Name"))?;
    let [highlights, _, shares, _] = &sections.ratios;
    Ok(Company {
        source: NAME,
        symbol: request.item.into(),
        name,
        cik: sections.cik.clone(),
        isin: text("ISIN")?,
        cusip: text("CUSIP")?,
        lei: text("LEI")?,
        kind: text("Type")?,
        exchange: text("Exchange")?,
        currency: text("CurrencyCode")?,
        country: text("CountryName")?,
        sector: text("Sector")?,
        industry: text("Industry")?,
        sic: None,
        description: text("Description")?.or(text("Fund_Summary")?),
        website: text("WebURL")?,
        employees: general.whole("FullTimeEmployees")?,
        listed_on: general.date("IPODate")?,
        delisted_on: general.date("DelistedDate")?,
        fiscal_year_end: text("FiscalYearEnd")?.or(text("Fiscal_Year_End")?),
        shares_outstanding: shares.decimal("SharesOutstanding")?,
        market_cap: highlights.decimal("MarketCapitalization")?,
        former_names: Vec::new(),
        other: other(sections),
        // `UpdatedAt` is the date of `General` alone: the market value and the shares change on other days.
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// A text of `General`; None for the words for a missing value.
fn text(sections: &Sections<'_>, name: &str) -> Result<Option<Text>, Fault> {
    let text = sections.general.text(name)?;
    Ok(text.filter(|text| !NOTHING.contains(&text.as_str())))
}

/// The rest of `General` and the sections without records of their own, as sent.
///
/// Sections too large to keep, such as the thousands of holdings of an index fund, are omitted and named in `left_out`.
fn other(sections: &Sections<'_>) -> Option<String> {
    let general = sections.general.iter().filter(|(name, raw)| !READ.contains(name) && !NO_VALUES.contains(&raw.get()));
    let general = object(general.map(|(name, raw)| (name, raw.get())));
    let mut kept: Vec<(&str, &str)> = Vec::new();
    let mut left_out = Vec::new();
    let mut room = MAX_OTHER_BYTES;
    let general = Some(("General", general.as_str())).filter(|(_, text)| *text != "{}");
    let others = sections.others.iter().map(|(name, raw)| (*name, raw.get()));
    for (name, text) in general.into_iter().chain(others) {
        let bytes = name.len() + text.len() + "\"\":,".len();
        if bytes <= room && !name.contains('\0') && is_storable(text) {
            room -= bytes;
            kept.push((name, text));
        } else if left_out.len() < MAX_LEFT_OUT && name.len() <= MAX_LEFT_OUT_BYTES {
            left_out.push(name);
        }
    }
    let left_out = Value::from(left_out).to_string();
    if left_out != "[]" {
        kept.push(("left_out", &left_out));
    }
    Some(object(kept.into_iter())).filter(|text| text != "{}")
}

/// Whether a database can store it; if it could not, it would refuse the whole company.
fn is_storable(json: &str) -> bool {
    contract::json::canonical(json).is_some()
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (name, text) in entries {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&Value::from(name).to_string());
        out.push(':');
        out.push_str(text);
    }
    out.push('}');
    out
}

/// Its listing; None if the exchange is missing. The currency is that of this listing; other listings there may differ.
pub(super) fn exchange(request: &Request<'_>, sections: &Sections<'_>) -> Result<Option<Exchange>, Fault> {
    let Some(exchange_code) = text(sections, "Exchange")? else { return Ok(None) };
    Ok(Some(Exchange {
        source: NAME,
        exchange_code,
        name: None,
        country: text(sections, "CountryName")?,
        country_code: text(sections, "CountryISO")?,
        currency: None,
        time_zone: None,
        mic: None,
        opens_at: None,
        closes_at: None,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

/// What its prices are, as `eod` sends them.
pub(super) fn instrument(request: &Request<'_>, sections: &Sections<'_>) -> Result<Instrument, Fault> {
    let kind = text(sections, "Type")?.and_then(|kind| instrument::kind(&kind));
    let unit = match text(sections, "CurrencyCode")? {
        _ if kind.as_deref() == Some("index") => Unit::POINTS,
        code => Unit::of(code.as_deref()),
    };
    let exchange = text(sections, "Exchange")?;
    let mic = exchange.as_deref().and_then(instrument::mic);
    let (code, _) = request.item.rsplit_once('.').unwrap_or((request.item, ""));
    Ok(Instrument {
        source: NAME,
        symbol: request.item.into(),
        ticker: mic.as_ref().map(|_| code.into()),
        mic,
        isin: text(sections, "ISIN")?,
        exchange,
        kind,
        currency: unit.currency,
        unit: unit.unit,
        units_per_currency: unit.per_currency,
        price_adjustment: UNADJUSTED,
        adjusted_close_adjustment: FOR_ALL,
        volume_adjustment: FOR_SPLITS,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}
