//! Times, lists and decimals as text. Rows of both databases are read in this format, and SQLite stores it, but stores
//! decimals as numbers where they keep their value.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use contract::{Decimal, decimal};

/// The date that many days after 1970-01-01.
pub(crate) fn date(days: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(days).expect("validation bounds dates")
}

/// The time that many microseconds after 1970.
pub(crate) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("validation bounds timestamps")
}

/// A time as text of fixed width (`2020-01-02T14:30:00.000000Z`), so that texts sort like times.
pub(crate) fn of_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A list as JSON.
pub(crate) fn of_list(texts: &[String]) -> Cow<'static, str> {
    match texts {
        // Most records have no flags.
        [] => "[]".into(),
        texts => serde_json::to_string(texts).expect("a list of texts is JSON").into(),
    }
}

/// Reads a date as days since 1970; None unless it is exactly the text of [`date`], because SQLite compares texts.
pub(crate) fn read_date(text: &str) -> Option<i32> {
    let date = text.parse::<NaiveDate>().ok().filter(|date| date.to_string() == text)?;
    Some(date.to_epoch_days())
}

/// Reads a time; None unless it is exactly the text of [`of_time`].
pub(crate) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (of_time(time) == text).then_some(time)
}

/// Reads a decimal; None unless it is in its only valid form, without trailing zeros.
pub(crate) fn read_decimal(text: &str) -> Option<Decimal> {
    decimal::parse(text).filter(|value| value.to_string() == text)
}

/// Most digits of a decimal that a double keeps, wherever the point is.
const EXACT_DIGITS: u32 = 15;

/// The double by which SQLite stores a decimal, so that it compares and sums as a number. None for a decimal with more
/// than [`EXACT_DIGITS`] digits, which SQLite stores as text.
pub(crate) fn double_of(value: Decimal) -> Option<f64> {
    let value = value.normalize();
    let is_exact = value.mantissa().unsigned_abs() < 10_u128.pow(EXACT_DIGITS);
    is_exact.then(|| value.to_string().parse().ok()).flatten()
}

/// The decimal that such a double stands for.
pub(crate) fn decimal_of(double: f64) -> Option<Decimal> {
    read_decimal(&double.to_string())
}

/// Reads a list; None when it is not a list of texts.
pub(crate) fn read_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_form_that_is_written_is_read() {
        assert_eq!(read_date(&date(18_263).to_string()), Some(18_263));
        assert_eq!(read_date("2020-1-2"), None);
        assert_eq!(of_time(time(1_577_975_400_000_001)), "2020-01-02T14:30:00.000001Z");
        assert_eq!(read_time("2020-01-02T14:30:00.000001Z"), Some(time(1_577_975_400_000_001)));
        for odd in
            ["2020-01-02T14:30:00Z", "2020-01-02 14:30:00.000001", "2020-01-02T15:30:00.000001+01:00", "infinity"]
        {
            assert_eq!(read_time(odd), None, "{odd}");
        }
        assert_eq!(read_decimal("-0.5"), Some("-0.5".parse().unwrap()));
        for odd in ["1.50", "1e3", "NaN", "+1"] {
            assert_eq!(read_decimal(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_of_15_digits_is_the_same_after_it_was_a_double(
            mantissa in -999_999_999_999_999_i64..=999_999_999_999_999, scale in 0..=decimal::SCALE
        ) {
            let value = Decimal::new(mantissa, scale).normalize();
            prop_assert_eq!(double_of(value).and_then(decimal_of), Some(value));
        }
    }

    #[test]
    fn a_decimal_of_more_than_15_digits_has_no_double() {
        let double = |text: &str| double_of(text.parse().unwrap());
        assert_eq!(double("-999999999999.999"), Some(-999_999_999_999.999));
        assert_eq!((double("300.50"), double("0")), (Some(300.5), Some(0.0)));
        for long in ["1234567890123456", "1000000000000000", "12345.12345678901"] {
            assert_eq!(double(long), None, "{long}");
        }
    }

    #[test]
    fn a_list_is_read_back_whatever_its_texts_hold() {
        for list in [&[][..], &[""], &["a", "", "\u{1f}\"\\{},"]] {
            let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(read_list(&of_list(&list)), Some(list));
        }
        assert_eq!(read_list("{}"), None);
    }
}
