//! How often a failure that lasts is logged.

use std::time::{Duration, Instant};

/// How often a failure that lasts is logged again.
const INTERVAL: Duration = Duration::from_secs(60);

/// When a warning was last given, and about what.
#[derive(Debug, Default)]
pub(crate) struct Reminder(Option<(Instant, String)>);

impl Reminder {
    /// Whether it is time to give the warning again; if so, it counts as given.
    pub(crate) fn is_due(&mut self) -> bool {
        self.is_due_for("")
    }

    /// The same for a warning with a reason: another reason is always due.
    pub(crate) fn is_due_for(&mut self, reason: &str) -> bool {
        let is_recent = |(given, known): &(Instant, String)| given.elapsed() < INTERVAL && known == reason;
        let is_due = !self.0.as_ref().is_some_and(is_recent);
        if is_due {
            self.0 = Some((Instant::now(), reason.to_owned()));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_at_first_and_when_its_reason_changes() {
        let mut reminder = Reminder::default();
        let due = ["away", "away", "full", "away"].map(|reason| reminder.is_due_for(reason));
        assert_eq!(due, [true, false, true, true]);
    }
}
