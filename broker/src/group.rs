//! A consumer group of Kafka's classic protocol, as a pure state machine: it never waits, and every request brings the
//! time.
//!
//! A new member starts a rebalance: all members join (`Joining`), their leader divides the partitions (`Syncing`), and
//! all read (`Stable`) until a member joins, leaves, or sends nothing for its session timeout.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tansu_sans_io::ErrorCode;
use tokio::time::Instant;

/// Most members of a group.
const MAX_MEMBERS: usize = 1_000;
/// Longest session timeout, the same as Kafka's, and longest wait of a rebalance.
const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Names of the assignment protocols that a member supports, each with its metadata for the leader.
pub(crate) type Protocols = Vec<(String, Bytes)>;

/// A request to become a member.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty for a new member.
    pub(crate) member: String,
    /// A unique name to give to a new member.
    pub(crate) new_name: String,
    /// `group.instance.id`, which stays the same when the member's process restarts.
    pub(crate) instance: Option<String>,
    /// Protocol type of the group: `consumer` for consumers.
    pub(crate) protocol_type: String,
    pub(crate) protocols: Protocols,
    /// Session timeout: how long it may send nothing.
    pub(crate) session: Duration,
    /// Rebalance timeout: how long the others wait for it to join.
    pub(crate) rebalance: Duration,
}

/// What a member learns when all have joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) member: String,
    pub(crate) leader: String,
    pub(crate) protocol: String,
    pub(crate) protocol_type: String,
    /// All members for the leader; empty for others.
    pub(crate) members: Vec<Peer>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) metadata: Bytes,
}

/// A member waits for a generation later than this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) member: String,
    after: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The group has no members.
    Empty,
    /// Waits until all members have joined, at most until this time.
    Joining(Instant),
    /// Waits for the leader's assignments and until all members have fetched theirs, at most until this time.
    Syncing(Instant),
    /// Every member has its assignment or can fetch it.
    Stable,
}

