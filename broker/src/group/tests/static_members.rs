//! Static members, names given first, descriptions.

use super::*;

fn caller<'a>(member: &'a str, instance: &'a str, generation: i32) -> Caller<'a> {
    Caller { member, instance: Some(instance), generation }
}

/// A stable group of the static members `a` (leader) and `b`.
fn two_static(now: Instant) -> Group {
    let mut group = Group::new();
    joined(&mut group, now, with_instance("i", "a"));
    let second = group.join(now, with_instance("j", "b")).unwrap();
    let again = Join { member: "a".to_owned(), ..with_instance("i", "") };
    let generation = joined(&mut group, now, again).generation;
    assert_eq!(group.joined(now, &second).unwrap().unwrap().leader, "a");
    let shares = ["a", "b"].map(|name| (name.to_owned(), Bytes::from(format!("share of {name}"))));
    group.sync(now, &caller("a", "i", generation), shares.to_vec()).unwrap();
    group.sync(now, &caller("b", "j", generation), Vec::new()).unwrap();
    assert_eq!(group.state, State::Stable(None));
    group
}

#[test]
fn a_restarted_follower_keeps_its_share_and_nobody_else_notices() {
    let now = Instant::now();
    let mut group = two_static(now);
    let response = joined(&mut group, now, with_instance("j", "b2"));
    assert_eq!((response.generation, response.leader.as_str(), response.members.len()), (2, "a", 0));
    assert!(!response.skips_assignment);
    assert_eq!(group.heartbeat(now, &caller("a", "i", 2)), Ok(()));
    group.sync(now, &caller("b2", "j", 2), Vec::new()).unwrap();
    assert_eq!(group.assignment(now, &caller("b2", "j", 2)), Some(Ok(Bytes::from("share of b"))));
}

#[test]
fn a_restarted_leader_leads_on_without_dividing() {
    let now = Instant::now();
    let mut group = two_static(now);
    let response = joined(&mut group, now, with_instance("i", "a2"));
    assert_eq!((response.generation, response.leader.as_str(), response.members.len()), (2, "a2", 2));
    assert!(response.skips_assignment);
    let mut group = two_static(now);
    let old = Join { knows_skipping: false, ..with_instance("i", "a2") };
    let response = joined(&mut group, now, old);
    assert_eq!((response.leader.as_str(), response.members.len(), response.skips_assignment), ("a", 0, false));
    assert_eq!(group.leader, "a2");
}

