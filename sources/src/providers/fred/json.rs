//! FRED's JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::body::{Body, MAX_MEMBERS, Row};
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::scalar;

/// Reads a body whose rows are in the list `list`; the error says what is wrong with it.
pub(super) fn read<'a>(text: &'a str, list: &'static str) -> Result<Body<'a>, String> {
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
