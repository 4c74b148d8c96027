//! Values that people type after an option, with errors that say how to type them.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Reads a time: RFC 3339, or a date, which means its midnight in UTC.
///
/// # Errors
///
/// What was expected, with an example of each.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    time.or_else(date).ok_or_else(|| {
        "expected a date such as `2026-01-31`, or a time with its zone: `2026-01-31T14:30:00Z`".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_has_a_zone() {
        let shown = |text: &str| time(text).map(|time| time.to_rfc3339());
        assert_eq!(shown("2026-01-31"), Ok("2026-01-31T00:00:00+00:00".to_owned()));
        assert_eq!(shown("2026-01-31T14:30:00+01:00"), Ok("2026-01-31T13:30:00+00:00".to_owned()));
        for text in ["yesterday", "2026-01-31T14:30:00", "31.01.2026", ""] {
            assert!(shown(text).unwrap_err().contains("such as `2026-01-31`"), "{text}");
        }
    }
}
