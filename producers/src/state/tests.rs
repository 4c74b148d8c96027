use chrono::TimeDelta;
use sources::fixture::at;
use tempfile::TempDir;

use super::*;
use crate::published::filter::Days;

const NOON: &str = "2026-11-20T12:00:00Z";

async fn spend(state: &State, budget: &Budget, class: Class, calls: u32, now: &str) -> Result<(), String> {
    state.take(budget, class, calls, at(now)).await.map_err(|(_, reason)| reason)
}

#[tokio::test]
async fn spent_calls_stay_spent_for_every_process_until_the_day_ends() {
    let folder = TempDir::new().unwrap();
    let budget = Budget::new(3);
    let first = State::open(folder.path(), "fmp").await.unwrap();
    // Beside the first one, as a backfill beside a daemon.
    let second = State::open(folder.path(), "fmp").await.unwrap();
    for state in [&first, &second, &first] {
        spend(state, &budget, Class::Live, 1, NOON).await.unwrap();
    }
    let (wait, reason) = second.take(&budget, Class::Live, 1, at(NOON)).await.unwrap_err();
    assert_eq!(wait, Duration::from_secs(12 * 3600));
    assert!(reason.contains("2026-11-21 00:00"), "{reason}");
    drop((first, second));
    let third = State::open(folder.path(), "fmp").await.unwrap();
    assert!(spend(&third, &budget, Class::Live, 1, "2026-11-20T23:59:59Z").await.is_err());
    // A clock that is set back starts no new day, and does not return to an old one.
    spend(&third, &budget, Class::Live, 1, "2026-11-21T00:00:00Z").await.unwrap();
    assert!(spend(&third, &budget, Class::Live, 3, "2026-11-20T12:00:00Z").await.is_err());
    spend(&third, &budget, Class::Live, 2, "2026-11-20T12:00:00Z").await.unwrap();
    assert_eq!(third.spent(at("2026-11-21T01:00:00Z")).await.unwrap(), [3, 0, 0]);
}

#[tokio::test]
async fn each_class_has_what_is_left_for_it() {
    let state = State::in_memory("fmp").await.unwrap();
    let budget = Budget::new(20);
    budget.plan(10);
    for _ in 0..9 {
        spend(&state, &budget, Class::Backfill, 1, NOON).await.unwrap();
    }
    assert!(spend(&state, &budget, Class::Backfill, 1, NOON).await.is_err());
    spend(&state, &budget, Class::Repair, 1, NOON).await.unwrap();
    assert!(spend(&state, &budget, Class::Repair, 1, NOON).await.is_err());
    spend(&state, &budget, Class::Live, 10, NOON).await.unwrap();
    assert!(spend(&state, &budget, Class::Live, 1, NOON).await.is_err());
    assert_eq!(state.spent(at(NOON)).await.unwrap(), [10, 1, 9]);
}

