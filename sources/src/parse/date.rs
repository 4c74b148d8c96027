//! Dates and instants as several providers write them.

use chrono::{DateTime, NaiveDate, Utc};

/// Reads `MM/DD/YYYY`.
pub fn month_day_year(text: &str) -> Option<NaiveDate> {
    if let &[m0, m1, b'/', d0, d1, b'/', y0, y1, y2, y3] = text.as_bytes() {
        let year = i32::try_from(digits(&[y0, y1, y2, y3])?).ok()?;
        return NaiveDate::from_ymd_opt(year, digits(&[m0, m1])?, digits(&[d0, d1])?);
    }
    let mut parts = text.split('/');
    let mut digits = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let (month, day, year) = (digits()?, digits()?, digits()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// Reads up to nine digits and nothing else.
pub fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

/// The instant of a Unix time in seconds; None outside of the range that can be stored.
pub fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    let days = i64::from(contract::validate::MIN_DAY) + 1..i64::from(contract::validate::MAX_DAY);
    DateTime::from_timestamp(seconds, 0).filter(|_| days.contains(&seconds.div_euclid(86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_month_day_and_year_has_a_whole_year() {
        assert_eq!(month_day_year("1/4/2017"), Some("2017-01-04".parse().unwrap()));
        for text in ["01/04/17", "2017-01-04", "02/30/2017", "1/4/2017/", "+1/4/2017", "//2017", "1/4/ 2017"] {
            assert_eq!(month_day_year(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_stored_is_none() {
        assert!(instant(0).is_some());
        for seconds in [i64::MIN, i64::MAX, 9_999_999_999_999, -9_999_999_999_999, 253_402_300_800] {
            assert!(instant(seconds).is_none(), "{seconds}");
        }
    }
}
