use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use simulator::{Config, Simulator};
use sources::fixture::{at, date};
use sources::source;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::tests::stub::{Stub, response};
use crate::tests::{asking, kafka, messages, once, published};

fn backfill(window: Option<u32>, from: &str, to: &str) -> anyhow::Result<Backfill> {
    let fmp = source("fmp").unwrap();
    let range = Range { first: date(from), last: date(to) };
    Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), vec!["AAPL".to_owned()], range, window)
}

#[test]
fn windows_cover_every_day_once() {
    let backfill = backfill(Some(10), "2024-01-01", "2024-01-25").unwrap();
    let windows: Vec<String> =
        backfill.windows(date("2024-01-01")).map(|range| format!("{} {}", range.first, range.last)).collect();
    assert_eq!(windows, ["2024-01-01 2024-01-10", "2024-01-11 2024-01-20", "2024-01-21 2024-01-25"]);
    assert_eq!(backfill.windows(date("2024-01-21")).count(), 1);
    assert_eq!(backfill.windows(date("2024-01-26")).count(), 0);
}

#[test]
fn an_impossible_backfill_is_refused_before_it_starts() {
    let error = |backfill: anyhow::Result<Backfill>| backfill.unwrap_err().to_string();
    assert!(error(backfill(None, "2024-01-02", "2024-01-01")).contains("is later than"));
    assert!(error(backfill(Some(9999), "2024-01-01", "2024-01-02")).contains("expected 1 to 1800 days"));
    let cboe = source("cboe").unwrap();
    let range = Range { first: date("2024-01-01"), last: date("2024-01-02") };
    let whole = Backfill::new(cboe, &cboe.endpoints[0], vec!["VIX".to_owned()], range, None);
    assert!(error(whole).contains("every poll reads its whole history"));
    let fmp = source("fmp").unwrap();
    let of = |items: &[&str]| {
        let items = items.iter().map(|item| (*item).to_owned()).collect();
        Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), items, range, None)
    };
    assert!(error(of(&[])).contains("with `--item`"));
    assert!(error(of(&["AAPL", ""])).starts_with("`fmp.eod_prices`: "));
    assert!(error(backfill(Some(0), "2024-01-01", "2024-01-02")).contains("expected 1 to 1800"));
    assert!(error(backfill(Some(1), "0001-01-01", "9999-12-31")).contains("more than 1000000 requests"));
}

#[test]
fn a_backfill_is_done_when_live_polls_have_left_enough_calls() {
    let now = at("2026-11-20T12:00:00Z");
    let budget = Budget::new(250);
    budget.plan(100);
    let told = |windows, spent| forecast(windows, 1, Some(&budget), spent, Duration::from_secs(1), now);
    // 250 less 100 for live polls and 12 for repairs.
    let today = told(100, [0, 0, 0]);
    assert_eq!((today.left, today.done), (Some([138, 138]), Some(at("2026-11-20T12:01:40Z"))));
    assert_eq!(told(139, [0, 0, 0]).done, Some(at("2026-11-21T00:00:00Z")));
    assert_eq!(told(139 + 138, [0, 0, 0]).done, Some(at("2026-11-22T00:00:00Z")));
    assert_eq!(told(100, [0, 0, 138]).done, Some(at("2026-11-21T00:00:00Z")));
    assert!(told(139, [0, 0, 0]).words().ends_with("; done about 2026-11-21 00:00 UTC\n"));
    budget.plan(250);
    assert_eq!(told(1, [0, 0, 0]).done, None);
    let free = forecast(60, 1, None, [0, 0, 0], Duration::from_secs(1), now);
    assert_eq!((free.left, free.done), (None, Some(at("2026-11-20T12:01:00Z"))));
    assert_eq!(forecast(60, 10, None, [0, 0, 0], Duration::from_secs(1), now).calls, 600);
    assert_eq!(eta(50, 200, Duration::from_secs(60)), "3 min");
}

