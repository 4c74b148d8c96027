//! Makes the records of a page from the cells of rows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use contract::{Record, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::cell::{self, Cell};
use super::decimal_sign::{self, UNDECLARED_COMMA};
use super::item::{Item, Origin};
use crate::parse::fault::Fault;
use crate::parse::value::absent;
use crate::response::{PageError, Parsed, Reject, Request};
use crate::time::Calendar;

/// Most rows of a page, to bound the memory of their records.
pub(super) const PAGE_ROWS: usize = 20_000;
/// Bytes of a short row of text, to estimate how many there are.
pub(super) const ROW_BYTES: usize = 50;
/// If at least that many rows are refused and none is read, the file is refused as a whole: its mapping is wrong, not
/// its rows.
const MIN_HOPELESS_ROWS: usize = 10;

/// A page while its rows are read.
pub(super) struct Page<'a> {
    item: &'a Item,
    request: Request<'a>,
    parsed: Parsed,
    /// The calendar of the item's zone.
    calendar: Calendar,
    /// `known_at` of rows without their own.
    known_at: i64,
    /// The row of each record, in the order of the records.
    kept: Vec<Kept<'a>>,
    /// Index of the record of each key.
    keys: HashMap<u128, usize, BuildHasherDefault<Hashed>>,
    /// The values of the current row, one for each field.
    values: Vec<Value>,
    key: Vec<u8>,
}

/// Passes a hash through.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// The row of a record.
#[derive(Clone, Copy)]
struct Kept<'a> {
    known_at: i64,
    row: Row<'a>,
}

/// A row as its reject names and shows it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// The text in the file; empty for a format whose rows are not contiguous.
    pub(super) text: &'a [u8],
    /// Its number, counted in `unit`.
    pub(super) number: u64,
    /// Unit of `number`, e.g. `line`.
    pub(super) unit: &'static str,
}

