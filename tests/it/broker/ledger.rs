//! What producers and consumers were told, and whether the log agrees.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of a topic, and partition.
pub(super) type Place = (usize, i32);

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Pending,
    /// Its partition and offset; -1 if the broker recognised a duplicate whose offset it forgot.
    Acknowledged(i32, i64),
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    producer: usize,
    topic: usize,
    outcome: Outcome,
}

/// Every record that was sent, by its number.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    records: Mutex<Vec<Record>>,
    acknowledged: AtomicUsize,
}

impl Ledger {
    /// Numbers a record before it is sent.
    pub(super) fn sending(&self, producer: usize, topic: usize) -> usize {
        let mut records = self.records.lock().unwrap();
        records.push(Record { producer, topic, outcome: Outcome::Pending });
        records.len() - 1
    }

    /// The client reported a record's fate.
    pub(super) fn reported(&self, number: usize, outcome: Outcome) {
        let known = &mut self.records.lock().unwrap()[number].outcome;
        assert_eq!(*known, Outcome::Pending, "record {number} is reported twice");
        *known = outcome;
        if matches!(outcome, Outcome::Acknowledged(..)) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Number of acknowledged records.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Number of records that failed, according to their producer.
    pub(super) fn failed(&self) -> usize {
        self.records.lock().unwrap().iter().filter(|record| record.outcome == Outcome::Failed).count()
    }

    /// Where the logs contradict the reports. `logs` holds the records' numbers in the order of offsets.
    pub(super) fn violations(&self, logs: &BTreeMap<Place, Vec<usize>>) -> Vec<String> {
        let (records, mut found) = (self.records.lock().unwrap(), Vec::new());
        let mut places: Vec<Vec<(i32, i64)>> = vec![Vec::new(); records.len()];
        for ((topic, partition), numbers) in logs {
            let mut last = BTreeMap::new();
            for (offset, number) in (0..).zip(numbers) {
                let Some(record) = records.get(*number) else {
                    found.push(format!("{topic}/{partition}@{offset}: nobody sent record {number}"));
                    continue;
                };
                places[*number].push((*partition, offset));
                if record.topic != *topic {
                    found.push(format!("{topic}/{partition}@{offset}: record {number} is of topic {}", record.topic));
                }
                // A key belongs to one producer, which sends its records in the order of their numbers.
                if last.insert(record.producer, number).is_some_and(|last| last >= number) {
                    found.push(format!("{topic}/{partition}@{offset}: record {number} comes after a later one"));
                }
            }
        }
        for (number, (record, places)) in records.iter().zip(&places).enumerate() {
            let is_right = match record.outcome {
                Outcome::Pending => false,
                Outcome::Acknowledged(partition, -1) => matches!(places[..], [(found, _)] if found == partition),
                Outcome::Acknowledged(partition, offset) => places[..] == [(partition, offset)],
                Outcome::Failed => places.len() <= 1,
            };
            if !is_right {
                found.push(format!("record {number} is {:?} but found at {places:?}", record.outcome));
            }
        }
        found
    }
}

#[test]
fn a_lost_a_doubled_a_moved_and_an_early_record_are_violations() {
    let ledger = Ledger::default();
    for offset in 0..3 {
        let number = ledger.sending(0, 0);
        ledger.reported(number, Outcome::Acknowledged(0, offset));
    }
    let failed = ledger.sending(0, 0);
    ledger.reported(failed, Outcome::Failed);
    let violations = |numbers: &[usize]| ledger.violations(&BTreeMap::from([((0, 0), numbers.to_vec())])).len();
    assert_eq!(violations(&[0, 1, 2]), 0);
    assert_eq!(violations(&[0, 1, 2, failed]), 0);
    assert_eq!(violations(&[0, 1]), 1, "lost");
    assert_eq!(violations(&[0, 1, 2, 2]), 2, "doubled: not in order, and twice");
    assert_eq!(violations(&[0, 2, 1]), 3, "moved: not in order, and two wrong offsets");
    assert_eq!(violations(&[0, 1, 2, failed, failed]), 2, "failed, but there twice");
    assert_eq!(violations(&[0, 1, 2, 9]), 1, "never sent");
}
