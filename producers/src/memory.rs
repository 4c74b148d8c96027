//! What a provider said of an item the last time: so that what it says again is passed over, and what it says otherwise
//! is a correction.

use std::collections::HashMap;

use crate::fingerprint::{Fingerprint, NO_TIME};

/// First byte of what is kept; another one is not understood.
const FORMAT: u8 = 1;
/// Bytes of a fingerprint as it is kept.
const ENTRY_BYTES: usize = 32;
/// Most records of an item that are remembered: 16 MB.
const MAX_ENTRIES: usize = 500_000;
/// Least number of records that must be gone from a history before anybody is told.
const SHRUNK_RECORDS: usize = 10;
/// Share of a history, one in so many, that must be gone before anybody is told.
const SHRUNK_SHARE: usize = 5;

/// What a record is in the light of what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing was said about its key.
    Insert,
    /// Something else was said about its key.
    Correction,
    /// The same was said.
    Unchanged,
}

/// The fingerprints of an item's records, and how far they go back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    entries: HashMap<i64, Entry>,
    /// What has an earlier time is no longer remembered.
    horizon: Option<i64>,
    /// Earliest and latest time of what was said since [`Memory::begin`].
    said: Option<(i64, i64)>,
    /// Earliest time of a correction since then.
    corrected: Option<i64>,
    /// Whether there is anything to be kept that was not when this was read.
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    content: i64,
    time: i64,
    loose: f64,
    /// Whether it was said since [`Memory::begin`].
    said: bool,
}

/// What is remembered of an answer, in microseconds before its latest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// What is later than that: what is older is not asked for again.
    Since(i64),
    /// That, and what was said: it may be said again, however old it is.
    SaidOrSince(i64),
}

/// What an answer with all of its pages tells about the item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Latest time of its records.
    pub latest: Option<i64>,
    /// Whether the first record that was asked for again is another one than before: what lies before it may be, too.
    pub reaches_back: bool,
    /// Records that the provider no longer has, and how many of its time there were, when that is a large share.
    pub shrunk: Option<[usize; 2]>,
}

impl Memory {
    /// What was kept; nothing of what is not understood.
    pub fn read(bytes: &[u8], horizon: Option<i64>) -> Memory {
        let entries = match bytes.split_first() {
            Some((&FORMAT, entries)) if entries.len().is_multiple_of(ENTRY_BYTES) => entries,
            _ => return Memory::default(),
        };
        let entry = |bytes: &[u8]| {
            let mut fields = bytes
                .chunks_exact(8)
                .map(|field| i64::from_le_bytes(field.try_into().expect("a chunk of eight bytes")));
            let mut next = || fields.next().unwrap_or_default();
            let (key, content, time) = (next(), next(), next());
            let loose = f64::from_bits(next().cast_unsigned());
            (key, Entry { content, time, loose, said: false })
        };
        let entries = entries.chunks_exact(ENTRY_BYTES).map(entry).collect();
        Memory { entries, horizon, ..Memory::default() }
    }

    /// What is to be kept.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.entries.len() * ENTRY_BYTES);
        bytes.push(FORMAT);
        for (key, Entry { content, time, loose, .. }) in &self.entries {
            for field in [*key, *content, *time, loose.to_bits().cast_signed()] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        bytes
    }

    /// What has an earlier time is no longer remembered.
    pub fn horizon(&self) -> Option<i64> {
        self.horizon
    }

