//! FindCoordinator, ListGroups, DescribeGroups, DeleteGroups, ConsumerGroupHeartbeat.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListGroupsRequest,
    ListGroupsResponse,
};

use super::{code, text};
use crate::group::{Description, MemberDescription};
use crate::groups::{Groups, Listed};
use crate::limits::MAX_GROUP_ITEMS;

/// The only node.
const NODE: i32 = 1;
/// A request of this version or later may ask for several coordinators.
const SEVERAL_COORDINATORS: i16 = 4;
/// Responses of this version and later contain the state of a group.
const LISTS_STATE: i16 = 4;
/// Responses of this version and later contain the type of a group.
const LISTS_TYPE: i16 = 5;
/// In this version and later an unknown group is an error.
const UNKNOWN_IS_ERROR: i16 = 6;
/// Requests of this version and later may ask for the permitted operations.
const OPERATIONS: i16 = 3;
/// Everybody may read (3), delete (6) and describe (8) a group.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// The only type of group that this broker has.
const CLASSIC: &str = "classic";

/// None if it names too many groups.
pub(super) fn find_coordinator(
    groups: &Groups,
    version: i16,
    body: &FindCoordinatorRequest,
) -> Option<FindCoordinatorResponse> {
    let error = match body.key_type {
        0 => None,
        // Clients stop at once after this error; they would retry after others.
        1 => Some(ResponseError::TransactionalIdAuthorizationFailed),
        _ => Some(ResponseError::InvalidRequest),
    };
    let message = error.map(|_| "tapedeck has neither transactions nor share groups".into());
    let code = error.map_or(0, |error| error.code());
    let address = groups.advertised();
    let (node, host, port) = match error {
        None => (NODE, text(&address.ip().to_string()), i32::from(address.port())),
        Some(_) => (-1, text(""), -1),
    };
    let response = FindCoordinatorResponse::default();
    if version < SEVERAL_COORDINATORS {
        let response = response.with_error_code(code).with_node_id(BrokerId(node)).with_host(host).with_port(port);
        return Some(response.with_error_message(message));
    }
    if body.coordinator_keys.len() > MAX_GROUP_ITEMS {
        return None;
    }
    let coordinator = |key: &_| {
        let coordinator = Coordinator::default().with_key(text(key)).with_node_id(BrokerId(node));
        let coordinator = coordinator.with_host(host.clone()).with_port(port).with_error_code(code);
        coordinator.with_error_message(message.clone())
    };
    Some(response.with_coordinators(body.coordinator_keys.iter().map(|key| coordinator(key.as_str())).collect()))
}

pub(super) fn list(groups: &Groups, version: i16, body: &ListGroupsRequest) -> ListGroupsResponse {
    let is_any = |filter: &[kafka_protocol::protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let is_wanted = |(_, state, _): &Listed| is_any(&body.states_filter, state) && is_any(&body.types_filter, CLASSIC);
    let listed = |(name, state, protocol_type): Listed| {
        let listed = ListedGroup::default().with_group_id(GroupId(name.into()));
        let listed = listed.with_protocol_type(protocol_type.into());
        let listed = if version >= LISTS_STATE { listed.with_group_state(text(state)) } else { listed };
        if version >= LISTS_TYPE { listed.with_group_type(text(CLASSIC)) } else { listed }
    };
    let all = groups.list().into_iter().filter(is_wanted).map(listed).collect();
    ListGroupsResponse::default().with_groups(all)
}

/// None if it names too many groups.
pub(super) fn describe(groups: &Groups, version: i16, body: &DescribeGroupsRequest) -> Option<DescribeGroupsResponse> {
    if body.groups.len() > MAX_GROUP_ITEMS {
        return None;
    }
    // Each once: otherwise a small request could ask for a response of any size.
    let names: BTreeSet<&str> = body.groups.iter().map(|name| name.as_str()).collect();
    let describe = |name: &str| {
        let described = match groups.describe(name) {
            Some(description) => described(name, description),
            None => unknown(name, version),
        };
        let shows_operations = version >= OPERATIONS && body.include_authorized_operations;
        if shows_operations { described.with_authorized_operations(ALL_OPERATIONS) } else { described }
    };
    Some(DescribeGroupsResponse::default().with_groups(names.into_iter().map(describe).collect()))
}

fn described(name: &str, description: Description) -> DescribedGroup {
    let member = |member: MemberDescription| {
        DescribedGroupMember::default()
            .with_member_id(member.member.into())
            .with_group_instance_id(member.instance.map(Into::into))
            .with_client_id(member.client.id.into())
            .with_client_host(member.client.host.into())
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    DescribedGroup::default()
        .with_group_id(GroupId(text(name)))
        .with_group_state(text(description.state))
        .with_protocol_type(description.protocol_type.into())
        .with_protocol_data(description.protocol.into())
        .with_members(description.members.into_iter().map(member).collect())
}

fn unknown(name: &str, version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_id(GroupId(text(name))).with_group_state(text("Dead"));
    if version < UNKNOWN_IS_ERROR {
        return dead;
    }
    let message = format!("Group {name} not found.");
    dead.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(message.into()))
}

/// None if it names too many groups.
pub(super) fn delete(groups: &Groups, body: &DeleteGroupsRequest) -> Option<DeleteGroupsResponse> {
    if body.groups_names.len() > MAX_GROUP_ITEMS {
        return None;
    }
    let delete = |name: &GroupId| {
        let result = DeletableGroupResult::default().with_group_id(GroupId(text(name)));
        result.with_error_code(code(&groups.delete(name)))
    };
    Some(DeleteGroupsResponse::default().with_results(body.groups_names.iter().map(delete).collect()))
}

/// Clients stop at once after this error, and loop without the API.
pub(super) fn consumer_group_heartbeat() -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default().with_error_code(ResponseError::UnsupportedVersion.code())
}
