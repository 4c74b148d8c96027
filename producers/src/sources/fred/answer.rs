//! What FRED answers, whichever endpoint is asked, in both of its forms: JSON and XML.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::xml;
use crate::json::Bounded;
use crate::page::{excerpt, is_markup, without_bom};
use crate::raw::{Raw, Written};
use crate::source::{PageError, Parsed, Request};
use crate::value::scalar;

/// Most members beside the rows: FRED sends 13.
const MAX_MEMBERS: usize = 64;

/// An answer that is not an error.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    members: Members<'a>,
    pub(super) rows: Vec<Row<'a>>,
}

/// Names and texts beside the rows; a number is its own text.
type Members<'a> = Vec<(String, Cow<'a, str>)>;

/// A row of an answer, in whichever form it came.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// As JSON.
    Sent(Raw<'a>),
    /// In another form, which was written as JSON here; boxed, as there are never both.
    Written(Box<(Written, &'a str)>),
}

impl<'a> Row<'a> {
    /// The row as JSON.
    pub(super) fn raw(&self) -> Raw<'_> {
        match self {
            Row::Sent(raw) => *raw,
            Row::Written(written) => written.0.raw(),
        }
    }

    /// The row as it was sent.
    pub(super) fn sent(&self) -> &'a str {
        match self {
            Row::Sent(raw) => raw.get(),
            Row::Written(written) => written.1,
        }
    }
}

/// A body as it was read, without a look at what it says.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub(super) members: Members<'a>,
    /// None when there is no list of that name.
    pub(super) rows: Option<Vec<Row<'a>>>,
}

impl<'a> Body<'a> {
    /// Keeps a member; false when there are too many.
    pub(super) fn keep(&mut self, name: String, text: Cow<'a, str>) -> bool {
        let has_room = self.members.len() < MAX_MEMBERS;
        if has_room {
            self.members.push((name, text));
        }
        has_room
    }
}

impl<'a> Answer<'a> {
    /// Reads a body whose rows are in the list of that name.
    pub(super) fn read(body: &'a [u8], list: &'static str) -> Result<Answer<'a>, PageError> {
        let not_text = |_| PageError::Retry(format!("the response is not UTF-8: `{}`", excerpt(body)));
        let text = std::str::from_utf8(without_bom(body)).map_err(not_text)?;
        let read = if is_markup(body) { xml::read(text, list) } else { json(text, list) };
        // The reason may quote the body at any length.
        let not_read = |reason: String| {
            let reason = excerpt(reason.as_bytes());
            PageError::Retry(format!("not what FRED sends: {reason}: `{}`", excerpt(body)))
        };
        let Body { members, rows } = read.map_err(not_read)?;
        let mut answer = Answer { members, rows: Vec::new() };
        let (code, message) = (answer.text("error_code"), answer.text("error_message"));
        if code.is_some() || message.is_some() {
            return Err(provider_error(code.and_then(|code| code.parse().ok()), message.unwrap_or("no message")));
        }
        let no_list = || PageError::Retry(format!("the response has no `{list}`: `{}`", excerpt(body)));
        answer.rows = rows.ok_or_else(no_list)?;
        Ok(answer)
    }

    /// What it says under that name, beside its rows.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.members.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, text)| text.as_ref())
    }

    /// Refuses an answer to another question: FRED lets a parameter that it does not know be, and says what it took.
    pub(super) fn check(&self, name: &str, allowed: &[&str]) -> Result<(), PageError> {
        match self.text(name) {
            Some(text) if !allowed.contains(&text) => Err(PageError::Skip(format!(
                "asked for `{name}` `{}`, the provider answered for `{}`",
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

    /// The page to be filled, with room for a record of every row.
    pub(super) fn page(&self, request: &Request<'_>) -> Parsed {
        let end = self.offset(request).saturating_add(self.rows.len() as u64);
        let count: Option<u64> = self.text("count").and_then(|text| text.parse().ok());
        let has_more = !self.rows.is_empty() && count.is_some_and(|count| end < count);
        let records = Vec::with_capacity(self.rows.len());
        Parsed { records, next_offset: has_more.then_some(end), ..Parsed::default() }
    }
}

/// A bad key is told apart from a bad series only by the words: FRED answers 400 to both.
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

fn json<'a>(text: &'a str, list: &'static str) -> Result<Body<'a>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = BodyWith(list).deserialize(&mut deserializer);
    read.and_then(|body| deserializer.end().map(|()| body)).map_err(|error| error.to_string())
}

/// A body whose rows are in the list of that name.
struct BodyWith(&'static str);

impl<'de> DeserializeSeed<'de> for BodyWith {
    type Value = Body<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BodyWith {
    type Value = Body<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(name) = entries.next_key::<String>()? {
            if name == self.0 {
                let list: Option<Bounded<Raw<'de>>> = entries.next_value()?;
                body.rows = list.map(|Bounded(rows)| rows.into_iter().map(Row::Sent).collect());
                continue;
            }
            let value: Raw<'de> = entries.next_value()?;
            let text = scalar(value).filter(|_| value.get() != "null");
            if text.is_some_and(|text| !body.keep(name, text)) {
                return Err(A::Error::custom(format_args!("more than {MAX_MEMBERS} members")));
            }
        }
        Ok(body)
    }
}
