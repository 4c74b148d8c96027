//! The requests of members.

use super::*;

/// Who sends a request, as it says itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caller<'a> {
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    /// Negative if it is no member.
    pub(crate) generation: i32,
}

impl Group {
    /// Asks for the member's assignment; the leader brings the assignments of all. [`Group::assignment`] has the
    /// response, for which the client waits until the time that this returns.
    pub(crate) fn sync(
        &mut self,
        now: Instant,
        caller: &Caller<'_>,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Instant, ResponseError> {
        self.hear(now, caller)?;
        self.expire(now);
        match self.state {
            State::Empty => return Err(ResponseError::UnknownMemberId),
            State::Joining(_) => return Err(ResponseError::RebalanceInProgress),
            State::Syncing(until) if self.leader == caller.member => {
                for (of, assignment) in assignments {
                    if let Some(member) = self.members.get_mut(&of) {
                        member.assignment = assignment;
                    }
                }
                // While they waited for the leader they could not send a heartbeat.
                self.members.values_mut().filter(|member| member.has_arrived).for_each(|member| member.seen = now);
                self.state = State::Stable(Some(until));
                self.changes += 1;
            }
            State::Syncing(_) | State::Stable(_) => {}
        }
        self.arrive(caller.member);
        if matches!(self.state, State::Stable(_)) && self.members.values().all(|member| member.has_arrived) {
            self.state = State::Stable(None);
        }
        Ok(self.patience(now, caller.member))
    }

    /// A member's assignment; None while the group waits for the leader.
    pub(crate) fn assignment(&mut self, now: Instant, caller: &Caller<'_>) -> Option<Result<Bytes, ResponseError>> {
        self.expire(now);
        if let Err(gone) = self.identify(caller.member, caller.instance) {
            return Some(Err(gone));
        }
        let member = self.members.get(caller.member)?;
        match self.state {
            State::Stable(_) if caller.generation == self.generation => Some(Ok(member.assignment.clone())),
            State::Syncing(_) if caller.generation == self.generation => None,
            _ => Some(Err(ResponseError::RebalanceInProgress)),
        }
    }

    /// Whether a member's protocol and protocol type, if it names them, are those of the group.
    pub(crate) fn agrees(&self, named: [Option<&str>; 2]) -> Result<(), ResponseError> {
        let own = [&self.protocol, &self.protocol_type];
        let is_same = named.iter().zip(own).all(|(named, own)| named.is_none_or(|named| named == own));
        if is_same { Ok(()) } else { Err(ResponseError::InconsistentGroupProtocol) }
    }

    /// The protocol that the group has chosen, and its type.
    pub(crate) fn agreed(&self) -> [String; 2] {
        [self.protocol.clone(), self.protocol_type.clone()]
    }

    /// Heartbeat of a member; an error tells it to join again.
    pub(crate) fn heartbeat(&mut self, now: Instant, caller: &Caller<'_>) -> Result<(), ResponseError> {
        // First, so that a late heartbeat still counts.
        self.hear(now, caller)?;
        self.expire(now);
        self.identify(caller.member, caller.instance)?;
        if matches!(self.state, State::Joining(_)) { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Whether a client may commit offsets: members of the present generation, and any client of a group without
    /// members.
    pub(crate) fn commit(&mut self, now: Instant, caller: &Caller<'_>) -> Result<(), ResponseError> {
        self.expire(now);
        if self.members.is_empty() && caller.generation < 0 {
            return Ok(());
        }
        self.hear(now, caller)?;
        if matches!(self.state, State::Syncing(_)) { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Removes a member by its name or its instance.
    pub(crate) fn leave(&mut self, now: Instant, name: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if instance.is_none() && self.pending.remove(name).is_some() {
            return Ok(());
        }
        let holder = self.with_instance(instance).map(ToOwned::to_owned);
        let named = if name.is_empty() { holder.ok_or(ResponseError::UnknownMemberId)? } else { name.to_owned() };
        self.identify(&named, instance)?;
        self.members.remove(&named);
        self.lost(now);
        Ok(())
    }

    /// Records that a member is alive, if it belongs to this generation.
    pub(crate) fn hear(&mut self, now: Instant, caller: &Caller<'_>) -> Result<(), ResponseError> {
        self.identify(caller.member, caller.instance)?;
        if caller.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let member = self.members.get_mut(caller.member).ok_or(ResponseError::UnknownMemberId)?;
        member.seen = now;
        Ok(())
    }
}
