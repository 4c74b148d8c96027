//! Lag, readiness and progress on a clock of their own.

use store::RetryClass;

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn meters(health: &Health) -> Meters {
    let meters = SinkMetrics::new(health).sink(contract::dataset("ohlcv_bar").unwrap());
    let start = |partition, offset| Start { partition, incarnation: 0, offset };
    meters.on_assigned(&[start(0, 100), start(1, 0)]);
    meters
}

fn committed(meters: &Meters, to_offset: i64, result: Result<Outcome, StoreError>) {
    let result = result.map(|outcome| Commit { outcome, already: false, quarantined: Vec::new() });
    meters.attempted(0, to_offset, &result, Duration::from_millis(5));
}

fn retry(class: RetryClass) -> StoreError {
    StoreError::Retry { class, reason: "away".to_owned() }
}

fn statistics(meters: &Meters, ends: [i64; 2]) {
    meters.on_ends(&[(0, ends[0]), (1, ends[1])]);
}

/// The value of the line with this prefix.
fn shown(health: &Health, line: &str) -> Option<f64> {
    let shown = health.metrics().shown();
    let line = shown.lines().find_map(|shown| shown.strip_prefix(line).and_then(|rest| rest.strip_prefix(' ')));
    line.map(|value| value.parse().unwrap())
}

fn lag(health: &Health, what: &str, partition: i32) -> Option<f64> {
    shown(health, &format!("tapedeck_lag_{what}{{dataset=\"ohlcv_bar\",partition=\"{partition}\"}}"))
}

#[test]
fn lag_is_what_kafka_has_and_the_database_has_not() {
    let health = Health::new();
    let meters = meters(&health);
    statistics(&meters, [150, 7]);
    assert_eq!((lag(&health, "records", 0), lag(&health, "records", 1)), (Some(50.0), Some(7.0)));
    let hour_ago = Utc::now().timestamp_millis() - HOUR_MS;
    meters.partition(0).unwrap().took(109, Some(hour_ago));
    committed(&meters, 110, Ok(Outcome { read: 10, inserted: 10, ..Outcome::default() }));
    assert_eq!(lag(&health, "records", 0), Some(40.0));
    let seconds = lag(&health, "seconds", 0).unwrap();
    assert!((3600.0..3700.0).contains(&seconds), "{seconds}");
    committed(&meters, 150, Ok(Outcome { read: 40, changed: 39, dead_lettered: 1, ..Outcome::default() }));
    assert_eq!((lag(&health, "records", 0), lag(&health, "seconds", 0)), (Some(0.0), Some(0.0)));
    // Idle for an hour until now: a record that has just come is not an hour old.
    meters.partition(0).unwrap().took(150, None);
    assert!(lag(&health, "seconds", 0).unwrap() < 60.0);
    for (outcome, count) in [("inserted", 10.0), ("changed", 39.0), ("dead_lettered", 1.0), ("superseded", 0.0)] {
        let line = format!("tapedeck_rows_total{{dataset=\"ohlcv_bar\",outcome=\"{outcome}\"}}");
        assert_eq!(shown(&health, &line), Some(count), "{outcome}");
    }
    meters.on_revoked();
    assert_eq!(lag(&health, "records", 0), None, "what is no longer ours is not shown");
}

#[test]
fn it_is_ready_when_it_has_joined_and_the_database_answered_last_time() {
    let health = Health::new();
    let meters = meters(&health);
    let Inner { assignment, database, .. } = &*meters.inner;
    assert!(assignment.is_ready() && !database.is_ready());
    committed(&meters, 101, Ok(Outcome::default()));
    assert!(database.is_ready());
    committed(&meters, 102, Err(retry(RetryClass::of_sqlstate("57P01"))));
    committed(&meters, 102, Err(retry(RetryClass::Connection)));
    assert!(!database.is_ready());
    let class = |class| format!("tapedeck_commit_retries_total{{dataset=\"ohlcv_bar\",class=\"{class}\"}}");
    assert_eq!((shown(&health, &class("57")), shown(&health, &class("connection"))), (Some(1.0), Some(1.0)));
    committed(&meters, 102, Ok(Outcome::default()));
    assert!(database.is_ready());
    meters.on_lost("no broker");
    assert!(!assignment.is_ready());
}

#[test]
fn records_that_wait_while_nothing_is_committed_are_no_progress() {
    let health = Health::new();
    let meters = meters(&health);
    let later = Instant::now() + 2 * STUCK;
    assert_eq!(meters.inner.check(later), Ok(()), "nothing waits");
    statistics(&meters, [150, 0]);
    meters.answered::<()>(&Err(retry(RetryClass::Connection)));
    assert_eq!(meters.inner.check(later), Ok(()), "the database is known to be away");
    meters.answered(&Ok(()));
    assert_eq!(meters.inner.check(Instant::now()), Ok(()));
    let reason = meters.inner.check(later).unwrap_err();
    assert!(reason.starts_with("50 records wait, and nothing was committed for "), "{reason}");
}

#[test]
fn a_sink_that_has_ended_shows_no_lag() {
    let health = Health::new();
    let meters = meters(&health);
    statistics(&meters, [150, 7]);
    assert_eq!(lag(&health, "records", 0), Some(50.0));
    meters.ended();
    assert_eq!(lag(&health, "records", 0), None);
    assert_eq!(shown(&health, "tapedeck_assigned_partitions{dataset=\"ohlcv_bar\"}"), Some(0.0));
}
