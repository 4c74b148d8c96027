//! Decimals, as providers send money: exact to [`SCALE`] digits after the point, what follows is rounded away.
//!
//! Twelve digits hold whatever is paid; more of them come from doubles that a provider has printed.
//!
//! On the wire they are Avro's: two's complement, the highest byte first, of the value times ten to the [`SCALE`].

use rust_decimal::Decimal;

/// Digits after the point that a decimal can have.
pub const SCALE: u32 = 12;
/// Digits before the point that it can have; 28 in all.
pub const MAX_WHOLE_DIGITS: u32 = 26;
/// Most bytes on the wire.
const MAX_BYTES: usize = size_of::<i128>();
/// Most digits of a number that is read in 64 bits.
const MAX_SHORT_DIGITS: usize = 18;

/// Reads a number, also one with an exponent; None when it is none, or has more than [`MAX_WHOLE_DIGITS`] before the point.
pub fn parse(text: &str) -> Option<Decimal> {
    short(text).or_else(|| any(text))
}

/// Reads a number of few digits, with a point among them or not: nearly all are, and this is several times as fast.
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
    // The library takes `_` between digits.
    let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let is_scientific = text.contains(['e', 'E']);
    let read = if is_scientific { Decimal::from_scientific(text) } else { text.parse() };
    let value = read.ok().filter(|_| text.bytes().all(is_number))?.round_dp(SCALE).normalize();
    unscaled(value).is_some().then_some(value)
}

/// The bytes of an Avro decimal, before [`shortest`] drops what is not needed; zero for a value that is out of bounds,
/// which [`parse`] never gives.
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

/// Whether a byte says nothing but the sign of the next one.
fn is_sign(byte: u8, next: u8) -> bool {
    byte == 0x00 && next < 0x80 || byte == 0xff && next >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Decimal) -> Vec<u8> {
        shortest(&unscaled_bytes(value)).to_vec()
    }

    #[test]
    fn a_decimal_is_what_was_written_and_comes_back_as_it_was() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("1.50", "1.5"),
            ("-123.456", "-123.456"),
            ("383285000000.00", "383285000000"),
            ("0.000000000001", "0.000000000001"),
            ("1e-5", "0.00001"),
            ("1.5E3", "1500"),
            ("0.2199999988079071", "0.219999998808"),
            ("0.0000000000001", "0"),
            ("99999999999999999999999999", "99999999999999999999999999"),
            ("-99999999999999999999999999", "-99999999999999999999999999"),
        ] {
            let value = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(value.to_string(), shown);
            assert_eq!(read(&written(value), SCALE), Some(value), "{text}");
        }
    }

    #[test]
    fn a_number_of_few_digits_is_read_as_any_other() {
        for text in [
            "0",
            "-0",
            "-0.00",
            "007",
            "1.50",
            "-123.4560",
            "0.000000000001",
            "999999999999999999",
            "-999999.999999999999",
            "100.00",
        ] {
            let (one, other) = (short(text).unwrap(), any(text).unwrap());
            assert_eq!((one, one.scale(), one.to_string()), (other, other.scale(), other.to_string()), "{text}");
        }
        for text in ["", "-", ".5", "5.", "+1", "1e3", "1_0", "--1", "1.2.3", "1000000000000000000", "0.0000000000001"]
        {
            assert_eq!(short(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_is_too_large_is_refused() {
        for text in ["", "NA", "1,000", "0x1", "Infinity", "NaN", "1e", "1_000", "1e26", "1e400", "--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(read(&[], SCALE), None);
        assert_eq!(read(&[1; MAX_BYTES + 1], SCALE), None);
        assert_eq!(read(&i128::MAX.to_be_bytes(), SCALE), None);
    }

    #[test]
    fn no_byte_is_written_that_is_not_needed() {
        let unit = |number: i64| Decimal::from_i128_with_scale(number.into(), SCALE);
        for (number, bytes) in
            [(0, vec![0]), (127, vec![0x7f]), (128, vec![0, 0x80]), (-128, vec![0x80]), (-129, vec![0xff, 0x7f])]
        {
            assert_eq!(written(unit(number)), bytes, "{number}");
        }
    }

    #[test]
    fn another_scale_is_read_as_the_same_number() {
        assert_eq!(read(&[0x30, 0x39], 2), parse("123.45"));
        assert_eq!(read(&[1], 13), None);
        assert_eq!(read(&[10], 13), parse("0.000000000001"));
    }
}
