use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use kafka::Cluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use simulator::{Config, Simulator};
use sources::source;
use sources::source::Endpoint;
use sqlx::Connection as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::fetch::LIMITS;
use crate::poll::ask::ONCE;
use crate::tests::log::Log;
use crate::tests::stub::{Stub, response};
use crate::tests::{Mock, asking, kafka, messages, once, published};

mod recover;

#[tokio::test(flavor = "multi_thread")]
async fn all_records_are_published_and_bad_rows_become_dead_letters() {
    let mock = kafka();
    let simulator = Simulator::start(Config { symbols: 3, years: 1, seed: 7 }).await.unwrap();
    let sources = ["cboe", "fred", "ici", "yahoo"].map(|name| asking(name, &simulator.url(name)));
    let ending = run(sources.into(), once(&mock, &simulator.watchlist_toml())).await;
    assert_eq!(ending, Ending::Complete);
    // 9,341 days of VIX but for the garbled one, and of SKEW; 259 trading days twice and 365 days, less three halts
    // each.
    assert_eq!(messages(&mock, "ohlcv_bar"), 9340 + 9341 + 2 * (259 - 3) + (365 - 3));
    assert_eq!(messages(&mock, "dead_letter"), 1);
    assert_eq!(messages(&mock, "series"), 6);
    // Two underlyings with 180 contracts each, and two shares with calls and puts at 31 strikes.
    assert_eq!(messages(&mock, "option_quote"), 2 * 180 + 2 * 2 * 31);
    // 36 months and 53 weeks of eight or nine categories.
    assert_eq!(messages(&mock, "etf_flow"), 89 * (9 + 9 + 8));
    assert!(messages(&mock, "observation") > 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_its_key_does_not_stop_the_others() {
    let mock = kafka();
    let fred = source("fred").unwrap();
    let keyless = (fred, Box::new(move || Fetcher::new(fred, fred.base_url, None, LIMITS)) as Open);
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]\n[fred]\nseries = [\"GDP\"]");
    assert_eq!(run(vec![keyless, asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
    assert_eq!(messages(&mock, "ohlcv_bar"), 1);
}

#[tokio::test]
async fn a_source_whose_task_panics_is_stopped_with_one_line_and_does_not_stop_the_others() {
    let (mock, (log, _guard)) = (kafka(), Log::begin());
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let (cboe, yahoo) = (asking("cboe", &stub.base), source("yahoo").unwrap());
    let chart = Endpoint { parse: |_, _| panic!("the parser\nis wrong"), ..*yahoo.endpoint("chart").unwrap() };
    let yahoo: &Source = Box::leak(Box::new(Source { endpoints: Box::leak(Box::new([chart])), ..*yahoo }));
    let base = stub.base.clone();
    let wrong = (yahoo, Box::new(move || Fetcher::new(yahoo, &base, None, LIMITS)) as Open);
    let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]\n[yahoo]\nchart = [\"AAPL\"]");
    assert_eq!(run(vec![wrong, cboe], run_once).await, Ending::Incomplete);
    assert_eq!(messages(&mock, "ohlcv_bar"), 1);
    let errors: Vec<String> = log.take().into_iter().filter(|line| line.contains("ERROR")).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert!(error.contains("source=\"yahoo\"") && error.contains("stopped: ") && error.contains("is wrong"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_the_provider_does_not_have_is_no_failure() {
    let mock = kafka();
    let simulator = Simulator::start(Config { symbols: 1, years: 1, seed: 7 }).await.unwrap();
    let run_once = once(&mock, "[yahoo]\nchart = [\"NOSUCH\", \"SIM000\"]");
    assert_eq!(run(vec![asking("yahoo", &simulator.url("yahoo"))], run_once).await, Ending::Complete);
    assert_eq!(messages(&mock, "ohlcv_bar"), 259 - 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_fails_does_not_stop_the_others() {
    let mock = kafka();
    // Five times for VIX, which has another header; then SKEW.
    let skew = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
    let stub = Stub::answering(&[skew]).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"VIX\", \"SKEW\"]");
    assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
    assert_eq!((messages(&mock, "ohlcv_bar"), stub.requests().len()), (1, ONCE.attempts + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_an_item_is_published() {
    let mock = kafka();
    let page = |offset: u64, date: &str| {
        let body = format!(r#"{{"count":3,"offset":{offset},"observations":[{{"date":"{date}","value":"1"}}]}}"#);
        response("200 OK", &[], body.as_bytes())
    };
    let stub = Stub::answering(&[page(0, "2024-01-01"), page(1, "2024-01-02"), page(2, "2024-01-03")]).await;
    let run_once = once(&mock, "[fred]\nobservations = [\"DGS10\"]");
    assert_eq!(run(vec![asking("fred", &stub.base)], run_once).await, Ending::Complete);
    assert_eq!(messages(&mock, "observation"), 3);
    let offsets: Vec<bool> = stub
        .requests()
        .iter()
        .enumerate()
        .map(|(page, request)| request.contains(&format!("offset={page}&")))
        .collect();
    assert_eq!(offsets, [true; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_the_plan_refuses_ends_an_item_and_keeps_its_earlier_pages() {
    let mock = kafka();
    let article = |at: usize| format!(r#"{{"title":"A title","url":"https://paper.example/{at}"}}"#);
    let articles = (0..100).map(article).collect::<Vec<_>>().join(",");
    let first = format!(r#"{{"status":"ok","totalResults":240,"articles":[{articles}]}}"#);
    let limit = br#"{"status":"error","code":"maximumResultsReached","message":"Developer accounts are limited"}"#;
    let stub =
        Stub::answering(&[response("200 OK", &[], first.as_bytes()), response("426 Upgrade Required", &[], limit)])
            .await;
    let run_once = once(&mock, "[newsapi]\neverything = [\"inflation\"]");
    assert_eq!(run(vec![asking("newsapi", &stub.base)], run_once).await, Ending::Complete);
    assert_eq!(messages(&mock, "news_article"), 100);
    let requests = stub.requests();
    assert!(requests.len() == 2 && requests[1].contains("&page=2 "), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_with_a_bad_later_page_is_fetched_again() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    let page = |offset: u64| {
        let body = format!(
            r#"{{"count":2,"offset":{offset},"observations":[{{"date":"2024-01-0{}","value":"1"}}]}}"#,
            offset + 1
        );
        response("200 OK", &[], body.as_bytes())
    };
    let unknown = br#"{"error_code":400,"error_message":"Bad Request.  The series does not exist."}"#;
    // An error page, a decompression bomb, and at last the right page.
    let bomb = include_bytes!("../../fixtures/two_megabytes_of_zeros.gz");
    let answers = [
        page(0),
        response("400 Bad Request", &[], unknown),
        page(0),
        response("200 OK", &["Content-Encoding: gzip"], bomb),
        page(0),
        page(1),
    ];
    let stub = Stub::answering(&answers).await;
    let mut known = Vec::new();
    for ending in [Ending::Complete, Ending::Incomplete, Ending::Complete] {
        let run_once = once(&mock, "[fred]\nobservations = [\"DGS10\"]");
        let run_once = Run { state_dir: Some(folder.path().to_owned()), ..run_once };
        assert_eq!(run(vec![asking("fred", &stub.base)], run_once).await, ending);
        let state = State::open(folder.path(), "fred").await.unwrap();
        known.push(state.item("observations", "DGS10").await.unwrap().known.latest.is_some());
    }
    assert_eq!(known, [false, false, true]);
    assert_eq!(stub.requests().len(), answers.len());
    let mut outcomes = published(&mock, "fetch_log", &["outcome"]).concat();
    outcomes.sort();
    assert_eq!(outcomes, ["answered", "given_up", "skipped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_leaves_a_record_of_outcome_and_cost() {
    let mock = kafka();
    let good = b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,x\n";
    let unknown = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
    let answers =
        [response("500 Oops", &[], b"oops"), response("200 OK", &[], good), response("403 Forbidden", &[], unknown)];
    let stub = Stub::answering(&answers).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\", \"VIX\"]");
    assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Complete);
    let fields = ["item", "source", "endpoint", "outcome", "records", "rejects", "calls", "bytes"];
    // The first response was an error, and counts as a call all the same.
    let [skew_bytes, vix_bytes] = [("oops".len() + good.len()), unknown.len()].map(|bytes| bytes.to_string());
    let expected = [
        ["SKEW", "cboe", "index_history", "answered", "1", "1", "2", &skew_bytes],
        ["VIX", "cboe", "index_history", "skipped", "0", "0", "1", &vix_bytes],
    ];
    assert_eq!(published(&mock, "fetch_log", &fields), expected);
    let [skew, vix] = &published(&mock, "fetch_log", &["item", "error", "duration_ms"])[..] else { panic!() };
    assert_eq!(skew[1], "null");
    assert!(skew[2].parse::<u64>().unwrap() >= 250, "{skew:?} waited before it asked again");
    assert!(vix[1].starts_with("HTTP 403: unknown index `VIX`"), "{vix:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_response_is_not_sent_again() {
    let mock = kafka();
    let good = b"DATE,SKEW\n01/02/1990,126.09\n";
    let tagged = |tag: &str| response("200 OK", &[&format!("ETag: {tag}")], good);
    let same = response("304 Not Modified", &[], b"");
    let page = |offset: u64| {
        let body = format!(
            r#"{{"count":2,"offset":{offset},"observations":[{{"date":"2024-01-0{}","value":"1"}}]}}"#,
            offset + 1
        );
        response("200 OK", &["ETag: \"page\""], body.as_bytes())
    };
    let answers = [tagged("\"1\""), same.clone(), tagged("\"2\""), same];
    let folder = tempfile::TempDir::new().unwrap();
    let rounds = async |name: &str, watchlist: &str, stub: &Stub, count: usize| {
        for _ in 0..count {
            let run_once = Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, watchlist) };
            assert_eq!(run(vec![asking(name, &stub.base)], run_once).await, Ending::Complete);
        }
    };
    let stub = Stub::answering(&answers).await;
    rounds("cboe", "[cboe]\nindex_history = [\"SKEW\"]", &stub, 4).await;
    assert_eq!(messages(&mock, "ohlcv_bar"), 1);
    let asked =
        |request: &String| request.lines().find_map(|line| line.strip_prefix("if-none-match: ")).map(str::to_owned);
    let tags: Vec<_> = stub.requests().iter().map(asked).collect();
    assert_eq!(tags, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned()), Some("\"2\"".to_owned())]);
    let outcomes = published(&mock, "fetch_log", &["outcome", "records"]);
    assert_eq!(outcomes, [["answered", "0"], ["answered", "1"], ["unchanged", "0"], ["unchanged", "0"]]);
    // Two pages can change independently, so they are not fetched conditionally.
    let stub = Stub::answering(&[page(0), page(1), page(0), page(1)]).await;
    rounds("fred", "[fred]\nobservations = [\"DGS10\"]", &stub, 2).await;
    assert_eq!(messages(&mock, "observation"), 2);
    assert!(stub.requests().iter().all(|request| asked(request).is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_whose_missing_days_could_not_be_recorded_is_fetched_again() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    let csv = b"DATE,OPEN,HIGH,LOW,CLOSE\n11/09/2026,13,14,12,13\n11/11/2026,13,14,12,13\n";
    let stub = Stub::saying(|request| match request.contains("if-none-match") {
        true => response("304 Not Modified", &[], b""),
        false => response("200 OK", &["ETag: \"1\""], csv),
    })
    .await;
    let state = State::open(folder.path(), "cboe").await.unwrap();
    let file = format!("sqlite:{}", State::path(folder.path(), "cboe").display());
    let mut beside = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let poll = async || {
        let run_once = once(&mock, "[cboe]\nindex_history = [\"VIX\"]");
        let clock = Clock::by_hand("2026-11-20T12:00:00Z".parse().unwrap());
        let run_once = Run { clock, state_dir: Some(folder.path().to_owned()), ..run_once };
        assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Complete);
        let gaps = state.gaps(None).await.unwrap();
        gaps.iter().map(|gap| gap.day.to_string()).take(2).collect::<Vec<_>>()
    };
    let refuse = "create trigger refuse before insert on gap begin select raise(abort, 'planted'); end";
    sqlx::raw_sql(refuse).execute(&mut beside).await.unwrap();
    assert!(poll().await.is_empty());
    sqlx::raw_sql("drop trigger refuse").execute(&mut beside).await.unwrap();
    assert_eq!(poll().await, ["2026-11-10", "2026-11-12"]);
    // Published the first time, and fetched the second time without a condition.
    assert_eq!(messages(&mock, "ohlcv_bar"), 2);
    assert!(stub.requests().iter().all(|request| !request.contains("if-none-match")));
    poll().await;
    assert!(stub.requests()[2].contains("if-none-match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_kafka_everything_is_published_again_and_on_the_same_one_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let poll = async |mock: &Mock| {
        let once = once(mock, "[cboe]\nindex_history = [\"SKEW\"]");
        let once = Run { state_dir: Some(folder.path().to_owned()), ..once };
        assert_eq!(run(vec![asking("cboe", &stub.base)], once).await, Ending::Complete);
        messages(mock, "ohlcv_bar")
    };
    let (first, second) = (kafka(), kafka());
    assert_eq!([poll(&first).await, poll(&first).await], [1, 1]);
    assert_eq!([poll(&second).await, poll(&second).await], [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_quota_is_kept_however_often_a_producer_starts() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    // Every other response is an error, which is retried and counts as a call, too.
    let oops = response("500 Oops", &[], b"oops");
    let good = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
    let stub = Stub::answering(&[oops.clone(), good.clone(), oops.clone(), good.clone(), oops, good]).await;
    let mut endings = Vec::new();
    for _ in 0..4 {
        let (source, open) = asking("cboe", &stub.base);
        let open = Box::new(move || {
            open().map(|mut fetcher| {
                fetcher.grant(5);
                fetcher
            })
        });
        let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]");
        let run_once = Run { state_dir: Some(folder.path().to_owned()), ..run_once };
        endings.push(run(vec![(source, open)], run_once).await);
    }
    assert_eq!(stub.requests().len(), 5);
    assert_eq!(endings, [Ending::Complete, Ending::Complete, Ending::Incomplete, Ending::Incomplete]);
    let logs = published(&mock, "fetch_log", &["outcome", "calls", "error"]);
    let spent = "the daily quota of 5 calls is spent";
    let is = |log: &[String], outcome: &str, calls: &str| log[0] == outcome && log[1] == calls;
    assert!(is(&logs[0], "answered", "2") && is(&logs[1], "answered", "2"), "{logs:?}");
    assert!(is(&logs[2], "given_up", "0") && is(&logs[3], "given_up", "1"), "{logs:?}");
    assert!(logs[2..].iter().all(|log| log[2].starts_with(spent)), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_items_and_the_one_that_stopped_a_source_are_recorded_too() {
    let mock = kafka();
    let body =
        br#"{"error_code":400,"error_message":"Bad Request. The value for variable api_key is not registered."}"#;
    let refusing = Stub::answering(&[response("400 Bad Request", &[], body)]).await;
    let stub = Stub::answering(&[response("200 OK", &[], b"<html>busy</html>")]).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"VIX\"]\n[fred]\nseries = [\"GDP\", \"CPI\"]");
    let sources = vec![asking("cboe", &stub.base), asking("fred", &refusing.base)];
    assert_eq!(run(sources, run_once).await, Ending::Incomplete);
    let attempts = ONCE.attempts.to_string();
    let expected = [["VIX", "given_up", "0", attempts.as_str()], ["GDP", "halted", "0", "1"]];
    let mut logs = published(&mock, "fetch_log", &["item", "outcome", "records", "calls"]);
    logs.reverse();
    assert_eq!(logs, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_gives_up_a_provider_that_cannot_be_reached_after_its_first_item() {
    let mock = kafka();
    // A port on which nothing listens any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]\n[fred]\nseries = [\"GDP\", \"CPI\", \"DGS10\"]");
    let sources = vec![asking("fred", &format!("http://{address}")), asking("cboe", &stub.base)];
    assert_eq!(run(sources, run_once).await, Ending::Incomplete);
    let mut logs = published(&mock, "fetch_log", &["item", "outcome", "calls"]);
    logs.retain(|log| log[0] != "SKEW");
    assert_eq!(logs, [["GDP", "halted", &ONCE.attempts.to_string()]]);
    assert_eq!(messages(&mock, "ohlcv_bar"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_poll_a_source_publish_each_value_once() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    // Long enough that both would have fetched before either knows what the other publishes.
    let answer = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,123.34\n");
    let stub = Stub::hesitating(answer, Duration::from_secs(2)).await;
    let poll = || {
        let once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]");
        run(vec![asking("cboe", &stub.base)], Run { state_dir: Some(folder.path().to_owned()), ..once })
    };
    assert_eq!(tokio::join!(poll(), poll()), (Ending::Complete, Ending::Complete));
    assert_eq!((stub.requests().len(), messages(&mock, "ohlcv_bar")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_at_the_shutdown() {
    let mock = kafka();
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let daemon = Run { mode: Mode::Daemon, ..once(&mock, "[cboe]\nindex_history = [\"SKEW\"]") };
    let shutdown = daemon.shutdown.clone();
    let running = tokio::spawn(run(vec![asking("cboe", &stub.base)], daemon));
    while messages(&mock, "ohlcv_bar") == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!running.is_finished());
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ending::Complete);
}

/// Runs a daemon on a clock whose waits take no time until a source that was stopped is polled again; returns what it
/// logged.
async fn daemon_until_resumed(sources: Vec<(&'static Source, Open)>, run_daemon: Run) -> Vec<String> {
    let (log, _guard) = Log::begin();
    let shutdown = run_daemon.shutdown.clone();
    let resumed = async {
        while !log.shown().iter().any(|line| line.contains("polled again")) {
            sleep(Duration::from_millis(20)).await;
        }
        shutdown.cancel();
    };
    let (ending, ()) = tokio::join!(run(sources, run_daemon), resumed);
    assert_eq!(ending, Ending::Complete);
    log.take()
}

#[tokio::test]
async fn a_daemon_tries_a_stopped_source_again_and_then_polls_all_its_items_at_once() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    let refusals = AtomicUsize::new(2);
    let answer = move |request: &str| match refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => response("403 Forbidden", &[], b"DATE,SKEW\n"),
        Err(_) if request.contains("SKEW") => response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n"),
        Err(_) => response("200 OK", &[], b"DATE,VVIX\n01/02/2007,87.63\n"),
    };
    let stub = Stub::saying(answer).await;
    let state_dir = Some(folder.path().to_owned());
    let clock = Clock::by_hand("2026-11-10T15:00:00Z".parse().unwrap());
    let watchlist = "[cboe]\nindex_history = [\"SKEW\", \"VVIX\"]";
    let daemon = Run { mode: Mode::Daemon, state_dir, clock: clock.clone(), ..once(&mock, watchlist) };
    let said = daemon_until_resumed(vec![asking("cboe", &stub.base)], daemon).await;
    assert_eq!(messages(&mock, "ohlcv_bar"), 2);
    let stops: Vec<&String> = said.iter().filter(|line| line.contains("stopped until the next try")).collect();
    assert_eq!(stops.len(), 2, "{said:?}");
    assert!(stops[0].contains("wait=10s") && stops[1].contains("wait=20s") && stops[1].contains("403"), "{stops:?}");
    // Each try asks for the item that was refused, then for the others.
    let items: Vec<bool> = stub.requests()[..4].iter().map(|request| request.contains("SKEW")).collect();
    assert_eq!(items, [true, true, true, false]);
    let state = State::open(folder.path(), "cboe").await.unwrap();
    assert_eq!(state.is_stopped().await.unwrap(), None);
}

#[tokio::test]
async fn a_daemon_whose_source_panics_polls_the_source_again() {
    static PANICS: AtomicUsize = AtomicUsize::new(1);
    let mock = kafka();
    let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
    let cboe = source("cboe").unwrap();
    let history = Endpoint {
        parse: |request, body| {
            assert!(PANICS.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err(), "the parser is wrong");
            (source("cboe").unwrap().endpoint("index_history").unwrap().parse)(request, body)
        },
        ..*cboe.endpoint("index_history").unwrap()
    };
    let cboe: &Source = Box::leak(Box::new(Source { endpoints: Box::leak(Box::new([history])), ..*cboe }));
    let folder = tempfile::TempDir::new().unwrap();
    let clock = Clock::by_hand("2026-11-10T15:00:00Z".parse().unwrap());
    let state_dir = Some(folder.path().to_owned());
    let once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]");
    let daemon = Run { mode: Mode::Daemon, clock, state_dir, ..once };
    let base = stub.base.clone();
    let open = Box::new(move || Fetcher::new(cboe, &base, None, LIMITS)) as Open;
    let said = daemon_until_resumed(vec![(cboe, open)], daemon).await;
    assert_eq!(messages(&mock, "ohlcv_bar"), 1);
    let stops: Vec<&String> = said.iter().filter(|line| line.contains("stopped until the next try")).collect();
    assert!(matches!(stops[..], [stop] if stop.contains("the parser is wrong")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_one_round_fails_and_a_daemon_waits() {
    let mock = kafka();
    let watchlist = "[cboe]\nindex_history = [\"SKEW\"]";
    let nowhere = Run { cluster: Cluster::new("127.0.0.1:1", "test"), ..once(&mock, watchlist) };
    let started = |run_nowhere| run(vec![asking("cboe", "http://127.0.0.1:1")], run_nowhere);
    let daemon = Run { mode: Mode::Daemon, shutdown: CancellationToken::new(), ..nowhere.clone() };
    let shutdown = daemon.shutdown.clone();
    let running = tokio::spawn(started(daemon));
    assert_eq!(started(nowhere).await, Ending::Incomplete);
    assert!(!running.is_finished());
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ending::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_refuses_ends_fetching_at_once() {
    let mock = kafka();
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20]);
    // After the first page only errors, which are retried.
    let good = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
    let stub = Stub::answering(&[good, response("500 Oops", &[], b"<html>oops</html>")]).await;
    let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\", \"VIX\"]");
    let start = Instant::now();
    assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
    let patience = ONCE.first_wait * 15;
    assert!(start.elapsed() < patience, "went on asking for {:?}", start.elapsed());
}
