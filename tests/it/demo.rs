//! The demo has values that a provider publishes twice: a restated quarter, a revised GDP, a corrected day of VIX.

use std::path::Path;

use chrono::{DateTime, Utc};
use contract::{Column, Decoder, Rows, dataset, topic};
use kafka::reader::Topic;
use kafka::{Cluster, KafkaError, Message};
use serde_json::Value;
use tempfile::TempDir;
use tests::process::{Environment, Heard, command, ended};

/// Bytes before the record of a message.
const PREFIX_BYTES: usize = 5;

/// One version of a key on its topic.
#[derive(Debug, PartialEq)]
struct Version {
    value: String,
    known_at: DateTime<Utc>,
    observed_at: DateTime<Utc>,
    is_marked: bool,
}

/// The cluster of the deck that runs in this folder.
fn cluster(folder: &Path) -> Cluster {
    let text = std::fs::read_to_string(folder.join(".tapedeck-demo/run/deck.json")).unwrap();
    let settings: Value = serde_json::from_str(&text).unwrap();
    Cluster::new(settings["TAPEDECK_KAFKA_BROKERS"].as_str().unwrap(), "tapedeck")
}

/// The versions of a key, in the order of their offsets. `key` names fields and their values as texts.
fn versions(cluster: &Cluster, name: &str, key: &[(&str, &str)], value: &str) -> Vec<Version> {
    let dataset = dataset(name).unwrap();
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    let mut found = Vec::new();
    let mut read = |message: &Message<'_>| -> Result<(), KafkaError> {
        let Some(body) = message.value().and_then(|bytes| bytes.get(PREFIX_BYTES..)) else { return Ok(()) };
        let mut rows = Rows::new(dataset);
        decoder.decode(body, &mut rows).unwrap();
        let shown = |field: &str| shown(rows.column(dataset.position(field).unwrap()));
        if key.iter().all(|(field, expected)| shown(field) == *expected) {
            let time = |field: &str| shown(field).parse().unwrap();
            found.push(Version {
                value: shown(value),
                known_at: time("known_at"),
                observed_at: time("observed_at"),
                is_marked: message.header("tapedeck-change").is_some(),
            });
        }
        Ok(())
    };
    Topic::open(cluster, &topic::topic("tapedeck", dataset)).unwrap().each(&mut read).unwrap();
    found
}

/// The only value of a column as a text.
fn shown(column: &Column) -> String {
    match column {
        Column::Date(values) => {
            let date = values[0].and_then(chrono::NaiveDate::from_epoch_days);
            date.map_or_else(String::new, |date| date.to_string())
        }
        Column::Timestamp(values) => DateTime::from_timestamp_micros(values[0].unwrap()).unwrap().to_rfc3339(),
        Column::Double(values) => values[0].map_or_else(String::new, |value| value.to_string()),
        Column::Decimal(values) => values[0].map_or_else(String::new, |value| value.to_string()),
        other => other.text(0).unwrap_or_default().to_owned(),
    }
}

#[test]
fn three_values_are_on_their_topics_before_and_after_their_correction() {
    let folder = TempDir::new().unwrap();
    let mut up = command("tapedeck", &["up", "--demo", "--kafka-port", "0"], &Environment::new());
    up.current_dir(folder.path());
    let up = Heard::start(up);
    up.until_said("loaded: ");
    let cluster = cluster(folder.path());
    let of = |dataset: &str, key: &[(&str, &str)], value: &str| {
        let found = versions(&cluster, dataset, key, value);
        assert!(matches!(found[..], [_, _]), "{dataset}: {found:?}");
        let (before, after) = (&found[0], &found[1]);
        assert!(before.observed_at < after.observed_at && before.known_at <= after.known_at, "{found:?}");
        assert!(found.iter().all(|version| version.known_at < version.observed_at), "{found:?}");
        assert!(!before.is_marked && after.is_marked, "{found:?}");
        [before.value.clone(), after.value.clone()].map(|value| value.parse::<f64>().unwrap_or_default())
    };
    let quarter = [("symbol", "ACME"), ("statement", "income"), ("period", "Q3"), ("period_end", "2025-09-30")];
    let [before, after] = of("financial_statement", &quarter, "net_income");
    assert!((before / after - 0.9).abs() < 1e-9, "{before}, {after}");
    // FMP keeps the time of acceptance.
    let restated = versions(&cluster, "financial_statement", &quarter, "net_income");
    assert_eq!(restated[0].known_at, restated[1].known_at);
    let gdp = [("series_id", "GDP"), ("observation_date", "2025-07-01")];
    let [before, after] = of("observation", &gdp, "value");
    assert_ne!(before, after);
    // The second release stays the published value until the third, and nothing else about it changes.
    let second = [&gdp[..], &[("realtime_start", "2025-11-28")]].concat();
    let ends = versions(&cluster, "observation_vintage", &second, "realtime_end");
    assert_eq!(ends.iter().map(|version| version.value.as_str()).collect::<Vec<_>>(), ["", "2025-12-25"]);
    assert_eq!(ends[0].known_at, "2025-11-29T05:00:00Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(ends[1].known_at, "2025-12-27T05:00:00Z".parse::<DateTime<Utc>>().unwrap());
    let [before, after] =
        of("ohlcv_bar", &[("source", "cboe"), ("symbol", "VIX"), ("trading_date", "2025-12-15")], "close");
    assert_ne!(before, after);
}

/// What a command prints to both outputs, in the demo's folder.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let mut asked = command("tapedeck", arguments, &Environment::new());
    asked.current_dir(folder);
    let output = ended(asked);
    let [text, errors] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    format!("{text}{errors}")
}

