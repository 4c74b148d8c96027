//! The sections of a symbol's fundamentals, whichever of them a response has.

use contract::Text;

use super::insiders;
use crate::parse::body::excerpt;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Request};

/// Sections that identify a complete response.
const SECTIONS: &[&str] = &[
    "General",
    "Highlights",
    "Valuation",
    "SharesStats",
    "Technicals",
    "SplitsDividends",
    "AnalystRatings",
    "Holders",
    "InsiderTransactions",
    "ESGScores",
    "outstandingShares",
    "Earnings",
    "Financials",
    "ETF_Data",
    "MutualFund_Data",
    "Components",
];
/// Sections that become records.
const READ: &[&str] = &["General", "Financials", "AnalystRatings", "InsiderTransactions"];
/// Sections of current numbers. A number in two of them is the same in both; the first one counts.
pub(super) const RATIO_SECTIONS: &[&str] = &["Highlights", "Valuation", "SharesStats", "Technicals"];
/// Texts of a missing value.
pub(super) const NOTHING: &[&str] = &["NA", "N/A", "0000-00-00"];

/// The sections of a response; empty if absent.
#[derive(Debug, Default)]
pub(super) struct Sections<'a> {
    pub(super) general: Object<'a>,
    /// In the order of [`RATIO_SECTIONS`].
    pub(super) ratios: [Object<'a>; 4],
    pub(super) financials: Object<'a>,
    pub(super) ratings: Object<'a>,
    pub(super) insiders: Insiders<'a>,
    /// Sections that become no record of their own.
    pub(super) others: Vec<(&'a str, Raw<'a>)>,
    /// Number at the SEC.
    pub(super) cik: Option<Text>,
    /// Currency of the quotes.
    pub(super) currency: Option<Text>,
}

/// Lines of insiders: a section, or the whole response.
#[derive(Debug, Default)]
pub(super) enum Insiders<'a> {
    #[default]
    None,
    Section(Raw<'a>),
    Body(&'a Object<'a>),
}

impl<'a> Sections<'a> {
    /// Finds the sections of a response; None if it has no known one.
    pub(super) fn read(root: &'a Object<'a>) -> Option<Sections<'a>> {
        let has = |names: &[&str]| names.iter().any(|name| root.raw(name).is_some());
        if has(SECTIONS) {
            return Some(Sections::of_whole(root));
        }
        let nothing = Sections::default();
        if has(&["Rating", "StrongBuy", "TargetPrice"]) {
            return Some(Sections { ratings: root.clone(), ..nothing });
        }
        if has(&["Income_Statement", "Balance_Sheet", "Cash_Flow"]) {
            return Some(Sections { financials: root.clone(), ..nothing });
        }
        if has(&["Code"]) && has(&["Type"]) {
            return Some(Sections::of_general(root.clone()));
        }
        let is_line = |raw: Raw<'_>| Object::parse(raw).is_some_and(|line| line.raw("ownerName").is_some());
        let first = root.iter().next();
        first.filter(|(_, raw)| is_line(*raw)).map(|_| Sections { insiders: Insiders::Body(root), ..nothing })
    }

    fn of_general(general: Object<'a>) -> Sections<'a> {
        let text = |name| {
            let text = general.text(name).ok().flatten();
            text.filter(|text| !NOTHING.contains(&text.as_str()))
        };
        let (cik, currency) = (text("CIK").map(insiders::ten_digits), text("CurrencyCode"));
        Sections { general, cik, currency, ..Sections::default() }
    }

    fn of_whole(root: &'a Object<'a>) -> Sections<'a> {
        let ratios: [Object<'a>; 4] = std::array::from_fn(|place| root.object(RATIO_SECTIONS[place]));
        // Without a quarter they cannot become a ratio, and are kept as sent.
        let is_ratio = !matches!(ratios[0].date("MostRecentQuarter"), Ok(None));
        let is_other = |name: &str| !(READ.contains(&name) || is_ratio && RATIO_SECTIONS.contains(&name));
        Sections {
            ratios,
            financials: root.object("Financials"),
            ratings: root.object("AnalystRatings"),
            insiders: root.raw("InsiderTransactions").map_or(Insiders::None, Insiders::Section),
            others: root.iter().filter(|(name, raw)| is_other(name) && !is_empty(*raw)).collect(),
            ..Sections::of_general(root.object("General"))
        }
    }

    /// Refuses the response of another symbol: records under a wrong symbol would be worse than none.
    pub(super) fn check_symbol(&self, request: &Request<'_>) -> Result<(), PageError> {
        let asked = request.item.rsplit_once('.').map_or(request.item, |(code, _)| code);
        match self.general.text("Code").ok().flatten() {
            Some(code) if !code.eq_ignore_ascii_case(asked) => {
                let code = excerpt(code.as_bytes());
                Err(PageError::Skip(format!("requested `{}`, the response is for `{code}`", request.item)))
            }
            _ => Ok(()),
        }
    }
}

fn is_empty(raw: Raw<'_>) -> bool {
    matches!(raw.get(), "{}" | "[]" | "null" | "\"\"")
}