    /// Whether there is anything to be kept that was not when this was read or last asked for.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Begins a new answer.
    pub fn begin(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.said = false);
        (self.said, self.corrected) = (None, None);
    }

    /// Remembers what was said before this answer, and was not kept then.
    pub fn hear(&mut self, print: &Fingerprint) {
        self.changed = true;
        self.entries.insert(print.key, Entry::of(print, false));
    }

    /// Compares a record, and remembers it. A value within the tolerance, relative to the one remembered, is the same.
    pub fn take(&mut self, print: &Fingerprint, tolerance: f64) -> Change {
        let Fingerprint { key, time, .. } = *print;
        if time != NO_TIME {
            let (first, last) = self.said.unwrap_or((time, time));
            self.said = Some((first.min(time), last.max(time)));
        }
        let is_full = self.entries.len() >= MAX_ENTRIES;
        let known = self.entries.get_mut(&key);
        let change = match &known {
            Some(entry) if print.says_again(entry.content, entry.loose, tolerance) => Change::Unchanged,
            Some(_) => Change::Correction,
            // It was there, but it is too long ago to know as what.
            None if self.horizon.is_some_and(|horizon| time < horizon) => Change::Correction,
            None => Change::Insert,
        };
        match (change, known) {
            // What is remembered stays: else a value could walk away in small steps.
            (Change::Unchanged, Some(entry)) => entry.said = true,
            // What does not fit any more is published each time.
            (_, None) if is_full => {}
            _ => {
                self.changed = true;
                self.entries.insert(key, Entry::of(print, true));
            }
        }
        if change == Change::Correction && time != NO_TIME {
            self.corrected = Some(self.corrected.map_or(time, |first| first.min(time)));
        }
        change
    }

    /// Ends an answer of which all was read, and forgets what need not be remembered, and what has no time and was not
    /// said again.
    pub fn finish(&mut self, keep: Keep) -> Reading {
        let (first, latest) = self.said.unzip();
        let within = |entry: &Entry| first.is_some_and(|first| entry.time >= first) && entry.time != NO_TIME;
        let (mut known, mut gone) = (0, 0);
        for entry in self.entries.values().filter(|entry| within(entry)) {
            known += 1;
            gone += usize::from(!entry.said);
        }
        let is_shrunk = gone >= SHRUNK_RECORDS && gone * SHRUNK_SHARE > known;
        let reading = Reading {
            latest,
            reaches_back: self.corrected.is_some()
                && self.corrected == first
                && self.horizon.is_some()
                && self.horizon < first,
            shrunk: is_shrunk.then_some([gone, known]),
        };
        let (count, before) = (self.entries.len(), self.horizon);
        let horizon = match keep {
            Keep::All => None,
            Keep::Since(span) | Keep::SaidOrSince(span) => latest.map(|latest| latest.saturating_sub(span)),
        };
        let is_said_enough = matches!(keep, Keep::SaidOrSince(_));
        self.entries.retain(|_, entry| match entry.time {
            NO_TIME => entry.said,
            time => horizon.is_none_or(|horizon| time >= horizon) || is_said_enough && entry.said,
        });
        self.horizon = match keep {
            Keep::Since(_) => self.horizon.max(horizon),
            Keep::All | Keep::SaidOrSince(_) => None,
        };
        self.changed |= self.entries.len() != count || self.horizon != before;
        reading
    }
}

