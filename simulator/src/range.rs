//! The requested part of a history.

use std::collections::HashMap;

/// Characters of a time without its zone.
const TIME_LENGTH: usize = 19;

/// From one day or time to another, both included, as in the query string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
}

impl<'a> Range<'a> {
    /// The range between two parameters; an absent one is no bound.
    pub(crate) fn of(parameters: &'a HashMap<String, String>, [from, to]: [&str; 2]) -> Range<'a> {
        Range::new(parameters.get(from).map(String::as_str), parameters.get(to).map(String::as_str))
    }

    pub(crate) fn new(from: Option<&'a str>, to: Option<&'a str>) -> Range<'a> {
        let written = |text: &'a str| Some(text.get(..TIME_LENGTH).unwrap_or(text)).filter(|text| !text.is_empty());
        Range { from: from.and_then(written), to: to.and_then(written) }
    }

    /// Whether it has a bound.
    pub(crate) fn is_bounded(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether a day or time in ISO 8601 lies within it: such texts sort by time. A bound that is a day includes the
    /// whole day.
    pub(crate) fn holds(&self, time: &str) -> bool {
        let start = |bound: &str| time.get(..bound.len()).unwrap_or(time);
        self.from.is_none_or(|from| start(from) >= from) && self.to.is_none_or(|to| start(to) <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_all_of_it_and_a_time_is_a_time() {
        let holds = |from, to, time| Range::new(from, to).holds(time);
        assert!(holds(None, None, "2025-01-01"));
        assert!(holds(Some("2025-01-01"), Some("2025-01-01"), "2025-01-01T23:59:59Z"));
        assert!(holds(Some("2025-01-01T12:00:00Z"), None, "2025-01-01T12:00:00Z"));
        assert!(!holds(Some("2025-01-01T12:00:01Z"), None, "2025-01-01T12:00:00+00:00"));
        assert!(!holds(None, Some("2024-12-31"), "2025-01-01"));
        assert!(!holds(Some("2025-01-02"), None, "2025-01-01"));
        assert!(!Range::new(Some(""), None).is_bounded());
    }
}
