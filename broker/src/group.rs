//! A consumer group of Kafka's classic protocol, as a pure state machine: it never waits, and every request brings the
//! time.
//!
//! A new member starts a rebalance: all members join (`Joining`), their leader divides the partitions (`Syncing`), and
//! all read (`Stable`) until a member joins, leaves, or sends nothing for its session timeout.
//!
//! A static member has an instance id. A new process with the same instance id takes its place and keeps its
//! assignment; the replaced process is fenced.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::time::Instant;

use crate::limits::{MAX_REBALANCE, MIN_REBALANCE};

mod describe;
mod join;
mod requests;
#[cfg(test)]
mod tests;

pub(crate) use describe::{Description, MemberDescription};
pub(crate) use join::{Join, Joined, Peer, Ticket};
pub(crate) use requests::Caller;

/// Names of the assignment protocols that a member supports, each with its metadata for the leader.
pub(crate) type Protocols = Vec<(String, Bytes)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The group has no members.
    Empty,
    /// Waits until all members have joined, at most until this time.
    Joining(Instant),
    /// Waits for the leader's assignments, at most until this time.
    Syncing(Instant),
    /// Every member has its assignment or can fetch it; at this time those that have not fetched it are removed.
    Stable(Option<Instant>),
}

/// The client of a member, as it introduced itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) host: String,
}

#[derive(Debug, Clone)]
struct Member {
    instance: Option<String>,
    client: Client,
    protocols: Protocols,
    session: Duration,
    rebalance: Duration,
    seen: Instant,
    /// Whether it has sent the request that the present state waits for.
    has_arrived: bool,
    assignment: Bytes,
}

/// The members of a group, and the state of its rebalance.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Names given to clients that have yet to join with them, and when they expire.
    pending: BTreeMap<String, Instant>,
    /// Changes that may give a waiting request its response.
    changes: u64,
}

impl Group {
    /// A group without members.
    pub(crate) fn new() -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Whether the group has neither members nor clients that were given a name.
    pub(crate) fn is_unused(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Counts the changes that may give a waiting request its response.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Bytes of the members' metadata and assignments.
    pub(crate) fn bytes(&self) -> usize {
        self.members.values().map(|member| weight(&member.protocols) + member.assignment.len()).sum()
    }

    /// The next time at which [`Group::expire`] changes the group. If nothing else happens, a waiting request has no
    /// response before.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let (waits, until) = self.wait();
        let expiring = self.members.values().filter(|member| !(waits && member.has_arrived));
        let sessions = expiring.map(|member| member.seen + member.session);
        sessions.chain(until).chain(self.pending.values().copied()).min()
    }

    /// Whether members that have arrived wait for a response, and when this state ends at the latest.
    fn wait(&self) -> (bool, Option<Instant>) {
        match self.state {
            State::Joining(until) | State::Syncing(until) => (true, Some(until)),
            State::Stable(until) => (false, until),
            State::Empty => (false, None),
        }
    }

    /// Removes members whose session has timed out, and goes on without them.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.pending.retain(|_, until| now < *until);
        let (waits, until) = self.wait();
        let is_over = until.is_some_and(|until| now >= until);
        let before = self.members.len();
        self.members.retain(|_, member| {
            let is_late = is_over && !member.has_arrived;
            // While a member waits for a response it cannot send a heartbeat.
            (waits && member.has_arrived) || (!is_late && now < member.seen + member.session)
        });
        if self.members.len() < before {
            self.lost(now);
        } else if is_over && matches!(self.state, State::Stable(_)) {
            self.state = State::Stable(None);
        } else if is_over {
            self.proceed(now);
        }
    }

    fn with_instance(&self, instance: Option<&str>) -> Option<&str> {
        let instance = instance?;
        let mut members = self.members.iter();
        members.find(|(_, member)| member.instance.as_deref() == Some(instance)).map(|(name, _)| name.as_str())
    }

    fn arrive(&mut self, name: &str) {
        if let Some(member) = self.members.get_mut(name) {
            member.has_arrived = true;
        }
    }

    /// When a member that asks now stops waiting for a response: no request waits longer than its own timeouts.
    fn patience(&self, now: Instant, name: &str) -> Instant {
        now + self.members.get(name).map(|member| member.rebalance.max(member.session)).unwrap_or_default()
    }

    /// Goes on after a member has left.
    fn lost(&mut self, now: Instant) {
        self.changes += 1;
        if !matches!(self.state, State::Joining(_)) {
            self.rebalance(now);
        }
        self.proceed(now);
    }

    /// Tells all members to join again.
    fn rebalance(&mut self, now: Instant) {
        self.changes += 1;
        self.state = State::Joining(self.rebalance_end(now));
        for member in self.members.values_mut() {
            if std::mem::take(&mut member.has_arrived) {
                // While it waited for a response it could not send a heartbeat.
                member.seen = now;
            }
        }
    }

    /// A rebalance waits for the longest rebalance timeout of the members.
    fn rebalance_end(&self, now: Instant) -> Instant {
        let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or_default();
        now + longest.clamp(MIN_REBALANCE, MAX_REBALANCE)
    }

    /// Begins the next generation when all members have joined.
    fn proceed(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.state = State::Empty;
            return;
        }
        if !matches!(self.state, State::Joining(_)) || !self.members.values().all(|member| member.has_arrived) {
            return;
        }
        self.changes += 1;
        // A client never sees the generation -1, which stands for none.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.state = State::Syncing(self.rebalance_end(now));
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        self.protocol = self.shared_protocol();
        for member in self.members.values_mut() {
            (member.has_arrived, member.seen, member.assignment) = (false, now, Bytes::new());
        }
    }

    /// The protocol that the leader prefers among those that all members know.
    fn shared_protocol(&self) -> String {
        let leader = self.members.get(&self.leader).or_else(|| self.members.values().next());
        let mut preferred = leader.into_iter().flat_map(|leader| &leader.protocols).map(|(name, _)| name);
        let is_shared = |name: &&String| self.members.values().all(|member| knows(&member.protocols, name));
        preferred.find(is_shared).cloned().unwrap_or_default()
    }

    /// Checks that a member exists and that no other process has taken its place.
    fn identify(&self, name: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        match self.with_instance(instance) {
            Some(holder) if holder != name => return Err(ResponseError::FencedInstanceId),
            None if instance.is_some() => return Err(ResponseError::UnknownMemberId),
            _ => {}
        }
        if self.members.contains_key(name) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }
}

fn knows(protocols: &Protocols, name: &str) -> bool {
    protocols.iter().any(|(own, _)| own == name)
}

/// Bytes that protocols take in memory, about.
pub(crate) fn weight(protocols: &Protocols) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}
