use sources::fixture::at;

use super::*;
use crate::published::fingerprint::Fingerprint;
use crate::published::index::Change;

fn attempt(when: &str, answered: bool) -> Attempt<'static> {
    let error = (!answered).then_some("HTTP 500");
    Attempt { at: at(when), answered, calls: 2, error, latest: None, reread: None, validators: None }
}

#[tokio::test]
async fn saved_items_are_known_to_the_next_process() {
    let folder = tempfile::TempDir::new().unwrap();
    let state = State::open(folder.path(), "cboe").await.unwrap();
    assert_eq!(state.item("index_history", "VIX").await.unwrap().known.latest, None);
    let print = Fingerprint { key: 1, content: 2, by_place: 2, time: 3, loose: 4.5 };
    let mut index = Index::default();
    index.compare(&print, 0.0);
    let validators = Validators::new([Some("\"1\"".to_owned()), None]);
    let done = Attempt {
        latest: Some(3),
        reread: Some(true),
        validators: Some(&validators),
        ..attempt("2026-11-20T12:00:00Z", true)
    };
    let update = Update { endpoint: "index_history", item: "VIX", index: Some(&index), attempt: Some(done) };
    state.save(&[update], &Extent::default()).await.unwrap();
    drop(state);
    let state = State::open(folder.path(), "cboe").await.unwrap();
    let mut known = state.item("index_history", "VIX").await.unwrap();
    assert_eq!(known.known.index.compare(&print, 0.0), Change::Unchanged);
    assert_eq!((known.known.latest, known.known.reread, known.validators), (Some(3), true, validators));
    assert_eq!(known.answered_at, Some(at("2026-11-20T12:00:00Z")));
    assert!(state.item("options", "VIX").await.unwrap().answered_at.is_none());
    state.forget().await.unwrap();
    assert!(state.item("index_history", "VIX").await.unwrap().answered_at.is_none());
}

#[tokio::test]
async fn a_failure_counts_and_moves_nothing() {
    let state = State::in_memory("cboe").await.unwrap();
    let save = async |attempt: Attempt<'_>| {
        let update = Update { endpoint: "index_history", item: "VIX", index: None, attempt: Some(attempt) };
        let streaks = state.save(&[update], &Extent::default()).await.unwrap();
        let standing = state.standings().await.unwrap().remove(0);
        assert_eq!(streaks, [standing.streak]);
        standing
    };
    let failed = save(attempt("2026-11-20T10:00:00Z", false)).await;
    assert_eq!((failed.answered_at, failed.streak.failures), (None, 1));
    let answered = save(Attempt { latest: Some(7), ..attempt("2026-11-20T11:00:00Z", true) }).await;
    assert_eq!(
        (answered.answered_at, answered.streak.failures, answered.error),
        (Some(at("2026-11-20T11:00:00Z")), 0, None)
    );
    save(attempt("2026-11-20T12:00:00Z", false)).await;
    let failed = save(attempt("2026-11-20T13:00:00Z", false)).await;
    assert_eq!((failed.answered_at, failed.streak.failures), (answered.answered_at, 2));
    assert_eq!((failed.asked_at, failed.error.as_deref()), (at("2026-11-20T13:00:00Z"), Some("HTTP 500")));
    // Calls are those of the last attempt, and at least one.
    assert_eq!(failed.calls, 2);
    assert_eq!(save(Attempt { calls: 0, ..attempt("2026-11-20T13:30:00Z", false) }).await.calls, 1);
    // The latest time never moves back, and a page before the last one moves nothing.
    save(Attempt { latest: Some(5), ..attempt("2026-11-20T14:00:00Z", true) }).await;
    assert_eq!(state.item("index_history", "VIX").await.unwrap().known.latest, Some(7));
    // A full re-read stays due until it is done.
    for (reread, answered, expected) in [(Some(true), true, true), (None, false, true), (Some(false), true, false)] {
        save(Attempt { reread, ..attempt("2026-11-20T15:00:00Z", answered) }).await;
        assert_eq!(state.item("index_history", "VIX").await.unwrap().known.reread, expected);
    }
    let index = Index::default();
    let page = Update { endpoint: "options", item: "VIX", index: Some(&index), attempt: None };
    assert_eq!(state.save(&[page], &Extent::default()).await.unwrap(), [Streak::default()]);
    assert!(state.item("options", "VIX").await.unwrap().answered_at.is_none());
}
