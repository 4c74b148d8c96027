//! What a record says, in a few bytes: enough to tell whether the provider has said it before.

use std::collections::HashMap;

use contract::{Column, Dataset, Decoder, Record, Rows, dataset};

use crate::source::Tolerance;

/// A record in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fingerprint {
    /// Hash of its dataset and natural key.
    pub key: i64,
    /// Hash of its values as every consumer computes it, but without a value that may differ by a tolerance.
    pub content: i64,
    /// Its time, where that is a part of the key, in microseconds since 1970; else [`NO_TIME`].
    pub time: i64,
    /// The value that may differ by a tolerance; NaN where there is none.
    pub loose: f64,
}

impl Fingerprint {
    /// Whether it says what was said: a value that may differ does, relative to the larger one, by no more than the
    /// tolerance.
    pub fn says_again(&self, content: i64, loose: f64, tolerance: f64) -> bool {
        let [old, new] = [loose, self.loose];
        let is_close = || (old - new).abs() <= tolerance * old.abs().max(new.abs());
        self.content == content && (old.is_nan() && new.is_nan() || old == new || is_close())
    }
}

/// The time of what has none in its key.
pub const NO_TIME: i64 = i64::MAX;

/// Microseconds of a day, of the times of records.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Takes the fingerprints of one endpoint's records.
#[derive(Debug)]
pub struct Fingerprints {
    tolerance: Option<Tolerance>,
    ways: HashMap<&'static str, Way>,
    message: Vec<u8>,
}

/// How it is done for a dataset.
#[derive(Debug)]
struct Way {
    dataset: &'static Dataset,
    decoder: Decoder,
    rows: Rows,
    values: Vec<usize>,
    loose: Option<usize>,
}

impl Fingerprints {
    /// Of records one value of which may differ a little.
    pub fn new(tolerance: Option<Tolerance>) -> Fingerprints {
        Fingerprints { tolerance, ways: HashMap::new(), message: Vec::new() }
    }

    /// That of a record; None for one that is of no dataset.
    pub fn of(&mut self, record: &Record) -> Option<Fingerprint> {
        let mut body = std::mem::take(&mut self.message);
        body.clear();
        record.encode(&mut body);
        let print = self.of_body(record.dataset(), &body);
        self.message = body;
        print
    }

    /// That of an Avro body of a dataset; None when it is none.
    pub fn of_body(&mut self, name: &str, body: &[u8]) -> Option<Fingerprint> {
        if !self.ways.contains_key(name) {
            let way = Way::of(name, self.tolerance)?;
            self.ways.insert(&way.dataset.name, way);
        }
        let way = self.ways.get_mut(name)?;
        way.rows.truncate(0);
        way.decoder.decode(body, &mut way.rows).ok()?;
        Some(way.fingerprint())
    }
}

impl Way {
    fn of(name: &str, tolerance: Option<Tolerance>) -> Option<Way> {
        let dataset = dataset(name)?;
        let loose = tolerance.filter(|tolerance| tolerance.dataset == name);
        let loose = loose.and_then(|tolerance| dataset.position(tolerance.field));
        Some(Way {
            dataset,
            // A declaration can read what was written with it.
            decoder: Decoder::new(dataset, &dataset.schema).ok()?,
            rows: Rows::new(dataset),
            values: dataset.values().filter(|position| Some(*position) != loose).collect(),
            loose,
        })
    }

