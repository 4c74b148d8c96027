use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Checks once a second for this many seconds; returns the loops that are not alive at the end.
fn after(health: &Health, from: &mut Instant, seconds: u32, mut each: impl FnMut()) -> Vec<String> {
    for _ in 0..seconds {
        *from += SECOND;
        each();
        health.not_alive(*from);
    }
    health.not_alive(*from).into_iter().map(|hung| hung.name).collect()
}

#[test]
fn a_loop_is_alive_while_it_beats_or_rests_and_until_its_bound_after() {
    let health = Health::new();
    let (first, second) = (health.heartbeat("first", 10 * SECOND), health.heartbeat("second", 30 * SECOND));
    let mut now = Instant::now();
    assert_eq!(after(&health, &mut now, 100, || [&first, &second].into_iter().for_each(Heartbeat::beat)), [""; 0]);
    assert_eq!(after(&health, &mut now, 9, || second.beat()), [""; 0]);
    assert_eq!(after(&health, &mut now, 3, || second.beat()), ["first"]);
    first.beat();
    assert_eq!(after(&health, &mut now, 1, || ()), [""; 0]);
    second.rest();
    assert_eq!(after(&health, &mut now, 1000, || first.beat()), [""; 0]);
    second.beat();
    assert_eq!(after(&health, &mut now, 32, || first.beat()), ["second"]);
    drop(second);
    assert_eq!(after(&health, &mut now, 1, || first.beat()), [""; 0], "a loop that has ended is not missed");
}

#[test]
fn a_process_that_was_stopped_does_not_take_its_loops_for_hung() {
    let health = Health::new();
    let _beat = health.heartbeat("loop", 10 * SECOND);
    let now = Instant::now();
    health.not_alive(now);
    assert_eq!(health.not_alive(now + 3600 * SECOND), []);
}

#[test]
fn half_of_what_the_watchdog_allows_is_not_alive() {
    let health = Health::new();
    health.limit(Some(6 * SECOND));
    let _beat = health.heartbeat("loop", 60 * SECOND);
    let mut now = Instant::now();
    assert_eq!(after(&health, &mut now, 3, || ()), [""; 0]);
    assert_eq!(after(&health, &mut now, 2, || ()), ["loop"]);
}

#[test]
fn every_reason_not_to_be_ready_is_one_line() {
    let health = Health::new();
    let database = health.readiness("database");
    assert_eq!(health.not_ready(), ["database: not known yet"]);
    health.check("progress", || Err("two\nlines".to_owned()));
    database.not_ready("away");
    assert_eq!(health.not_ready(), ["database: away", "progress: two lines"]);
    database.ready();
    assert_eq!(health.not_ready(), ["progress: two lines"]);
}

#[test]
fn ages_and_checks_are_metrics_too() {
    let health = Health::new();
    let _beat = health.heartbeat("loop", SECOND);
    health.readiness("database");
    let shown = health.shown_metrics();
    assert!(shown.contains("tapedeck_heartbeat_age_seconds{name=\"loop\"} "), "{shown}");
    assert!(shown.contains("tapedeck_ready{check=\"database\"} 0.0"), "{shown}");
}
