//! NewsAPI.org: headlines and articles of many publishers.
//!
//! A response holds only the beginning of each article. Withdrawn articles remain as tombstones, all with the same
//! dummy address.
//!
//! A query is read page by page until there are no more articles or the plan ends. A free key gets the first hundred;
//! the refused page after them ends the item without losing them.
//!
//! Title and description are scored on receipt; `sentiment_scorer` holds name and version of the scorer.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use contract::Text;
use contract::records::NewsArticle;

use crate::parse::article::{article_id, known_at};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::percent::percent_encoded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, When, hours};
use crate::source::{Auth, Endpoint, History, Quota, Range, Ranged, Source};

/// The source.
pub const SOURCE: Source = Source {
    name: "newsapi",
    doc: "NewsAPI.org: headlines and articles of many publishers",
    base_url: "https://newsapi.org",
    base_url_env: "TAPEDECK_NEWSAPI_URL",
    auth: Auth::Header {
        header: "x-api-key",
        env: "NEWSAPI_KEY",
        doc: "free key of 32 characters from https://newsapi.org/register",
    },
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // The limit is per day, not per second.
    pause: Duration::from_secs(1),
    burst: 1,
    quota: Some(Quota { calls: 100, env: "TAPEDECK_NEWSAPI_DAILY_CALLS", costs: &[] }),
    endpoints: &[
        Endpoint {
            name: "everything",
            doc: "The newest English articles that mention something",
            datasets: &["news_article"],
            item: "query, e.g. `inflation`",
            known_at: PUBLISHED,
            schedule: ARTICLES,
            history: History { range: Some(Ranged { query: dates, longest_days: 30 }), ..History::ALL },
            base: None,
            path: everything_path,
            parse,
        },
        Endpoint {
            name: "top_headlines",
            doc: "The top headlines of a country, a category or a publisher",
            datasets: &["news_article"],
            item: "`country=us`, `category=business`, `sources=bbc-news` or `q=inflation`",
            known_at: PUBLISHED,
            schedule: ARTICLES,
            history: History::PASSING,
            base: None,
            path: top_headlines_path,
            parse,
        },
    ],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

const PUBLISHED: &str = "when the article was published, else the time of receipt";
/// A free key has 100 requests a day: enough for six items, each with one refused page, eight times.
const ARTICLES: Schedule =
    Schedule { kind: Kind::News, frequency: Frequency::Intraday, every: hours(3), when: When::Always, sla: hours(12) };
/// Most articles of a response.
const PAGE_ARTICLES: u64 = 100;
/// Most articles of one query, whatever the plan allows: a hundred pages.
const MAX_ARTICLES: u64 = 10_000;
/// Longest query that NewsAPI accepts.
const MAX_QUERY_CHARACTERS: usize = 500;
/// Parameters that select headlines.
const SELECTORS: &[&str] = &["country", "category", "sources", "q"];
/// Title and text of a withdrawn article.
const REMOVED: &str = "[Removed]";
/// First plausible year of a time: the server writes 0001-01-01 for a missing one.
const FIRST_YEAR: i32 = 1900;

fn everything_path(item: &str, offset: u64) -> Result<String, PageError> {
    let query = query(item)?;
    let page = page(offset);
    Ok(format!("/v2/everything?q={query}&language=en&sortBy=publishedAt&pageSize={PAGE_ARTICLES}&page={page}"))
}

/// Requests a range of dates.
fn dates(_item: &str, range: Option<Range>) -> String {
    range.map_or(String::new(), |range| format!("&from={}&to={}", range.first, range.last))
}

fn top_headlines_path(item: &str, offset: u64) -> Result<String, PageError> {
    let selector = item.split_once('=').filter(|(name, _)| SELECTORS.contains(name));
    let Some((name, value)) = selector else {
        let found = excerpt(item.as_bytes());
        return Err(PageError::Skip(format!("`{found}` does not select headlines, as `country=us` does")));
    };
    let value = query(value)?;
    let page = page(offset);
    Ok(format!("/v2/top-headlines?{name}={value}&pageSize={PAGE_ARTICLES}&page={page}"))
}

/// An offset counts articles; NewsAPI counts pages from 1 on.
fn page(offset: u64) -> u64 {
    offset / PAGE_ARTICLES + 1
}

fn query(text: &str) -> Result<String, PageError> {
    let is_query = !text.trim().is_empty() && text.chars().count() <= MAX_QUERY_CHARACTERS;
    if !is_query || text.contains(char::is_control) {
        return Err(PageError::Skip(format!("`{}` is not a query, such as `inflation`", excerpt(text.as_bytes()))));
    }
    Ok(percent_encoded(text))
}

fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    if is_markup(body) {
        return Err(PageError::Retry(format!("expected JSON, received markup: `{}`", excerpt(body))));
    }
    let root: Object<'_> = serde_json::from_slice(without_bom(body)).map_err(|error| not_json(body, &error))?;
    if let Some(error) = provider_error(&root) {
        return Err(error);
    }
    let Some(articles) = root.raw("articles") else {
        return Err(PageError::Retry(format!("the response has no `articles`: `{}`", excerpt(body))));
    };
    let Bounded(articles): Bounded<Raw<'_>> =
        serde_json::from_str(articles.get()).map_err(|error| not_json(body, &error))?;
    let total = root.whole("totalResults").ok().flatten().and_then(|total| u64::try_from(total).ok());
    let mut parsed = Parsed { next_offset: next_offset(request, articles.len(), total), ..Parsed::default() };
    let mut keys = HashSet::with_capacity(articles.len());
    for (index, raw) in articles.into_iter().enumerate() {
        match article(request, raw, &mut keys) {
            Ok(None) => parsed.holes += 1,
            Ok(Some(article)) => parsed.records.push(article.into()),
            Err(fault) => parsed.rejects.push(fault.at(format_args!("article {index}")).reject(raw.get().as_bytes())),
        }
    }
    Ok(parsed)
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote any length of the body.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that NewsAPI sends: {error}: `{}`", excerpt(body)))
}