/// The first day of each request.
fn asked(stub: &Stub) -> Vec<String> {
    let day = |request: String| request.split_once("from=").unwrap().1[..10].to_owned();
    stub.requests().into_iter().map(day).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_resumes_at_the_failed_window_or_starts_over() {
    let (mock, folder) = (kafka(), TempDir::new().unwrap());
    let answer = |body: &[u8]| response("200 OK", &[], body);
    let (none, refused) = (answer(b"[]"), answer(b"{\"Error Message\": \"Invalid API KEY.\"}"));
    let script = [none.clone(), none.clone(), none.clone(), none.clone(), refused, none];
    let stub = Stub::answering(&script).await;
    let backfill = backfill(Some(1), "2024-01-02", "2024-01-04").unwrap();
    let run = async |resume| {
        let run = Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, "") };
        backfill.run(asking("fmp", &stub.base).1().unwrap(), &run, resume).await.unwrap()
    };
    assert_eq!((run(false).await, asked(&stub).len()), (Ending::Complete, 3));
    assert_eq!(run(false).await, Ending::Incomplete);
    assert_eq!(asked(&stub)[3..], ["2024-01-02", "2024-01-03"]);
    assert_eq!(run(true).await, Ending::Complete);
    assert_eq!(asked(&stub)[5..], ["2024-01-03", "2024-01-04"]);
    assert_eq!((run(true).await, asked(&stub).len()), (Ending::Complete, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_after_a_failed_one_are_fetched_again_with_it() {
    let (mock, folder) = (kafka(), TempDir::new().unwrap());
    let is_down = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&is_down);
    let answer = move |request: &str| match request.contains("from=2024-01-03") && fails.load(Ordering::Relaxed) {
        true => response("500 Oops", &[], b"oops"),
        false => response("200 OK", &[], b"[]"),
    };
    let stub = Stub::saying(answer).await;
    let backfill = backfill(Some(1), "2024-01-02", "2024-01-04").unwrap();
    let run = async |resume| {
        let clock = Clock::by_hand(at("2026-11-20T12:00:00Z"));
        let run = Run { state_dir: Some(folder.path().to_owned()), clock, ..once(&mock, "") };
        backfill.run(asking("fmp", &stub.base).1().unwrap(), &run, resume).await.unwrap()
    };
    assert_eq!(run(false).await, Ending::Incomplete);
    assert_eq!(asked(&stub).last().unwrap(), "2024-01-04");
    let before = asked(&stub).len();
    is_down.store(false, Ordering::Relaxed);
    assert_eq!(run(true).await, Ending::Complete);
    assert_eq!(asked(&stub)[before..], ["2024-01-03", "2024-01-04"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_backfill_resumes_and_leaves_live_polls_alone() {
    let (mock, folder) = (kafka(), TempDir::new().unwrap());
    let simulator = Simulator::start(Config { symbols: 1, years: 1, seed: 7 }).await.unwrap();
    let fmp = source("fmp").unwrap();
    let whole = Range { first: date("2025-01-01"), last: date("2025-12-31") };
    let items = ["ACME", "BOLT"].map(str::to_owned).to_vec();
    let backfill = Backfill::new(fmp, fmp.endpoint("eod_prices").unwrap(), items, whole, Some(1)).unwrap();
    let fetcher = || asking("fmp", &simulator.url("fmp")).1().unwrap();
    let fresh = || Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, "[fmp]\neod_prices = [\"ACME\"]") };
    let started = fresh();
    let (stop, running) = (started.shutdown.clone(), backfill.clone());
    let first = fetcher();
    let running = tokio::spawn(async move { running.run(first, &started, false).await });
    while messages(&mock, "ohlcv_bar") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    assert_eq!(running.await.unwrap().unwrap(), Ending::Incomplete);
    let before = simulator.control().calls("fmp");
    assert!(before < 2 * 365, "it was not stopped in the middle");
    assert_eq!(backfill.run(fetcher(), &fresh(), true).await.unwrap(), Ending::Complete);
    // Only windows that were fetched and not acknowledged are fetched again.
    let calls = simulator.control().calls("fmp");
    assert!((2 * 365..2 * 365 + 40).contains(&calls), "{before} and then {calls} calls for {} windows", 2 * 365);
    let bars = published(&mock, "ohlcv_bar", &["symbol", "close", "volume"]);
    let distinct: HashSet<&Vec<String>> = bars.iter().collect();
    let all = published(&mock, "fetch_log", &["item"]).len();
    assert!(all >= 2 * 365);
    let state = State::open(folder.path(), "fmp").await.unwrap();
    assert!(state.item("eod_prices", "ACME").await.unwrap().answered_at.is_none());
    // Everything that a live poll would have published.
    assert_eq!(poll::run(vec![asking("fmp", &simulator.url("fmp"))], fresh()).await, Ending::Complete);
    let polled = published(&mock, "ohlcv_bar", &["symbol", "close", "volume"]);
    let after: HashSet<&Vec<String>> = polled.iter().collect();
    assert_eq!(after.len(), distinct.len());
    assert!(distinct.iter().filter(|bar| bar[0] == "ACME").count() > 250);
}
