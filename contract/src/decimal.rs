//! Decimals, as providers send money: exact to [`SCALE`] digits after the point; further digits are rounded.
//!
//! Twelve digits are enough for every price and amount; further digits come from doubles that a provider has printed.
//!
//! On the wire a decimal is Avro's: the value times ten to the [`SCALE`], in two's complement, the highest byte first.

use rust_decimal::Decimal;

/// Most digits after the point.
pub const SCALE: u32 = 12;
/// Most digits before the point. `rust_decimal` holds 28 digits in all.
pub const MAX_WHOLE_DIGITS: u32 = 26;
/// Most bytes on the wire.
const MAX_BYTES: usize = size_of::<i128>();
/// Most digits of a number that is read in 64 bits.
const MAX_SHORT_DIGITS: usize = 18;

/// Reads a number, with or without an exponent, and rounds it to [`SCALE`] digits after the point.
///
/// None when the text is not a number, or has more than [`MAX_WHOLE_DIGITS`] digits before the point.
pub fn parse(text: &str) -> Option<Decimal> {
    short(text).or_else(|| any(text))
}

/// Reads a number of few digits, with or without a point: nearly all are like this, and it is several times as fast.
fn short(text: &str) -> Option<Decimal> {
    let (is_negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, part) = point.map_or((digits, &[][..]), |at| (&digits[..at], &digits[at + 1..]));
    let is_empty = whole.is_empty() || point.is_some() && part.is_empty();
    if is_empty || part.len() > SCALE as usize || whole.len() + part.len() > MAX_SHORT_DIGITS {
        return None;
    }
    let needless = part.iter().rev().take_while(|digit| **digit == b'0').count();
    let part = &part[..part.len() - needless];
    let put = |number: i64, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'));
    let number = part.iter().try_fold(whole.iter().try_fold(0, put)?, put)?;
    Some(Decimal::new(if is_negative { -number } else { number }, part.len() as u32))
}

/// Reads any number.
fn any(text: &str) -> Option<Decimal> {
    // The library accepts `_` between digits.
    let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let is_scientific = text.contains(['e', 'E']);
    let read = if is_scientific { Decimal::from_scientific(text) } else { text.parse() };
    let value = read.ok().filter(|_| text.bytes().all(is_number))?.round_dp(SCALE).normalize();
    unscaled(value).is_some().then_some(value)
}

/// The bytes of an Avro decimal, before [`shortest`] drops what is not needed; zero for a value that is out of bounds,
/// which [`parse`] never returns.
pub(crate) fn unscaled_bytes(value: Decimal) -> [u8; MAX_BYTES] {
    unscaled(value).unwrap_or_default().to_be_bytes()
}

/// The bytes without those at the beginning that only repeat the sign.
pub(crate) fn shortest(bytes: &[u8]) -> &[u8] {
    let needless = bytes.windows(2).take_while(|pair| is_sign(pair[0], pair[1])).count();
    &bytes[needless..]
}

/// Reads an Avro decimal with `scale` digits after the point; None when it has more digits than can be kept.
pub(crate) fn read(bytes: &[u8], scale: u32) -> Option<Decimal> {
    let first = *bytes.first().filter(|_| bytes.len() <= MAX_BYTES)?;
    let fill = if first < 0x80 { 0x00 } else { 0xff };
    let mut whole = [fill; MAX_BYTES];
    whole[MAX_BYTES - bytes.len()..].copy_from_slice(bytes);
    let (mut number, mut scale) = (i128::from_be_bytes(whole), scale);
    while scale > 0 && number % 10 == 0 {
        (number, scale) = (number / 10, scale - 1);
    }
    let value = Decimal::try_from_i128_with_scale(number, scale).ok()?;
    (value.scale() <= SCALE && unscaled(value).is_some()).then_some(value)
}

/// The value times ten to the [`SCALE`]; None when it has too many digits.
fn unscaled(value: Decimal) -> Option<i128> {
    let factor = 10_i128.checked_pow(SCALE.checked_sub(value.scale())?)?;
    let number = value.mantissa().checked_mul(factor)?;
    (number.unsigned_abs() < 10_u128.pow(SCALE + MAX_WHOLE_DIGITS)).then_some(number)
}

/// Whether a byte only repeats the sign of the next one.
fn is_sign(byte: u8, next: u8) -> bool {
    byte == 0x00 && next < 0x80 || byte == 0xff && next >= 0x80
}

#[cfg(test)]
mod tests;
