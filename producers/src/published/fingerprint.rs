//! A record in a few bytes: enough to tell whether it is already published.

use std::collections::HashMap;

use contract::{Column, Dataset, Decoder, Record, Rows, dataset, declarations};
use sources::source::Tolerance;

/// A record in 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fingerprint {
    /// Hash of its dataset and natural key.
    pub key: i64,
    /// Hash of its values as every consumer computes it, but without a value that may differ by a tolerance.
    pub content: i64,
    /// The same as versions before 0.2 computed it: without the fields' names. Indexes that they saved are compared by
    /// it, so that an upgrade publishes nothing again.
    pub by_place: i64,
    /// Its time, where that is a part of the key, in microseconds since 1970; else [`NO_TIME`].
    pub time: i64,
    /// The value that may differ by a tolerance; NaN where there is none.
    pub loose: f64,
}

impl Fingerprint {
    /// Whether it has this content, and a loose value that differs, relative to the larger one, by no more than the
    /// tolerance.
    pub fn is_same(&self, content: i64, loose: f64, tolerance: f64) -> bool {
        let [old, new] = [loose, self.loose];
        let is_close = || (old - new).abs() <= tolerance * old.abs().max(new.abs());
        self.content == content && (old.is_nan() && new.is_nan() || old == new || is_close())
    }
}

/// The time of a record without a time in its key.
pub const NO_TIME: i64 = i64::MAX;

/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Takes the fingerprints of one endpoint's records.
#[derive(Debug)]
pub struct Fingerprints {
    tolerance: Option<Tolerance>,
    /// Whether to compute [`Fingerprint::by_place`]; otherwise it is 0.
    by_place: bool,
    datasets: HashMap<&'static str, OfDataset>,
    message: Vec<u8>,
}

/// Takes the fingerprints of one dataset's records.
#[derive(Debug)]
struct OfDataset {
    dataset: &'static Dataset,
    /// Tells its keys from those of other datasets. It never changes, because the state keeps fingerprints.
    number: i64,
    decoder: Decoder,
    rows: Rows,
    loose: Option<usize>,
}

impl Fingerprints {
    /// For records with one value that may differ a little.
    pub fn new(tolerance: Option<Tolerance>) -> Fingerprints {
        Fingerprints { tolerance, by_place: true, datasets: HashMap::new(), message: Vec::new() }
    }

    /// Computes [`Fingerprint::by_place`] only if it is needed: it costs as much as the content.
    pub fn with_by_place(self, by_place: bool) -> Fingerprints {
        Fingerprints { by_place, ..self }
    }

    /// The fingerprint of a record; None if it belongs to no dataset.
    pub fn of(&mut self, record: &Record) -> Option<Fingerprint> {
        let mut body = std::mem::take(&mut self.message);
        body.clear();
        record.encode(&mut body);
        let print = self.of_body(record.dataset(), &body);
        self.message = body;
        print
    }

    /// The fingerprint of an Avro body of a dataset; None if it is not one.
    pub fn of_body(&mut self, name: &str, body: &[u8]) -> Option<Fingerprint> {
        if !self.datasets.contains_key(name) {
            let added = OfDataset::new(name, self.tolerance)?;
            self.datasets.insert(&added.dataset.name, added);
        }
        let of_dataset = self.datasets.get_mut(name)?;
        of_dataset.rows.truncate(0);
        of_dataset.decoder.decode(body, &mut of_dataset.rows).ok()?;
        Some(of_dataset.fingerprint(self.by_place))
    }
}

impl OfDataset {
    fn new(name: &str, tolerance: Option<Tolerance>) -> Option<OfDataset> {
        let dataset = dataset(name)?;
        let loose = tolerance.filter(|tolerance| tolerance.dataset == name);
        let loose = loose.and_then(|tolerance| dataset.position(tolerance.field));
        Some(OfDataset {
            dataset,
            number: declarations::first_schema_id(dataset).into(),
            // A declaration reads what was written with it.
            decoder: Decoder::new(dataset, &dataset.schema).ok()?,
            rows: Rows::new(dataset),
            loose,
        })
    }

    /// The fingerprint of the only row. The hashes are the consumers': canonical JSON and decimals, `-0.0` as `0.0`.
    fn fingerprint(&self, by_place: bool) -> Fingerprint {
        let OfDataset { dataset, number, rows, loose, .. } = self;
        let is_strict = |position: &usize| Some(*position) != *loose;
        let time = dataset.time.filter(|position| dataset.key.contains(position));
        Fingerprint {
            // The same key in two datasets is two keys.
            key: rows.hash(dataset.key.iter().copied(), 0).wrapping_add(*number),
            content: rows.hash_of_values(dataset, *loose, 0),
            by_place: if by_place { rows.hash(dataset.values().filter(is_strict), 0) } else { 0 },
            time: time.and_then(|position| micros(rows.column(position))).unwrap_or(NO_TIME),
            loose: loose.and_then(|position| rows.column(position).number(0)).unwrap_or(f64::NAN),
        }
    }
}

fn micros(column: &Column) -> Option<i64> {
    match column {
        Column::Timestamp(values) => values[0],
        Column::Date(values) => values[0].map(|day| i64::from(day) * MICROS_PER_DAY),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
