//! All consumer groups of the embedded broker.
//!
//! They replace the library's own coordinator, which has two faults. It waits forever for a leader that it has itself
//! removed, so a consumer that was suspended for longer than its session timeout never reads again. And two concurrent
//! requests overwrite each other's group. The library still stores the offsets.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tansu_broker::Result;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::coordinator::group::{Coordinator, OffsetCommit};
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::join_group_response::JoinGroupResponseMember;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::leave_group_response::MemberResponse;
use tansu_sans_io::offset_commit_request::OffsetCommitRequestTopic;
use tansu_sans_io::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::sync_group_request::SyncGroupRequestAssignment;
use tansu_sans_io::{
    Body, ErrorCode, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse, SyncGroupResponse,
};
use tansu_storage::{GroupDetail, GroupMember, GroupState, Storage as _, StorageContainer, UpdateError, Version};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::group::{Group, Join, Joined, Ticket};

/// How often a waiting request checks whether a timeout has changed the group.
const TICK: Duration = Duration::from_millis(200);
/// Most attempts to write a description that others change at the same time.
const DESCRIPTION_TRIES: usize = 3;

/// The groups, by name. They are only in memory: after a restart of the broker their members join again.
#[derive(Clone)]
pub(crate) struct Groups {
    storage: StorageContainer,
    offsets: Controller<StorageContainer>,
    groups: Arc<Mutex<HashMap<String, Group>>>,
    /// Signals that a group has changed.
    changed: Arc<Notify>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl Groups {
    /// No groups yet; offsets are in the storage.
    pub(crate) fn new(storage: StorageContainer) -> Result<Groups> {
        let offsets = Controller::with_storage(storage.clone())?;
        Ok(Groups { storage, offsets, groups: Arc::default(), changed: Arc::default() })
    }

    /// Does something with a group now; drops a group without members.
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Group, Instant) -> T) -> T {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut group = groups.remove(name).unwrap_or_else(Group::new);
        let done = act(&mut group, Instant::now());
        if !group.is_empty() {
            groups.insert(name.to_owned(), group);
        }
        drop(groups);
        self.changed.notify_waiters();
        done
    }

    /// Waits until a group has a response.
    async fn answer<T>(&self, name: &str, mut ask: impl FnMut(&mut Group, Instant) -> Option<T>) -> T {
        loop {
            // Subscribe before checking, so that no later change is missed.
            let changed = self.changed.notified();
            if let Some(answer) = self.look(name, &mut ask) {
                return answer;
            }
            let _ = timeout(TICK, changed).await;
        }
    }

    /// Like [`Groups::with`], but wakes up waiting requests only if there is a response.
    fn look<T>(&self, name: &str, ask: impl FnOnce(&mut Group, Instant) -> Option<T>) -> Option<T> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nobody = Group::new();
        ask(groups.get_mut(name).unwrap_or(&mut nobody), Instant::now())
    }

    /// Tells the storage the members of a group, for clients that describe the group. A failure is not an error.
    async fn describe(&self, name: &str) {
        let settled = |group: &mut Group, _| (group.is_stable() || group.is_empty()).then(|| detail(group));
        let Some(mut detail) = self.look(name, settled) else {
            return;
        };
        let mut version: Option<Version> = None;
        for _ in 0..DESCRIPTION_TRIES {
            match self.storage.update_group(name, detail.clone(), version).await {
                Err(UpdateError::Outdated { current, version: theirs }) => {
                    detail.inception = current.inception;
                    version = Some(theirs);
                }
                _ => return,
            }
        }
    }
}

#[async_trait]
impl Coordinator for Groups {
    async fn join(
        &mut self,
        client_id: Option<&str>,
        group_id: &str,
        session_timeout_ms: i32,
        rebalance_timeout_ms: Option<i32>,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: &str,
        protocols: Option<&[JoinGroupRequestProtocol]>,
        _reason: Option<&str>,
    ) -> Result<Body> {
        let protocol = |protocol: &JoinGroupRequestProtocol| (protocol.name.clone(), protocol.metadata.clone());
        let join = Join {
            member: member_id.to_owned(),
            new_name: format!("{}-{}", client_id.unwrap_or("member"), Uuid::new_v4()),
            instance: group_instance_id.map(ToOwned::to_owned),
            protocol_type: protocol_type.to_owned(),
            protocols: protocols.unwrap_or_default().iter().map(protocol).collect(),
            session: milliseconds(session_timeout_ms),
            rebalance: milliseconds(rebalance_timeout_ms.unwrap_or(session_timeout_ms)),
        };
        let asked = if group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else {
            self.with(group_id, |group, now| group.join(now, join))
        };
        let outcome = match asked {
            Ok(ticket) => self.joined(group_id, &ticket).await,
            Err(code) => Err(code),
        };
        Ok(join_response(outcome, member_id))
    }

    async fn sync(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        _group_instance_id: Option<&str>,
        _protocol_type: Option<&str>,
        _protocol_name: Option<&str>,
        assignments: Option<&[SyncGroupRequestAssignment]>,
    ) -> Result<Body> {
        let assignments = assignments.unwrap_or_default().iter();
        let assignments = assignments.map(|each| (each.member_id.clone(), each.assignment.clone())).collect();
        let outcome = match self.with(group_id, |group, now| group.sync(now, member_id, generation_id, assignments)) {
            Ok(()) => self.answer(group_id, |group, now| group.assignment(now, member_id, generation_id)).await,
            Err(code) => Err(code),
        };
        self.describe(group_id).await;
        let agreed = self.look(group_id, |group, _| Some(group.agreed().map(ToOwned::to_owned)));
        let [_, protocol, protocol_type] = agreed.unwrap_or_default();
        let response = SyncGroupResponse::default()
            .throttle_time_ms(Some(0))
            .error_code(code(&outcome))
            .protocol_type(Some(protocol_type))
            .protocol_name(Some(protocol))
            .assignment(outcome.unwrap_or_default());
        Ok(response.into())
    }