#[test]
fn the_demo_answers_for_the_days_before_and_after_each_correction_and_a_snapshot_pins_the_answer() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    said(folder, &["up", "--demo", "--once", "--kafka-port", "0"]);
    let gdp = "select value, known_basis from observation where series_id = 'GDP' and observation_date = '2025-07-01'";
    let quarter = "select net_income, known_basis from financial_statement where symbol = 'ACME' and source = 'fmp' \
        and statement = 'income' and period = 'Q3' and period_end = '2025-09-30'";
    let vix = "select close, known_basis from ohlcv_bar where source = 'cboe' and symbol = 'VIX' \
        and trading_date = '2025-12-15'";
    let row = |said: String| said.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    for (query, days, before, after) in [
        (gdp, ["2025-11-01", "2025-12-01", "2025-12-31"], "31606.207 provider", "31741.388 provider"),
        (vix, ["2025-12-15", "2025-12-20", "2026-01-02"], "16.86 provider", "16.9 provider"),
        // FMP restates under the time of the first statement: the restatement counts from its receipt, which is today.
        (quarter, ["2025-11-09", "2025-11-11", "now"], "108900000 provider", "121000000 receipt"),
    ] {
        let [nothing, early, late] = days;
        let nothing = said(folder, &["query", "--as-of", nothing, query]);
        assert!(nothing.contains("nothing was known at that moment"), "{nothing}");
        assert_eq!(row(said(folder, &["query", "--as-of", early, query])), before, "{early}");
        let late = if late == "now" { Utc::now().to_rfc3339() } else { late.to_owned() };
        assert_eq!(row(said(folder, &["query", "--as-of", &late, query])), after, "{late}");
    }
    let history = said(folder, &["history", "observation", "fred|GDP|2025-07-01"]);
    assert!(history.contains("observations GDP") && history.contains("value 31606.207 -> 31741.388"), "{history}");
    let first = said(folder, &["vintages", "GDP", "--first", "--from", "2025-07-01", "--json"]);
    assert!(
        first.contains("\"release\":1,\"realtime_start\":\"2025-10-29\"") && first.contains("31592.216"),
        "{first}"
    );
    let diff = said(folder, &["diff", "ohlcv_bar", "--from", "2025-12-20", "--to", "2026-01-02", "--limit", "0"]);
    let changed: Vec<&str> = diff.lines().filter(|line| line.contains("changed")).collect();
    assert!(
        matches!(changed[..], [line] if line.contains("VIX") && line.contains("close 16.86 -> 16.9")),
        "{changed:?}"
    );
    for (arguments, expected) in [
        (&["query", "--as-of", "2999-01-01", gdp][..], "is in the future"),
        (
            &["query", "--as-of", "2025-12-01", "--received-by", "2999-01-01", gdp],
            "what will have been received by then",
        ),
        (&["query", "--assume", gdp], "--as-of"),
        (&["vintages", "GDP", "--release", "4"], "`GDP` has no release 4: no observation has more than 3"),
        (&["vintages", "GDP", "--release", "0"], "0 is not in 1.."),
        (&["vintages", "GDP", "--from", "2026-01-02", "--to", "2026-01-01"], "`--from` is after `--to`"),
        (&["vintages", "NONE"], "there is no series `NONE`"),
        (&["query", "--as-of", "2025-12-01", "select * from fred_data"], "is a view"),
        (&["query", "--snapshot", "td1:observation@x/0=1#00000000", gdp], "it is not a snapshot"),
        (&["history", "observation", "fred|NONE|2025-07-01"], "has no version of"),
        (&["history", "observation", "fred|GDP"], "`source|series_id|observation_date`"),
    ] {
        assert!(said(folder, arguments).contains(expected), "{arguments:?}");
    }
    let snapshot = said(folder, &["snapshot", "observation"]);
    let count = |more: &[&str]| said(folder, &[&["query"], more, &["select count(*) from observation"]].concat());
    assert_eq!(count(&["--snapshot", snapshot.trim()]), count(&[]));
    let other = said(folder, &["query", "--snapshot", snapshot.trim(), "select count(*) from ohlcv_bar"]);
    assert!(other.contains("the snapshot does not cover `ohlcv_bar`"), "{other}");
}
