//! How a client becomes a member.

use super::*;
use crate::limits::{MAX_MEMBERS, MAX_SESSION, MIN_SESSION};

/// A request to become a member.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty for a new member.
    pub(crate) member: String,
    /// A unique name to give to a new member.
    pub(crate) new_name: String,
    /// `group.instance.id`, which stays the same when the member's process restarts.
    pub(crate) instance: Option<String>,
    pub(crate) client: Client,
    /// Protocol type of the group: `consumer` for consumers.
    pub(crate) protocol_type: String,
    pub(crate) protocols: Protocols,
    /// Session timeout: how long it may send nothing.
    pub(crate) session: Duration,
    /// Rebalance timeout: how long the others wait for it to join.
    pub(crate) rebalance: Duration,
    /// Whether the client knows the field `skip_assignment` of the response (version 9).
    pub(crate) knows_skipping: bool,
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
    /// The leader must not divide the partitions: the assignments stay.
    pub(crate) skips_assignment: bool,
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
    /// When the client stops waiting.
    pub(crate) until: Instant,
    instance: Option<String>,
    after: i32,
    kept: Kept,
}

/// What a static member learns about the leader when it takes over an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// It takes over nothing.
    Nothing,
    /// The leader's name before the restart. A leader of an old version believes that another member leads.
    LeaderWas(String),
    /// The client knows `skip_assignment`.
    Skips,
}

