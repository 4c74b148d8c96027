//! News with the provider's own sentiment.

use std::collections::HashSet;

use chrono::SubsecRound as _;
use contract::records::NewsArticle;

use super::row::Row;
use super::{NAME, rows};
use crate::parse::article::{article_id, known_at};
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, scalar};
use crate::response::{PageError, Parsed, Request};

/// Most articles of a response.
pub(super) const PAGE_ARTICLES: u64 = 1000;
/// Most articles of a symbol: older ones date back years, and each page costs ten calls.
const MAX_ARTICLES: u64 = 5000;
/// Scorer of articles that the provider scored.
const SCORER: &str = "provider";

/// Reads the articles about a symbol, the newest first.
pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut keys = HashSet::new();
    let mut rows = 0;
    let parsed = rows::each(body, |row| {
        rows += 1;
        let Row::Json(row) = row else {
            return Err(Fault("shape", "expected an object, found a line of CSV".to_owned()));
        };
        let article = article(request, row)?;
        if !keys.insert(article.article_id.clone()) {
            let reason = format!("`{}` is already in the page", excerpt(article.article_id.as_bytes()));
            return Err(Fault("duplicate", reason));
        }
        Ok(Some(article.into()))
    })?;
    let next = request.offset.saturating_add(PAGE_ARTICLES);
    // The total is unknown: another page may follow a full one.
    let next_offset = (rows >= PAGE_ARTICLES && next < MAX_ARTICLES).then_some(next);
    Ok(Parsed { next_offset, ..parsed })
}

fn article(request: &Request<'_>, row: &Object<'_>) -> Result<NewsArticle, Fault> {
    let title = row.text("title")?.ok_or_else(|| absent("title"))?;
    let url = row.text("link")?;
    let published_at = row.instant("date")?.map(|time| time.trunc_subsecs(6));
    let sentiment = row.object("sentiment");
    let score = sentiment.number("polarity")?;
    Ok(NewsArticle {
        source: NAME,
        article_id: article_id(url.as_deref(), None, &title, published_at).into(),
        published_at,
        title,
        url,
        publisher: None,
        author: None,
        description: None,
        content: row.text("content")?,
        image_url: None,
        language: None,
        symbols: texts(row, "symbols")?,
        tags: texts(row, "tags")?,
        sentiment_score: score,
        sentiment_negative: sentiment.number("neg")?,
        sentiment_neutral: sentiment.number("neu")?,
        sentiment_positive: sentiment.number("pos")?,
        sentiment_scorer: score.map(|_| SCORER.into()),
        known_at: known_at(request, published_at),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// A list of texts, also if written as `{"0": .., "1": ..}`; empty if absent.
fn texts(row: &Object<'_>, name: &str) -> Result<Vec<String>, Fault> {
    let Some(raw) = row.raw(name) else { return Ok(Vec::new()) };
    let values: Option<Vec<Raw<'_>>> = match Object::parse(raw) {
        Some(object) => Some(object.iter().map(|(_, value)| value).collect()),
        None => serde_json::from_str(raw.get()).ok().map(|Bounded(values)| values),
    };
    let text = |value: Raw<'_>| scalar(value).map(|text| text.trim().to_owned());
    let texts = values.and_then(|values| values.into_iter().map(text).collect());
    texts.ok_or_else(|| Fault("text", format!("`{name}` `{}` is not a list of texts", excerpt(raw.get().as_bytes()))))
}

#[cfg(test)]
mod tests;
