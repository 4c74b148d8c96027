//! Random requests of well-behaved and ill-behaved clients; invariants hold after each.

use super::*;

/// A request with names that may be known, replaced, or made up.
#[derive(Debug, Clone)]
enum Request {
    Reserve,
    Join {
        name: usize,
        instance: usize,
        protocol: usize,
        session: u64,
        rebalance: u64,
    },
    Sync {
        name: usize,
        instance: usize,
        behind: i32,
    },
    Heartbeat {
        name: usize,
        instance: usize,
        behind: i32,
    },
    Commit {
        name: usize,
        instance: usize,
        behind: i32,
    },
    Leave {
        name: usize,
        instance: usize,
    },
    GiveUp(usize),
    Pass(u64),
    /// Goes to the next deadline of the group.
    Skip,
}

fn request() -> impl Strategy<Value = Request> {
    let (name, instance) = (|| 0..12_usize, || 0..6_usize);
    let behind = || prop_oneof![5 => Just(0), 1 => -1..3_i32];
    let times = (6_u64..40, 0_u64..60);
    prop_oneof![
        1 => Just(Request::Reserve),
        6 => (name(), instance(), 0..3_usize, times).prop_map(|(name, instance, protocol, (session, rebalance))| {
            Request::Join { name, instance, protocol, session, rebalance }
        }),
        5 => (name(), instance(), behind()).prop_map(|(name, instance, behind)| Request::Sync { name, instance, behind }),
        3 => (name(), instance(), behind())
            .prop_map(|(name, instance, behind)| Request::Heartbeat { name, instance, behind }),
        1 => (name(), instance(), behind())
            .prop_map(|(name, instance, behind)| Request::Commit { name, instance, behind }),
        1 => (name(), instance()).prop_map(|(name, instance)| Request::Leave { name, instance }),
        1 => (0..4_usize).prop_map(Request::GiveUp),
        2 => (0_u64..20_000).prop_map(Request::Pass),
        1 => Just(Request::Skip),
    ]
}

#[derive(Debug)]
struct World {
    group: Group,
    now: Instant,
    names: Vec<String>,
    /// Joins that wait.
    waiting: Vec<Ticket>,
    generation: i32,
}

impl World {
    /// A recent name, or none.
    fn name(&self, at: usize) -> String {
        self.names.iter().rev().nth(at.wrapping_sub(1)).cloned().unwrap_or_default()
    }

    fn act(&mut self, request: &Request) {
        let now = self.now;
        let instance = |at: &usize| ["i", "j"].get(*at).copied();
        let generation = |behind: &i32| self.group.generation - behind;
        match request {
            Request::Reserve => {
                self.names.push(format!("m{}", self.names.len()));
                let name = self.name(1);
                let reserved = self.group.reserve(now, &join("", &name));
                assert_eq!(reserved == ResponseError::MemberIdRequired, self.group.pending.contains_key(&name));
            }
            Request::Join { name, instance: at, protocol, session, rebalance } => {
                let (name, new_name) = (self.name(*name), format!("m{}", self.names.len()));
                let known = [&["range", "sticky"][..], &["sticky"], &["sticky", "roundrobin"]];
                let request = Join {
                    instance: instance(at).map(ToOwned::to_owned),
                    protocols: protocols(known[*protocol]),
                    session: Duration::from_secs(*session),
                    rebalance: Duration::from_secs(*rebalance),
                    knows_skipping: rebalance % 2 == 0,
                    ..join(&name, &new_name)
                };
                let own = request.session.max(request.rebalance);
                if let Ok(ticket) = self.group.join(now, request) {
                    self.names.push(ticket.member.clone());
                    assert!(ticket.until <= now + own);
                    self.waiting.push(ticket);
                }
            }
            Request::Sync { name, instance: at, behind } => {
                let name = self.name(*name);
                let caller = Caller { member: &name, instance: instance(at), generation: generation(behind) };
                let shares = self.group.members.keys().map(|name| (name.clone(), Bytes::from("share"))).collect();
                if self.group.sync(now, &caller, shares).is_ok() && self.group.leader == name {
                    assert_eq!(self.group.assignment(now, &caller), Some(Ok(Bytes::from("share"))));
                }
            }
            Request::Heartbeat { name, instance: at, behind } => {
                let name = self.name(*name);
                let caller = Caller { member: &name, instance: instance(at), generation: generation(behind) };
                if self.group.heartbeat(now, &caller) == Ok(()) {
                    assert!(caller.generation == self.group.generation && self.group.members.contains_key(&name));
                }
            }
            Request::Commit { name, instance: at, behind } => {
                let name = self.name(*name);
                let caller = Caller { member: &name, instance: instance(at), generation: generation(behind) };
                if self.group.commit(now, &caller) == Ok(()) && !self.group.members.is_empty() {
                    let holder = self.group.with_instance(caller.instance);
                    assert!(
                        *behind == 0 && holder.is_none_or(|holder| holder == name),
                        "a fenced member has committed"
                    );
                }
            }
            Request::Leave { name, instance: at } => {
                let name = self.name(*name);
                if self.group.leave(now, &name, instance(at)) == Ok(()) {
                    assert!(!self.group.members.contains_key(&name));
                }
            }
            Request::GiveUp(at) => {
                if *at < self.waiting.len() {
                    let ticket = self.waiting.remove(*at);
                    self.group.give_up(now, &ticket);
                }
            }
            Request::Pass(milliseconds) => self.now += Duration::from_millis(*milliseconds),
            Request::Skip => self.now = self.group.next_expiry().unwrap_or(now).max(now),
        }
    }

