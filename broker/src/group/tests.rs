use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_MEMBERS, MAX_SESSION, MIN_SESSION};

mod random;
mod static_members;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(30);

fn protocols(names: &[&str]) -> Protocols {
    names.iter().map(|name| ((*name).to_owned(), Bytes::from(format!("metadata of {name}")))).collect()
}

fn join(member: &str, new_name: &str) -> Join {
    Join {
        member: member.to_owned(),
        new_name: new_name.to_owned(),
        instance: None,
        client: crate::group::Client { id: "client".to_owned(), host: "/127.0.0.1".to_owned() },
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range", "roundrobin"]),
        session: SESSION,
        rebalance: REBALANCE,
        knows_skipping: true,
    }
}

/// A member without an instance.
fn by(member: &str, generation: i32) -> Caller<'_> {
    Caller { member, instance: None, generation }
}

fn with_instance(instance: &str, new_name: &str) -> Join {
    Join { instance: Some(instance.to_owned()), ..join("", new_name) }
}

/// Joins as the only one who is waited for.
fn joined(group: &mut Group, now: Instant, join: Join) -> Joined {
    let ticket = group.join(now, join).unwrap();
    group.joined(now, &ticket).expect("nobody is waited for").unwrap()
}

/// A group with one member `a`, which has its assignment.
fn group_of_one(now: Instant) -> Group {
    let mut group = Group::new();
    let generation = joined(&mut group, now, join("", "a")).generation;
    group.sync(now, &by("a", generation), vec![("a".to_owned(), Bytes::from("everything"))]).unwrap();
    assert_eq!(group.assignment(now, &by("a", generation)), Some(Ok(Bytes::from("everything"))));
    group
}

#[test]
fn the_only_member_is_its_leader_and_sees_itself() {
    let joined = joined(&mut Group::new(), Instant::now(), join("", "a"));
    assert_eq!((joined.leader.as_str(), joined.member.as_str(), joined.generation), ("a", "a", 1));
    assert_eq!((joined.protocol.as_str(), joined.protocol_type.as_str()), ("range", "consumer"));
    let (member, metadata) = ("a".to_owned(), Bytes::from("metadata of range"));
    assert_eq!(joined.members, [Peer { member, instance: None, metadata }]);
}

#[test]
fn a_heartbeat_that_comes_late_still_keeps_who_was_not_missed_by_anybody() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    assert_eq!(group.heartbeat(now + 3 * SESSION, &by("a", 1)), Ok(()));
}

#[test]
fn a_leader_that_was_silent_for_too_long_is_followed_by_another() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    let later = now + SESSION + Duration::from_millis(1);
    let joined = joined(&mut group, later, join("", "b"));
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("b", 1));
    assert_eq!(group.heartbeat(later, &by("a", 1)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn who_does_not_join_again_in_time_is_no_member_any_more() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    let ticket = group.join(now, join("", "b")).unwrap();
    assert_eq!(group.heartbeat(now, &by("a", 1)), Err(ResponseError::RebalanceInProgress));
    let mut at = now;
    while at < now + REBALANCE {
        // It is alive and does not join.
        assert_eq!(group.heartbeat(at, &by("a", 1)), Err(ResponseError::RebalanceInProgress));
        assert_eq!(group.joined(at, &ticket), None);
        at += SESSION / 2;
    }
    let joined = group.joined(at, &ticket).unwrap().unwrap();
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("b", 1));
}

#[test]
fn a_leader_that_never_divides_the_partitions_loses_its_place() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    let ticket = group.join(now, join("", "b")).unwrap();
    let generation = joined(&mut group, now, join("a", "")).generation;
    assert_eq!(group.joined(now, &ticket).unwrap().unwrap().leader, "a");
    group.sync(now, &by("b", generation), Vec::new()).unwrap();
    assert_eq!(group.assignment(now, &by("b", generation)), None);
    let later = now + REBALANCE;
    group.heartbeat(later - SESSION, &by("a", generation)).unwrap();
    assert_eq!(group.assignment(later, &by("b", generation)), Some(Err(ResponseError::RebalanceInProgress)));
    assert_eq!(joined(&mut group, later, join("b", "")).leader, "b");
}

#[test]
fn a_new_process_with_the_instance_of_another_takes_its_place_at_once() {
    let now = Instant::now();
    let mut group = Group::new();
    joined(&mut group, now, with_instance("host-1", "a"));
    let second = joined(&mut group, now, with_instance("host-1", "b"));
    assert_eq!((second.leader.as_str(), second.members.len()), ("b", 1));
    assert_eq!(group.heartbeat(now, &by("a", second.generation)), Err(ResponseError::UnknownMemberId));
    let old = Join { member: "a".to_owned(), ..with_instance("host-1", "") };
    assert_eq!(group.join(now, old), Err(ResponseError::FencedInstanceId));
}

#[test]
fn a_protocol_that_all_know_is_chosen_and_who_knows_none_of_them_is_refused() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    let with = |names: &[&str], name: &str| Join { protocols: protocols(names), ..join("", name) };
    assert_eq!(group.join(now, with(&["sticky"], "b")), Err(ResponseError::InconsistentGroupProtocol));
    assert_eq!(group.join(now, with(&[], "b")), Err(ResponseError::InconsistentGroupProtocol));
    let other = Join { protocol_type: "connect".to_owned(), ..join("", "b") };
    assert_eq!(group.join(now, other), Err(ResponseError::InconsistentGroupProtocol));
    group.join(now, with(&["sticky", "roundrobin"], "b")).unwrap();
    assert_eq!(joined(&mut group, now, join("a", "")).protocol, "roundrobin");
}

