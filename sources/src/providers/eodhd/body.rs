//! Tells what a body is: rows as JSON or CSV, an object, empty, or a refusal in one of the provider's many forms.

use contract::Text;

use super::row::Table;
use crate::parse::body::{excerpt, without_bom};
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, scalar};
use crate::response::PageError;

/// The contents of a body.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// `[]`, `{}` or the text `No Results`.
    Empty,
    /// A list, mostly of objects.
    Rows(Vec<Raw<'a>>),
    /// An object that is not a refusal.
    Object(Object<'a>),
    /// CSV.
    Table(Table<'a>),
}

/// The empty CSV.
const NO_RESULTS: &[u8] = b"No Results";
/// Members that mark an object as a refusal.
const REFUSALS: &[&str] = &["error", "errors", "message"];
/// Bytes of an HTML page that are searched for its title.
const MAX_HEAD_BYTES: usize = 2048;

/// Tells what a body is.
pub(super) fn recognise(body: &[u8]) -> Result<Body<'_>, PageError> {
    let body = without_bom(body).trim_ascii_start();
    match body.first() {
        None => Err(PageError::Retry("the body is empty".to_owned())),
        Some(b'[') => {
            let Bounded(rows) = serde_json::from_slice(body).map_err(|error| not_json(body, &error))?;
            Ok(if rows.is_empty() { Body::Empty } else { Body::Rows(rows) })
        }
        Some(b'{') => object(body),
        Some(b'<') => Err(markup(body)),
        _ if Table::is_header(body) => Table::parse(body).map(Body::Table),
        _ if body.trim_ascii_end() == NO_RESULTS => Ok(Body::Empty),
        // `Unauthenticated` and most refusals are plain text, whatever the requested format.
        _ => Err(refusal(None, &excerpt(body))),
    }
}

fn object(body: &[u8]) -> Result<Body<'_>, PageError> {
    let object: Object<'_> = serde_json::from_slice(body).map_err(|error| not_json(body, &error))?;
    let found = REFUSALS.iter().find_map(|name| Some((*name, object.raw(name)?)));
    let Some((name, raw)) = found else {
        return Ok(if object.is_empty() { Body::Empty } else { Body::Object(object) });
    };
    let inner = Object::parse(raw).unwrap_or_default();
    let code = [&object, &inner].into_iter().find_map(|object| object.whole("code").ok().flatten());
    // Errors of parameters come as a list, without a code.
    let code = code.or((name == "errors").then_some(422));
    let words = inner.text("message").ok().flatten().or_else(|| scalar(raw).map(Text::from));
    Err(refusal(code, &excerpt(words.as_deref().unwrap_or(raw.get()).as_bytes())))
}

fn not_json(body: &[u8], error: &serde_json::Error) -> PageError {
    // The error may quote any length of the body.
    let error = excerpt(error.to_string().as_bytes());
    PageError::Retry(format!("not the JSON that EODHD sends: {error}: `{}`", excerpt(body)))
}

/// What a refusal means for the next request, by its code, else by its words.
fn refusal(code: Option<i64>, words: &str) -> PageError {
    let text = match code {
        Some(code) => format!("the provider says `{words}` (error {code})"),
        None => format!("the provider says `{words}`"),
    };
    let lower = words.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|part| lower.contains(part));
    match code {
        Some(401) => PageError::Halt(text),
        // The limit of the day; the limit of the minute.
        Some(402 | 429) => PageError::Retry(text),
        Some(400 | 403 | 404 | 422) => PageError::Skip(text),
        _ if says(&["unauthenticated", "unauthorized", "invalid token", "invalid api token"]) => PageError::Halt(text),
        _ if says(&["limit", "exceeded", "too many", "payment required"]) => PageError::Retry(text),
        // `Ticker Not Found`, `Forbidden`, `Only EOD data allowed for free users`: other items may be allowed.
        _ if says(&["not found", "forbidden", "allowed", "subscri"]) => PageError::Skip(text),
        _ => PageError::Retry(text),
    }
}

/// An HTML page of the server has the status in its title; one of the CDN in front of it means an outage.
fn markup(body: &[u8]) -> PageError {
    let head = String::from_utf8_lossy(&body[..body.len().min(MAX_HEAD_BYTES)]).to_ascii_lowercase();
    let title = head.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title);
    let text = format!("expected JSON, received HTML: `{}`", excerpt(body));
    match title {
        Some(title) if title.contains("not found") || title.contains("forbidden") => PageError::Skip(text),
        _ => PageError::Retry(text),
    }
}

#[cfg(test)]
mod tests;
