//! All consumer groups: members, waiting requests, committed offsets.
//!
//! Members are only in memory: after a restart of the broker they join again. A request that waits for other members
//! sleeps until its group changes, or until the next timeout of the group.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;
use uuid::Uuid;

use crate::group::{Caller, Description, Group, Join, Joined, Ticket, weight};
use crate::limits::{MAX_GROUP_NAME, MAX_GROUPS, MAX_GROUPS_BYTES};
use crate::offsets::{Committed, Offsets, Place};

#[cfg(test)]
mod tests;

/// The topics of the broker, as groups need them.
pub trait Topics: Send + Sync + 'static {
    /// The id of a topic and its number of partitions; None if no such topic exists.
    fn topic(&self, name: &str) -> Option<(Uuid, i32)>;
}

/// A request that may be about groups. `body` begins after the request header; the shape table has accepted it.
#[derive(Debug)]
pub struct GroupRequest<'a> {
    /// Which request.
    pub api: ApiKey,
    /// Its version, one of those that the broker serves.
    pub version: i16,
    /// Client id of the request header.
    pub client_id: Option<&'a str>,
    /// Address of the client as administration tools show it; Kafka writes `/127.0.0.1`.
    pub host: &'a str,
    /// The body.
    pub body: Bytes,
}

/// The consumer groups of a broker.
pub struct Groups {
    state: Mutex<State>,
    /// Held while committed offsets go to the disk, so that who waits for it finds their commits on disk, too.
    flushing: Mutex<()>,
    topics: Arc<dyn Topics>,
    advertised: SocketAddr,
}

/// Members and offsets have one lock: a commit is checked and written before its group can change.
#[derive(Debug)]
pub(crate) struct State {
    groups: HashMap<String, Entry>,
    /// Sum of the entries' bytes.
    bytes: usize,
    max_bytes: usize,
    pub(crate) offsets: Offsets,
}

#[derive(Debug)]
struct Entry {
    group: Group,
    /// Signals that a waiting request may have its response.
    changed: Arc<Notify>,
    /// Bytes of the group when a member last joined or synced.
    bytes: usize,
}

/// A group's name, state and protocol type.
pub(crate) type Listed = (String, &'static str, String);

impl std::fmt::Debug for Groups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Groups").field("advertised", &self.advertised).finish_non_exhaustive()
    }
}

impl Groups {
    /// Reads the committed offsets of a data folder. Clients reach the broker at `advertised`.
    pub fn open(folder: &Path, topics: Arc<dyn Topics>, advertised: SocketAddr) -> anyhow::Result<Groups> {
        let offsets = Offsets::open(folder)?;
        let state = State { groups: HashMap::new(), bytes: 0, max_bytes: MAX_GROUPS_BYTES, offsets };
        Ok(Groups { state: Mutex::new(state), flushing: Mutex::default(), topics, advertised })
    }

    /// Forgets the committed offsets of a deleted topic.
    pub fn forget_topic(&self, id: Uuid) {
        if let Err(error) = self.lock().offsets.forget_topic(id) {
            // Clients do not see them: the topic's successor has another id.
            tracing::warn!("the committed offsets of the deleted topic {id} stay in the file: {error}");
        }
    }

    /// Drops groups whose members have all gone. Call it every few seconds.
    pub fn sweep(&self) {
        self.lock().sweep(Instant::now());
    }

