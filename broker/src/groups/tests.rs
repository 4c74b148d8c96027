use std::time::Duration;

use super::*;
use crate::group::Client;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

struct OneTopic;

impl Topics for OneTopic {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        (name == "t").then_some((Uuid::from_u128(7), 4))
    }
}

fn open(folder: &Path) -> Arc<Groups> {
    let address = "127.0.0.1:9092".parse().unwrap();
    Arc::new(Groups::open(folder, Arc::new(OneTopic), address).unwrap())
}

fn join(member: &str, new_name: &str) -> Join {
    Join {
        member: member.to_owned(),
        new_name: new_name.to_owned(),
        instance: None,
        client: Client::default(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from("metadata"))],
        session: SESSION,
        rebalance: REBALANCE,
        knows_skipping: true,
    }
}

fn by(member: &str, generation: i32) -> Caller<'_> {
    Caller { member, instance: None, generation }
}

fn offset() -> Vec<(Place, Committed)> {
    let place = Place { topic: Arc::from("t"), id: Uuid::from_u128(7), partition: 0 };
    vec![(place, Committed { offset: 5, epoch: -1, metadata: Arc::from("") })]
}

/// Joins and syncs alone.
async fn settle(groups: &Groups, name: &str) -> Joined {
    let joined = groups.join("g", join("", name), false).await.unwrap();
    let everything = vec![(name.to_owned(), Bytes::from("everything"))];
    groups.sync("g", &by(name, joined.generation), [None; 2], everything).await.unwrap();
    joined
}

fn spawn_join(groups: &Arc<Groups>, join: Join) -> tokio::task::JoinHandle<Result<Joined, ResponseError>> {
    let groups = groups.clone();
    tokio::spawn(async move { groups.join("g", join, false).await })
}

#[tokio::test(start_paused = true)]
async fn a_join_waits_exactly_until_the_others_have_joined() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    settle(&groups, "a").await;
    let waiting = spawn_join(&groups, join("", "b"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished());
    assert_eq!(groups.heartbeat("g", &by("a", 1)), Err(ResponseError::RebalanceInProgress));
    let before = Instant::now();
    let first = groups.join("g", join("a", ""), false).await.unwrap();
    let second = waiting.await.unwrap().unwrap();
    assert_eq!((first.generation, second.generation, first.members.len()), (2, 2, 2));
    assert_eq!(Instant::now(), before, "nobody may wait for a tick");
}

