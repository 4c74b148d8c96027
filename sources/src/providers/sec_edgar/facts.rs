//! Facts that a company reported in XBRL. Later filings repeat a period, with another value if it was restated, so the
//! filing is part of the key of a fact.
//!
//! A body has tens of thousands of facts. It is parsed as a stream, and nothing but the facts of the page is held in
//! memory.

use std::borrow::Cow;
use std::fmt;

use chrono::NaiveDate;
use contract::records::XbrlFact;
use contract::{Text, decimal};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{NAME, check_filer, filer, markup, not_json};
use crate::dissemination::public_at;
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::duplicates::{KeyMap, Keys};
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::{Quoted, absent, scalar, year_month_day};
use crate::response::{PageError, Parsed, Request};

/// Most facts of one page: four times those of Apple, some 70 MB of records. Further facts are further pages of the
/// same body.
const PAGE_FACTS: u64 = 100_000;
/// Bytes of a short fact: an estimate, to reserve room for the records.
const FACT_BYTES: usize = 160;

pub(super) fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    Ok(format!("/api/xbrl/companyfacts/CIK{}.json", filer(item)?))
}

pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let cik = filer(request.item)?;
    if is_markup(body) {
        return Err(markup(request, body));
    }
    let text = std::str::from_utf8(without_bom(body));
    let text = text.map_err(|_| PageError::Retry(format!("the response is not UTF-8: `{}`", excerpt(body))))?;
    let mut page = Page::new(request, &cik);
    page.parsed.records.reserve((body.len() / FACT_BYTES).min(PAGE_FACTS as usize));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walked = Walk { page: &mut page, level: Level::Body }.deserialize(&mut deserializer);
    walked.and_then(|()| deserializer.end()).map_err(|error| not_json(body, &error))?;
    if !page.has_facts {
        return Err(PageError::Retry(format!("the response has no `facts`: `{}`", excerpt(body))));
    }
    // A number, or a text of ten digits.
    let found = page.found.and_then(scalar).unwrap_or_default();
    check_filer(&cik, &found)?;
    Ok(page.parsed)
}

/// A page while the body is read, and the position in the body.
struct Page<'p, 'de> {
    request: &'p Request<'p>,
    cik: Text,
    parsed: Parsed,
    /// The filer that the body names.
    found: Option<Raw<'de>>,
    has_facts: bool,
    taxonomy: Text,
    concept: Text,
    unit: Text,
    /// Numbers of the current taxonomy, concept and unit: they stand in a fact's key for its longest parts.
    lists: KeyMap<[Text; 3], usize>,
    list: usize,
    keys: Keys<(usize, Option<NaiveDate>, NaiveDate, Cow<'de, str>)>,
    /// Number of facts so far, including those of other pages.
    facts: u64,
}

impl<'p, 'de> Page<'p, 'de> {
    fn new(request: &'p Request<'p>, cik: &str) -> Page<'p, 'de> {
        Page {
            request,
            cik: cik.into(),
            parsed: Parsed::default(),
            found: None,
            has_facts: false,
            taxonomy: Text::default(),
            concept: Text::default(),
            unit: Text::default(),
            lists: KeyMap::default(),
            list: 0,
            keys: Keys::default(),
            facts: 0,
        }
    }

    /// Begins the facts of a unit.
    fn begin(&mut self, unit: &str) {
        self.unit = unit.into();
        let next = self.lists.len();
        let key = [self.taxonomy.clone(), self.concept.clone(), self.unit.clone()];
        self.list = *self.lists.entry(key).or_insert(next);
    }

    fn add(&mut self, row: Raw<'de>) {
        let at = self.facts;
        self.facts += 1;
        let Some(place) = at.checked_sub(self.request.offset) else { return };
        if place >= PAGE_FACTS {
            self.parsed.next_offset = Some(self.request.offset + PAGE_FACTS);
            return;
        }
        match self.fact(row) {
            Ok(fact) => self.parsed.records.push(fact.into()),
            Err(fault) => {
                let place = excerpt(format!("{} {} {}", self.taxonomy, self.concept, self.unit).as_bytes());
                self.parsed.rejects.push(fault.at(place).reject(row.get().as_bytes()));
            }
        }
    }

