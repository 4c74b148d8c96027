use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use service::health::Health;
use sources::fixture::at;
use sources::source;
use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::meters::Meters;
use crate::state::{Attempt, Extent};

const ENDPOINT: &str = "index_history";

/// The lines that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Log, DefaultGuard) {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).without_time().finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// What was logged of each item since this was last asked for: its name, and whether it is an alert.
    fn take(&self) -> Vec<(String, bool)> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let told = |line: &str| {
            let item = line.split_once("item=\"")?.1.split_once('"')?.0.to_owned();
            let is_alert = line.contains("ERROR") && line.contains("failed 3 times in a row: HTTP 500");
            assert!(is_alert || line.contains("answered again"), "{line}");
            Some((item, is_alert))
        };
        text.lines().map(|line| told(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

fn update(item: &str, answered: bool) -> Update<'_> {
    let at = at("2026-11-20T12:00:00Z");
    let error = (!answered).then_some("HTTP 500");
    let attempt = Attempt { at, answered, calls: 1, error, latest: None, reread: None, validators: None };
    Update { endpoint: ENDPOINT, item, index: None, attempt: Some(attempt) }
}

/// Saves how asking for an item has ended, and is killed before anything is logged.
async fn killed_after(state: &State, item: &str, answered: bool) -> Streak {
    state.save(&[update(item, answered)], &Extent::default()).await.unwrap().remove(0)
}

/// Saves how asking for an item has ended, and logs what is due.
async fn ended(alerts: &mut Alerts<'_>, item: &str, answered: bool) {
    let streak = killed_after(alerts.state, item, answered).await;
    alerts.ended(&update(item, answered), streak).await;
}

/// A process that starts with the state in a folder and does that.
async fn process(folder: &Path, health: &Health, work: impl AsyncFnOnce(&mut Alerts<'_>)) {
    let cboe = source("cboe").unwrap();
    let (state, meters) = (State::open(folder, "cboe").await.unwrap(), Meters::new(health).source(cboe));
    let watchlist = Watchlist::parse("[cboe]\nindex_history = [\"VIX\", \"SKEW\"]").unwrap();
    let mut alerts = Alerts::new(cboe, &meters, &state);
    alerts.resume(&watchlist, &state.standings().await.unwrap()).await;
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
        assert_eq!(log.take(), [alert("SKEW")]);
    })
    .await;
    let health = Health::new();
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert!(is_failing(&health, 1));
        ended(alerts, "VIX", false).await;
        assert_eq!(log.take(), [alert("VIX")]);
        ended(alerts, "VIX", false).await;
        assert!(is_failing(&health, 2));
        // A page of an item that goes on says nothing.
        alerts.ended(&Update { attempt: None, ..update("VIX", true) }, Streak::default()).await;
        assert!(is_failing(&health, 2));
        ended(alerts, "VIX", true).await;
        ended(alerts, "SKEW", true).await;
        assert!(is_failing(&health, 0));
        assert_eq!(log.take(), [answered_again("VIX"), answered_again("SKEW")]);
    })
    .await;
    process(folder.path(), &Health::new(), async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(log.take(), []);
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
    assert_eq!(log.take(), []);
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert_eq!(log.take(), [alert("SKEW"), alert("VIX")]);
        assert!(is_failing(&health, 2));
        ended(alerts, "VIX", false).await;
        // Killed as well before it logs that this one is answered.
        killed_after(alerts.state, "VIX", true).await;
    })
    .await;
    assert_eq!(log.take(), []);
    process(folder.path(), &health, async |alerts: &mut Alerts<'_>| {
        assert_eq!(log.take(), [answered_again("VIX")]);
        assert!(is_failing(&health, 1));
        killed_after(alerts.state, "SKEW", true).await;
        killed_after(alerts.state, "SKEW", false).await;
    })
    .await;
    // It was answered in between, whatever it does now.
    process(folder.path(), &health, async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(log.take(), [answered_again("SKEW")]);
    process(folder.path(), &health, async |_: &mut Alerts<'_>| ()).await;
    assert_eq!(log.take(), []);
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
            assert_eq!(log.take(), [alert("VIX")]);
            ended(beside, "VIX", true).await;
            ended(daemon, "VIX", true).await;
            assert_eq!(log.take(), [answered_again("VIX")]);
        })
        .await;
    })
    .await;
}
