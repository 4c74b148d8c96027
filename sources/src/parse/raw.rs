//! Takes valid JSON apart without validating it a second time.
//!
//! `serde_json` validates the body once, when it finds the rows. Validating each row and value again would take half of
//! the time of a page. A property test holds this module against `serde_json`.

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The text of one JSON value as sent, without surrounding space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// The names and values of an object; None for another value. A name is still a JSON string.
    pub(crate) fn entries(self) -> Option<Entries<'a>> {
        self.0.starts_with('{').then_some(Entries(Values { text: self.0, at: 1 }))
    }

    /// The elements of a list; None for another value.
    pub(crate) fn elements(self) -> Option<Values<'a>> {
        self.0.starts_with('[').then_some(Values { text: self.0, at: 1 })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'a>, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|value| Raw(value.get()))
    }
}

/// JSON that a parser writes for rows in another format.
#[derive(Debug)]
pub struct Written(String);

impl Written {
    /// A JSON string.
    pub fn text(text: &str) -> Written {
        let mut json = String::with_capacity(text.len() + 2);
        put_text(text, &mut json);
        Written(json)
    }

    /// An object of strings.
    pub fn object<'n>(entries: impl Iterator<Item = (&'n str, &'n str)>) -> Written {
        let mut json = String::from("{");
        for (name, text) in entries {
            if json.len() > 1 {
                json.push(',');
            }
            put_text(name, &mut json);
            json.push(':');
            put_text(text, &mut json);
        }
        json.push('}');
        Written(json)
    }

    /// The JSON.
    pub fn raw(&self) -> Raw<'_> {
        Raw(&self.0)
    }
}

/// Appends a text as a JSON string.
pub(crate) fn put_text(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// Iterates over the members of an object.
#[derive(Debug)]
pub(crate) struct Entries<'a>(Values<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (Raw<'a>, Raw<'a>);

    fn next(&mut self) -> Option<(Raw<'a>, Raw<'a>)> {
        let name = self.0.next()?;
        let value = self.0.next()?;
        Some((name, value))
    }
}

/// Iterates over the elements of a list, or over names and values of an object in turn.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    text: &'a str,
    /// Offset of the next value, or of the closing bracket.
    at: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = Raw<'a>;

    /// The next value, after space and separators.
    fn next(&mut self) -> Option<Raw<'a>> {
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        while matches!(bytes.get(start)?, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') {
            start += 1;
        }
        let end = end(bytes, start)?;
        self.at = end;
        self.text.get(start..end).map(Raw)
    }
}

/// End of the value that begins at `start`; None if none begins there.
fn end(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => end_of_text(bytes, start + 1),
        b'{' | b'[' => end_of_nested(bytes, start),
        b'}' | b']' => None,
        _ => {
            let rest = bytes.get(start..)?;
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            Some(start + rest.iter().position(is_end).unwrap_or(rest.len()))
        }
    }
}

/// End of the string whose first letter is at `start`.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = mark(bytes, at)? + 1;
        if bytes[at - 1] == b'"' {
            return Some(at);
        }
        // An escaped character ends nothing.
        at += 1;
    }
}

/// The next quote or backslash; tests eight bytes at once, as most strings are short.
fn mark(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The highest bit of each zero byte; bits above the lowest zero byte may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += eight.len();
    }
    Some(at + bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?)
}

/// End of the list or object that begins at `start`.
fn end_of_nested(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
        at += bytes.get(at..)?.iter().position(is_mark)? + 1;
        match bytes[at - 1] {
            b'"' => at = end_of_text(bytes, at)?,
            b'{' | b'[' => depth += 1,
            _ if depth == 1 => return Some(at),
            _ => depth -= 1,
        }
    }
}

#[cfg(test)]
mod tests;