/// What `"status": "error"` means for the next request; None for another status.
fn provider_error(root: &Object<'_>) -> Option<PageError> {
    let member = |name| root.text(name).ok().flatten().unwrap_or_default();
    if member("status") != "error" {
        return None;
    }
    let code = member("code");
    let text = format!("the provider says `{}` ({})", excerpt(member("message").as_bytes()), excerpt(code.as_bytes()));
    Some(match code.as_str() {
        "apiKeyInvalid" | "apiKeyMissing" | "apiKeyDisabled" => PageError::Halt(text),
        "maximumResultsReached" => PageError::NoMore(text),
        "parameterInvalid"
        | "parametersMissing"
        | "parametersIncompatible"
        | "sourceDoesNotExist"
        | "sourcesTooMany" => PageError::Skip(text),
        // `rateLimited`, `apiKeyExhausted` (both end with the day), `unexpectedError`, and unknown codes.
        _ => PageError::Retry(text),
    })
}

fn next_offset(request: &Request<'_>, articles: usize, total: Option<u64>) -> Option<u64> {
    let next = request.offset / PAGE_ARTICLES * PAGE_ARTICLES + PAGE_ARTICLES;
    let is_more = articles > 0 && total.is_some_and(|total| next < total);
    (is_more && next < MAX_ARTICLES).then_some(next)
}

/// An article; None if it was withdrawn.
fn article(request: &Request<'_>, raw: Raw<'_>, keys: &mut HashSet<Text>) -> Result<Option<NewsArticle>, Fault> {
    let row = Object::row(raw)?;
    let title = row.text("title")?;
    if title.as_deref() == Some(REMOVED) {
        return Ok(None);
    }
    let title = title.ok_or_else(|| absent("title"))?;
    let url = row.text("url")?;
    let publisher = publisher(&row.object("source"))?;
    let published_at = published_at(&row)?;
    let article_id = article_id(url.as_deref(), publisher.as_deref(), &title, published_at);
    let description = row.text("description")?;
    let article = NewsArticle {
        source: NAME,
        article_id: article_id.into(),
        published_at,
        title,
        url,
        publisher,
        author: row.text("author")?,
        description,
        content: row.text("content")?,
        image_url: row.text("urlToImage")?,
        language: None,
        symbols: Vec::new(),
        tags: Vec::new(),
        sentiment_score: None,
        sentiment_negative: None,
        sentiment_neutral: None,
        sentiment_positive: None,
        sentiment_scorer: None,
        known_at: known_at(request, published_at),
        observed_at: request.received_at,
        flags: Vec::new(),
    };
    if !keys.insert(article.article_id.clone()) {
        return Err(Fault("duplicate", format!("`{}` is already in the page", excerpt(article.article_id.as_bytes()))));
    }
    Ok(Some(article))
}

/// For some weeks of 2022 the member was called `Name`.
fn publisher(source: &Object<'_>) -> Result<Option<Text>, Fault> {
    match source.text("name")? {
        Some(name) => Ok(Some(name)),
        None => source.text("Name"),
    }
}

fn published_at(row: &Object<'_>) -> Result<Option<DateTime<Utc>>, Fault> {
    let time = row.instant("publishedAt")?.map(|time| time.trunc_subsecs(6));
    Ok(time.filter(|time| time.year() >= FIRST_YEAR))
}

#[cfg(test)]
mod tests;