impl Group {
    /// Gives a new client the name to join with, if it could become a member. Always an error: `MemberIdRequired`
    /// with [`Join::new_name`], or why the client cannot become a member.
    pub(crate) fn reserve(&mut self, now: Instant, join: &Join) -> ResponseError {
        self.expire(now);
        if let Err(refused) = self.admit(join) {
            return refused;
        }
        if self.pending.len() >= MAX_MEMBERS {
            let oldest = self.pending.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.pending.remove(&oldest));
        }
        self.pending.insert(join.new_name.clone(), now + join.session);
        ResponseError::MemberIdRequired
    }

    /// Joins, or joins again; [`Group::joined`] has the response.
    pub(crate) fn join(&mut self, now: Instant, join: Join) -> Result<Ticket, ResponseError> {
        self.expire(now);
        self.admit(&join)?;
        let replaced = self.with_instance(join.instance.as_deref()).map(ToOwned::to_owned);
        if let Some(replaced) = replaced.filter(|_| join.member.is_empty()) {
            return Ok(self.replace(now, &replaced, join));
        }
        let name = if join.member.is_empty() { join.new_name.clone() } else { join.member.clone() };
        self.pending.remove(&name);
        if let Some(known) = self.members.get_mut(&name)
            && known.protocols == join.protocols
            && (matches!(self.state, State::Stable(_)) && self.leader != name
                || matches!(self.state, State::Syncing(_)))
        {
            // The response to its first request was lost, or it repeats the request.
            (known.seen, known.session, known.rebalance) = (now, join.session, join.rebalance.min(MAX_REBALANCE));
            return Ok(self.ticket(now, name, join.instance, Kept::Nothing));
        }
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        let instance = join.instance.clone();
        self.members.insert(name.clone(), member(now, join));
        self.gather(now, &name);
        Ok(self.ticket(now, name, instance, Kept::Nothing))
    }

    /// The response to a join; None while the group waits for other members.
    pub(crate) fn joined(&mut self, now: Instant, ticket: &Ticket) -> Option<Result<Joined, ResponseError>> {
        self.expire(now);
        if let Err(gone) = self.identify(&ticket.member, ticket.instance.as_deref()) {
            return Some(Err(gone));
        }
        let member = self.members.get(&ticket.member)?;
        if self.generation <= ticket.after {
            // Another request may have told it to join again meanwhile.
            return if member.has_arrived { None } else { Some(Err(ResponseError::RebalanceInProgress)) };
        }
        let leader = match &ticket.kept {
            Kept::LeaderWas(leader) => leader,
            Kept::Nothing | Kept::Skips => &self.leader,
        };
        let is_leader = *leader == ticket.member;
        Some(Ok(Joined {
            generation: self.generation,
            member: ticket.member.clone(),
            leader: leader.clone(),
            protocol: self.protocol.clone(),
            protocol_type: self.protocol_type.clone(),
            members: if is_leader { self.peers() } else { Vec::new() },
            skips_assignment: is_leader && ticket.kept == Kept::Skips,
        }))
    }

    /// A client that has no name yet will never learn the one of its waiting request: nobody joins with it again.
    pub(crate) fn give_up(&mut self, now: Instant, ticket: &Ticket) {
        if self.members.remove(&ticket.member).is_some() {
            self.lost(now);
        }
    }

    /// A new process takes the place of a static member.
    fn replace(&mut self, now: Instant, replaced: &str, join: Join) -> Ticket {
        self.changes += 1;
        let (name, instance, knows_skipping) = (join.new_name.clone(), join.instance.clone(), join.knows_skipping);
        let mut successor = member(now, join);
        if let Some(old) = self.members.remove(replaced) {
            (successor.assignment, successor.has_arrived) = (old.assignment, old.has_arrived);
        }
        self.members.insert(name.clone(), successor);
        let leader_was = self.leader.clone();
        if self.leader == replaced {
            self.leader.clone_from(&name);
        }
        if matches!(self.state, State::Stable(_)) && self.shared_protocol() == self.protocol {
            let kept = if knows_skipping { Kept::Skips } else { Kept::LeaderWas(leader_was) };
            return self.ticket(now, name, instance, kept);
        }
        self.gather(now, &name);
        self.ticket(now, name, instance, Kept::Nothing)
    }

    /// The member has joined; the others must join, too.
    fn gather(&mut self, now: Instant, name: &str) {
        self.changes += 1;
        if !matches!(self.state, State::Joining(_)) {
            self.rebalance(now);
        }
        self.arrive(name);
        // The last member to join completes the generation.
        self.proceed(now);
    }

    fn ticket(&self, now: Instant, member: String, instance: Option<String>, kept: Kept) -> Ticket {
        let after = if matches!(self.state, State::Joining(_)) { self.generation } else { self.generation - 1 };
        Ticket { until: self.patience(now, &member), member, instance, after, kept }
    }

    /// All members, as the leader sees them.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let peer = |(name, member): (&String, &Member)| {
            let metadata = self.metadata(member);
            Peer { member: name.clone(), instance: member.instance.clone(), metadata }
        };
        self.members.iter().map(peer).collect()
    }

    /// The metadata of a member for the group's protocol.
    pub(super) fn metadata(&self, member: &Member) -> Bytes {
        let own = member.protocols.iter().find(|(protocol, _)| *protocol == self.protocol);
        own.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Refuses a request that cannot become a member.
    fn admit(&self, join: &Join) -> Result<(), ResponseError> {
        if join.session < MIN_SESSION || join.session > MAX_SESSION {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let holder = self.with_instance(join.instance.as_deref());
        if !join.member.is_empty() && holder.is_some_and(|holder| holder != join.member) {
            return Err(ResponseError::FencedInstanceId);
        }
        let is_member = self.members.contains_key(&join.member);
        let is_pending = join.instance.is_none() && self.pending.contains_key(&join.member);
        let is_foreign = is_member && join.instance.is_some() && holder.is_none();
        if !join.member.is_empty() && !is_member && !is_pending || is_foreign {
            return Err(ResponseError::UnknownMemberId);
        }
        if !is_member && holder.is_none() && self.members.len() >= MAX_MEMBERS {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let is_other = |name: &String| *name != join.member && Some(name.as_str()) != holder;
        let others: Vec<&Member> =
            self.members.iter().filter(|(name, _)| is_other(name)).map(|(_, other)| other).collect();
        let has_type =
            !join.protocol_type.is_empty() && (others.is_empty() || join.protocol_type == self.protocol_type);
        let is_shared = |(name, _): &(String, Bytes)| others.iter().all(|other| knows(&other.protocols, name));
        let is_consistent = has_type && join.protocols.iter().any(is_shared);
        if is_consistent { Ok(()) } else { Err(ResponseError::InconsistentGroupProtocol) }
    }
}

fn member(now: Instant, join: Join) -> Member {
    let Join { instance, client, protocols, session, rebalance, .. } = join;
    let rebalance = rebalance.min(MAX_REBALANCE);
    let (seen, has_arrived, assignment) = (now, false, Bytes::new());
    Member { instance, client, protocols, session, rebalance, seen, has_arrived, assignment }
}
