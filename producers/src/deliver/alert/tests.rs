use std::path::Path;

use kafka::Cluster;
use service::health::Health;
use sources::fixture::at;
use sources::source;
use tempfile::TempDir;

use super::*;
use crate::meters::Meters;
use crate::run::{Mode, Run};
use crate::state::{Attempt, Extent};
use crate::tests::log::Log;

const ENDPOINT: &str = "index_history";

/// The alerts in the log since the last call: the item, and whether the line is an alert or its end.
fn taken(log: &Log) -> Vec<(String, bool)> {
    let told = |line: String| {
        let item = line.split_once("item=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        let is_alert = line.contains("ERROR") && line.contains("failed 3 times in a row: HTTP 500");
        assert!(is_alert || line.contains("answered again"), "{line}");
        (item, is_alert)
    };
    log.take().into_iter().map(told).collect()
}

fn update(item: &str, answered: bool) -> Update<'_> {
    let at = at("2026-11-20T12:00:00Z");
    let error = (!answered).then_some("HTTP 500");
    let attempt = Attempt { at, answered, calls: 1, error, latest: None, reread: None, validators: None };
    Update { endpoint: ENDPOINT, item, index: None, attempt: Some(attempt) }
}

/// Saves how an attempt has ended, and is killed before anything is logged.
async fn killed_after(state: &State, item: &str, answered: bool) -> Streak {
    state.save(&[update(item, answered)], &Extent::default()).await.unwrap().remove(0)
}

/// Saves how an attempt has ended, and logs what is due.
async fn ended(alerts: &mut Alerts<'_>, item: &str, answered: bool) {
    let streak = killed_after(alerts.state, item, answered).await;
    alerts.ended(&update(item, answered), streak).await;
}

/// A process that starts with the state in a folder and does that.
async fn process(folder: &Path, health: &Health, work: impl AsyncFnOnce(&mut Alerts<'_>)) {
    let cboe = source("cboe").unwrap();
    let state = State::open(folder, "cboe").await.unwrap();
    let watchlist = Watchlist::parse("[cboe]\nindex_history = [\"VIX\", \"SKEW\"]").unwrap();
    let run =
        Run { meters: Meters::new(health), ..Run::new(watchlist, Cluster::new("127.0.0.1:1", "test"), Mode::Once) };
    let events = Events::of(cboe, &run);
    let mut alerts = Alerts::new(cboe, &events, &state);
    alerts.resume(&run.watchlist, &state.standings().await.unwrap()).await;
    work(&mut alerts).await;
}

fn is_failing(health: &Health, count: usize) -> bool {
    let line = format!("tapedeck_items_failing{{source=\"cboe\",endpoint=\"index_history\"}} {count}");
    health.metrics().shown().lines().any(|shown| shown.starts_with(&line))
}

fn alert(item: &str) -> (String, bool) {
    (item.to_owned(), true)
}

fn answered_again(item: &str) -> (String, bool) {
    (item.to_owned(), false)
}

#[tokio::test]
async fn an_item_is_failing_from_the_third_time_on_until_it_is_answered() {
    let (folder, health, (log, _guard)) = (TempDir::new().unwrap(), Health::new(), Log::begin());
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        for item in ["SKEW", "SKEW", "SKEW", "VIX", "VIX"] {
            ended(alerts, item, false).await;
        }
        for _ in 0..9 {
            killed_after(alerts.state, "NOT WATCHED", false).await;
        }
        assert_eq!(taken(&log), [alert("SKEW")]);
    })
    .await;
    let health = Health::new();
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert!(is_failing(&health, 1));
        ended(alerts, "VIX", false).await;
        assert_eq!(taken(&log), [alert("VIX")]);
        ended(alerts, "VIX", false).await;
        assert!(is_failing(&health, 2));
        // A page before the last one changes nothing.
        alerts.ended(&Update { attempt: None, ..update("VIX", true) }, Streak::default()).await;
        assert!(is_failing(&health, 2));
        ended(alerts, "VIX", true).await;
        ended(alerts, "SKEW", true).await;
        assert!(is_failing(&health, 0));
        assert_eq!(taken(&log), [answered_again("VIX"), answered_again("SKEW")]);
    })
    .await;
    process(folder.path(), &Health::new(), async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(taken(&log), []);
}

#[tokio::test]
async fn a_process_that_is_killed_between_the_third_failure_and_the_line_leaves_the_line_to_the_next_one() {
    let (folder, health, (log, _guard)) = (TempDir::new().unwrap(), Health::new(), Log::begin());
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        for item in ["VIX", "VIX", "SKEW", "SKEW"] {
            ended(alerts, item, false).await;
        }
        killed_after(alerts.state, "VIX", false).await;
        killed_after(alerts.state, "SKEW", false).await;
    })
    .await;
    assert_eq!(taken(&log), []);
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert_eq!(taken(&log), [alert("VIX"), alert("SKEW")]);
        assert!(is_failing(&health, 2));
        ended(alerts, "VIX", false).await;
        // Killed again, before it logs that this item was answered.
        killed_after(alerts.state, "VIX", true).await;
    })
    .await;
    assert_eq!(taken(&log), []);
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert_eq!(taken(&log), [answered_again("VIX")]);
        assert!(is_failing(&health, 1));
        killed_after(alerts.state, "SKEW", true).await;
        killed_after(alerts.state, "SKEW", false).await;
    })
    .await;
    // It was answered in between, although it has failed since.
    process(folder.path(), &health, async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(taken(&log), [answered_again("SKEW")]);
    process(folder.path(), &health, async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(taken(&log), []);
}

#[tokio::test]
async fn of_two_processes_with_one_state_one_writes_the_line() {
    let (folder, health, (log, _guard)) = (TempDir::new().unwrap(), Health::new(), Log::begin());
    process(folder.path(), &health, async |daemon: &mut Alerts<'_>| {
        process(folder.path(), &health, async |beside: &mut Alerts<'_>| {
            ended(daemon, "VIX", false).await;
            ended(beside, "VIX", false).await;
            ended(daemon, "VIX", false).await;
            ended(beside, "VIX", false).await;
            assert_eq!(taken(&log), [alert("VIX")]);
            ended(beside, "VIX", true).await;
            ended(daemon, "VIX", true).await;
            assert_eq!(taken(&log), [answered_again("VIX")]);
        })
        .await;
    })
    .await;
}