impl<'a> Page<'a> {
    /// An empty page with room for that many rows.
    pub(super) fn new(item: &'a Item, request: &Request<'a>, rows: usize) -> Page<'a> {
        let rows = rows.min(PAGE_ROWS);
        Page {
            item,
            request: *request,
            parsed: Parsed { records: Vec::with_capacity(rows), ..Parsed::default() },
            calendar: Calendar::of(item.zone),
            known_at: request.last_modified_or_received().timestamp_micros(),
            kept: Vec::with_capacity(rows),
            keys: HashMap::with_capacity_and_hasher(rows, BuildHasherDefault::default()),
            values: Vec::with_capacity(item.origins.len()),
            key: Vec::new(),
        }
    }

    /// Rows read so far.
    pub(super) fn rows(&self) -> usize {
        self.parsed.records.len() + self.parsed.rejects.len() + self.parsed.holes as usize
    }

    /// Adds a row; `cell` returns the cell of a slot.
    pub(super) fn add<'c>(&mut self, row: Row<'a>, cell: impl Fn(usize) -> Cell<'c>) {
        let outcome = self.read(row, &cell);
        if let Err(fault) = outcome {
            let shown = if row.text.is_empty() { self.shown(&cell) } else { row.text.to_vec() };
            self.refuse(row, fault, &shown);
        }
    }

    /// Adds a row without any value.
    pub(super) fn add_hole(&mut self) {
        self.parsed.holes += 1;
    }

    /// Refuses a row.
    pub(super) fn refuse(&mut self, row: Row<'a>, fault: Fault, shown: &[u8]) {
        let reject = fault.at(format_args!("{} {}", row.unit, row.number)).reject(shown);
        self.parsed.rejects.push(Reject { dataset: Some(self.item.dataset.name.as_str()), ..reject });
    }

    /// The finished page, with the offset of the next one; an error if the mapping must be wrong.
    pub(super) fn done(mut self, next_offset: Option<u64>) -> Result<Parsed, PageError> {
        let rejects = &self.parsed.rejects;
        if self.request.offset == 0 && self.parsed.records.is_empty() && rejects.len() >= MIN_HOPELESS_ROWS {
            return Err(PageError::Skip(format!(
                "none of the first {} rows can be read as `{}`; {}",
                rejects.len(),
                self.item.dataset.name,
                rejects[0].reason
            )));
        }
        if let Some(fault) = self.undeclared_commas() {
            return Err(PageError::Skip(fault));
        }
        self.parsed.next_offset = next_offset;
        Ok(self.parsed)
    }

    /// Why the numbers of this page cannot be trusted: some have decimal commas, the item does not say so, and other
    /// numbers, such as `1.100`, were read that could be thousands. One odd number among many with a point costs only
    /// its row.
    fn undeclared_commas(&self) -> Option<String> {
        let mut refused = self.parsed.rejects.iter().filter(|reject| reject.class == UNDECLARED_COMMA);
        let first = refused.next()?;
        let commas = 1 + refused.count();
        let (mut sure, mut doubtful) = (0, 0);
        for kept in &self.kept {
            let points = decimal_sign::points(kept.row.text);
            (sure, doubtful) = (sure + points.0, doubtful + points.1);
        }
        let is_suspect = commas > sure && (doubtful > 0 || commas >= self.parsed.records.len());
        is_suspect.then(|| format!("its numbers have decimal commas in {commas} rows; {}", first.reason))
    }

    fn read<'c>(&mut self, row: Row<'a>, cell: &impl Fn(usize) -> Cell<'c>) -> Result<(), Fault> {
        let item = self.item;
        self.values.clear();
        for (field, origin) in item.dataset.fields.iter().zip(&item.origins) {
            match origin {
                Origin::Slot(slot, format) => cell::read(field, format, item.zone, cell(*slot), &mut self.values)?,
                Origin::Constant(value) => self.values.push(value.clone()),
                Origin::Received => self.values.push(Value::Long(self.request.received_at.timestamp_micros())),
            }
        }
        self.complete()?;
        let known_at = self.version();
        if let Some(at) = item.needed.iter().find(|at| self.values[**at] == Value::Null) {
            return Err(absent(&item.dataset.fields[*at].name));
        }
        let key = self.key();
        let record = Record::from_values(&item.dataset.name, &mut self.values);
        // Records are large: each is moved once.
        self.parsed
            .records
            .push(record.ok_or_else(|| Fault("kind", "has a value of another kind than its field".to_owned()))?);
        self.keep(key, Kept { known_at, row });
        Ok(())
    }

    /// Derives the date from the time, or the time from the date.
    fn complete(&mut self) -> Result<(), Fault> {
        let Some((date, time)) = self.item.session else { return Ok(()) };
        let zone = self.item.zone;
        let derived = match (&self.values[date], &self.values[time]) {
            (Value::Null, Value::Long(micros)) => (date, cell::date_of(*micros, zone).map(Value::Date)),
            (Value::Date(days), Value::Null) => {
                let day = chrono::NaiveDate::from_epoch_days(*days);
                (time, day.and_then(|day| self.calendar.start(day)).map(|start| Value::Long(start.timestamp_micros())))
            }
            _ => return Ok(()),
        };
        let (at, value) = derived;
        self.values[at] = value.ok_or_else(|| absent(&self.item.dataset.fields[at].name))?;
        Ok(())
    }

    /// Sets `known_at`, never after the receipt.
    fn version(&mut self) -> i64 {
        let [at, _] = self.item.dataset.version_fields;
        let known_at = match self.values[at] {
            Value::Long(micros) => micros.min(self.request.received_at.timestamp_micros()),
            _ => self.known_at,
        };
        self.values[at] = Value::Long(known_at);
        known_at
    }

    /// Hash of the natural key.
    fn key(&mut self) -> u128 {
        self.key.clear();
        for at in &self.item.dataset.key {
            match &self.values[*at] {
                Value::Text(text) => {
                    let text = text.as_bytes();
                    self.key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    self.key.extend_from_slice(text);
                }
                Value::Long(number) => self.key.extend_from_slice(&number.to_le_bytes()),
                Value::Date(days) => self.key.extend_from_slice(&days.to_le_bytes()),
                // Adding zero turns -0.0 into 0.0; databases treat both as equal.
                Value::Double(number) => self.key.extend_from_slice(&(number + 0.0).to_le_bytes()),
                Value::Null | Value::Decimal(_) | Value::Bytes(_) | Value::TextList(_) => self.key.push(0),
            }
        }
        xxh3_128(&self.key)
    }

    /// Keeps one record of each key: the one with the latest `known_at`, and of equals the later row.
    fn keep(&mut self, key: u128, kept: Kept<'a>) {
        let last = self.parsed.records.len() - 1;
        let place = match self.keys.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(last);
                self.kept.push(kept);
                return;
            }
            Entry::Occupied(entry) => *entry.get(),
        };
        let mut loser = kept;
        if kept.known_at >= self.kept[place].known_at {
            std::mem::swap(&mut self.kept[place], &mut loser);
            self.parsed.records.swap(place, last);
        }
        let Some(record) = self.parsed.records.pop().filter(|record| *record != self.parsed.records[place]) else {
            return;
        };
        let winner = self.kept[place].row;
        let fault = Fault("duplicate", format!("{} {} has the same key", winner.unit, winner.number));
        if loser.row.text.is_empty() {
            // Every record can be written as JSON.
            let shown = serde_json::to_vec(&record).unwrap_or_default();
            self.refuse(loser.row, fault, &shown);
        } else {
            self.refuse(loser.row, fault, loser.row.text);
        }
    }

    /// A row that is not contiguous in the file, shown as a JSON object of its columns.
    fn shown<'c>(&self, cell: &impl Fn(usize) -> Cell<'c>) -> Vec<u8> {
        let columns = self.item.slots.iter().enumerate().filter_map(|(slot, column)| {
            let cell = cell(slot);
            let text = cell::text(&cell);
            (!text.is_empty()).then(|| (column.name.clone(), serde_json::Value::from(text)))
        });
        let columns: serde_json::Map<String, serde_json::Value> = columns.collect();
        serde_json::Value::from(columns).to_string().into_bytes()
    }
}
