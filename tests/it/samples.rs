//! The parsers against recorded responses, if they lie beside the repository: counts and values found without our code.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use contract::Record;
use serde_json::Value;
use sources::response::{PageError, Parsed, Request};
use sources::source;

/// The folder of recorded responses, which belong to their providers and are not in the repository.
fn samples(provider: &str, prefix: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/providers/samples").join(provider);
    if !root.exists() {
        println!("no samples at {}: nothing to compare with", root.display());
        return Vec::new();
    }
    let entries = std::fs::read_dir(&root).expect("samples").map(|entry| entry.expect("entry").path());
    let name = |path: &PathBuf| path.file_name().expect("name").to_string_lossy().into_owned();
    let mut paths: Vec<PathBuf> = entries.filter(|path| name(path).starts_with(prefix)).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no sample `{prefix}*` at {}", root.display());
    paths
}

/// One sample by name, if samples are available.
fn sample(provider: &str, name: &str) -> Option<Vec<u8>> {
    samples(provider, "").first()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/providers/samples").join(provider);
    Some(std::fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn parse(source_name: &str, endpoint: &str, item: &str, body: &[u8]) -> Result<Parsed, PageError> {
    let endpoint = source(source_name).expect("source").endpoint(endpoint).expect("endpoint");
    let received_at = "2026-11-20T12:00:00Z".parse().expect("a time");
    endpoint.read(&Request { item, offset: 0, received_at, last_modified: None }, body)
}

/// Dates and closes of the bars among the records.
fn bars(page: &Parsed) -> Vec<(String, f64)> {
    let bar = |record: &Record| match record {
        Record::OhlcvBar(bar) => Some((bar.trading_date.to_string(), bar.close)),
        _ => None,
    };
    page.records.iter().filter_map(bar).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("name").to_string_lossy().into_owned()
}

#[test]
fn every_line_of_the_real_vix_history_is_a_record() {
    for path in samples("cboe", "VIX_History") {
        let text = std::fs::read_to_string(&path).expect("sample");
        let page = parse("cboe", "index_history", "VIX", text.as_bytes()).expect("a page");
        let expected: Vec<(String, f64)> = text
            .lines()
            .skip(1)
            .map(|line| {
                let columns: Vec<&str> = line.split(',').collect();
                let (month, day, year) = (&columns[0][..2], &columns[0][3..5], &columns[0][6..]);
                (format!("{year}-{month}-{day}"), columns[4].parse().expect("a number"))
            })
            .collect();
        assert!(expected.len() > 8000);
        assert_eq!(bars(&page), expected);
        assert!(page.rejects.is_empty());
        let breaks = |record: &&Record| {
            matches!(record, Record::OhlcvBar(bar) if bar.low > bar.open || bar.low > Some(bar.close)
            || bar.high < bar.open || bar.high < Some(bar.close))
        };
        assert_eq!(page.records.iter().filter(breaks).count(), 45, "{}", path.display());
    }
}

/// Rows that are refused, by file: live quotes.
const YAHOO_REJECTS: &[(&str, usize)] = &[("chart_AAPL_1m_2024-10-02_nullrow.json", 1)];

#[test]
fn every_row_of_the_real_charts_is_a_record_a_hole_or_a_reject() {
    let rejects: HashMap<&str, usize> = YAHOO_REJECTS.iter().copied().collect();
    for path in samples("yahoo", "chart_") {
        let name = file_name(&path);
        let body = std::fs::read(&path).expect("sample");
        let json: Value = serde_json::from_slice(&body).expect("JSON");
        let chart = &json["chart"]["result"][0];
        let Some(symbol) = chart["meta"]["symbol"].as_str() else {
            assert!(name.contains("error"), "{name}");
            continue;
        };
        let page = parse("yahoo", "chart", symbol, &body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let quote = &chart["indicators"]["quote"][0];
        let rows = chart["timestamp"].as_array().map_or(0, Vec::len);
        let columns = ["open", "high", "low", "close", "volume"];
        let is_hole = |row: &usize| columns.iter().all(|name| quote[*name][*row].is_null());
        let holes = (0..rows).filter(is_hole).count();
        let refused = rejects.get(name.as_str()).copied().unwrap_or(0);
        assert_eq!((page.holes, page.rejects.len()), (holes as u64, refused), "{name}");
        let closes =
            (0..rows - refused).filter(|row| !is_hole(row)).map(|row| quote["close"][row].as_f64().expect("close"));
        let closes: Vec<f64> = closes.collect();
        assert_eq!(bars(&page).into_iter().map(|(_, close)| close).collect::<Vec<_>>(), closes, "{name}");
    }
}

#[test]
fn the_trading_dates_of_real_charts_are_those_of_the_exchange() {
    // First and last of each, by the exchanges' calendars.
    for (name, symbol, first, last) in [
        ("chart_AAPL_1mo.json", "AAPL", "2019-12-01", "2021-12-01"),
        ("chart_EURUSD_X.json", "EURUSD=X", "2020-01-01", "2020-01-03"),
        ("chart_BTC-USD.json", "BTC-USD", "2020-01-01", "2020-01-03"),
        ("chart_GC_F.json", "GC=F", "2020-01-02", "2020-01-02"),
        ("chart_GS2C.DE.json", "GS2C.DE", "2025-10-23", "2025-10-29"),
        ("chart_WSKT.JK_IDR.json", "WSKT.JK", "2020-01-02", "2020-01-02"),
        ("chart_MSFT_6mo.json", "MSFT", "2025-04-30", "2025-10-29"),
    ] {
        let Some(body) = sample("yahoo", name) else { return };
        let bars = bars(&parse("yahoo", "chart", symbol, &body).expect(name));
        let dates = (bars.first().map(|bar| bar.0.as_str()), bars.last().map(|bar| bar.0.as_str()));
        assert_eq!(dates, (Some(first), Some(last)), "{name}");
    }
}

#[test]
fn every_real_observation_is_a_record() {
    for path in
        samples("fred", "observations_").into_iter().filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let body = std::fs::read(&path).expect("sample");
        let json: Value = serde_json::from_slice(&body).expect("JSON");
        let rows = json["observations"].as_array().expect("observations");
        let expected: Vec<(String, Option<f64>)> = rows
            .iter()
            .map(|row| {
                let value = row["value"].as_str().expect("value");
                let value = (value != ".").then(|| value.parse().expect("a number"));
                (row["date"].as_str().expect("date").to_owned(), value)
            })
            .collect();
        let page =
            parse("fred", "observations", "X", &body).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = page.records.iter().map(|record| match record {
            Record::Observation(observation) => (observation.observation_date.to_string(), observation.value),
            other => panic!("not an observation: {other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{}", path.display());
        assert_eq!((page.rejects.len(), page.holes, page.next_offset), (0, 0, None), "{}", path.display());
    }
}

#[test]
fn every_real_series_is_a_record() {
    for path in samples("fred", "series_").into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let body = std::fs::read(&path).expect("sample");
        let json: Value = serde_json::from_slice(&body).expect("JSON");
        let expected = &json["seriess"][0];
        let id = expected["id"].as_str().expect("id");
        let page = parse("fred", "series", id, &body).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!((page.records.len(), page.rejects.len()), (1, 0), "{}", path.display());
        let found = serde_json::to_value(&page.records[0]).expect("JSON");
        for name in ["title", "frequency", "units", "seasonal_adjustment", "popularity", "notes"] {
            assert_eq!(found[name], expected[name], "{}: {name}", path.display());
        }
        assert_eq!(found["first_observation_date"], expected["observation_start"]);
        assert_eq!(found["last_observation_date"], expected["observation_end"]);
        assert_eq!(found["known_at"], found["observed_at"]);
    }
}

#[test]
fn the_times_of_real_filings_are_those_of_their_headers() {
    let Some(page) = sample("sec", "submissions_AAPL_2026-03-05.json") else { return };
    let Some(header) = sample("sec", "form4_AAPL_0000320193-22-000061.txt") else { return };
    assert!(String::from_utf8_lossy(&header).contains("<ACCEPTANCE-DATETIME>20220506183057\n"));
    let accepted = |cik: &str, page: &[u8], number: &str| {
        let page = parse("sec_edgar", "submissions", cik, page).expect("a page");
        let accepted = page.records.iter().find_map(|record| match record {
            Record::Filing(filing) if filing.accession_number == number => Some((filing.accepted_at, filing.known_at)),
            _ => None,
        });
        accepted.unwrap_or_else(|| panic!("{number} is not in the page"))
    };
    // The header's time is New York's, and so is this page, which writes the same digits with a `Z`.
    let time = "2022-05-06T22:30:57Z".parse().expect("a time");
    assert_eq!(accepted("320193", &page, "0000320193-22-000061"), (Some(time), time));
    let item = "1462356/000032019322000061/0000320193-22-000061.txt";
    let lines = parse("sec_edgar", "ownership", item, &header).expect("a report").records;
    assert!(lines.iter().all(|line| matches!(line, Record::InsiderTransaction(line) if line.known_at == time)));
    // A person's page is in UTC: nothing is accepted at midnight in New York.
    let Some(page) = sample("sec", "submissions_person_Taneja.json") else { return };
    let time = "2025-12-10T00:00:14Z".parse().expect("a time");
    assert_eq!(accepted("1771340", &page, "0001104659-25-119764"), (Some(time), time));
    let time = "2025-07-08T20:21:37Z".parse().expect("a time");
    assert_eq!(accepted("1771340", &page, "0001950047-25-004908"), (Some(time), time));
}

#[test]
fn a_real_error_says_what_to_do_next_in_the_words_of_the_provider() {
    type Kind = fn(String) -> PageError;
    let cases: [(&str, &str, &str, &str, Kind, &str); 8] = [
        (
            "yahoo",
            "chart",
            "SI",
            "chart_SI_error404_delisted.json",
            PageError::Skip,
            "No data found, symbol may be delisted",
        ),
        ("yahoo", "chart", "BEKE", "chart_BEKE_error400.json", PageError::Skip, "Data doesn't exist for startDate"),
        ("yahoo", "chart", "AAPL", "quoted/error_429.txt", PageError::Retry, "Edge: Too Many Requests"),
        ("yahoo", "chart", "AAPL", "quoted/error_401_invalid_crumb.json", PageError::Retry, "Invalid Crumb"),
        (
            "fred",
            "observations",
            "X",
            "error_400_series_does_not_exist.json",
            PageError::Skip,
            "The series does not exist.",
        ),
        ("fred", "series", "X", "quoted/error_400_api_key.json", PageError::Halt, "api_key is not registered"),
        ("fred", "series", "X", "quoted/error_429.json", PageError::Retry, "Exceeded Rate Limit"),
        (
            "fred",
            "observations",
            "X",
            "quoted/error_400_invalid_series.xml",
            PageError::Skip,
            "The series does not exist.",
        ),
    ];
    for (provider, endpoint, item, name, kind, words) in cases {
        let Some(body) = sample(provider, name) else { return };
        let error = parse(provider, endpoint, item, &body).expect_err(name);
        assert_eq!(kind(error.to_string()), error, "{name}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

/// The expected result of a recorded response: a line of `tests/samples.tsv`.
pub(crate) struct Expectation<'a> {
    pub(crate) file: &'a str,
    pub(crate) source: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) item: &'a str,
    pub(crate) offset: u64,
    outcome: &'a str,
}

pub(crate) fn expectations(table: &str) -> Vec<Expectation<'_>> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line| {
        let columns: Vec<&str> = str::split(line, '\t').collect();
        let [file, source, endpoint, item, offset, outcome] = columns[..] else { panic!("six columns: {line}") };
        Expectation { file, source, endpoint, item, offset: offset.parse().unwrap_or_default(), outcome }
    };
    lines.map(read).collect()
}

fn outcome_of(outcome: &Result<Parsed, PageError>) -> String {
    match outcome {
        Ok(page) => format!("{} records, {} rejects, {} holes", page.records.len(), page.rejects.len(), page.holes),
        Err(PageError::Retry(_)) => "retry".to_owned(),
        Err(PageError::GiveUp(_)) => "give up".to_owned(),
        Err(PageError::NoMore(_)) => "no more".to_owned(),
        Err(PageError::Skip(_)) => "skip".to_owned(),
        Err(PageError::Halt(_)) => "halt".to_owned(),
    }
}

/// Names of all files below a folder, with the folders' names.
fn names_below(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("samples").map(|entry| entry.expect("entry").path()) {
        let name = format!("{prefix}{}", file_name(&entry));
        if entry.is_dir() {
            names_below(&entry, &format!("{name}/"), names);
        } else if prefix.contains('/') {
            names.push(name);
        }
    }
}

#[test]
fn every_real_response_is_read_as_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/providers/samples");
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples.tsv")).expect("table");
    let expectations = expectations(&table);
    if !root.exists() {
        println!("no samples at {}: nothing to compare with", root.display());
        return;
    }
    let mut names = Vec::new();
    names_below(&root, "", &mut names);
    let without: Vec<&String> =
        names.iter().filter(|name| !expectations.iter().any(|one| one.file == **name)).collect();
    assert!(without.is_empty(), "tests/samples.tsv has no line for {without:?}");
    let mut wrong = Vec::new();
    for one in expectations.iter().filter(|one| one.source != "-") {
        let body = std::fs::read(root.join(one.file)).unwrap_or_else(|error| panic!("{}: {error}", one.file));
        let endpoint = source(one.source).expect("source").endpoint(one.endpoint).expect("endpoint");
        let received_at = "2026-11-20T12:00:00Z".parse().expect("a time");
        let request = Request { item: one.item, offset: one.offset, received_at, last_modified: None };
        let outcome = endpoint.read(&request, &body);
        if outcome_of(&outcome) != one.outcome {
            let error = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
            wrong.push(format!("{}: {} instead of {} {error}", one.file, outcome_of(&outcome), one.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
