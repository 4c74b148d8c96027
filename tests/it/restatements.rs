//! Two recorded responses to one request, at different times: of the second, a poll publishes only what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use contract::Record;
use producers::answer::Page;
use producers::published::filter::{Filter, Known, Want};
use producers::published::index::Change;
use producers::published::recover::Recovered;
use sources::response::Request;
use sources::source;
use tests::samples;

/// Source, endpoint, item; the earlier and the later response.
const PAIRS: &[(&str, &str, &str, &str, &str)] = &[
    ("fred", "observations", "GDP", "observations_GDP_2024-10-30.json", "observations_GDP_2024-12-19.json"),
    ("fred", "series", "GDP", "series_GDP_2024-11.json", "series_GDP_2025-07.json"),
    ("fred", "vintage_dates", "GDP", "vintagedates_GDP_2024-11.json", "vintagedates_GDP_2025-07.json"),
    (
        "yahoo",
        "chart",
        "AAPL",
        "chart_AAPL_2020-08-31_2020-11-07__rec2021-11.json",
        "chart_AAPL_2020-08-31_2020-11-07__rec2025-02.json",
    ),
    (
        "fmp",
        "cash_flow",
        "PM",
        "v3_cash-flow-statement_PM__2021-12.json",
        "v3_cash-flow-statement_PM__2022-03-06T1444.json",
    ),
    ("fmp", "ratios", "PM", "v3_ratios_PM__2021-12.json", "v3_ratios_PM__2022-03-06T1444.json"),
    (
        "fmp",
        "income_statement",
        "AAPL",
        "stable_income-statement_AAPL.json",
        "stable_income-statement_AAPL_FY2025.json",
    ),
    (
        "fmp",
        "balance_sheet",
        "AAPL",
        "stable_balance-sheet-statement_AAPL.json",
        "stable_balance-sheet_AAPL_FY2025.json",
    ),
    ("fmp", "cash_flow", "AAPL", "stable_cash-flow-statement_AAPL.json", "stable_cash-flow_AAPL_FY2025.json"),
    ("fmp", "ratios", "AAPL", "stable_ratios_AAPL.json", "stable_ratios_AAPL_FY2025.json"),
    ("fmp", "key_metrics", "AAPL", "stable_key-metrics_AAPL.json", "stable_key-metrics_AAPL_FY2025.json"),
];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn page(folder: &Path, pair: (&str, &str, &str), file: &str, received: &str) -> Page {
    let (source_name, endpoint, item) = pair;
    let body = std::fs::read(folder.join(source_name).join(file)).unwrap();
    let request = Request { item, offset: 0, received_at: at(received), last_modified: None };
    let endpoint = source(source_name).unwrap().endpoint(endpoint).unwrap();
    let parsed = endpoint.read(&request, &body).unwrap_or_else(|error| panic!("{file}: {error}"));
    Page { records: parsed.records, ..Page::end(at(received)) }
}

/// Key and values of a record as JSON, without its times, with numbers as numbers.
fn said(record: &Record) -> (String, BTreeMap<String, String>) {
    let dataset = contract::dataset(record.dataset()).unwrap();
    let json = serde_json::to_value(record).unwrap();
    let name = |position: &usize| dataset.fields[*position].name.clone();
    let key: Vec<String> = dataset.key.iter().map(|at| json[name(at)].to_string()).collect();
    let values = dataset.values().map(|at| (name(&at), canonical(&json[name(&at)])));
    (format!("{} {}", dataset.name, key.join(" ")), values.collect())
}

/// A JSON text as a value, with every number as a double.
fn canonical(value: &serde_json::Value) -> String {
    fn doubled(value: &serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Number(number) => serde_json::json!(number.as_f64()),
            serde_json::Value::Array(items) => items.iter().map(doubled).collect(),
            serde_json::Value::Object(entries) => {
                let sorted: BTreeMap<&String, serde_json::Value> =
                    entries.iter().map(|(name, value)| (name, doubled(value))).collect();
                serde_json::json!(sorted)
            }
            other => other.clone(),
        }
    }
    let parsed =
        value.as_str().filter(|text| text.starts_with(['{', '['])).and_then(|text| serde_json::from_str(text).ok());
    doubled(parsed.as_ref().unwrap_or(value)).to_string()
}

