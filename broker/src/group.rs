//! A consumer group as Kafka's classic protocol has it, without any waiting of its own: every request brings the time.
//!
//! Whoever joins starts a rebalance: all members join (`Joining`), their leader divides the partitions (`Syncing`), and
//! everybody reads (`Stable`) until somebody comes, leaves, or is not heard of for its session timeout.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tansu_sans_io::ErrorCode;
use tokio::time::Instant;

/// Most members of a group.
const MAX_MEMBERS: usize = 1_000;
/// Longest session timeout, as Kafka has it, and longest wait of a rebalance.
const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Names of the ways in which a member can have partitions divided, each with what it says to the leader.
pub(crate) type Protocols = Vec<(String, Bytes)>;

/// Who asks to be a member.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty for somebody new.
    pub(crate) member: String,
    /// The name of a new member; unique.
    pub(crate) new_name: String,
    /// What stays the same when its process is started again (`group.instance.id`).
    pub(crate) instance: Option<String>,
    /// Kind of group: `consumer` for consumers.
    pub(crate) protocol_type: String,
    pub(crate) protocols: Protocols,
    /// How long it may be silent.
    pub(crate) session: Duration,
    /// How long the others wait for it in a rebalance.
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
    /// Everybody, for the leader; for others empty.
    pub(crate) members: Vec<Peer>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) metadata: Bytes,
}

/// That a member waits for a generation later than this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) member: String,
    after: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody is here.
    Empty,
    /// Waits for everybody to join, at most so long.
    Joining(Instant),
    /// Waits for the leader's assignments and for everybody to fetch theirs, at most so long.
    Syncing(Instant),
    /// Everybody has an assignment or can have it.
    Stable,
}

#[derive(Debug, Clone)]
struct Member {
    instance: Option<String>,
    protocols: Protocols,
    session: Duration,
    rebalance: Duration,
    seen: Instant,
    /// Whether it has asked for what the present state waits for.
    has_arrived: bool,
    assignment: Bytes,
}

/// The members of a group, and where they are in a rebalance.
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

    /// Whether nobody is a member.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether everybody has or can have an assignment.
    pub(crate) fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// Counts the times that partitions were divided.
    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// Asks to be a member, or to stay one; [`Group::joined`] has the answer.
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
            // Its answer was lost, or it only asks again.
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
        // The last to join finds the next generation there.
        let after = if matches!(self.state, State::Joining(_)) { self.generation } else { self.generation - 1 };
        Ok(Ticket { member: name, after })
    }

    /// What has become of a join; None while others are waited for.
    pub(crate) fn joined(&mut self, now: Instant, ticket: &Ticket) -> Option<Result<Joined, ErrorCode>> {
        self.expire(now);
        let Some(member) = self.members.get(&ticket.member) else {
            return Some(Err(ErrorCode::UnknownMemberId));
        };
        if self.generation <= ticket.after {
            // It may have been told to join again by another request meanwhile.
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

    /// Asks for one's assignment, the leader by giving everybody's; [`Group::assignment`] has the answer.
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

    /// What a member is to read; None while the leader is waited for.
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

    /// That a member is alive; an error tells it to join again.
    pub(crate) fn heartbeat(&mut self, now: Instant, name: &str, generation: i32) -> Result<(), ErrorCode> {
        // First of all: who is heard of now is not missed, however late it is.
        self.hear(now, name, generation)?;
        self.expire(now);
        match self.state {
            State::Joining(_) => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether somebody may commit offsets: members of the present generation, and anybody where there are no members.
    pub(crate) fn commit(&mut self, now: Instant, name: &str, generation: i32) -> Result<(), ErrorCode> {
        self.expire(now);
        if self.members.is_empty() && generation < 0 {
            return Ok(());
        }
        self.hear(now, name, generation)?;
        if matches!(self.state, State::Syncing(_)) { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    /// A member goes, by its name or its instance.
    pub(crate) fn leave(&mut self, now: Instant, name: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        let named = if name.is_empty() { self.with_instance(instance) } else { Some(name.to_owned()) };
        let gone = named.and_then(|name| self.members.remove(&name));
        gone.ok_or(ErrorCode::UnknownMemberId)?;
        self.lost(now);
        Ok(())
    }

    /// Everybody, as the leader sees them.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let peer = |(name, member): (&String, &Member)| {
            let said = member.protocols.iter().find(|(protocol, _)| *protocol == self.protocol);
            let metadata = said.map(|(_, metadata)| metadata.clone()).unwrap_or_default();
            Peer { member: name.clone(), instance: member.instance.clone(), metadata }
        };
        self.members.iter().map(peer).collect()
    }

    /// Everybody's assignment.
    pub(crate) fn assignments(&self) -> BTreeMap<String, Bytes> {
        self.members.iter().map(|(name, member)| (name.clone(), member.assignment.clone())).collect()
    }

    /// The name of the leader, of the protocol, and of its type.
    pub(crate) fn agreed(&self) -> [&str; 3] {
        [&self.leader, &self.protocol, &self.protocol_type]
    }

    /// Refuses who cannot be a member.
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

    /// Notes that a member is alive, if it is one of this generation.
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

    /// Removes who was not heard of for too long, and goes on without.
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

    /// Goes on after somebody has gone.
    fn lost(&mut self, now: Instant) {
        if !matches!(self.state, State::Joining(_)) {
            self.rebalance(now);
        }
        self.proceed(now);
    }

    /// Tells everybody to join again.
    fn rebalance(&mut self, now: Instant) {
        self.state = State::Joining(self.deadline(now));
        for member in self.members.values_mut() {
            if std::mem::take(&mut member.has_arrived) {
                // It was waiting for us, and could not say that it is alive.
                member.seen = now;
            }
        }
    }

    /// As long as the most patient member says.
    fn deadline(&self, now: Instant) -> Instant {
        now + self.members.values().map(|member| member.rebalance).max().unwrap_or_default().min(MAX_TIMEOUT)
    }

    /// Begins the next generation when everybody has joined.
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