    /// Of the only row. The hashes are the consumers': canonical JSON and decimals, `-0.0` as `0.0`.
    fn fingerprint(&self) -> Fingerprint {
        let Way { dataset, rows, values, .. } = self;
        let time = dataset.time.filter(|position| dataset.key.contains(position));
        Fingerprint {
            // The same key in two datasets is two keys.
            key: rows.hash(dataset.key.iter().copied(), 0).wrapping_add(i64::from(dataset.schema_id)),
            content: rows.hash(values.iter().copied(), 0),
            time: time.and_then(|position| micros(rows.column(position))).unwrap_or(NO_TIME),
            loose: self.loose.and_then(|position| rows.column(position).number(0)).unwrap_or(f64::NAN),
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
mod tests {
    use contract::Text;
    use contract::records::{Company, FinancialRatio, OhlcvBar};

    use super::*;
    use crate::fixture;
    use crate::source::source;

    const TOLERANCE: Tolerance = Tolerance { dataset: "ohlcv_bar", field: "adjusted_close", relative: 1e-6 };

    fn of(record: impl Into<Record>) -> Fingerprint {
        Fingerprints::new(Some(TOLERANCE)).of(&record.into()).unwrap()
    }

    fn bar() -> OhlcvBar {
        let parsed = fixture::parse(source("cboe").unwrap(), "index_history", "VIX.csv").unwrap();
        fixture::bars(&parsed)[0].clone()
    }

    #[test]
    fn a_record_is_known_by_its_key_and_by_what_it_says() {
        let print = of(bar());
        assert_eq!(print.time, bar().ts_start.timestamp_micros());
        let later = OhlcvBar { known_at: fixture::at("2030-01-01T00:00:00Z"), ..bar() };
        assert_eq!(of(later).content, print.content);
        let higher = of(OhlcvBar { close: bar().close + 0.01, ..bar() });
        assert!(higher.key == print.key && higher.content != print.content);
        let other = of(OhlcvBar { symbol: Text::from("OTHER"), ..bar() });
        assert!(other.key != print.key && other.content == print.content);
    }

    #[test]
    fn a_key_belongs_to_its_dataset_and_only_what_is_in_it_is_its_time() {
        let parsed = fixture::parse(source("fred").unwrap(), "series", "GDP.json").unwrap();
        let Record::Series(series) = &parsed.records[0] else { panic!("no series") };
        let parsed = fixture::parse(source("fmp").unwrap(), "profile", "ACME.json").unwrap();
        let Record::Company(company) = &parsed.records[0] else { panic!("no company") };
        let (source_name, symbol) = (series.source.clone(), series.series_id.clone());
        let company = Company { source: source_name, symbol, ..(**company).clone() };
        let (series, company) = (of((**series).clone()), of(company));
        assert_ne!(series.key, company.key);
        assert_eq!((series.time, company.time), (NO_TIME, NO_TIME));
        let parsed = fixture::parse(source("ici").unwrap(), "flows", "combined@2026.xls").unwrap();
        let Record::EtfFlow(flow) = &parsed.records[0] else { panic!("no flow") };
        let end = flow.period_end.and_hms_opt(0, 0, 0).unwrap().and_utc();
        assert_eq!(of((**flow).clone()).time, end.timestamp_micros());
    }

    #[test]
    fn a_value_that_may_differ_a_little_is_no_part_of_what_is_said() {
        let [one, two] = [100.0, 200.0].map(|price| of(OhlcvBar { adjusted_close: Some(price), ..bar() }));
        assert_eq!((one.key, one.content), (two.key, two.content));
        assert_eq!((one.loose, two.loose), (100.0, 200.0));
        assert!(of(OhlcvBar { adjusted_close: None, ..bar() }).loose.is_nan());
    }

    #[test]
    fn zero_says_the_same_however_it_is_written() {
        let [plain, negative] = [0.0, -0.0].map(|volume| of(OhlcvBar { volume: Some(volume), ..bar() }));
        assert_eq!(plain.content, negative.content);
        let parsed = fixture::parse(source("fmp").unwrap(), "ratios", "AAPL.json").unwrap();
        let ratio = |from: &str, to: &str| {
            let Record::FinancialRatio(ratio) = &parsed.records[0] else { panic!("no ratio") };
            let raw = ratio.metrics.replacen(from, to, 1);
            of(FinancialRatio { metrics: raw, ..(**ratio).clone() })
        };
        let zero = ratio("{", "{\"zero\":0,");
        assert_eq!(ratio("{", "{ \"zero\":0.0,").content, zero.content);
        assert_ne!(ratio("{", "{\"zero\":0.5,").content, zero.content);
    }
}