/// Records published of the later response after the earlier one, by key.
fn published(earlier: Page, later: Page, pair: (&str, &str, &str)) -> BTreeMap<String, Change> {
    let endpoint = source(pair.0).unwrap().endpoint(pair.1).unwrap();
    let mut filter = Filter::new(endpoint, pair.2, Want::Live, None, Known::default());
    let mut filtered =
        |page: Page| filter.filter(page.records, page.dead_letters, &page.empty_days, &mut Recovered::default());
    filtered(earlier);
    filtered(later).records.iter().map(|(record, change)| (said(record).0, *change)).collect()
}

#[test]
fn a_later_response_yields_exactly_the_changed_records() {
    let Some(folder) = samples() else {
        eprintln!("left out: there are no samples");
        return;
    };
    let mut corrections = BTreeMap::new();
    for &(source_name, endpoint, item, earlier, later) in PAIRS {
        let pair = (source_name, endpoint, item);
        let [first, second] = [(earlier, "2026-01-01T00:00:00Z"), (later, "2026-02-01T00:00:00Z")]
            .map(|(file, received)| page(&folder, pair, file, received));
        let before: BTreeMap<_, _> = first.records.iter().map(said).collect();
        let mut expected = BTreeMap::new();
        for (key, values) in second.records.iter().map(said) {
            match before.get(&key) {
                None => drop(expected.insert(key, Change::Insert)),
                Some(old) if *old != values => drop(expected.insert(key, Change::Correction)),
                Some(_) => {}
            }
        }
        let count = expected.values().filter(|change| **change == Change::Correction).count();
        corrections.insert(format!("{source_name} {endpoint} {later}"), count);
        assert_eq!(published(first, second, pair), expected, "{later} after {earlier}");
    }
    // A response without changes would prove little.
    let of = |name: &str| corrections.iter().find(|(pair, _)| pair.ends_with(name)).map(|(_, count)| *count);
    assert!(of("chart_AAPL_2020-08-31_2020-11-07__rec2025-02.json") > Some(40), "{corrections:?}");
    assert_eq!(of("stable_income-statement_AAPL_FY2025.json"), Some(1), "{corrections:?}");
    assert_eq!(of("stable_balance-sheet_AAPL_FY2025.json"), Some(0), "{corrections:?}");
}

#[test]
fn a_response_that_differs_only_by_float_jitter_yields_nothing() {
    let Some(folder) = samples() else {
        eprintln!("left out: there are no samples");
        return;
    };
    let pair = ("yahoo", "chart", "AAPL");
    let answer = || page(&folder, pair, "chart_AAPL_2020-08-31_2020-11-07__rec2025-02.json", "2026-01-01T00:00:00Z");
    let mut jittered = answer();
    let mut touched = BTreeSet::new();
    for (row, record) in jittered.records.iter_mut().enumerate() {
        if let Record::OhlcvBar(bar) = record {
            let sign = if row % 2 == 0 { 1.0 } else { -1.0 };
            bar.adjusted_close = bar.adjusted_close.map(|close| close * (1.0 + sign * 1.07e-6));
            touched.insert(row);
        }
    }
    assert!(touched.len() > 40);
    assert_eq!(published(answer(), jittered, pair), BTreeMap::new());
    // FMP writes the same zero as `0` and as `0.0`.
    let pair = ("fmp", "ratios", "AAPL");
    let text = std::fs::read_to_string(folder.join("fmp/stable_ratios_AAPL.json")).unwrap();
    let other = text.replace(": 0,", ": 0.0,");
    assert_ne!(text, other, "the answer has no zero");
    let read = |text: &str| {
        let request = Request { item: "AAPL", offset: 0, received_at: at("2026-01-01T00:00:00Z"), last_modified: None };
        let endpoint = source("fmp").unwrap().endpoint("ratios").unwrap();
        let records = endpoint.read(&request, text.as_bytes()).unwrap().records;
        Page { records, ..Page::end(request.received_at) }
    };
    assert_eq!(published(read(&text), read(&other), pair), BTreeMap::new());
}
