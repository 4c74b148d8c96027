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
    for text in ["", "-", ".5", "5.", "+1", "1e3", "1_0", "--1", "1.2.3", "1000000000000000000", "0.0000000000001"] {
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
