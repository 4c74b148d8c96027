//! Numbers as ICI writes them in text.

use crate::parse::value::{finite, trimmed};

/// Longest number, without its commas.
const MAX_NUMBER_BYTES: usize = 40;
/// Most digits of a whole number that a double always holds exactly.
const MAX_EXACT_DIGITS: usize = 15;

/// Reads `-1,234`, `(1,234)` and `1234.5`.
pub(super) fn number(text: &str) -> Option<f64> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'0'..=b'9' => (false, text),
        b'(' => (true, text[1..].strip_suffix(')')?),
        b'-' => (true, &text[1..]),
        _ => text.strip_prefix('\u{2212}').map_or((false, text), |digits| (true, digits)),
    };
    let digits = trimmed(digits).trim_start_matches('$');
    // Digits since the last comma, if there was one; decimals are not counted.
    let (mut group, mut is_grouped, mut is_part) = (0, false, false);
    let is_group = |group: usize, is_grouped: bool| if is_grouped { group == 3 } else { group > 0 };
    let (mut plain, mut length, mut whole) = ([0; MAX_NUMBER_BYTES], 0, 0_u64);
    for byte in digits.bytes() {
        match byte {
            b',' if !is_part && is_group(group, is_grouped) && group <= 3 => (group, is_grouped) = (0, true),
            b'.' if !is_part && is_group(group, is_grouped) => is_part = true,
            b'0'..=b'9' if is_part => {}
            b'0'..=b'9' => {
                group += 1;
                whole = whole.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            }
            _ => return None,
        }
        if byte != b',' {
            *plain.get_mut(length)? = byte;
            length += 1;
        }
    }
    if !is_group(group, is_grouped) {
        return None;
    }
    // Most flows are whole, and of few digits.
    let number = match length {
        ..=MAX_EXACT_DIGITS if !is_part => whole as f64,
        _ => finite(std::str::from_utf8(&plain[..length]).ok()?)?,
    };
    Some(if is_negative { -number } else { number })
}
