//! What administration tools learn about a group.

use bytes::Buf;

use super::*;

/// A group as `kafka-consumer-groups --describe` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// Kafka's name of the state.
    pub(crate) state: &'static str,
    pub(crate) protocol_type: String,
    /// Empty unless the group is stable.
    pub(crate) protocol: String,
    pub(crate) members: Vec<MemberDescription>,
}

/// A member as `kafka-consumer-groups --describe --members` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberDescription {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: Client,
    /// Empty unless the group is stable.
    pub(crate) metadata: Bytes,
    /// Empty unless the group is stable.
    pub(crate) assignment: Bytes,
}

impl Group {
    /// The group at this time.
    pub(crate) fn describe(&mut self, now: Instant) -> Description {
        self.expire(now);
        let is_stable = matches!(self.state, State::Stable(_));
        let member = |(name, member): (&String, &Member)| MemberDescription {
            member: name.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            metadata: if is_stable { self.metadata(member) } else { Bytes::new() },
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        };
        Description {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone(),
            protocol: if is_stable { self.protocol.clone() } else { String::new() },
            members: self.members.iter().map(member).collect(),
        }
    }

    /// Kafka's name of the state, and the protocol type.
    pub(crate) fn summary(&mut self, now: Instant) -> (&'static str, String) {
        self.expire(now);
        (self.state_name(), self.protocol_type.clone())
    }

    /// Whether offsets of a topic may be deleted: no member reads it.
    pub(crate) fn releases(&mut self, now: Instant, topic: &str) -> Result<(), ResponseError> {
        self.expire(now);
        if self.members.is_empty() {
            return Ok(());
        }
        if self.protocol_type != "consumer" {
            return Err(ResponseError::NonEmptyGroup);
        }
        let mut metadata = self.members.values().flat_map(|member| &member.protocols).map(|(_, metadata)| metadata);
        let is_read = metadata.any(|metadata| subscribes(metadata, topic));
        if is_read { Err(ResponseError::GroupSubscribedToTopic) } else { Ok(()) }
    }

    fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Joining(_) => "PreparingRebalance",
            State::Syncing(_) => "CompletingRebalance",
            State::Stable(_) => "Stable",
        }
    }
}

/// Whether a consumer's metadata names a topic. Unreadable metadata may name every topic.
pub(crate) fn subscribes(metadata: &Bytes, topic: &str) -> bool {
    let mut rest = metadata.clone();
    let Ok(topics) = rest.try_get_i16().and_then(|_version| rest.try_get_i32()) else {
        return true;
    };
    if topics < 0 {
        return true;
    }
    for _ in 0..topics {
        let Ok(length) = rest.try_get_u16() else {
            return true;
        };
        if rest.remaining() < usize::from(length) {
            return true;
        }
        if rest.split_to(usize::from(length)) == topic.as_bytes() {
            return true;
        }
    }
    false
}