#[test]
fn a_restart_that_changes_the_protocol_starts_a_rebalance() {
    let now = Instant::now();
    let mut group = two_static(now);
    let changed = Join { protocols: protocols(&["roundrobin"]), ..with_instance("j", "b2") };
    let ticket = group.join(now, changed).unwrap();
    assert_eq!(group.joined(now, &ticket), None);
    assert_eq!(group.heartbeat(now, &caller("a", "i", 2)), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_replaced_process_is_fenced_from_every_request() {
    let now = Instant::now();
    let mut group = two_static(now);
    joined(&mut group, now, with_instance("j", "b2"));
    let old = caller("b", "j", 2);
    let fenced = ResponseError::FencedInstanceId;
    assert_eq!(group.heartbeat(now, &old), Err(fenced));
    assert_eq!(group.sync(now, &old, Vec::new()), Err(fenced));
    assert_eq!(group.assignment(now, &old), Some(Err(fenced)));
    assert_eq!(group.commit(now, &old), Err(fenced));
    assert_eq!(group.leave(now, "b", Some("j")), Err(fenced));
    let again = Join { member: "b".to_owned(), ..with_instance("j", "") };
    assert_eq!(group.join(now, again), Err(fenced));
    assert_eq!(group.commit(now, &caller("b2", "nobody's", 2)), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.commit(now, &caller("b2", "j", 2)), Ok(()));
}

#[test]
fn a_member_that_never_fetches_its_share_is_removed_after_the_rebalance_timeout() {
    let now = Instant::now();
    let mut group = Group::new();
    joined(&mut group, now, join("", "a"));
    let second = group.join(now, join("", "b")).unwrap();
    let generation = joined(&mut group, now, join("a", "")).generation;
    group.joined(now, &second).unwrap().unwrap();
    group.sync(now, &by("a", generation), Vec::new()).unwrap();
    let mut at = now;
    while at < now + REBALANCE {
        group.heartbeat(at, &by("a", generation)).unwrap();
        group.heartbeat(at, &by("b", generation)).unwrap();
        at += SESSION / 2;
    }
    assert_eq!(group.heartbeat(at, &by("a", generation)), Err(ResponseError::RebalanceInProgress));
    assert_eq!(group.heartbeat(at, &by("b", generation)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn who_waited_for_a_slow_leader_has_not_timed_out() {
    let now = Instant::now();
    let mut group = Group::new();
    joined(&mut group, now, join("", "a"));
    let second = group.join(now, join("", "b")).unwrap();
    let generation = joined(&mut group, now, join("a", "")).generation;
    group.joined(now, &second).unwrap().unwrap();
    group.sync(now, &by("b", generation), Vec::new()).unwrap();
    group.heartbeat(now + SESSION / 2, &by("a", generation)).unwrap();
    let later = now + SESSION;
    let share = Bytes::from("share");
    group.sync(later, &by("a", generation), vec![("b".to_owned(), share.clone())]).unwrap();
    assert_eq!(group.assignment(later, &by("b", generation)), Some(Ok(share)));
}

#[test]
fn names_are_given_first_expire_and_never_grow_without_bound() {
    let now = Instant::now();
    let mut group = group_of_one(now);
    assert_eq!(group.reserve(now, &join("", "b")), ResponseError::MemberIdRequired);
    assert_eq!(group.heartbeat(now, &by("a", 1)), Ok(()), "a name alone starts no rebalance");
    assert!(group.join(now, join("b", "")).is_ok());
    assert_eq!(group.reserve(now, &join("", "c")), ResponseError::MemberIdRequired);
    assert_eq!(group.join(now + SESSION, join("c", "")), Err(ResponseError::UnknownMemberId));
    let other = Join { protocols: protocols(&["sticky"]), ..join("", "d") };
    assert_eq!(group.reserve(now, &other), ResponseError::InconsistentGroupProtocol);
    for at in 0..2 * MAX_MEMBERS {
        group.reserve(now, &join("", &format!("m{at}")));
        assert!(group.pending.len() <= MAX_MEMBERS);
    }
    assert_eq!(group.leave(now, &format!("m{}", 2 * MAX_MEMBERS - 1), None), Ok(()));
}

#[test]
fn a_description_shows_states_clients_and_shares() {
    let now = Instant::now();
    let mut group = Group::new();
    assert_eq!(group.describe(now).state, "Empty");
    group.join(now, join("", "a")).unwrap();
    assert_eq!(group.describe(now).state, "CompletingRebalance");
    group.sync(now, &by("a", 1), vec![("a".to_owned(), Bytes::from("share"))]).unwrap();
    let stable = group.describe(now);
    let member = &stable.members[0];
    assert_eq!(
        (stable.state, stable.protocol.as_str(), member.assignment.as_ref()),
        ("Stable", "range", &b"share"[..])
    );
    assert_eq!((member.client.id.as_str(), member.client.host.as_str()), ("client", "/127.0.0.1"));
    group.join(now, join("", "b")).unwrap();
    let joining = group.describe(now);
    assert_eq!((joining.state, joining.protocol.as_str()), ("PreparingRebalance", ""));
    assert!(joining.members.iter().all(|member| member.metadata.is_empty() && member.assignment.is_empty()));
    assert_eq!(group.describe(now + SESSION).members.len(), 1, "it expires first");
}

#[test]
fn offsets_of_topics_that_a_consumer_reads_are_kept() {
    let now = Instant::now();
    let metadata = Bytes::from_static(b"\0\x01\0\0\0\x02\0\x01t\0\x02uv\xff\xff\xff\xff");
    let mut group = Group::new();
    assert_eq!(group.releases(now, "t"), Ok(()));
    let reads = Join { protocols: vec![("range".to_owned(), metadata.clone())], ..join("", "a") };
    group.join(now, reads).unwrap();
    for topic in ["t", "uv"] {
        assert_eq!(group.releases(now, topic), Err(ResponseError::GroupSubscribedToTopic));
    }
    assert_eq!(group.releases(now, "u"), Ok(()));
    for length in 0..11 {
        assert!(describe::subscribes(&metadata.slice(..length), "u"), "unreadable after {length} bytes");
    }
    let mut group = Group::new();
    group.join(now, Join { protocol_type: "connect".to_owned(), ..join("", "a") }).unwrap();
    assert_eq!(group.releases(now, "t"), Err(ResponseError::NonEmptyGroup));
}