#[derive(Debug, Clone)]
struct Member {
    instance: Option<String>,
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
        }
    }

    /// Whether the group has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether every member has its assignment or can fetch it.
    pub(crate) fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// Generation: how often partitions were divided.
    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// Joins, or joins again; [`Group::joined`] has the response.
    pub(crate) fn join(&mut self, now: Instant, join: Join) -> Result<Ticket, ErrorCode> {
        self.expire(now);
        self.admit(&join)?;
        let name = if join.member.is_empty() { join.new_name } else { join.member };
        let replaced = self.with_instance(join.instance.as_deref()).filter(|other| *other != name);
        if let Some(replaced) = replaced {
            self.members.remove(&replaced);
        }
        let known = self.members.get_mut(&name);
        if let Some(known) = known
            && known.protocols == join.protocols
            && (self.state == State::Stable && self.leader != name || matches!(self.state, State::Syncing(_)))
        {
            // The response to its first request was lost, or it repeats the request.
            known.seen = now;
            return Ok(Ticket { member: name, after: self.generation - 1 });
        }
        if self.members.is_empty() {
            self.protocol_type = join.protocol_type;
        }
        let Join { instance, protocols, session, rebalance, .. } = join;
        let (seen, has_arrived, assignment) = (now, true, Bytes::new());
        let member = Member { instance, protocols, session, rebalance, seen, has_arrived, assignment };
        self.members.insert(name.clone(), member);
        if !matches!(self.state, State::Joining(_)) {
            self.rebalance(now);
            self.arrive(&name);
        }
        self.proceed(now);
        // The last member to join completes the generation.
        let after = if matches!(self.state, State::Joining(_)) { self.generation } else { self.generation - 1 };
        Ok(Ticket { member: name, after })
    }

    /// The response to a join; None while the group waits for other members.
    pub(crate) fn joined(&mut self, now: Instant, ticket: &Ticket) -> Option<Result<Joined, ErrorCode>> {
        self.expire(now);
        let Some(member) = self.members.get(&ticket.member) else {
            return Some(Err(ErrorCode::UnknownMemberId));
        };
        if self.generation <= ticket.after {
            // Another request may have told it to join again meanwhile.
            return if member.has_arrived { None } else { Some(Err(ErrorCode::RebalanceInProgress)) };
        }
        let is_leader = self.leader == ticket.member;
        Some(Ok(Joined {
            generation: self.generation,
            member: ticket.member.clone(),
            leader: self.leader.clone(),
            protocol: self.protocol.clone(),
            protocol_type: self.protocol_type.clone(),
            members: if is_leader { self.peers() } else { Vec::new() },
        }))
    }

    /// Asks for the member's assignment; the leader brings the assignments of all. [`Group::assignment`] has the
    /// response.
    pub(crate) fn sync(
        &mut self,
        now: Instant,
        name: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<(), ErrorCode> {
        self.hear(now, name, generation)?;
        self.expire(now);
        match self.state {
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::Joining(_) => return Err(ErrorCode::RebalanceInProgress),
            State::Syncing(_) if self.leader == name => {
                for (of, assignment) in assignments {
                    if let Some(member) = self.members.get_mut(&of) {
                        member.assignment = assignment;
                    }
                }
                self.state = State::Stable;
            }
            State::Syncing(_) | State::Stable => {}
        }
        self.arrive(name);
        Ok(())
    }

    /// A member's assignment; None while the group waits for the leader.
    pub(crate) fn assignment(&mut self, now: Instant, name: &str, generation: i32) -> Option<Result<Bytes, ErrorCode>> {
        self.expire(now);
        let Some(member) = self.members.get(name) else {
            return Some(Err(ErrorCode::UnknownMemberId));
        };
        match self.state {
            State::Stable if generation == self.generation => Some(Ok(member.assignment.clone())),
            State::Syncing(_) if generation == self.generation => None,
            _ => Some(Err(ErrorCode::RebalanceInProgress)),
        }
    }

    /// Heartbeat of a member; an error tells it to join again.
    pub(crate) fn heartbeat(&mut self, now: Instant, name: &str, generation: i32) -> Result<(), ErrorCode> {
        // First, so that a late heartbeat still counts.
        self.hear(now, name, generation)?;
        self.expire(now);
        match self.state {
            State::Joining(_) => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether a client may commit offsets: members of the present generation, and any client of a group without
    /// members.
    pub(crate) fn commit(&mut self, now: Instant, name: &str, generation: i32) -> Result<(), ErrorCode> {
        self.expire(now);
        if self.members.is_empty() && generation < 0 {
            return Ok(());
        }
        self.hear(now, name, generation)?;
        if matches!(self.state, State::Syncing(_)) { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    /// Removes a member by its name or its instance.
    pub(crate) fn leave(&mut self, now: Instant, name: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        let named = if name.is_empty() { self.with_instance(instance) } else { Some(name.to_owned()) };
        let gone = named.and_then(|name| self.members.remove(&name));
        gone.ok_or(ErrorCode::UnknownMemberId)?;
        self.lost(now);
        Ok(())
    }

    /// All members, as the leader sees them.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let peer = |(name, member): (&String, &Member)| {
            let said = member.protocols.iter().find(|(protocol, _)| *protocol == self.protocol);
            let metadata = said.map(|(_, metadata)| metadata.clone()).unwrap_or_default();
            Peer { member: name.clone(), instance: member.instance.clone(), metadata }
        };
        self.members.iter().map(peer).collect()
    }

    /// The assignments of all members.
    pub(crate) fn assignments(&self) -> BTreeMap<String, Bytes> {
        self.members.iter().map(|(name, member)| (name.clone(), member.assignment.clone())).collect()
    }

    /// The name of the leader, of the protocol, and of its type.
    pub(crate) fn agreed(&self) -> [&str; 3] {
        [&self.leader, &self.protocol, &self.protocol_type]
    }

    /// Refuses a request that cannot become a member.
    fn admit(&self, join: &Join) -> Result<(), ErrorCode> {
        let holder = self.with_instance(join.instance.as_deref());
        if join.session.is_zero() || join.session > MAX_TIMEOUT {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if !join.member.is_empty() && holder.is_some_and(|holder| holder != join.member) {
            return Err(ErrorCode::FencedInstanceId);
        }
        let is_member = self.members.contains_key(&join.member);
        if !join.member.is_empty() && !is_member {
            return Err(ErrorCode::UnknownMemberId);
        }
        if !is_member && self.members.len() >= MAX_MEMBERS {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let mut others =
            self.members.iter().filter(|(name, _)| **name != join.member).map(|(_, other)| other).peekable();
        if others.peek().is_some() && join.protocol_type != self.protocol_type || join.protocols.is_empty() {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let others: Vec<&Protocols> = others.map(|other| &other.protocols).collect();
        let is_shared = |(name, _): &(String, Bytes)| others.iter().all(|other| knows(other, name));
        if join.protocols.iter().any(is_shared) { Ok(()) } else { Err(ErrorCode::InconsistentGroupProtocol) }
    }

    fn with_instance(&self, instance: Option<&str>) -> Option<String> {
        let instance = instance?;
        let mut members = self.members.iter();
        members.find(|(_, member)| member.instance.as_deref() == Some(instance)).map(|(name, _)| name.clone())
    }

    /// Records that a member is alive, if it belongs to this generation.
    fn hear(&mut self, now: Instant, name: &str, generation: i32) -> Result<(), ErrorCode> {
        let member = self.members.get_mut(name).ok_or(ErrorCode::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        member.seen = now;
        Ok(())
    }

    fn arrive(&mut self, name: &str) {
        if let Some(member) = self.members.get_mut(name) {
            member.has_arrived = true;
        }
    }

    /// Removes members whose session has timed out, and goes on without them.
    fn expire(&mut self, now: Instant) {
        let (waits, is_over) = match self.state {
            State::Joining(until) | State::Syncing(until) => (true, now >= until),
            State::Empty | State::Stable => (false, false),
        };
        let before = self.members.len();
        self.members.retain(|_, member| {
            if waits && member.has_arrived { true } else { !is_over && now <= member.seen + member.session }
        });
        if self.members.len() < before {
            self.lost(now);
        } else if is_over {
            self.proceed(now);
        }
    }

    /// Goes on after a member has left.
    fn lost(&mut self, now: Instant) {
        if !matches!(self.state, State::Joining(_)) {
            self.rebalance(now);
        }
        self.proceed(now);
    }

    /// Tells all members to join again.
    fn rebalance(&mut self, now: Instant) {
        self.state = State::Joining(self.deadline(now));
        for member in self.members.values_mut() {
            if std::mem::take(&mut member.has_arrived) {
                // While it waited for a response it could not send a heartbeat.
                member.seen = now;
            }
        }
    }

    /// The longest rebalance timeout of the members.
    fn deadline(&self, now: Instant) -> Instant {
        now + self.members.values().map(|member| member.rebalance).max().unwrap_or_default().min(MAX_TIMEOUT)
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
        self.generation += 1;
        self.state = State::Syncing(self.deadline(now));
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let all: Vec<&Protocols> = self.members.values().map(|member| &member.protocols).collect();
        let of_leader = &self.members[&self.leader].protocols;
        let shared = of_leader.iter().find(|(name, _)| all.iter().all(|other| knows(other, name)));
        self.protocol = shared.map(|(name, _)| name.clone()).unwrap_or_default();
        for member in self.members.values_mut() {
            (member.has_arrived, member.seen, member.assignment) = (false, now, Bytes::new());
        }
    }
}

fn knows(protocols: &Protocols, name: &str) -> bool {
    protocols.iter().any(|(own, _)| own == name)
}

#[cfg(test)]
mod tests;
