//! JSON that was found to be JSON, and is taken apart without a second look at what is in it.
//!
//! `serde_json` has gone through all of it once, to tell where a row ends. To go through it again with the same care, value
//! by value, would take half of the time that a page takes.

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The text of one JSON value, as it was sent and without space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// The names and values of an object; None when it is something else. A name is a JSON string, too.
    pub(crate) fn entries(self) -> Option<Entries<'a>> {
        self.0.starts_with('{').then_some(Entries(Values { text: self.0, at: 1 }))
    }

    /// The values of a list; None when it is something else.
    pub(crate) fn elements(self) -> Option<Values<'a>> {
        self.0.starts_with('[').then_some(Values { text: self.0, at: 1 })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'a>, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|value| Raw(value.get()))
    }
}

/// JSON that was written here, for rows that came in another form.
#[derive(Debug)]
pub struct Written(String);

impl Written {
    /// A text.
    pub fn text(text: &str) -> Written {
        let mut json = String::with_capacity(text.len() + 2);
        put_text(text, &mut json);
        Written(json)
    }

    /// An object of texts.
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

    /// What was written.
    pub fn raw(&self) -> Raw<'_> {
        Raw(&self.0)
    }
}

/// Appends a text as JSON; only few need escapes.
pub(crate) fn put_text(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// Goes through an object.
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

/// Goes through the values of a list, or through names and values of an object.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    text: &'a str,
    /// Where the next one is, or the bracket that ends them.
    at: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = Raw<'a>;

    /// The next one, with what stands before it passed over.
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

/// Where the value ends that begins there; None when none does.
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

/// Where the text ends whose first letter is there.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = mark(bytes, at)? + 1;
        if bytes[at - 1] == b'"' {
            return Some(at);
        }
        // What stands behind a backslash ends nothing.
        at += 1;
    }
}

/// The next quote or backslash; eight bytes are looked at at once, as most texts are short.
fn mark(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The highest bit of each byte that is zero; those above the lowest such byte may be wrong.
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

/// Where the list or object ends that begins there.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
        let raw: Raw<'_> = serde_json::from_str(text).unwrap();
        raw.entries().map(|entries| entries.map(|(name, value)| (name.get(), value.get())).collect())
    }

    #[test]
    fn an_object_is_taken_apart_as_it_was_sent() {
        let text = "{ \"a\" : -1.5e3 ,\n\t\"b\\\"\\\\\":\"x, \\\"}\\\\\", \"\":[{\"c\":[\"]\"]},\"{\\\\\"],\"d\":{ },\"e\":null}";
        let expected = [
            ("\"a\"", "-1.5e3"),
            ("\"b\\\"\\\\\"", "\"x, \\\"}\\\\\""),
            ("\"\"", "[{\"c\":[\"]\"]},\"{\\\\\"]"),
            ("\"d\"", "{ }"),
            ("\"e\"", "null"),
        ];
        assert_eq!(entries(text).unwrap(), expected);
        assert_eq!(entries("{ }"), Some(Vec::new()));
        assert!(["[]", "\"{}\"", "7", "null"].iter().all(|text| entries(text).is_none()));
    }

    #[test]
    fn the_end_of_a_text_is_found_wherever_it_is() {
        for length in 0..40 {
            // A letter whose highest bit is set, and neighbours of both marks.
            let text = "\u{e9}!#[]\u{a2}".chars().cycle().take(length).collect::<String>();
            for (mark, end) in [("\"", 1), ("\\\"\"", 3), ("\\\\\"", 3)] {
                let whole = format!("{text}{mark}, \"\\");
                assert_eq!(end_of_text(whole.as_bytes(), 0), Some(text.len() + end), "{whole}");
            }
            assert_eq!(end_of_text(text.as_bytes(), 0), None);
        }
    }

    #[test]
    fn what_is_written_is_json_and_says_the_same() {
        let pairs = [("a", "1.5"), ("b\"", "x\\\n"), ("é", "\u{1}")];
        let written = Written::object(pairs.into_iter());
        let expected = serde_json::json!({ "a": "1.5", "b\"": "x\\\n", "é": "\u{1}" });
        assert_eq!(serde_json::from_str::<Value>(written.raw().get()).unwrap(), expected);
        assert_eq!(Written::text("x\"").raw().get(), "\"x\\\"\"");
        assert_eq!(Written::object(std::iter::empty()).raw().get(), "{}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[\\x00-\\x7fé😀]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let members = prop::collection::vec(("[a-c\"\\\\{},:\\[\\] ]{0,4}", inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn the_parts_of_an_object_are_those_that_serde_finds(value in value(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let part = |(name, value): &(&str, &str)| (read(name).as_str().unwrap().to_owned(), read(value));
            let found = entries(&text).map(|parts| parts.iter().map(part).collect::<Vec<_>>());
            let expected = read(&text).as_object().map(|object| object.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(found, expected);
            let raw: Raw<'_> = serde_json::from_str(&text).unwrap();
            let found = raw.elements().map(|values| values.map(|value| read(value.get())).collect::<Vec<_>>());
            prop_assert_eq!(found, read(&text).as_array().cloned());
        }

        #[test]
        fn any_text_ends_and_does_not_panic(text in "\\PC{0,40}|[{}\\[\\]\",:\\\\ a1]{0,40}") {
            let entries = Entries(Values { text: &text, at: 1 });
            prop_assert!(entries.count() <= text.len());
        }
    }
}
