//! NewsAPI: made-up articles for a few queries and headlines.

use std::collections::HashMap;

use chrono::{Days, NaiveTime, TimeDelta};
use serde_json::{Value, json};

use crate::calendar::END;
use crate::random::Random;
use crate::range::Range;
use crate::reply::Reply;

/// Queries that find articles.
pub(crate) const QUERIES: &[&str] = &["inflation", "federal reserve"];
/// Kinds of headlines.
pub(crate) const HEADLINES: &[&str] = &["country=us", "category=business", "sources=the-simulated-times"];

/// Articles that a query finds.
const FOUND: usize = 240;
/// Headlines of each kind.
const ON_TOP: usize = 38;
/// Articles that the developer plan returns.
const MAX_RESULTS: usize = 100;
/// Most articles on a page.
const MAX_PAGE: usize = 100;
/// The article of each response that was withdrawn.
const REMOVED: usize = 7;
/// Articles without a description, without an author.
const NO_DESCRIPTION: usize = 11;
const NO_AUTHOR: usize = 3;

const WHO: &[&str] =
    &["The central bank", "A retailer", "A chipmaker", "The airline", "An oil company", "The treasury"];
const WHAT: &[&str] = &[
    "beats expectations and raises its outlook",
    "misses estimates and cuts its guidance",
    "reports a record quarter",
    "warns of weak demand",
    "keeps its plans unchanged",
    "is downgraded by analysts",
];
const PUBLISHERS: &[&str] = &["The Simulated Times", "Made-up Wire", "Example Business"];

/// Answers `/v2/everything`; while articles appear, with `appeared` new ones first.
pub(crate) fn everything(
    seed: u64,
    key: Option<&str>,
    parameters: &HashMap<String, String>,
    appeared: Option<usize>,
) -> Reply {
    if let Some(refused) = check_key(key) {
        return refused;
    }
    let Some(query) = parameters.get("q").filter(|query| !query.is_empty()) else {
        return missing();
    };
    if !QUERIES.contains(&query.as_str()) {
        return page(Vec::new(), MAX_RESULTS, parameters);
    }
    let range = Range::of(parameters, ["from", "to"]);
    let mut found = newest(seed, query, appeared.unwrap_or_default());
    found.extend(articles(seed, query, FOUND));
    found.retain(|article| article["publishedAt"].as_str().is_none_or(|time| range.holds(time)));
    // While articles appear, all pages are available, whatever the plan.
    page(found, if appeared.is_some() { usize::MAX } else { MAX_RESULTS }, parameters)
}

/// Answers for `/v2/top-headlines`.
pub(crate) fn top_headlines(seed: u64, key: Option<&str>, parameters: &HashMap<String, String>) -> Reply {
    if let Some(refused) = check_key(key) {
        return refused;
    }
    let names = ["country", "category", "sources", "q"];
    let Some((name, value)) = names.iter().find_map(|name| Some((*name, parameters.get(*name)?))) else {
        return missing();
    };
    let item = format!("{name}={value}");
    match HEADLINES.contains(&item.as_str()) {
        true => page(articles(seed, &item, ON_TOP), MAX_RESULTS, parameters),
        false if name == "sources" => {
            error(400, "sourceDoesNotExist", &format!("The source `{value}` does not exist."))
        }
        false => page(Vec::new(), MAX_RESULTS, parameters),
    }
}

fn check_key(key: Option<&str>) -> Option<Reply> {
    let key = key.unwrap_or_default();
    if key.is_empty() {
        let words =
            "Your API key is missing. Append this to the URL with the apiKey param, or use the x-api-key HTTP header.";
        return Some(error(401, "apiKeyMissing", words));
    }
    let is_key = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let words =
        "Your API key is invalid or incorrect. Check your key, or go to https://newsapi.org to create a free API key.";
    (!is_key).then(|| error(401, "apiKeyInvalid", words))
}

fn missing() -> Reply {
    let words = "Required parameters are missing, the scope of your search is too broad. Please set any of the following \
        required parameters and try again: q, sources, country, category.";
    error(400, "parametersMissing", words)
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, json!({ "status": "error", "code": code, "message": message }).to_string())
}

/// One page of the articles that the plan returns; `page` counts from 1.
fn page(articles: Vec<Value>, plan: usize, parameters: &HashMap<String, String>) -> Reply {
    let number = |name, otherwise| parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let size = usize::min(number("pageSize", 20), MAX_PAGE);
    let start = number("page", 1).saturating_sub(1).saturating_mul(size);
    let end = start.saturating_add(size);
    if start >= plan {
        let words = format!(
            "You have requested too many results. Developer accounts are limited to a max of {MAX_RESULTS} results. You are \
             trying to request results {start} to {end}. Please upgrade to a paid plan if you need more results."
        );
        return error(426, "maximumResultsReached", &words);
    }
    let total = articles.len();
    let articles: Vec<Value> = articles.into_iter().skip(start).take(size).collect();
    Reply::json(200, json!({ "status": "ok", "totalResults": total, "articles": articles }).to_string())
}

fn articles(seed: u64, name: &str, total: usize) -> Vec<Value> {
    let mut random = Random::new(seed, name);
    (0..total).map(|index| if index == REMOVED { removed() } else { article(&mut random, name, index) }).collect()
}

/// Articles that appeared after all others, the newest first.
fn newest(seed: u64, name: &str, appeared: usize) -> Vec<Value> {
    let new = |number: usize| {
        let mut article = article(&mut Random::new(seed, &format!("{name} new {number}")), name, FOUND + number);
        let published = END.and_time(NaiveTime::MIN).and_utc() + TimeDelta::minutes(1440 + number as i64);
        article["publishedAt"] = published.format("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        article
    };
    (0..appeared).rev().map(new).collect()
}

fn article(random: &mut Random, name: &str, index: usize) -> Value {
    let mut pick = |words: &[&'static str]| words[random.below(words.len())];
    let (who, what, publisher) = (pick(WHO), pick(WHAT), pick(PUBLISHERS));
    let date = END.checked_sub_days(Days::new(index as u64 / 10)).unwrap_or(END);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(86_399 - (index as u32 % 10) * 8000, 0);
    let published = date.and_time(time.unwrap_or_default()).and_utc();
    let folder: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    json!({
        "source": { "id": null, "name": publisher },
        "author": (!index.is_multiple_of(NO_AUTHOR)).then_some("A. Simulator"),
        "title": format!("{who} {what} - {publisher}"),
        "description": (!index.is_multiple_of(NO_DESCRIPTION)).then(|| format!("{who} {what}, people said on {date}.")),
        "url": format!("https://news.example/{folder}/{index}?utm_source=simulator"),
        "urlToImage": format!("https://news.example/{folder}/{index}.jpg"),
        "publishedAt": published.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "content": format!("{who} {what}, people said. They were not named… [+{} chars]", 500 + index),
    })
}

/// What remains of a withdrawn article.
fn removed() -> Value {
    json!({
        "source": { "id": null, "name": "[Removed]" }, "author": null, "title": "[Removed]", "description": "[Removed]",
        "url": "https://removed.com", "urlToImage": null, "publishedAt": "1970-01-01T00:00:00Z", "content": "[Removed]",
    })
}