    /// Returns when all committed offsets are on disk; one write to disk serves all who wait. Blocks.
    pub fn flush(&self) -> std::io::Result<()> {
        let _only_one = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = self.lock().offsets.take_dirty() else { return Ok(()) };
        file.sync_data().inspect_err(|_| self.lock().offsets.set_dirty())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where clients reach the broker.
    pub(crate) fn advertised(&self) -> SocketAddr {
        self.advertised
    }

    /// The id of a topic, if it has this partition.
    pub(crate) fn topic(&self, name: &str, partition: i32) -> Option<Uuid> {
        self.topics.topic(name).filter(|(_, partitions)| (0..*partitions).contains(&partition)).map(|(id, _)| id)
    }

    /// Whether offsets belong to a topic that still exists.
    pub(crate) fn exists(&self, place: &Place) -> bool {
        self.topics.topic(&place.topic).is_some_and(|(id, _)| id == place.id)
    }

    /// Joins and waits for the other members. `is_named_first`: the client knows that it must first ask for a name;
    /// it gets [`Join::new_name`] with the error `MemberIdRequired`.
    pub(crate) async fn join(&self, group: &str, join: Join, is_named_first: bool) -> Result<Joined, ResponseError> {
        check_name(group)?;
        let is_nameless = join.member.is_empty() && join.instance.is_none();
        let instance_is_long = join.instance.as_ref().is_some_and(|instance| instance.len() > MAX_GROUP_NAME);
        if instance_is_long {
            return Err(ResponseError::InvalidRequest);
        }
        let ticket = {
            let mut state = self.lock();
            state.admit(group, weight(&join.protocols))?;
            let asks_for_name = is_named_first && is_nameless;
            let act = |group: &mut Group, now| {
                if asks_for_name { Err(group.reserve(now, &join)) } else { group.join(now, join) }
            };
            let ticket = state.with(group, act);
            state.weigh(group);
            ticket?
        };
        let outcome = self.wait(group, ticket.until, |group, now| group.joined(now, &ticket)).await;
        if is_nameless && outcome == Err(ResponseError::RebalanceInProgress) {
            self.give_up(group, &ticket);
        }
        outcome
    }

    fn give_up(&self, group: &str, ticket: &Ticket) {
        self.lock().with(group, |group, now| group.give_up(now, ticket));
    }

    /// Waits for the member's assignment; the leader brings all. Returns it with the protocol and its type.
    pub(crate) async fn sync(
        &self,
        group: &str,
        caller: &Caller<'_>,
        named: [Option<&str>; 2],
        assignments: Vec<(String, Bytes)>,
    ) -> Result<(Bytes, [String; 2]), ResponseError> {
        check_name(group)?;
        let until = {
            let mut state = self.lock();
            let weight = assignments.iter().map(|(_, assignment)| assignment.len()).sum();
            state.admit(group, weight)?;
            let done = state.with(group, |group, now| {
                group.hear(now, caller)?;
                group.agrees(named)?;
                group.sync(now, caller, assignments)
            });
            state.weigh(group);
            done?
        };
        self.wait(group, until, |group, now| {
            let assignment = group.assignment(now, caller)?;
            Some(assignment.map(|assignment| (assignment, group.agreed())))
        })
        .await
    }

    /// Heartbeat of a member.
    pub(crate) fn heartbeat(&self, group: &str, caller: &Caller<'_>) -> Result<(), ResponseError> {
        check_name(group)?;
        self.lock().with(group, |group, now| group.heartbeat(now, caller))
    }

    /// Removes members; the outer error concerns the whole request.
    pub(crate) fn leave(
        &self,
        group: &str,
        members: &[(&str, Option<&str>)],
    ) -> Result<Vec<Result<(), ResponseError>>, ResponseError> {
        check_name(group)?;
        let mut state = self.lock();
        let leave =
            |(name, instance): &(&str, Option<&str>)| state.with(group, |group, now| group.leave(now, name, *instance));
        let outcomes = members.iter().map(leave).collect();
        state.weigh(group);
        Ok(outcomes)
    }

    /// Commits offsets if the client may.
    pub(crate) fn commit(
        &self,
        group: &str,
        caller: &Caller<'_>,
        offsets: Vec<(Place, Committed)>,
    ) -> Result<(), ResponseError> {
        if group.len() > MAX_GROUP_NAME {
            return Err(ResponseError::InvalidGroupId);
        }
        let mut state = self.lock();
        if !state.exists(group) && caller.generation >= 0 {
            return Err(ResponseError::IllegalGeneration);
        }
        state.with(group, |group, now| group.commit(now, caller))?;
        state.offsets.commit(group, offsets)
    }

    /// Describes a group; None if it does not exist.
    pub(crate) fn describe(&self, group: &str) -> Option<Description> {
        let mut state = self.lock();
        let description = state.with(group, Group::describe);
        (!description.members.is_empty() || state.exists(group)).then_some(description)
    }

    /// All groups with members or committed offsets.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let mut state = self.lock();
        let now = Instant::now();
        state.sweep(now);
        let names: BTreeSet<String> =
            state.groups.keys().map(String::as_str).chain(state.offsets.groups()).map(ToOwned::to_owned).collect();
        let listed = |name: String| {
            let (group_state, protocol_type) = state.with(&name, Group::summary);
            (name, group_state, protocol_type)
        };
        names.into_iter().map(listed).collect()
    }

    /// Deletes a group without members, with its offsets.
    pub(crate) fn delete(&self, group: &str) -> Result<(), ResponseError> {
        let mut state = self.lock();
        if !state.with(group, Group::describe).members.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let is_pending = state.groups.remove(group).is_some();
        let had_offsets = state.offsets.forget_group(group)?;
        if is_pending || had_offsets { Ok(()) } else { Err(ResponseError::GroupIdNotFound) }
    }