impl Entry {
    fn of(print: &Fingerprint, said: bool) -> Entry {
        let Fingerprint { content, time, loose, .. } = *print;
        Entry { content, time, loose, said }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn print(key: i64, content: i64, time: i64) -> Fingerprint {
        Fingerprint { key, content, time, loose: f64::NAN }
    }

    /// Says the same on each of some days.
    fn say(memory: &mut Memory, days: impl Iterator<Item = i64>, content: i64) {
        for day in days {
            memory.take(&print(day, content, day), 0.0);
        }
    }

    fn price(loose: f64) -> Fingerprint {
        Fingerprint { loose, ..print(1, 1, 1) }
    }

    #[test]
    fn what_is_said_again_is_unchanged_and_what_is_said_otherwise_a_correction() {
        let mut memory = Memory::default();
        assert_eq!(memory.take(&print(1, 10, 100), 0.0), Change::Insert);
        assert_eq!(memory.take(&print(1, 10, 100), 0.0), Change::Unchanged);
        assert_eq!(memory.take(&print(1, 11, 100), 0.0), Change::Correction);
        assert_eq!(memory.take(&print(1, 10, 100), 0.0), Change::Correction);
        assert_eq!(memory.take(&print(2, 10, 100), 0.0), Change::Insert);
    }

    #[test]
    fn jitter_is_no_change_and_does_not_add_up() {
        let mut memory = Memory::default();
        memory.take(&price(100.0), 1e-6);
        let mut changes = Vec::new();
        for step in 1..=3 {
            changes.push(memory.take(&price(100.0 + 0.00006 * f64::from(step)), 1e-6));
        }
        assert_eq!(changes, [Change::Unchanged, Change::Correction, Change::Unchanged]);
        assert_eq!(memory.take(&price(f64::NAN), 1e-6), Change::Correction);
        assert_eq!(memory.take(&price(f64::NAN), 1e-6), Change::Unchanged);
    }

    #[test]
    fn what_is_older_than_the_look_back_is_forgotten_and_may_only_be_a_correction() {
        let mut memory = Memory::default();
        for day in 0..100 {
            memory.take(&print(day, 1, day), 0.0);
        }
        assert_eq!(memory.finish(Keep::Since(10)), Reading { latest: Some(99), ..Reading::default() });
        assert_eq!((memory.entries.len(), memory.horizon()), (11, Some(89)));
        let mut memory = Memory::read(&memory.write(), memory.horizon());
        memory.begin();
        assert_eq!(memory.take(&print(89, 1, 89), 0.0), Change::Unchanged);
        assert_eq!(memory.take(&print(50, 1, 50), 0.0), Change::Correction);
        assert_eq!(memory.take(&print(100, 1, 100), 0.0), Change::Insert);
        // Of the first day that is remembered all was.
        assert_eq!(memory.take(&print(-1, 1, 89), 0.0), Change::Insert);
        // An answer that ends earlier brings nothing back.
        memory.begin();
        say(&mut memory, 89..95, 1);
        memory.finish(Keep::Since(10));
        assert_eq!(memory.horizon(), Some(89));
    }

    #[test]
    fn what_is_to_be_kept_is_told_whatever_has_changed() {
        let mut memory = Memory::default();
        say(&mut memory, [1, 99].into_iter(), 1);
        memory.finish(Keep::All);
        assert!(memory.take_changed() && !memory.take_changed());
        memory.begin();
        say(&mut memory, [1, 99].into_iter(), 1);
        memory.finish(Keep::All);
        assert!(!memory.take_changed());
        // The horizon alone.
        memory.finish(Keep::Since(200));
        assert!(memory.take_changed());
        // What is forgotten alone.
        memory.finish(Keep::SaidOrSince(200));
        memory.take_changed();
        memory.begin();
        say(&mut memory, 99..100, 1);
        memory.finish(Keep::SaidOrSince(10));
        assert!(memory.take_changed());
    }

    #[test]
    fn what_does_not_fit_any_more_is_published_each_time() {
        let mut memory = Memory::default();
        let count = i64::try_from(MAX_ENTRIES).unwrap();
        say(&mut memory, 0..count, 1);
        let beyond = [1, 2].map(|_| memory.take(&print(count, 1, count), 0.0));
        assert_eq!((beyond, memory.entries.len()), ([Change::Insert; 2], MAX_ENTRIES));
        assert_eq!(memory.take(&print(7, 2, 7), 0.0), Change::Correction);
        assert_eq!(memory.take(&print(7, 2, 7), 0.0), Change::Unchanged);
    }

    #[test]
    fn a_correction_of_the_first_record_that_is_asked_for_again_reaches_back() {
        let remembered = || {
            let mut memory = Memory::default();
            say(&mut memory, 0..100, 1);
            memory.finish(Keep::Since(10));
            memory.begin();
            memory
        };
        let read = |corrected: std::ops::Range<i64>| {
            let mut memory = remembered();
            for day in 90..101 {
                memory.take(&print(day, 1 + i64::from(corrected.contains(&day)), day), 0.0);
            }
            memory.finish(Keep::Since(10)).reaches_back
        };
        assert!(read(90..101) && read(90..91));
        assert!(!read(91..101) && !read(0..0));
        // That it did once does not count for the next answer.
        let mut memory = remembered();
        say(&mut memory, 90..100, 2);
        assert!(memory.finish(Keep::Since(10)).reaches_back);
        memory.begin();
        say(&mut memory, 90..100, 2);
        assert!(!memory.finish(Keep::Since(10)).reaches_back);
        // All that there is was read: nothing lies before it.
        let mut memory = remembered();
        say(&mut memory, 0..100, 2);
        assert!(!memory.finish(Keep::Since(10)).reaches_back);
    }

    #[test]
    fn a_history_that_becomes_shorter_is_told_and_nothing_of_it_is_forgotten() {
        let mut memory = Memory::default();
        say(&mut memory, 0..100, 1);
        assert_eq!(memory.finish(Keep::All).shrunk, None);
        memory.begin();
        say(&mut memory, (0..100).filter(|day| *day == 0 || *day > 30), 1);
        assert_eq!(memory.finish(Keep::All).shrunk, Some([30, 100]));
        memory.begin();
        assert_eq!(memory.take(&print(5, 1, 5), 0.0), Change::Unchanged);
        // What was asked for begins later: what lies before is not gone.
        memory.begin();
        say(&mut memory, 90..100, 1);
        assert_eq!(memory.finish(Keep::All).shrunk, None);
    }

    #[test]
    fn a_history_is_shorter_when_ten_records_and_more_than_a_fifth_of_it_are_gone() {
        let shrunk = |known: i64, gone: i64| {
            let mut memory = Memory::default();
            // What has no time belongs to no history.
            for key in 1..=30 {
                memory.take(&print(-key, 1, NO_TIME), 0.0);
            }
            say(&mut memory, 0..known, 1);
            memory.begin();
            say(&mut memory, (0..known).filter(|day| *day == 0 || *day > gone), 1);
            memory.finish(Keep::All).shrunk
        };
        assert_eq!((shrunk(49, 10), shrunk(50, 10)), (Some([10, 49]), None));
        assert_eq!((shrunk(20, 9), shrunk(100, 0)), (None, None));
    }

    #[test]
    fn what_is_old_and_is_said_in_every_answer_is_remembered_as_long_as_it_is() {
        let mut memory = Memory::default();
        say(&mut memory, [1, 99].into_iter(), 1);
        memory.finish(Keep::SaidOrSince(10));
        memory.begin();
        assert_eq!(memory.take(&print(1, 1, 1), 0.0), Change::Unchanged);
        assert_eq!(memory.take(&print(1, 2, 1), 0.0), Change::Correction);
        memory.begin();
        say(&mut memory, 100..101, 1);
        memory.finish(Keep::SaidOrSince(10));
        assert_eq!((memory.entries.len(), memory.horizon()), (2, None));
        memory.begin();
        assert_eq!(memory.take(&print(1, 2, 1), 0.0), Change::Insert);
    }

    #[test]
    fn what_has_no_time_is_remembered_as_long_as_it_is_said() {
        let mut memory = Memory::default();
        memory.take(&print(1, 1, NO_TIME), 0.0);
        memory.take(&print(2, 1, NO_TIME), 0.0);
        memory.finish(Keep::All);
        memory.begin();
        memory.take(&print(1, 1, NO_TIME), 0.0);
        memory.finish(Keep::All);
        memory.begin();
        assert_eq!(memory.take(&print(1, 1, NO_TIME), 0.0), Change::Unchanged);
        assert_eq!(memory.take(&print(2, 1, NO_TIME), 0.0), Change::Insert);
    }

    #[test]
    fn what_is_not_understood_is_not_remembered() {
        for bytes in [&b""[..], b"\x02", b"\x01abc", &[0; 33]] {
            assert_eq!(Memory::read(bytes, Some(5)), Memory::default());
        }
    }

    proptest! {
        /// A map from key to what was published last is what this must be like.
        #[test]
        fn whatever_is_said_and_however_often_it_is_kept_each_value_is_published_once(
            rounds in vec(vec((0..6_i64, 0..3_i64), 0..12), 0..12)
        ) {
            let mut memory = Memory::default();
            let mut model: HashMap<i64, i64> = HashMap::new();
            let mut kept = Vec::new();
            for round in rounds {
                memory.begin();
                for (key, content) in round {
                    let expected = match model.insert(key, content) {
                        None => Change::Insert,
                        Some(old) if old == content => Change::Unchanged,
                        Some(_) => Change::Correction,
                    };
                    prop_assert_eq!(memory.take(&print(key, content, key), 0.0), expected);
                }
                memory.finish(Keep::All);
                // Kept only when it says that there is something to be kept.
                if memory.take_changed() {
                    kept = memory.write();
                }
                memory = Memory::read(&kept, memory.horizon());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let memory = Memory::read(&bytes, None);
            prop_assert_eq!(Memory::read(&memory.write(), None), memory);
        }
    }
}
