use contract::Text;
use contract::records::{Company, FinancialRatio, NewsArticle, OhlcvBar};
use sources::fixture;
use sources::source;

use super::*;

const TOLERANCE: Tolerance = Tolerance { dataset: "ohlcv_bar", field: "adjusted_close", relative: 1e-6 };

fn of(record: impl Into<Record>) -> Fingerprint {
    Fingerprints::new(Some(TOLERANCE)).of(&record.into()).unwrap()
}

fn bar() -> OhlcvBar {
    let parsed = fixture::parse(source("cboe").unwrap(), "index_history", "VIX.csv").unwrap();
    fixture::bars(&parsed)[0].clone()
}

#[test]
fn a_fingerprint_tells_keys_and_contents_apart() {
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
fn a_value_with_a_tolerance_is_not_part_of_the_content() {
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

#[test]
fn the_content_by_place_is_what_earlier_builds_saved() {
    let print = of(bar());
    assert_eq!((print.by_place, print.by_place == print.content), (-95_852_480_407_462_484, false));
}

#[test]
fn a_text_that_moves_from_one_list_to_the_other_is_a_correction() {
    let parsed = fixture::parse(source("eodhd").unwrap(), "news", "AAPL.US.json").unwrap();
    let article = |symbols: &[&str], tags: &[&str]| {
        let Record::NewsArticle(article) = &parsed.records[0] else { panic!("no article") };
        let [symbols, tags] = [symbols, tags].map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        of(NewsArticle { symbols, tags, ..(**article).clone() })
    };
    let (both, one_each) = (article(&["A", "B"], &[]), article(&["A"], &["B"]));
    assert!(both.key == one_each.key && both.content != one_each.content);
    assert_eq!(both.by_place, one_each.by_place);
}
