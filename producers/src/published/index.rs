//! The index of an item's already published records: distinguishes new, changed and unchanged records.

use std::collections::HashMap;

use crate::published::fingerprint::{Fingerprint, NO_TIME};

/// First byte of a saved index; one with another format reads as empty.
const FORMAT: u8 = 2;
/// The format of versions before 0.2, whose contents are [`Fingerprint::by_place`].
const FORMAT_BY_PLACE: u8 = 1;
/// Bytes of the numbers of a saved entry. A byte follows: 1 if the content is still [`Fingerprint::by_place`].
const NUMBERS_BYTES: usize = 32;
/// Most entries of an index: 16.5 MB.
const MAX_ENTRIES: usize = 500_000;
/// Least number of records that must be gone from a history before a warning.
const SHRUNK_RECORDS: usize = 10;
/// Share of a history, one in so many, that must be gone before a warning.
const SHRUNK_SHARE: usize = 5;

/// How a record compares with the already published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New: no record of its key is published.
    Insert,
    /// Changed: another record of its key is published.
    Correction,
    /// The same record is published.
    Unchanged,
}

/// The fingerprints of an item's published records, and how far they go back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    entries: HashMap<i64, Entry>,
    /// Entries with an earlier time have expired.
    horizon: Option<i64>,
    /// Earliest and latest time in the current response.
    span: Option<(i64, i64)>,
    /// Earliest time of a correction in the current response.
    corrected: Option<i64>,
    /// Whether it differs from the saved index.
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    content: i64,
    time: i64,
    loose: f64,
    /// Whether the content is [`Fingerprint::by_place`].
    is_by_place: bool,
    /// Whether the current response contains the record.
    is_current: bool,
}

/// Which entries stay after a response, by microseconds before its latest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those that are later: older records are not asked for again.
    Since(i64),
    /// Those that are later, and those in the response: the next one may contain them, however old they are.
    CurrentOrSince(i64),
}

/// What all pages of a response show about the item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Latest time of its records.
    pub latest: Option<i64>,
    /// Whether the first record of the re-read window has changed: earlier ones may have, too.
    pub reaches_back: bool,
    /// Records that the provider no longer has, and the number of records in the same span, if the share is large.
    pub shrunk: Option<[usize; 2]>,
}

impl Index {
    /// Reads a saved index; one with an unknown format is empty.
    pub fn read(bytes: &[u8], horizon: Option<i64>) -> Index {
        let (entries, entry_bytes) = match bytes.split_first() {
            Some((&FORMAT, entries)) => (entries, NUMBERS_BYTES + 1),
            Some((&FORMAT_BY_PLACE, entries)) => (entries, NUMBERS_BYTES),
            _ => return Index::default(),
        };
        if !entries.len().is_multiple_of(entry_bytes) {
            return Index::default();
        }
        let entry = |bytes: &[u8]| {
            let (numbers, flag) = bytes.split_at(NUMBERS_BYTES);
            let mut fields = numbers
                .chunks_exact(8)
                .map(|field| i64::from_le_bytes(field.try_into().expect("a chunk of eight bytes")));
            let mut next = || fields.next().unwrap_or_default();
            let (key, content, time) = (next(), next(), next());
            let loose = f64::from_bits(next().cast_unsigned());
            (key, Entry { content, time, loose, is_by_place: flag != [0], is_current: false })
        };
        let entries = entries.chunks_exact(entry_bytes).map(entry).collect();
        Index { entries, horizon, ..Index::default() }
    }

    /// Writes the index to be saved.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.entries.len() * (NUMBERS_BYTES + 1));
        bytes.push(FORMAT);
        for (key, Entry { content, time, loose, is_by_place, .. }) in &self.entries {
            for field in [*key, *content, *time, loose.to_bits().cast_signed()] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
            bytes.push(u8::from(*is_by_place));
        }
        bytes
    }

    /// Entries with an earlier time have expired.
    pub fn horizon(&self) -> Option<i64> {
        self.horizon
    }

    /// Whether the index has changed since it was read or since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether an entry still has the hash of an earlier version.
    pub fn is_by_place(&self) -> bool {
        self.entries.values().any(|entry| entry.is_by_place)
    }

    /// Begins a new response.
    pub fn begin(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.is_current = false);
        (self.span, self.corrected) = (None, None);
    }

    /// Adds what an earlier process published and did not record.
    pub fn insert_recovered(&mut self, print: &Fingerprint) {
        self.changed = true;
        self.entries.insert(print.key, Entry::of(print, false));
    }

    /// Compares a record with the index and adds it. A value within the relative tolerance of the indexed one is the
    /// same.
    pub fn compare(&mut self, print: &Fingerprint, tolerance: f64) -> Change {
        let Fingerprint { key, time, .. } = *print;
        if time != NO_TIME {
            let (first, last) = self.span.unwrap_or((time, time));
            self.span = Some((first.min(time), last.max(time)));
        }
        let is_full = self.entries.len() >= MAX_ENTRIES;
        let known = self.entries.get_mut(&key);
        let change = match &known {
            Some(entry) if entry.is_of(print, tolerance) => Change::Unchanged,
            Some(_) => Change::Correction,
            // It was published, but its entry has expired.
            None if self.horizon.is_some_and(|horizon| time < horizon) => Change::Correction,
            None => Change::Insert,
        };
        match (change, known) {
            // The indexed value stays: otherwise a value could drift in small steps.
            (Change::Unchanged, Some(entry)) => {
                self.changed |= entry.is_by_place;
                *entry = Entry { content: print.content, is_by_place: false, is_current: true, ..*entry };
            }
            // Records beyond the limit are published each time.
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

    /// Ends a response after its last page: drops expired entries, and untimed ones that this response no longer
    /// contains.
    pub fn finish(&mut self, keep: Keep) -> Reading {
        let (first, latest) = self.span.unzip();
        let within = |entry: &Entry| first.is_some_and(|first| entry.time >= first) && entry.time != NO_TIME;
        let (mut known, mut gone) = (0, 0);
        for entry in self.entries.values().filter(|entry| within(entry)) {
            known += 1;
            gone += usize::from(!entry.is_current);
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
            Keep::Since(span) | Keep::CurrentOrSince(span) => latest.map(|latest| latest.saturating_sub(span)),
        };
        let is_current_enough = matches!(keep, Keep::CurrentOrSince(_));
        self.entries.retain(|_, entry| match entry.time {
            NO_TIME => entry.is_current,
            time => horizon.is_none_or(|horizon| time >= horizon) || is_current_enough && entry.is_current,
        });
        self.horizon = match keep {
            Keep::Since(_) => self.horizon.max(horizon),
            Keep::All | Keep::CurrentOrSince(_) => None,
        };
        self.changed |= self.entries.len() != count || self.horizon != before;
        reading
    }
}

impl Entry {
    fn of(print: &Fingerprint, is_current: bool) -> Entry {
        let Fingerprint { content, time, loose, .. } = *print;
        Entry { content, time, loose, is_by_place: false, is_current }
    }

    /// Whether it is the entry of this record.
    fn is_of(&self, print: &Fingerprint, tolerance: f64) -> bool {
        let content = if self.is_by_place { print.by_place } else { print.content };
        Fingerprint { content, ..*print }.is_same(self.content, self.loose, tolerance)
    }
}

#[cfg(test)]
mod tests;