#[tokio::test(start_paused = true)]
async fn a_join_goes_on_at_the_moment_a_silent_member_has_timed_out() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    settle(&groups, "a").await;
    let start = Instant::now();
    let joined = groups.join("g", join("", "b"), false).await.unwrap();
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("b", 1));
    let took = start.elapsed();
    assert!(took >= SESSION && took < SESSION + Duration::from_millis(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sync_waits_for_the_leader_and_no_longer_than_the_rebalance() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    settle(&groups, "a").await;
    let waiting = spawn_join(&groups, join("", "b"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let generation = groups.join("g", join("a", ""), false).await.unwrap().generation;
    waiting.await.unwrap().unwrap();
    let start = Instant::now();
    let syncing = {
        let groups = groups.clone();
        tokio::spawn(async move { groups.sync("g", &by("b", generation), [None; 2], Vec::new()).await })
    };
    // The leader lives and never divides the partitions.
    while !syncing.is_finished() && start.elapsed() < 2 * REBALANCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = groups.heartbeat("g", &by("a", generation));
    }
    assert_eq!(syncing.await.unwrap(), Err(ResponseError::RebalanceInProgress));
    let took = start.elapsed();
    assert!(took >= REBALANCE && took < REBALANCE + Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_join_with_short_timeouts_does_not_wait_for_the_long_ones_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    settle(&groups, "a").await;
    let (start, short) = (Instant::now(), Join { rebalance: SESSION, ..join("", "b") });
    let waiting = spawn_join(&groups, short);
    while !waiting.is_finished() && start.elapsed() < 2 * REBALANCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = groups.heartbeat("g", &by("a", 1));
    }
    assert_eq!(waiting.await.unwrap(), Err(ResponseError::RebalanceInProgress));
    assert!(start.elapsed() < SESSION + Duration::from_secs(2), "{:?}", start.elapsed());
    // The client never learns its name, so the group does not wait for it again.
    let members = groups.describe("g").unwrap().members;
    assert_eq!(members.into_iter().map(|member| member.member).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sync_learns_at_once_that_another_process_has_replaced_it() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let with_instance = |name: &str, instance: &str| Join { instance: Some(instance.to_owned()), ..join("", name) };
    settle(&groups, "a").await;
    let waiting = spawn_join(&groups, with_instance("b", "i"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let generation = groups.join("g", join("a", ""), false).await.unwrap().generation;
    waiting.await.unwrap().unwrap();
    let syncing = {
        let groups = groups.clone();
        let caller = Caller { member: "b", instance: Some("i"), generation };
        tokio::spawn(async move { groups.sync("g", &caller, [None; 2], Vec::new()).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    let successor = spawn_join(&groups, with_instance("c", "i"));
    assert_eq!(syncing.await.unwrap(), Err(ResponseError::FencedInstanceId));
    assert_eq!(Instant::now(), before);
    successor.abort();
}

#[tokio::test(start_paused = true)]
async fn commits_survive_a_restart_and_members_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let generation = settle(&groups, "a").await.generation;
    groups.commit("g", &by("a", generation), offset()).unwrap();
    assert_eq!(groups.commit("g", &by("", -1), offset()), Err(ResponseError::UnknownMemberId));
    drop(groups);
    let groups = open(folder.path());
    assert_eq!(groups.lock().offsets.get("g", Uuid::from_u128(7), 0).unwrap().offset, 5);
    assert_eq!(groups.heartbeat("g", &by("a", generation)), Err(ResponseError::UnknownMemberId));
    assert_eq!(groups.commit("g", &by("a", generation), offset()), Err(ResponseError::UnknownMemberId));
    assert_eq!(groups.commit("other", &by("a", generation), offset()), Err(ResponseError::IllegalGeneration));
    assert_eq!(groups.describe("g").unwrap().state, "Empty");
    assert_eq!(groups.commit("g", &by("", -1), offset()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_has_timed_out_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let generation = settle(&groups, "a").await.generation;
    groups.commit("g", &by("a", generation), offset()).unwrap();
    assert_eq!(groups.delete("g"), Err(ResponseError::NonEmptyGroup));
    assert_eq!(groups.list(), [("g".to_owned(), "Stable", "consumer".to_owned())]);
    tokio::time::advance(SESSION).await;
    assert_eq!(groups.list(), [("g".to_owned(), "Empty", String::new())]);
    assert_eq!(groups.delete("g"), Ok(()));
    assert_eq!(groups.delete("g"), Err(ResponseError::GroupIdNotFound));
    assert_eq!((groups.describe("g"), groups.list()), (None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_deleted_topic_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    groups.commit("g", &by("", -1), offset()).unwrap();
    groups.forget_topic(Uuid::from_u128(8));
    assert_eq!(groups.list().len(), 1);
    groups.forget_topic(Uuid::from_u128(7));
    assert_eq!(groups.list(), Vec::new());
}

#[tokio::test(start_paused = true)]
async fn limits_hold_and_abandoned_groups_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    for at in 0..MAX_GROUPS {
        groups.join(&format!("g{at}"), join("", "a"), false).await.unwrap();
    }
    let one_more = groups.join("one more", join("", "a"), false).await;
    assert_eq!(one_more, Err(ResponseError::GroupMaxSizeReached));
    tokio::time::advance(SESSION).await;
    groups.join("one more", join("", "a"), false).await.unwrap();
    {
        let mut state = groups.lock();
        assert_eq!((state.groups.len(), state.bytes), (1, "rangemetadata".len()));
        state.max_bytes = 20;
    }
    let too_large = groups.join("two more", join("", "a"), false).await;
    assert_eq!(too_large, Err(ResponseError::GroupMaxSizeReached));
    let long = "x".repeat(MAX_GROUP_NAME + 1);
    assert_eq!(groups.join(&long, join("", "a"), false).await, Err(ResponseError::InvalidGroupId));
    assert_eq!(groups.join("", join("", "a"), false).await, Err(ResponseError::InvalidGroupId));
    tokio::time::advance(SESSION).await;
    groups.sweep();
    let state = groups.lock();
    assert_eq!((state.groups.len(), state.bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_a_name_joins_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    assert_eq!(groups.join("g", join("", "a"), true).await, Err(ResponseError::MemberIdRequired));
    assert_eq!(groups.join("g", join("a", "b"), true).await.unwrap().member, "a");
    assert_eq!(groups.join("h", join("", "a"), true).await, Err(ResponseError::MemberIdRequired));
    tokio::time::advance(SESSION).await;
    assert_eq!(groups.join("h", join("a", "b"), true).await, Err(ResponseError::UnknownMemberId));
    assert_eq!(groups.list().len(), 0);
}

#[test]
fn committed_offsets_are_on_disk_after_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    groups.flush().unwrap();
    groups.lock().offsets.set_dirty();
    groups.flush().unwrap();
    assert!(groups.lock().offsets.take_dirty().is_none());
}
