//! The invariants of tapedeck: one list of ids, shared by ARCHITECTURE.md, the checks before a COMMIT and the tests
//! that break everything around the consumers.

use std::fmt;

/// What must hold whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// `I1`
    ContiguousLedger,
    /// `I2`
    PositionEndsLedger,
    /// `I3`
    RecordsAddUp,
    /// `I4`
    RefusalsKept,
    /// `I5`
    HighestVersion,
    /// `I6`
    NeverBackward,
    /// `I7`
    ReplayChangesNothing,
    /// `I8`
    VersionNeverNull,
    /// `I9`
    GroupBehindPosition,
    /// `I10`
    PositionWithinTopic,
    /// `I11`
    StrictDecoding,
    /// `I12`
    OneMeaningOfRules,
    /// `I13`
    PublishedOnce,
    /// `I14`
    NoSecretShown,
}

impl Invariant {
    /// Every invariant, in the order of their ids.
    pub const ALL: [Invariant; 14] = [
        Invariant::ContiguousLedger,
        Invariant::PositionEndsLedger,
        Invariant::RecordsAddUp,
        Invariant::RefusalsKept,
        Invariant::HighestVersion,
        Invariant::NeverBackward,
        Invariant::ReplayChangesNothing,
        Invariant::VersionNeverNull,
        Invariant::GroupBehindPosition,
        Invariant::PositionWithinTopic,
        Invariant::StrictDecoding,
        Invariant::OneMeaningOfRules,
        Invariant::PublishedOnce,
        Invariant::NoSecretShown,
    ];

    /// The id: `I` and a number that never changes its meaning.
    pub fn id(self) -> &'static str {
        self.entry().0
    }

    /// The invariant in one sentence.
    pub fn sentence(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Invariant::ContiguousLedger => {
                ("I1", "The chunks of a partition follow each other in the ledger, without gap or overlap.")
            }
            Invariant::PositionEndsLedger => {
                ("I2", "A position is where its ledger ends; a consumer starts there, whatever Kafka's group says.")
            }
            Invariant::RecordsAddUp => (
                "I3",
                "Each record of a chunk is accounted for: read = inserted + changed + unchanged + superseded + \
                 dead-lettered.",
            ),
            Invariant::RefusalsKept => {
                ("I4", "A refused record is a dead letter with its original bytes, in the transaction of its chunk.")
            }
            Invariant::HighestVersion => {
                ("I5", "The table holds the highest version per key, whatever the order, duplication or chunking.")
            }
            Invariant::NeverBackward => ("I6", "A row never goes back to a lower version."),
            Invariant::ReplayChangesNothing => ("I7", "A replay of everything changes nothing."),
            Invariant::VersionNeverNull => (
                "I8",
                "`known_at`, `observed_at` and the content hash are never null; the hash covers the values only.",
            ),
            Invariant::GroupBehindPosition => ("I9", "Kafka's group is never ahead of the database's position."),
            Invariant::PositionWithinTopic => ("I10", "A position is never beyond the end of its topic."),
            Invariant::StrictDecoding => {
                ("I11", "Decoding is strict: truncation, trailing bytes and impossible values are errors, never nulls.")
            }
            Invariant::OneMeaningOfRules => ("I12", "A rule means the same to the consumer and to PostgreSQL."),
            Invariant::PublishedOnce => {
                ("I13", "A page is done once Kafka has acknowledged every record of it; each value is published once.")
            }
            Invariant::NoSecretShown => ("I14", "No secret is shown, even if a provider repeats it."),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_one_on() {
        for (place, invariant) in (1..).zip(Invariant::ALL) {
            assert_eq!(invariant.id(), format!("I{place}"));
        }
    }
}