    /// Every waiting request must see at once what another request or the time has changed.
    fn check(&mut self) {
        let before = self.group.changes;
        self.group.expire(self.now);
        let (group, now) = (&mut self.group, self.now);
        self.waiting.retain(|ticket| {
            let response = group.joined(now, ticket);
            assert!(response.is_some() || group.next_expiry().is_some(), "{ticket:?} waits forever in {group:?}");
            if let Some(Ok(joined)) = &response {
                assert_eq!(joined.members.is_empty(), joined.leader != joined.member);
                assert!(!joined.protocol.is_empty());
            }
            response.is_none()
        });
        let group = &self.group;
        assert!(group.next_expiry().is_none_or(|next| now < next), "a deadline has passed: {group:?}");
        assert!(group.generation >= self.generation && group.changes >= before);
        self.generation = group.generation;
        assert_eq!(group.state == State::Empty, group.members.is_empty());
        let all_arrived = group.members.values().all(|member| member.has_arrived);
        match group.state {
            State::Joining(_) => assert!(!all_arrived, "nobody is missing: {group:?}"),
            State::Syncing(_) => assert!(!group.members[&group.leader].has_arrived),
            State::Stable(until) => assert_eq!(until.is_none(), all_arrived, "{group:?}"),
            State::Empty => {}
        }
        if matches!(group.state, State::Syncing(_) | State::Stable(_)) {
            assert!(group.members.values().all(|member| knows(&member.protocols, &group.protocol)));
        }
        let mut instances: Vec<_> = group.members.values().filter_map(|member| member.instance.as_ref()).collect();
        let count = instances.len();
        instances.sort();
        instances.dedup();
        assert_eq!(instances.len(), count, "two members have one instance: {group:?}");
        assert!(group.pending.keys().all(|name| !group.members.contains_key(name)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn invariants_hold_whatever_clients_send(requests in proptest::collection::vec(request(), 0..120)) {
        let now = Instant::now();
        let (names, waiting) = (Vec::new(), Vec::new());
        let mut world = World { group: Group::new(), now, names, waiting, generation: 0 };
        for request in &requests {
            world.act(request);
            world.check();
        }
        // Without any request the group ends, deadline by deadline.
        let mut steps = 0;
        while let Some(next) = world.group.next_expiry() {
            world.now = next;
            world.check();
            steps += 1;
            prop_assert!(steps < 1_000, "{:?}", world.group);
        }
        prop_assert!(world.group.is_unused() && world.waiting.is_empty());
    }
}
