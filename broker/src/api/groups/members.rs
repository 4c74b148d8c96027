//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{code, text};
use crate::group::{Caller, Client, Join, Joined, Peer};
use crate::groups::{GroupRequest, Groups};
use crate::limits::{MAX_GROUP_ITEMS, MAX_GROUP_NAME};

/// Clients of this version and later ask for a name before they join (KIP-394).
const NAMED_FIRST: i16 = 4;
/// Clients of this version and later know `skip_assignment`.
const SKIPS_ASSIGNMENT: i16 = 9;
/// In responses before this version the protocol is never null.
const NULL_PROTOCOL: i16 = 7;
/// A request of this version or later may name several members that leave.
const SEVERAL_LEAVE: i16 = 3;

pub(super) async fn join(groups: &Groups, asked: &GroupRequest<'_>, body: JoinGroupRequest) -> JoinGroupResponse {
    let version = asked.version;
    let client = Client { id: cut(asked.client_id.unwrap_or_default()), host: cut(asked.host) };
    let prefix = body.group_instance_id.as_deref().unwrap_or(&client.id);
    let new_name = format!("{}-{}", cut(prefix), Uuid::new_v4());
    let session = milliseconds(body.session_timeout_ms);
    let join = Join {
        member: body.member_id.to_string(),
        new_name: new_name.clone(),
        instance: owned(body.group_instance_id.as_ref()),
        client,
        protocol_type: body.protocol_type.to_string(),
        protocols: body.protocols.iter().map(|each| (each.name.to_string(), copy(&each.metadata))).collect(),
        session,
        rebalance: if body.rebalance_timeout_ms < 0 { session } else { milliseconds(body.rebalance_timeout_ms) },
        knows_skipping: version >= SKIPS_ASSIGNMENT,
    };
    let outcome = groups.join(&body.group_id, join, version >= NAMED_FIRST).await;
    let response = JoinGroupResponse::default().with_error_code(code(&outcome));
    match outcome {
        Ok(joined) => joined_response(response, joined),
        Err(error) => {
            let member = if error == ResponseError::MemberIdRequired { &new_name } else { body.member_id.as_str() };
            let protocol = (version < NULL_PROTOCOL).then(StrBytes::default);
            response.with_generation_id(-1).with_protocol_name(protocol).with_member_id(text(member))
        }
    }
}

fn joined_response(response: JoinGroupResponse, joined: Joined) -> JoinGroupResponse {
    let member = |peer: Peer| {
        JoinGroupResponseMember::default()
            .with_member_id(peer.member.into())
            .with_group_instance_id(peer.instance.map(Into::into))
            .with_metadata(peer.metadata)
    };
    response
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(joined.protocol_type.into()))
        .with_protocol_name(Some(joined.protocol.into()))
        .with_leader(joined.leader.into())
        .with_skip_assignment(joined.skips_assignment)
        .with_member_id(joined.member.into())
        .with_members(joined.members.into_iter().map(member).collect())
}

pub(super) async fn sync(groups: &Groups, version: i16, body: &SyncGroupRequest) -> SyncGroupResponse {
    let caller =
        Caller { member: &body.member_id, instance: body.group_instance_id.as_deref(), generation: body.generation_id };
    let named = [body.protocol_name.as_deref(), body.protocol_type.as_deref()];
    let assignments = body.assignments.iter().map(|each| (each.member_id.to_string(), copy(&each.assignment)));
    let outcome = groups.sync(&body.group_id, &caller, named, assignments.collect()).await;
    let response = SyncGroupResponse::default().with_error_code(code(&outcome));
    let Ok((assignment, [protocol, protocol_type])) = outcome else {
        return response;
    };
    let response = response.with_assignment(assignment);
    if version < 5 {
        return response;
    }
    response.with_protocol_name(Some(protocol.into())).with_protocol_type(Some(protocol_type.into()))
}

pub(super) fn heartbeat(groups: &Groups, body: &HeartbeatRequest) -> HeartbeatResponse {
    let instance = body.group_instance_id.as_deref();
    let caller = Caller { member: &body.member_id, instance, generation: body.generation_id };
    HeartbeatResponse::default().with_error_code(code(&groups.heartbeat(&body.group_id, &caller)))
}

/// None if it names too many members.
pub(super) fn leave(groups: &Groups, version: i16, body: &LeaveGroupRequest) -> Option<LeaveGroupResponse> {
    let response = LeaveGroupResponse::default();
    if version < SEVERAL_LEAVE {
        let outcome = groups.leave(&body.group_id, &[(&body.member_id, None)]);
        let outcome = outcome.and_then(|outcomes| outcomes.into_iter().collect::<Result<Vec<()>, _>>());
        return Some(response.with_error_code(code(&outcome)));
    }
    if body.members.len() > MAX_GROUP_ITEMS {
        return None;
    }
    let members = body.members.iter().map(|each| (each.member_id.as_str(), each.group_instance_id.as_deref()));
    let outcomes = match groups.leave(&body.group_id, &members.collect::<Vec<_>>()) {
        Ok(outcomes) => outcomes,
        Err(error) => return Some(response.with_error_code(error.code())),
    };
    let outcome = |(each, outcome): (&kafka_protocol::messages::leave_group_request::MemberIdentity, &_)| {
        MemberResponse::default()
            .with_member_id(text(&each.member_id))
            .with_group_instance_id(each.group_instance_id.as_deref().map(text))
            .with_error_code(code(outcome))
    };
    Some(response.with_members(body.members.iter().zip(&outcomes).map(outcome).collect()))
}

/// A negative time counts as zero.
fn milliseconds(number: i32) -> Duration {
    Duration::from_millis(number.try_into().unwrap_or_default())
}

/// At most [`MAX_GROUP_NAME`] bytes of a name.
fn cut(name: &str) -> String {
    let end = name.floor_char_boundary(MAX_GROUP_NAME);
    name.get(..end).unwrap_or_default().to_owned()
}

/// A copy that does not keep the request's frame in memory.
fn copy(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn owned(string: Option<&StrBytes>) -> Option<String> {
    string.map(ToString::to_string)
}