#[test]
fn offsets_are_committed_by_members_of_this_generation_or_where_there_are_none() {
    let now = Instant::now();
    assert_eq!(Group::new().commit(now, &by("", -1)), Ok(()));
    let mut syncing = Group::new();
    joined(&mut syncing, now, join("", "a"));
    assert_eq!(syncing.commit(now, &by("a", 1)), Err(ResponseError::RebalanceInProgress));
    let mut group = group_of_one(now);
    assert_eq!(group.commit(now, &by("a", 1)), Ok(()));
    assert_eq!(group.commit(now, &by("a", 0)), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.commit(now, &by("", -1)), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.commit(now, &by("b", 1)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn timeouts_that_are_none_or_too_long_are_refused() {
    for session in [Duration::ZERO, MIN_SESSION - Duration::from_millis(1), MAX_SESSION + Duration::from_millis(1)] {
        let refused = Group::new().join(Instant::now(), Join { session, ..join("", "a") });
        assert_eq!(refused, Err(ResponseError::InvalidSessionTimeout));
    }
}

#[test]
fn a_group_has_no_more_members_than_its_limit() {
    let now = Instant::now();
    let mut group = Group::new();
    for at in 0..MAX_MEMBERS {
        group.join(now, join("", &at.to_string())).unwrap();
    }
    assert_eq!(group.join(now, join("", "one more")), Err(ResponseError::GroupMaxSizeReached));
}

/// A client that follows the protocol.
#[derive(Debug, Default)]
struct Client {
    name: String,
    generation: i32,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Outside,
    Joining(Ticket),
    Joined(Joined),
    Syncing,
    Reading,
}

impl Client {
    /// Its next request.
    fn act(&mut self, group: &mut Group, now: Instant, new_name: &mut u32) {
        let outcome = match std::mem::take(&mut self.phase) {
            Phase::Outside => {
                *new_name += 1;
                group.join(now, join(&self.name, &format!("m{new_name}"))).map(Phase::Joining)
            }
            Phase::Joining(ticket) => match group.joined(now, &ticket) {
                None => Ok(Phase::Joining(ticket)),
                Some(outcome) => outcome.map(|joined| {
                    (self.name, self.generation) = (joined.member.clone(), joined.generation);
                    Phase::Joined(joined)
                }),
            },
            Phase::Joined(joined) => {
                let divide = |peer: &Peer| (peer.member.clone(), self.share(&peer.member));
                let shares = joined.members.iter().map(divide).collect();
                group.sync(now, &by(&self.name, self.generation), shares).map(|_| Phase::Syncing)
            }
            Phase::Syncing => match group.assignment(now, &by(&self.name, self.generation)) {
                None => Ok(Phase::Syncing),
                Some(outcome) => outcome.map(|assignment| {
                    assert_eq!(assignment, self.share(&self.name), "an assignment of another generation");
                    Phase::Reading
                }),
            },
            Phase::Reading => group.heartbeat(now, &by(&self.name, self.generation)).map(|()| Phase::Reading),
        };
        self.phase = outcome.unwrap_or_else(|code| {
            if code == ResponseError::UnknownMemberId {
                self.name.clear();
            }
            Phase::Outside
        });
    }

    fn share(&self, member: &str) -> Bytes {
        Bytes::from(format!("{} in generation {}", member, self.generation))
    }
}

#[derive(Debug, Clone)]
enum Event {
    Act(usize),
    /// It asks, and its answer gets lost with its connection.
    Lose(usize),
    Leave(usize),
    /// Its process was replaced by another one; the old one stays silent.
    Replace(usize),
    Pass(Duration),
}

fn event(clients: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..clients).prop_map(Event::Act),
        1 => (0..clients).prop_map(Event::Lose),
        1 => (0..clients).prop_map(Event::Leave),
        1 => (0..clients).prop_map(Event::Replace),
        2 => (0_u64..20_000).prop_map(|milliseconds| Event::Pass(Duration::from_millis(milliseconds))),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_everybody_who_goes_on_reads_his_share_in_the_end(
        events in proptest::collection::vec(event(4), 0..200),
    ) {
        let mut now = Instant::now();
        let (mut group, mut new_name) = (Group::new(), 0);
        let mut clients: Vec<Client> = (0..4).map(|_| Client::default()).collect();
        for event in events {
            match event {
                Event::Act(at) => clients[at].act(&mut group, now, &mut new_name),
                Event::Lose(at) => {
                    let name = clients[at].name.clone();
                    clients[at].act(&mut group, now, &mut new_name);
                    (clients[at].name, clients[at].phase) = (name, Phase::Outside);
                }
                Event::Leave(at) => {
                    let _ = group.leave(now, &clients[at].name, None);
                    clients[at] = Client::default();
                }
                Event::Replace(at) => clients[at] = Client::default(),
                Event::Pass(time) => now += time,
            }
        }
        // Silent ones go within a session and two rebalances.
        for _ in 0..300 {
            now += Duration::from_millis(500);
            for client in &mut clients {
                client.act(&mut group, now, &mut new_name);
            }
        }
        for client in &clients {
            prop_assert!(matches!(client.phase, Phase::Reading), "{client:?} in {group:?}");
            prop_assert_eq!(client.generation, group.generation);
        }
        prop_assert!(matches!(group.state, State::Stable(None)));
        prop_assert_eq!(group.peers().len(), clients.len());
        prop_assert!(clients.iter().any(|client| client.name == group.leader));
    }
}
