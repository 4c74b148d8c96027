//! A response of any endpoint of FRED, in JSON or XML.

use super::body::{Body, Members, Row};
use super::{json, xml};
use crate::parse::body::{excerpt, is_markup, without_bom};
use crate::response::{PageError, Parsed, Request};

/// A response that is not an error.
#[derive(Debug)]
pub(super) struct Response<'a> {
    members: Members<'a>,
    pub(super) rows: Vec<Row<'a>>,
}

impl<'a> Response<'a> {
    /// Reads a body whose rows are in the list `list`.
    pub(super) fn read(body: &'a [u8], list: &'static str) -> Result<Response<'a>, PageError> {
        let not_text = |_| PageError::Retry(format!("the response is not UTF-8: `{}`", excerpt(body)));
        let text = std::str::from_utf8(without_bom(body)).map_err(not_text)?;
        let read = if is_markup(body) { xml::read(text, list) } else { json::read(text, list) };
        // The reason may quote any length of the body.
        let not_read = |reason: String| {
            let reason = excerpt(reason.as_bytes());
            PageError::Retry(format!("not what FRED sends: {reason}: `{}`", excerpt(body)))
        };
        let Body { members, rows } = read.map_err(not_read)?;
        let mut response = Response { members, rows: Vec::new() };
        let (code, message) = (response.text("error_code"), response.text("error_message"));
        if code.is_some() || message.is_some() {
            return Err(provider_error(code.and_then(|code| code.parse().ok()), message.unwrap_or("no message")));
        }
        let no_list = || PageError::Retry(format!("the response has no `{list}`: `{}`", excerpt(body)));
        response.rows = rows.ok_or_else(no_list)?;
        Ok(response)
    }

    /// The text of a member.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.members.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, text)| text.as_ref())
    }

    /// Refuses the response to another request: FRED silently ignores unknown parameters, but reports those that it
    /// used.
    pub(super) fn check(&self, name: &str, allowed: &[&str]) -> Result<(), PageError> {
        match self.text(name) {
            Some(text) if !allowed.contains(&text) => Err(PageError::Skip(format!(
                "requested `{name}` `{}`, the response is for `{}`",
                allowed.join("` or `"),
                excerpt(text.as_bytes())
            ))),
            _ => Ok(()),
        }
    }

    /// Offset of its first row.
    pub(super) fn offset(&self, request: &Request<'_>) -> u64 {
        self.text("offset").and_then(|text| text.parse().ok()).unwrap_or(request.offset)
    }

    /// An empty page with the offset of the next one, and room for a record of each row.
    pub(super) fn page(&self, request: &Request<'_>) -> Parsed {
        let end = self.offset(request).saturating_add(self.rows.len() as u64);
        let count: Option<u64> = self.text("count").and_then(|text| text.parse().ok());
        let has_more = !self.rows.is_empty() && count.is_some_and(|count| end < count);
        let records = Vec::with_capacity(self.rows.len());
        Parsed { records, next_offset: has_more.then_some(end), ..Parsed::default() }
    }
}

/// Only the words distinguish an invalid key from an unknown series: FRED responds to both with 400.
fn provider_error(code: Option<i64>, message: &str) -> PageError {
    let text = match code {
        Some(code) => format!("the provider says `{}` (error {code})", excerpt(message.as_bytes())),
        None => format!("the provider says `{}`", excerpt(message.as_bytes())),
    };
    match code {
        _ if message.contains("api_key") => PageError::Halt(text),
        Some(401 | 403) => PageError::Halt(text),
        Some(400 | 404) => PageError::Skip(text),
        _ => PageError::Retry(text),
    }
}