    /// Deletes committed offsets of topics that no member reads; the inner errors are those of the partitions.
    pub(crate) fn delete_offsets(
        &self,
        group: &str,
        asked: &[(&str, Vec<i32>)],
    ) -> Result<Vec<Vec<Result<(), ResponseError>>>, ResponseError> {
        let mut state = self.lock();
        if !state.exists(group) {
            return Err(ResponseError::GroupIdNotFound);
        }
        let (mut outcomes, mut places) = (Vec::new(), Vec::new());
        for (topic, partitions) in asked {
            let released = state.with(group, |group, now| group.releases(now, topic));
            if released == Err(ResponseError::NonEmptyGroup) {
                return Err(ResponseError::NonEmptyGroup);
            }
            let outcome = |partition: &i32| {
                let id = self.topic(topic, *partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
                released?;
                places.push((id, *partition));
                Ok(())
            };
            outcomes.push(partitions.iter().map(outcome).collect());
        }
        state.offsets.forget(group, places)?;
        Ok(outcomes)
    }

    /// Waits until a member's request has its response: it looks when the group changes and when a timeout passes.
    /// A client that waits until `until` must join again.
    async fn wait<T>(
        &self,
        name: &str,
        until: Instant,
        mut ask: impl FnMut(&mut Group, Instant) -> Option<Result<T, ResponseError>>,
    ) -> Result<T, ResponseError> {
        loop {
            let (changed, deadline) = match self.lock().look(name, until, &mut ask) {
                Ok(answer) => return answer,
                Err(sleep) => sleep,
            };
            let _ = tokio::time::timeout_at(deadline, changed).await;
        }
    }
}

impl State {
    /// Whether a group has members or committed offsets.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.offsets.has(name)
    }

    /// Does something with a group now; wakes its waiting requests if it has changed, and drops it if it is unused.
    pub(crate) fn with<T>(&mut self, name: &str, act: impl FnOnce(&mut Group, Instant) -> T) -> T {
        let now = Instant::now();
        let Some(entry) = self.groups.get_mut(name) else {
            let mut group = Group::new();
            let done = act(&mut group, now);
            if !group.is_unused() {
                self.groups.insert(name.to_owned(), Entry { group, changed: Arc::default(), bytes: 0 });
            }
            return done;
        };
        let before = entry.group.changes();
        let done = act(&mut entry.group, now);
        if entry.group.changes() != before {
            entry.changed.notify_waiters();
        }
        if entry.group.is_unused() {
            self.bytes -= entry.bytes;
            self.groups.remove(name);
        }
        done
    }

    /// The response to a waiting request, or what to wait for.
    fn look<T>(
        &mut self,
        name: &str,
        until: Instant,
        ask: impl FnOnce(&mut Group, Instant) -> Option<Result<T, ResponseError>>,
    ) -> Result<Result<T, ResponseError>, (OwnedNotified, Instant)> {
        if let Some(answer) = self.with(name, ask) {
            return Ok(answer);
        }
        if Instant::now() >= until {
            return Ok(Err(ResponseError::RebalanceInProgress));
        }
        // Under the same lock, so that no change is missed.
        match self.groups.get(name) {
            Some(entry) => {
                let deadline = entry.group.next_expiry().map_or(until, |expiry| expiry.min(until));
                Err((entry.changed.clone().notified_owned(), deadline))
            }
            None => Ok(Err(ResponseError::UnknownMemberId)),
        }
    }

    /// Refuses what would exceed a limit of all groups together.
    fn admit(&mut self, name: &str, bytes: usize) -> Result<(), ResponseError> {
        let is_full = |state: &State| {
            let is_new = !state.groups.contains_key(name);
            state.bytes + bytes > state.max_bytes || is_new && state.groups.len() >= MAX_GROUPS
        };
        if is_full(self) {
            self.sweep(Instant::now());
        }
        if is_full(self) { Err(ResponseError::GroupMaxSizeReached) } else { Ok(()) }
    }

    /// Counts the bytes of a group again.
    fn weigh(&mut self, name: &str) {
        if let Some(entry) = self.groups.get_mut(name) {
            let bytes = entry.group.bytes();
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    /// Drops groups whose members have all gone.
    fn sweep(&mut self, now: Instant) {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            self.with(&name, |group, _| group.expire(now));
            self.weigh(&name);
        }
    }
}

/// Members need a group with a name.
fn check_name(group: &str) -> Result<(), ResponseError> {
    let is_valid = !group.is_empty() && group.len() <= MAX_GROUP_NAME;
    if is_valid { Ok(()) } else { Err(ResponseError::InvalidGroupId) }
}