    fn fact(&mut self, row: Raw<'de>) -> Result<XbrlFact, Fault> {
        let shape = |error: serde_json::Error| Fault("shape", excerpt(error.to_string().as_bytes()));
        let row: Row<'de> = serde_json::from_str(row.get()).map_err(shape)?;
        let period_start = row.start.map(|text| date("start", &text)).transpose()?;
        let period_end = date("end", &needed("end", row.end)?)?;
        let filed_on = date("filed", &needed("filed", row.filed)?)?;
        let accession_number = needed("accn", row.accn)?.0;
        let value = row.val.ok_or_else(|| absent("val"))?;
        let bad_value = || Fault("number", format!("`val` `{}` is not a number", excerpt(value.get().as_bytes())));
        let value = scalar(value).and_then(|text| decimal::parse(&text)).ok_or_else(bad_value)?;
        let form: Text = needed("form", row.form)?.0.into();
        if !self.keys.insert((self.list, period_start, period_end, accession_number.clone())) {
            return Err(Fault("duplicate", "another fact has the same period and filing".to_owned()));
        }
        let known_at = public_at(None, Some(filed_on), &form).unwrap_or(self.request.received_at);
        Ok(XbrlFact {
            source: NAME,
            cik: self.cik.clone(),
            taxonomy: self.taxonomy.clone(),
            concept: self.concept.clone(),
            unit: self.unit.clone(),
            period_type: if period_start.is_some() { "duration" } else { "instant" }.into(),
            period_start: period_start.unwrap_or(period_end),
            period_end,
            accession_number: accession_number.into(),
            value,
            fiscal_year: row.fy,
            fiscal_period: row.fp.map(|text| text.0.into()),
            form,
            filed_on,
            frame: row.frame.map(|text| text.0.into()),
            known_at: self.request.not_after_receipt(known_at),
            observed_at: self.request.received_at,
            flags: Vec::new(),
        })
    }
}

/// A fact as sent; a fact about an instant has no `start`.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    start: Option<Quoted<'a>>,
    #[serde(borrow)]
    end: Option<Quoted<'a>>,
    #[serde(borrow)]
    val: Option<Raw<'a>>,
    #[serde(borrow)]
    accn: Option<Quoted<'a>>,
    fy: Option<i64>,
    #[serde(borrow)]
    fp: Option<Quoted<'a>>,
    #[serde(borrow)]
    form: Option<Quoted<'a>>,
    #[serde(borrow)]
    filed: Option<Quoted<'a>>,
    #[serde(borrow)]
    frame: Option<Quoted<'a>>,
}

fn needed<'a>(name: &str, text: Option<Quoted<'a>>) -> Result<Quoted<'a>, Fault> {
    text.filter(|text| !text.0.is_empty()).ok_or_else(|| absent(name))
}

fn date(name: &str, text: &Quoted<'_>) -> Result<NaiveDate, Fault> {
    let bad = || Fault("date", format!("`{name}` `{}` is not a date like `2024-12-31`", excerpt(text.0.as_bytes())));
    year_month_day(&text.0).ok_or_else(bad)
}

/// Meaning of the names of an object.
#[derive(Clone, Copy)]
enum Level {
    Body,
    Taxonomies,
    Concepts,
    /// The parts of one concept: label, description, units.
    Concept,
    Units,
}

/// Reads an object.
struct Walk<'w, 'p, 'de> {
    page: &'w mut Page<'p, 'de>,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let page = self.page;
        while let Some(Quoted(name)) = entries.next_key()? {
            let level = match self.level {
                Level::Body if name == "facts" => {
                    page.has_facts = true;
                    Level::Taxonomies
                }
                Level::Taxonomies => {
                    page.taxonomy = name.into();
                    Level::Concepts
                }
                Level::Concepts => {
                    page.concept = name.into();
                    Level::Concept
                }
                Level::Concept if name == "units" => Level::Units,
                Level::Units => {
                    page.begin(&name);
                    entries.next_value_seed(Facts(&mut *page))?;
                    continue;
                }
                Level::Body if name == "cik" => {
                    page.found = Some(entries.next_value()?);
                    continue;
                }
                Level::Body | Level::Concept => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            entries.next_value_seed(Walk { page: &mut *page, level })?;
        }
        Ok(())
    }
}

/// Reads the facts of a unit.
struct Facts<'w, 'p, 'de>(&'w mut Page<'p, 'de>);

impl<'de> DeserializeSeed<'de> for Facts<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Facts<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of facts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut facts: A) -> Result<(), A::Error> {
        while let Some(fact) = facts.next_element()? {
            self.0.add(fact);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
