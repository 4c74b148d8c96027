//! The fundamentals of a symbol: sections, which depend on the kind of instrument.
//!
//! A company has statements and current ratios; a fund, an index, a delisted share have less. With `?filter=` the
//! response is a single section.

use std::collections::HashSet;

use contract::records::AnalystRating;

use super::body::{Body, recognise};
use super::entries::{Page, named};
use super::sections::{Insiders, Sections};
use super::{NAME, company, insiders, statements};
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::raw::Raw;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

/// Reads the fundamentals of a symbol.
pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let root = match recognise(body)? {
        Body::Empty => return Ok(Parsed::default()),
        Body::Object(root) => root,
        Body::Rows(_) | Body::Table(_) => return Err(unknown(body)),
    };
    let sections = Sections::read(&root).ok_or_else(|| unknown(body))?;
    sections.check_symbol(request)?;
    let mut page = Page::new(request);
    // A single section comes without its name.
    let text = |name| root.raw(name).map_or_else(|| std::str::from_utf8(body).unwrap_or_default(), Raw::get);
    if !sections.general.is_empty() {
        let text = text("General");
        let company = company::company(request, &sections).map(|company| Some(company.into()));
        page.keep(company, format_args!("General"), text);
        match company::exchange(request, &sections) {
            Ok(None) => {}
            outcome => page.keep(outcome.map(|exchange| exchange.map(Into::into)), format_args!("General"), text),
        }
        // The company has the same texts: a fault of theirs is rejected with it.
        page.parsed.records.extend(company::instrument(request, &sections).map(Into::into));
    }
    statements::add_statements(&mut page, &sections)?;
    match statements::ratio(request, &sections) {
        Ok(None) => {}
        outcome => {
            page.keep(outcome.map(|ratio| ratio.map(Into::into)), format_args!("Highlights"), text("Highlights"))
        }
    }
    if !sections.ratings.is_empty() {
        let rating = rating(request, &sections.ratings).map(|rating| rating.map(Into::into));
        page.keep(rating, format_args!("AnalystRatings"), text("AnalystRatings"));
    }
    add_insiders(&mut page, &sections)?;
    Ok(page.parsed)
}

fn unknown(body: &[u8]) -> PageError {
    PageError::Retry(format!("the response has no known section: `{}`", excerpt(body)))
}

fn add_insiders(page: &mut Page<'_>, sections: &Sections<'_>) -> Result<(), PageError> {
    let lines = match sections.insiders {
        Insiders::None => return Ok(()),
        Insiders::Section(raw) => page.entries(Some(raw), format_args!("InsiderTransactions"))?,
        Insiders::Body(root) => named(root),
    };
    let mut keys = HashSet::new();
    for (key, raw) in lines {
        let line = Object::row(raw).and_then(|row| insiders::flat(page.request, &row, &mut keys));
        page.keep(line.map(|line| Some(line.into())), format_args!("InsiderTransactions `{key}`"), raw.get());
    }
    Ok(())
}

/// The current ratings of analysts; None if there are none.
fn rating(request: &Request<'_>, row: &Object<'_>) -> Result<Option<AnalystRating>, Fault> {
    let (rating, target_price) = (row.number("Rating")?, row.decimal("TargetPrice")?);
    let mut counts = [None; 5];
    for (count, name) in counts.iter_mut().zip(["StrongBuy", "Buy", "Hold", "Sell", "StrongSell"]) {
        *count = row.whole(name)?;
    }
    if rating.is_none() && target_price.is_none() && counts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [strong_buy, buy, hold, sell, strong_sell] = counts;
    Ok(Some(AnalystRating {
        source: NAME,
        symbol: request.item.into(),
        rated_on: request.received_at.date_naive(),
        rating,
        target_price,
        strong_buy,
        buy,
        hold,
        sell,
        strong_sell,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

#[cfg(test)]
mod tests;