#[tokio::test]
async fn requests_come_in_a_burst_and_then_one_by_one() {
    let state = State::in_memory("fred").await.unwrap();
    let (pause, start) = (Duration::from_secs(1), at(NOON));
    let turn = async |after_ms: i64| state.turn(pause, 3, start + TimeDelta::milliseconds(after_ms)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(turn(0).await, None);
    }
    assert_eq!(turn(0).await, Some(pause));
    assert_eq!(turn(400).await, Some(Duration::from_millis(600)));
    assert_eq!(turn(1000).await, None);
    assert_eq!(turn(1000).await, Some(pause));
    // After a pause the next burst may come; a clock that was set back causes no wait.
    for _ in 0..3 {
        assert_eq!(turn(60_000).await, None);
    }
    assert_eq!(turn(60_000).await, Some(pause));
    assert_eq!(turn(-3_600_000).await, Some(pause));
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_put_aside() {
    let folder = TempDir::new().unwrap();
    let path = State::path(folder.path(), "fred");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let state = State::open(folder.path(), "fred").await.unwrap();
    assert_eq!(state.spent(at(NOON)).await.unwrap(), [0, 0, 0]);
    let aside = folder.path().join("fred.spoilt");
    std::fs::remove_file(&aside).unwrap();
    sqlx::raw_sql("pragma user_version = 99").execute(&mut *state.connection.lock().await).await.unwrap();
    drop(state);
    State::open(folder.path(), "fred").await.unwrap();
    assert!(aside.exists());
    assert!(State::existing(folder.path(), "cboe").await.unwrap().is_none());
}

#[tokio::test]
async fn a_state_file_of_an_earlier_version_keeps_its_contents() {
    let folder = TempDir::new().unwrap();
    let path = State::path(folder.path(), "fred");
    State::open(folder.path(), "fred").await.unwrap();
    // As versions without the column made it.
    let mut connection = file(&path).connect().await.unwrap();
    sqlx::raw_sql("alter table item drop column alerted").execute(&mut connection).await.unwrap();
    let item = "insert into item (endpoint, item, asked_at, failures) values ('series', 'GDP', 0, 3)";
    sqlx::raw_sql(item).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for is_alerted in [false, true] {
        let state = State::open(folder.path(), "fred").await.unwrap();
        let standing = state.standings().await.unwrap().remove(0);
        assert_eq!(standing.streak, Streak { failures: 3, is_alerted });
        state.record_alert("series", "GDP", true).await.unwrap();
    }
    assert!(!folder.path().join("fred.spoilt").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn processes_that_create_the_state_at_once_share_it() {
    for was_spoilt in [false, true].repeat(4) {
        let folder = TempDir::new().unwrap();
        if was_spoilt {
            std::fs::write(State::path(folder.path(), "fred"), vec![b'x'; 10_000]).unwrap();
        }
        let spend_one = |folder: PathBuf| async move {
            let state = State::open(&folder, "fred").await.unwrap();
            spend(&state, &Budget::new(8), Class::Live, 1, NOON).await.unwrap();
        };
        let all: Vec<_> = (0..8).map(|_| tokio::spawn(spend_one(folder.path().to_owned()))).collect();
        for one in all {
            one.await.unwrap();
        }
        let state = State::existing(folder.path(), "fred").await.unwrap().unwrap();
        assert_eq!(state.spent(at(NOON)).await.unwrap(), [8, 0, 0]);
    }
}

#[tokio::test]
async fn forgetting_the_state_keeps_the_calls_of_the_day() {
    let state = State::in_memory("fmp").await.unwrap();
    let (budget, day) = (Budget::new(20), at(NOON).date_naive());
    spend(&state, &budget, Class::Live, 3, NOON).await.unwrap();
    spend(&state, &budget, Class::Live, 5, "2026-11-21T12:00:00Z").await.unwrap();
    let attempt = Attempt {
        at: at(NOON),
        answered: true,
        calls: 1,
        error: None,
        latest: Some(1),
        reread: None,
        validators: None,
    };
    let update = Update { endpoint: "eod_prices", item: "AAPL", index: None, attempt: Some(attempt) };
    state.save(&[update], &Extent::default()).await.unwrap();
    let missing = Days { missing: [day].into(), ..Days::default() };
    state.record_days("eod_prices", "AAPL", &missing, at(NOON)).await.unwrap();
    let key = ("eod_prices", "AAPL", day, day);
    state.record_backfill(key, BackfillProgress { next_day: day, calls: 1, records: 1 }).await.unwrap();
    assert_eq!((state.standings().await.unwrap().len(), state.gaps(None).await.unwrap().len()), (1, 1));
    state.forget().await.unwrap();
    assert_eq!((state.standings().await.unwrap(), state.gaps(None).await.unwrap()), (vec![], vec![]));
    assert_eq!(state.backfill(key).await.unwrap(), None);
    assert_eq!(state.spent(at(NOON)).await.unwrap(), [5, 0, 0]);
    // The calls of a past day are gone.
    let mut connection = state.connection.lock().await;
    let days: i64 = sqlx::query_scalar("select count(*) from quota").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(days, 1);
}