    async fn heartbeat(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        _group_instance_id: Option<&str>,
    ) -> Result<Body> {
        let outcome = self.with(group_id, |group, now| group.heartbeat(now, member_id, generation_id));
        Ok(HeartbeatResponse::default().throttle_time_ms(Some(0)).error_code(code(&outcome)).into())
    }

    async fn leave(
        &mut self,
        group_id: &str,
        member_id: Option<&str>,
        members: Option<&[MemberIdentity]>,
    ) -> Result<Body> {
        let single = member_id.filter(|id| !id.is_empty()).map(|id| MemberIdentity::default().member_id(id.to_owned()));
        let all: Vec<MemberIdentity> = members.unwrap_or_default().iter().cloned().chain(single).collect();
        let mut outcomes = Vec::new();
        for each in &all {
            let outcome =
                self.with(group_id, |group, now| group.leave(now, &each.member_id, each.group_instance_id.as_deref()));
            outcomes.push(
                MemberResponse::default()
                    .member_id(each.member_id.clone())
                    .group_instance_id(each.group_instance_id.clone())
                    .error_code(code(&outcome)),
            );
        }
        self.describe(group_id).await;
        let none = i16::from(ErrorCode::None);
        // A client that names one member reads the error above; one that names several reads the error of each.
        let error_code =
            if members.is_none() { outcomes.first().map_or(none, |outcome| outcome.error_code) } else { none };
        let response = LeaveGroupResponse::default().throttle_time_ms(Some(0)).error_code(error_code);
        Ok(response.members(Some(outcomes)).into())
    }

    async fn offset_commit(&mut self, detail: OffsetCommit<'_>) -> Result<Body> {
        let (name, generation) =
            (detail.member_id.unwrap_or_default(), detail.generation_id_or_member_epoch.unwrap_or(-1));
        match self.with(detail.group_id, |group, now| group.commit(now, name, generation)) {
            Ok(()) => self.offsets.offset_commit(detail).await,
            Err(code) => Ok(refused_commit(detail.topics.unwrap_or_default(), code)),
        }
    }

    async fn offset_fetch(
        &mut self,
        group_id: Option<&str>,
        topics: Option<&[OffsetFetchRequestTopic]>,
        groups: Option<&[OffsetFetchRequestGroup]>,
        require_stable: Option<bool>,
    ) -> Result<Body> {
        self.offsets.offset_fetch(group_id, topics, groups, require_stable).await
    }
}

impl Groups {
    async fn joined(&self, group_id: &str, ticket: &Ticket) -> Result<Joined, ErrorCode> {
        self.answer(group_id, |group, now| group.joined(now, ticket)).await
    }
}

/// A negative time counts as zero.
fn milliseconds(number: i32) -> Duration {
    Duration::from_millis(number.try_into().unwrap_or_default())
}

fn code<T>(outcome: &Result<T, ErrorCode>) -> i16 {
    outcome.as_ref().err().copied().unwrap_or(ErrorCode::None).into()
}

fn join_response(outcome: Result<Joined, ErrorCode>, asked_as: &str) -> Body {
    let response =
        JoinGroupResponse::default().throttle_time_ms(Some(0)).error_code(code(&outcome)).skip_assignment(Some(false));
    let Ok(joined) = outcome else {
        let response = response.generation_id(-1).protocol_type(None).protocol_name(Some(String::new()));
        return response.leader(String::new()).member_id(asked_as.to_owned()).members(Some(Vec::new())).into();
    };
    let member = |peer: crate::group::Peer| {
        let member = JoinGroupResponseMember::default().member_id(peer.member);
        member.group_instance_id(peer.instance).metadata(peer.metadata)
    };
    response
        .generation_id(joined.generation)
        .protocol_type(Some(joined.protocol_type))
        .protocol_name(Some(joined.protocol))
        .leader(joined.leader)
        .member_id(joined.member)
        .members(Some(joined.members.into_iter().map(member).collect()))
        .into()
}

/// The same for every partition.
fn refused_commit(topics: &[OffsetCommitRequestTopic], code: ErrorCode) -> Body {
    let topic = |topic: &OffsetCommitRequestTopic| {
        let partitions = topic.partitions.as_deref().unwrap_or_default().iter().map(|partition| {
            let refused = OffsetCommitResponsePartition::default().partition_index(partition.partition_index);
            refused.error_code(code.into())
        });
        OffsetCommitResponseTopic::default().name(topic.name.clone()).partitions(Some(partitions.collect()))
    };
    let topics = topics.iter().map(topic).collect();
    OffsetCommitResponse::default().throttle_time_ms(Some(0)).topics(Some(topics)).into()
}

/// A group as the storage describes it.
fn detail(group: &Group) -> GroupDetail {
    let member = |peer: crate::group::Peer| {
        let join_response = JoinGroupResponseMember::default()
            .member_id(peer.member.clone())
            .group_instance_id(peer.instance)
            .metadata(peer.metadata);
        (peer.member, GroupMember { join_response, last_contact: Some(SystemTime::now()) })
    };
    if group.is_empty() {
        return GroupDetail::default();
    }
    let [leader, protocol_name, protocol_type] = group.agreed().map(ToOwned::to_owned);
    let assignments: BTreeMap<String, Bytes> = group.assignments();
    GroupDetail {
        members: group.peers().into_iter().map(member).collect(),
        generation_id: group.generation(),
        state: GroupState::Formed { protocol_type, protocol_name, leader, assignments },
        ..GroupDetail::default()
    }
}
