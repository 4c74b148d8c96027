//! The texts of records: most are short, and many are equal, so neither a short text nor a copy allocates.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Longest text that is stored inline: a `Text` is then as large as a `String`.
const MAX_SHORT_BYTES: usize = 22;

/// A text of a record: stored inline when it is short, otherwise shared by its copies. Cloning never copies a long
/// text.
#[derive(Clone)]
pub struct Text(Held);

#[derive(Clone)]
enum Held {
    /// At most [`MAX_SHORT_BYTES`]; the bytes after its end are zero.
    Short { length: u8, bytes: [u8; MAX_SHORT_BYTES] },
    /// A longer text.
    Long(Arc<str>),
}

impl Text {
    /// A text of at most 22 bytes that is part of the program; costs nothing at run time.
    ///
    /// # Panics
    ///
    /// When the text is longer; in a constant it then does not compile.
    pub const fn literal(text: &'static str) -> Text {
        let (from, mut bytes, mut at) = (text.as_bytes(), [0; MAX_SHORT_BYTES], 0);
        assert!(from.len() <= MAX_SHORT_BYTES, "the text is too long to be held in place");
        while at < from.len() {
            bytes[at] = from[at];
            at += 1;
        }
        Text(Held::Short { length: from.len() as u8, bytes })
    }

    /// Joins texts without anything between them.
    pub fn concat(parts: &[&str]) -> Text {
        let (mut bytes, mut length) = ([0; MAX_SHORT_BYTES], 0);
        for part in parts {
            let Some(place) = bytes.get_mut(length..length + part.len()) else {
                return Text(Held::Long(parts.concat().into()));
            };
            place.copy_from_slice(part.as_bytes());
            length += part.len();
        }
        Text(Held::Short { length: length as u8, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Checked again, because the alternative is `unsafe`. It takes some nanoseconds, and encoding uses the
            // bytes.
            Held::Short { .. } => std::str::from_utf8(self.as_bytes()).expect("it was made from a text"),
            Held::Long(text) => text,
        }
    }

    /// The text as UTF-8 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Short { length, bytes } => &bytes[..usize::from(*length).min(MAX_SHORT_BYTES)],
            Held::Long(text) => text.as_bytes(),
        }
    }

    /// The text stored inline; None when it is too long.
    #[inline]
    fn short(text: &str) -> Option<Text> {
        let mut bytes = [0; MAX_SHORT_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Text(Held::Short { length: text.len() as u8, bytes }))
    }
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Text {
        Text::short(text).unwrap_or_else(|| Text(Held::Long(text.into())))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::from(text.as_str())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        Text::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Text {
        Text::from(text.as_ref())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        text.as_str().to_owned()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::from("")
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        // UTF-8 never has this byte, so the hash input of a text is never a prefix of another's.
        state.write_u8(0xff);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), formatter)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_text_is_what_it_was_made_from_however_long() {
        for length in 0..64 {
            for letter in ["x", "é", "€", "😀"] {
                let text = letter.repeat(length);
                let held = Text::from(text.as_str());
                assert_eq!((held.as_str(), held.as_bytes()), (text.as_str(), text.as_bytes()));
                assert_eq!(held, Text::from(text.clone()));
                assert_eq!((format!("{held}"), format!("{held:?}")), (text.clone(), format!("{text:?}")));
                assert_eq!(String::from(held), text);
            }
        }
    }

    #[test]
    fn a_text_is_as_large_as_a_string_and_so_is_one_that_may_be_absent() {
        assert_eq!((size_of::<Text>(), size_of::<Option<Text>>()), (size_of::<String>(), size_of::<String>()));
    }

    #[test]
    fn texts_are_compared_and_hashed_as_what_they_say() {
        let texts: HashSet<Text> = ["a", "b", "a", "a long text that is not held in place"].map(Text::from).into();
        assert_eq!(texts.len(), 3);
        assert!(["b", "a long text that is not held in place"].map(Text::from).iter().all(|text| texts.contains(text)));
        let [a, ab, b, long] = ["a", "ab", "b", "a long text, yet before it"].map(Text::from);
        assert!(a < ab && long < b && a < long);
        assert!(a == "a" && a != *"b" && Text::default().is_empty());
        assert_eq!(Text::concat(&["of 22 bytes", "", " altogether"]), "of 22 bytes altogether");
        assert_eq!(Text::concat(&["of 23 bytes ", " altogether"]), "of 23 bytes  altogether");
        assert_eq!(
            Text::concat(&["of 23 bytes ", " altogether"]).as_str(),
            Text::from("of 23 bytes  altogether").as_str()
        );
        assert_eq!(
            [Text::literal(""), Text::literal("of 22 bytes altogether")],
            ["", "of 22 bytes altogether"].map(Text::from)
        );
    }
}
