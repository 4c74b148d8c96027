//! JSON in a record: stored as it was sent, compared by its meaning.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Whole numbers below this are exact as doubles: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Most digits after the point of a number, when it is written without an exponent: PostgreSQL's numbers have no more.
const MAX_SCALE: i64 = 16_383;

/// The canonical text of JSON: no spaces, names in order, one spelling of numbers and escapes.
///
/// Two texts mean the same when their canonical texts are equal. None when the text is not JSON, or holds what PostgreSQL
/// does not store in JSON: a NUL character, or a number with more than [`MAX_SCALE`] digits after the point.
pub fn canonical(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok().filter(|_| numbers_fit(text))?;
    let mut out = String::with_capacity(text.len());
    write(&value, &mut out)?;
    Some(out)
}

/// Whether PostgreSQL has room for all numbers of a JSON text.
fn numbers_fit(text: &str) -> bool {
    // A number takes a byte for each digit, or an exponent.
    if text.len() as i64 <= MAX_SCALE && !text.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return true;
    }
    let (mut is_in_text, mut rest) = (false, text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'\\' => behind.get(1..).unwrap_or_default(),
            b'-' | b'0'..=b'9' if !is_in_text => {
                let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let (number, behind) =
                    rest.split_at(rest.iter().position(|byte| !is_number(byte)).unwrap_or(rest.len()));
                if !fits(number) {
                    return false;
                }
                behind
            }
            b'"' => {
                is_in_text = !is_in_text;
                behind
            }
            _ => behind,
        };
    }
    true
}

fn fits(number: &[u8]) -> bool {
    let Ok(number) = std::str::from_utf8(number) else { return false };
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i64);
    exponent.parse::<i64>().is_ok_and(|exponent| exponent <= MAX_SCALE && decimals - exponent <= MAX_SCALE)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_text(text, out)?,
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(name, out)?;
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

fn write_text(text: &str, out: &mut String) -> Option<()> {
    if text.contains('\0') {
        return None;
    }
    write!(out, "{}", Value::from(text)).ok()
}

/// `1`, `1.0` and `1e0` are the same.
fn write_number(number: &Number, out: &mut String) -> Option<()> {
    if number.is_i64() || number.is_u64() {
        return write!(out, "{number}").ok();
    }
    let value = number.as_f64()?;
    if value.fract() == 0.0 && value.abs() < EXACT {
        write!(out, "{}", value as i64).ok()
    } else {
        write!(out, "{value}").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_the_same_are_the_same() {
        let same = [
            r#"{"b": 1.50, "a": [1, "é", null, true], "c": {}}"#,
            r#"{"a":[1.0,"\u00e9",null,true],"c":{},"b":15e-1}"#,
            r#"{"a":[2],"b":1.5,"c":{},"a":[1e0,"é",null,true]}"#,
        ];
        for text in same {
            assert_eq!(canonical(text).unwrap(), r#"{"a":[1,"é",null,true],"b":1.5,"c":{}}"#);
        }
        assert_eq!(canonical("-0.0").unwrap(), "0");
        assert_eq!(canonical("18446744073709551615").unwrap(), "18446744073709551615");
        assert_eq!(canonical("1e300"), canonical(&format!("1{}", "0".repeat(300))));
    }

    #[test]
    fn what_is_not_json_or_cannot_be_stored_is_none() {
        let deep = "[".repeat(1000);
        let long = format!("0.{}", "1".repeat(16_384));
        for text in ["[1e-16384]", r#"{"a\"-1":-0.1E-16383}"#, "0e16384", "1e-99999999999999999999", &long] {
            assert_eq!(canonical(text), None, "{text}");
        }
        for text in ["1e-16383", r#""1e-16384 \\""#, "0.1e-16382", &long[..16_385]] {
            assert!(canonical(text).is_some(), "{text}");
        }
        for text in ["", "{", "1 2", "NaN", "1e999", r#""\u0000""#, r#"{"\u0000":1}"#, r#""\ud800""#, &deep] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
