//! The time of day in a text, with or without an offset.

use chrono::NaiveTime;

/// Reads a time after its date and a `T` or space: `09:30`, `09:30:00.5`; and its offset in seconds, if it has one:
/// `Z`, `UTC`, `+00:00`, `-0500`, `-05`.
pub(super) fn clock(text: &str) -> Option<(NaiveTime, Option<i64>)> {
    let text = text.strip_prefix(['T', ' '])?;
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(text.len());
    let (time, offset) = text.split_at(end);
    let time = match time.as_bytes() {
        [h0, h1, b':', m0, m1] => NaiveTime::from_hms_opt(pair(*h0, *h1)?, pair(*m0, *m1)?, 0),
        [h0, h1, b':', m0, m1, b':', s0, s1, rest @ ..] => {
            let nanos = match rest {
                [] => 0,
                [b'.', digits @ ..] => nanos(digits)?,
                _ => return None,
            };
            NaiveTime::from_hms_nano_opt(pair(*h0, *h1)?, pair(*m0, *m1)?, pair(*s0, *s1)?, nanos)
        }
        _ => None,
    }?;
    Some((time, offset_of(offset.trim_start())?))
}

/// The outer None: not an offset; the inner None: no offset.
fn offset_of(text: &str) -> Option<Option<i64>> {
    let (sign, digits) = match text.as_bytes() {
        [] => return Some(None),
        [b'Z' | b'z'] | [b'U', b'T', b'C'] => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h0, h1] => (pair(*h0, *h1)?, 0),
        [h0, h1, m0, m1] | [h0, h1, b':', m0, m1] => (pair(*h0, *h1)?, pair(*m0, *m1)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| Some(sign * i64::from(hours * 3600 + minutes * 60)))
}

fn pair(tens: u8, ones: u8) -> Option<u32> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// Decimals of a second, of which nine count.
fn nanos(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((0..9).fold(0, |nanos, at| nanos * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0'))))
}
