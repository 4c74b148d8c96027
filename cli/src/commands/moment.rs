//! A past moment as the command line gives it.

use chrono::{DateTime, NaiveDate, Utc};
use store::Cut;
use store::snapshot::Snapshot;

/// The moment that a command reads.
#[derive(Debug, clap::Args)]
pub(super) struct Moment {
    /// Show what was known at this time, e.g. `2024-05-01` (its end in UTC) or `2024-05-01T14:30:00Z`
    #[arg(long, value_name = "TIME", value_parser = time)]
    as_of: Option<DateTime<Utc>>,
    /// Of that, only what had been received by this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    received_by: Option<DateTime<Utc>>,
    /// Of that, only what a snapshot covers: the text that `tapedeck snapshot` printed
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<Snapshot>,
    /// Count the first version as known at the time that the declaration assumes, where nobody states one
    #[arg(long, requires = "as_of")]
    assume: bool,
}

impl Moment {
    /// The moment; None if nothing was given.
    pub(super) fn cut(&self) -> Option<Cut> {
        let is_given = self.as_of.is_some() || self.received_by.is_some() || self.snapshot.is_some();
        is_given.then(|| Cut {
            known: self.as_of.unwrap_or_else(Utc::now),
            observed: self.received_by,
            snapshot: self.snapshot.clone(),
            assume: self.assume,
        })
    }
}

/// Reads a time; of a day its end.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let day: NaiveDate = text
        .parse()
        .map_err(|_| "it is neither a day like `2024-05-01` nor a time like `2024-05-01T14:30:00Z`".to_owned())?;
    let end = day.and_hms_micro_opt(23, 59, 59, 999_999).ok_or("there is no such day")?.and_utc();
    // The end of today is to come.
    Ok(if end.date_naive() == Utc::now().date_naive() { Utc::now() } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_means_its_end_and_a_time_itself() {
        let shown = |text| time(text).map(|time| time.to_rfc3339());
        assert_eq!(shown("2024-05-01").as_deref(), Ok("2024-05-01T23:59:59.999999+00:00"));
        assert_eq!(shown("2024-05-01T14:30:00+02:00").as_deref(), Ok("2024-05-01T12:30:00+00:00"));
        assert!(shown("2024-02-30").is_err());
        assert!(shown("yesterday").is_err());
        assert!(time(&Utc::now().date_naive().to_string()).unwrap() <= Utc::now());
    }
}
