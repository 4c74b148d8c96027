//! A ninth source, added by the recipe in CONTRIBUTING.md: its declaration is all it takes. It is not in `SOURCES`, so
//! the test gives it an address and a watchlist.

use std::collections::HashSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use contract::records::Observation;
use kafka::Cluster;
use producers::fetch::{Fetcher, LIMITS};
use producers::poll;
use producers::run::{Ending, Mode, Run};
use producers::watchlist::Watchlist;
use sources::parse::body::{MAX_ROWS, excerpt};
use sources::parse::fault::Fault;
use sources::response::{PageError, Parsed, Request};
use sources::schedule::{Frequency, Kind, Schedule, When, days, hours};
use sources::source::{Auth, Endpoint, History, Source};
use tests::broker::{Bench, benches, block_on};
use tests::pages::Pages;
use tests::process::succeed;
use tests::root;

use crate::conformance::Promises;

/// A fictional bank: the daily fixings of a currency as CSV.
const BANK: &[Source] = &[Source {
    name: "bank",
    doc: "A central bank: daily fixings of currencies",
    base_url: "https://bank.example",
    base_url_env: "TAPEDECK_BANK_URL",
    auth: Auth::None,
    user_agent: "tapedeck",
    pause: Duration::from_secs(1),
    burst: 1,
    quota: None,
    endpoints: &[Endpoint {
        name: "fixings",
        doc: "Every daily fixing of a currency; holidays have none",
        datasets: &["observation"],
        item: "currency, e.g. `EUR`",
        known_at: "`Last-Modified` of the file, else the time of receipt",
        schedule: Schedule {
            kind: Kind::Macro,
            frequency: Frequency::Daily,
            every: hours(1),
            when: When::Weekdays { zone: Tz::UTC },
            sla: days(1),
        },
        history: History::ALL,
        base: None,
        path,
        parse,
    }],
}];

/// First line of every file.
const HEADER: &[u8] = b"date,rate\n";

fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    if item.len() != 3 || !item.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(PageError::Skip(format!("`{}` is not a currency, such as `EUR`", excerpt(item.as_bytes()))));
    }
    Ok(format!("/fixings/{item}.csv"))
}

fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let Some(rows) = body.strip_prefix(HEADER) else {
        let words = excerpt(body);
        let is_unknown = words.starts_with("no fixings of ");
        return Err(if is_unknown {
            PageError::Skip(words)
        } else {
            PageError::Retry(format!("no fixings: `{words}`"))
        });
    };
    let (mut parsed, mut seen) = (Parsed::default(), HashSet::new());
    for (at, line) in rows.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if at == MAX_ROWS {
            return Err(PageError::Retry(format!("the file has more than {MAX_ROWS} lines")));
        }
        match fixing(request, line, &mut seen) {
            Ok(Some(fixing)) => parsed.records.push(fixing.into()),
            Ok(None) => parsed.holes += 1,
            Err(fault) => parsed.rejects.push(fault.at(format_args!("line {}", at + 2)).reject(line)),
        }
    }
    Ok(parsed)
}

/// The fixing of a line; None on a holiday.
fn fixing(request: &Request<'_>, line: &[u8], seen: &mut HashSet<NaiveDate>) -> Result<Option<Observation>, Fault> {
    let cut_off = || Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned());
    let text = std::str::from_utf8(line.strip_suffix(b"\n").ok_or_else(cut_off)?);
    let text = text.map_err(|_| Fault("encoding", "is not UTF-8".to_owned()))?;
    let (date, rate) = text.split_once(',').ok_or_else(|| Fault("columns", "has not two columns".to_owned()))?;
    let observation_date: NaiveDate = date.parse().map_err(|_| odd(date))?;
    if rate.is_empty() {
        return Ok(None);
    }
    let value: f64 = rate.parse().ok().filter(|rate: &f64| rate.is_finite()).ok_or_else(|| odd(rate))?;
    if !seen.insert(observation_date) {
        return Err(Fault("duplicate", format!("{observation_date} is already in the file")));
    }
    Ok(Some(Observation {
        source: BANK[0].name.into(),
        series_id: request.item.into(),
        observation_date,
        value: Some(value),
        known_at: request.last_modified_or_received(),
        observed_at: request.received_at,
        flags: Vec::new(),
    }))
}

fn odd(word: &str) -> Fault {
    Fault("value", format!("`{}` is neither a date like `2024-12-31` nor a number", excerpt(word.as_bytes())))
}

#[test]
fn a_ninth_source_keeps_the_promises_of_every_source() {
    Promises::of(BANK, root().join("tests/it/ninth")).hold();
}

/// Polls it once.
fn poll_once(bench: &Bench, address: &str, watchlist: &str) -> Ending {
    block_on(async {
        let cluster = Cluster::new(&bench.brokers, &bench.namespace);
        let run = Run::new(Watchlist::parse_among(BANK, watchlist).unwrap(), cluster, Mode::Once);
        let address = address.to_owned();
        let open = move || Fetcher::new(&BANK[0], &address, None, LIMITS);
        poll::run(vec![(&BANK[0], Box::new(open))], run).await
    })
}

#[test]
fn a_ninth_source_is_polled_published_and_stored_by_what_it_declares_alone() {
    let body = |file: &str| std::fs::read(root().join("tests/it/ninth/bank/fixings").join(file)).unwrap();
    let pages = Pages::serve(
        [
            ("/fixings/EUR.csv".to_owned(), (200, body("EUR.csv"))),
            ("/fixings/CHF.csv".to_owned(), (200, body("CHF~odd_rows.csv"))),
            ("/fixings/XXX.csv".to_owned(), (404, body("XXX~error_unknown.txt"))),
        ]
        .into(),
    );
    for (name, bench) in benches() {
        let ending = poll_once(&bench, &pages.url, "[bank]\nfixings = [\"EUR\", \"XXX\", \"CHF\"]\n");
        assert_eq!(ending, Ending::Complete, "{name}");
        succeed("consumer", &["run", "--once"], &bench.environment);
        let rows = bench.query("select series_id, observation_date, value from observation order by 1, 2");
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().flatten().map(String::as_str).collect()).collect();
        let expected = [
            ["CHF", "2026-11-16", "0.8832"],
            ["CHF", "2026-11-18", "0.884"],
            ["EUR", "2026-11-16", "1.0845"],
            ["EUR", "2026-11-17", "1.0861"],
            ["EUR", "2026-11-19", "1.0839"],
        ];
        assert_eq!(rows, expected, "{name}");
        let letters = bench.query("select error_class from dead_letter where source = 'bank' order by 1");
        let classes: Vec<&str> = letters.iter().flatten().flatten().map(String::as_str).collect();
        assert_eq!(classes, ["columns", "cut_off", "duplicate", "value", "value"], "{name}");
    }
}

#[test]
fn the_watchlist_refuses_an_item_that_a_ninth_source_does_not_have() {
    let error = |text: &str| Watchlist::parse_among(BANK, text).unwrap_err().to_string();
    assert_eq!(
        error("[bank]\nfixings = [\"euro\"]\n"),
        "watchlist: `bank.fixings`: `euro` is not a currency, such as `EUR`"
    );
    assert_eq!(error("[fred]\nseries = []\n"), "watchlist: unknown source `fred`; the sources are `bank`");
}
