use std::path::Path;

use super::*;

/// Polls SKEW once, with these closes on three days; returns the number of published bars.
async fn poll(mock: &Mock, folder: &Path, closes: [&str; 3]) -> i64 {
    let before = messages(mock, "ohlcv_bar");
    let [one, two, three] = closes;
    let body = format!("DATE,SKEW\n01/02/1990,{one}\n01/03/1990,{two}\n01/04/1990,{three}\n");
    let stub = Stub::answering(&[response("200 OK", &[], body.as_bytes())]).await;
    let mut skew = once(mock, "[cboe]\nindex_history = [\"SKEW\"]");
    skew.state_dir = Some(folder.to_owned());
    assert_eq!(run(vec![asking("cboe", &stub.base)], skew).await, Ending::Complete);
    messages(mock, "ohlcv_bar") - before
}

/// The state that a process leaves when it is killed after Kafka's acknowledgement and before it saves.
async fn killed_before_saving(mock: &Mock, folder: &Path, closes: [&str; 3]) {
    let aside = tempfile::TempDir::new().unwrap();
    let copy = State::path(aside.path(), "cboe");
    State::open(folder, "cboe").await.unwrap().copy(&copy).await;
    assert!(poll(mock, folder, closes).await > 0);
    std::fs::remove_dir_all(folder).unwrap();
    std::fs::create_dir(folder).unwrap();
    std::fs::copy(&copy, State::path(folder, "cboe")).unwrap();
    State::open(folder, "cboe").await.unwrap().publishing().await.unwrap();
}

/// Starts, and ends before the first request; returns the recovered records.
async fn started(mock: &Mock, folder: &Path) -> Recovered {
    let (cboe, run) = (source("cboe").unwrap(), once(mock, "[cboe]\nindex_history = [\"SKEW\"]"));
    let state = State::open(folder, "cboe").await.unwrap();
    let publisher = connect(cboe, &run, &Events::of(cboe, &run)).await.unwrap();
    resume(cboe, &run, &publisher, &state).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_published_before_a_crash_are_recovered_and_reverted_ones_published() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    let folder = folder.path();
    assert_eq!(poll(&mock, folder, ["126.0", "117.0", "120.0"]).await, 3);
    killed_before_saving(&mock, folder, ["126.0", "117.5", "120.0"]).await;
    assert_eq!(poll(&mock, folder, ["126.0", "117.5", "120.0"]).await, 0);
    killed_before_saving(&mock, folder, ["126.0", "118.0", "121.0"]).await;
    // The provider reverts one of them: the value is the recorded one, but not the last one on Kafka.
    assert_eq!(poll(&mock, folder, ["126.0", "117.5", "121.0"]).await, 1);
    assert_eq!(poll(&mock, folder, ["126.0", "117.5", "121.0"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_anything_was_recorded_doubles_nothing() {
    let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
    let folder = folder.path();
    // Earlier messages of another process with another state do not count.
    assert_eq!(poll(&mock, tempfile::TempDir::new().unwrap().path(), ["1.0", "1.0", "1.0"]).await, 3);
    // The first process dies with its first records.
    assert_eq!(started(&mock, folder).await, Recovered::default());
    killed_before_saving(&mock, folder, ["126.0", "117.0", "120.0"]).await;
    assert_eq!(poll(&mock, folder, ["126.0", "117.0", "120.0"]).await, 0);
    // Nor are they doubled when the next process dies before it fetches.
    killed_before_saving(&mock, folder, ["126.0", "117.0", "122.0"]).await;
    assert_eq!(started(&mock, folder).await.messages().len(), 1);
    assert_eq!(poll(&mock, folder, ["126.0", "117.0", "122.0"]).await, 0);
}
