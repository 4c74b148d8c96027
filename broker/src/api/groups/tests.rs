use std::path::Path;
use std::sync::Arc;

use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use uuid::Uuid;

use super::*;
use crate::groups::Topics;
use crate::limits::MAX_GROUP_ITEMS;

struct OneTopic;

impl Topics for OneTopic {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        (name == "t").then_some((Uuid::from_u128(7), 2))
    }
}

fn open(folder: &Path) -> Groups {
    Groups::open(folder, Arc::new(OneTopic), "127.0.0.1:9092".parse().unwrap()).unwrap()
}

/// Sends a request and reads the response, to its last byte.
async fn call<Q: Encodable, R: Decodable>(groups: &Groups, api: ApiKey, version: i16, request: &Q) -> R {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap_or_else(|error| panic!("{api:?} v{version}: {error:#}"));
    let request = GroupRequest { api, version, client_id: Some("me"), host: "/127.0.0.1", body: body.freeze() };
    let answered = handle(groups, request).await;
    let mut response = answered.unwrap_or_else(|| panic!("{api:?} v{version} has no response")).freeze();
    let decoded = R::decode(&mut response, version).unwrap_or_else(|error| panic!("{api:?} v{version}: {error:#}"));
    assert!(response.is_empty(), "{api:?} v{version}: {} bytes are left", response.len());
    decoded
}

async fn join(groups: &Groups, version: i16, member: &str, instance: Option<&str>) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from("metadata"));
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(if version == 0 { -1 } else { 60_000 })
        .with_member_id(text(member))
        .with_group_instance_id(instance.filter(|_| version >= 5).map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    call(groups, ApiKey::JoinGroup, version, &request).await
}

/// Joins as a client of this version does: asks for a name first if it must.
async fn join_named(groups: &Groups, version: i16) -> JoinGroupResponse {
    let first = join(groups, version, "", None).await;
    if version < 4 {
        return first;
    }
    assert_eq!((first.error_code, first.generation_id, first.leader.as_str()), (79, -1, ""));
    assert_eq!(first.protocol_name.is_none(), version >= 7);
    join(groups, version, &first.member_id, None).await
}

async fn sync(groups: &Groups, version: i16, joined: &JoinGroupResponse) -> SyncGroupResponse {
    let share = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![share.with_assignment(Bytes::from("everything"))]);
    let request = if version < 5 {
        request
    } else {
        request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
    };
    call(groups, ApiKey::SyncGroup, version, &request).await
}

async fn heartbeat(groups: &Groups, version: i16, member: &str, generation: i32, instance: Option<&str>) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_group_instance_id(instance.map(text));
    call::<_, HeartbeatResponse>(groups, ApiKey::Heartbeat, version, &request).await.error_code
}

async fn leave(groups: &Groups, version: i16, member: &str) -> i16 {
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text("g")));
    if version < 3 {
        let request = request.with_member_id(text(member));
        return call::<_, LeaveGroupResponse>(groups, ApiKey::LeaveGroup, version, &request).await.error_code;
    }
    let request = request.with_members(vec![MemberIdentity::default().with_member_id(text(member))]);
    let response: LeaveGroupResponse = call(groups, ApiKey::LeaveGroup, version, &request).await;
    assert_eq!((response.error_code, response.members.len()), (0, 1));
    assert_eq!(response.members[0].member_id.as_str(), member);
    response.members[0].error_code
}

#[tokio::test]
async fn members_of_every_version_join_sync_and_leave() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    for version in 0..=9 {
        let joined = join_named(&groups, version).await;
        assert_eq!((joined.error_code, joined.members.len()), (0, 1), "v{version}");
        assert_eq!((&joined.leader, joined.protocol_name.as_deref()), (&joined.member_id, Some("range")));
        assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
        assert_eq!(joined.members[0].metadata, "metadata");
        assert!(joined.member_id.starts_with("me-"), "{}", joined.member_id.as_str());
        let synced = sync(&groups, version.min(5), &joined).await;
        assert_eq!((synced.error_code, synced.assignment), (0, Bytes::from("everything")));
        assert_eq!(synced.protocol_name.as_deref(), (version >= 5).then_some("range"));
        let (version, member) = (version.min(4), joined.member_id.as_str());
        assert_eq!(heartbeat(&groups, version, member, joined.generation_id, None).await, 0);
        assert_eq!(heartbeat(&groups, version, member, 99, None).await, 22);
        assert_eq!(heartbeat(&groups, version, "nobody", joined.generation_id, None).await, 25);
        assert_eq!(join(&groups, version, "nobody", None).await.error_code, 25);
        assert_eq!(leave(&groups, version, "nobody").await, 25);
        assert_eq!(leave(&groups, version + 1, member).await, 0);
    }
}

#[tokio::test]
async fn a_sync_with_another_protocol_than_the_groups_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let joined = join_named(&groups, 9).await;
    for (protocol_type, protocol) in [("consumer", "sticky"), ("connect", "range")] {
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_protocol_type(Some(text(protocol_type)))
            .with_protocol_name(Some(text(protocol)));
        let refused: SyncGroupResponse = call(&groups, ApiKey::SyncGroup, 5, &request).await;
        assert_eq!((refused.error_code, refused.protocol_name, refused.assignment.len()), (23, None, 0));
    }
}

#[tokio::test]
async fn a_restarted_static_leader_keeps_its_assignment() {
    for version in 5..=9 {
        let folder = tempfile::tempdir().unwrap();
        let groups = open(folder.path());
        let first = join(&groups, version, "", Some("i1")).await;
        assert_eq!((first.error_code, first.member_id.starts_with("i1-")), (0, true), "v{version}");
        sync(&groups, 5, &first).await;
        let second = join(&groups, version, "", Some("i1")).await;
        assert_eq!((second.error_code, second.generation_id), (0, first.generation_id));
        assert_ne!(second.member_id, first.member_id);
        // An old client believes that the old process leads; a new one knows that it must not divide.
        let (leader, members) = if version == 9 { (&second.member_id, 1) } else { (&first.member_id, 0) };
        assert_eq!((&second.leader, second.members.len()), (leader, members));
        assert_eq!(second.skip_assignment, version == 9);
        let old = (first.member_id.as_str(), first.generation_id);
        assert_eq!(heartbeat(&groups, 3, old.0, old.1, Some("i1")).await, 82);
        assert_eq!(heartbeat(&groups, 3, old.0, old.1, None).await, 25);
        assert_eq!(join(&groups, version, old.0, Some("i1")).await.error_code, 82);
        assert_eq!(heartbeat(&groups, 4, &second.member_id, old.1, Some("i1")).await, 0);
        assert_eq!(sync(&groups, 5, &second).await.assignment, "everything");
        let identity = MemberIdentity::default().with_group_instance_id(Some(text("i1")));
        let fenced = identity.clone().with_member_id(first.member_id.clone());
        let request = LeaveGroupRequest::default().with_group_id(GroupId(text("g")));
        let request = request.with_members(vec![fenced, identity.clone(), identity]);
        let left: LeaveGroupResponse = call(&groups, ApiKey::LeaveGroup, 5, &request).await;
        assert_eq!(left.members.iter().map(|member| member.error_code).collect::<Vec<_>>(), [82, 0, 25]);
    }
}

async fn commit(groups: &Groups, version: i16, topic: &str, metadata: &str) -> Vec<i16> {
    let partition = |at| {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(at).with_committed_offset(40);
        partition.with_committed_metadata(Some(text(metadata)))
    };
    let topic = OffsetCommitRequestTopic::default().with_name(TopicName(text(topic)));
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic.with_partitions((0..3).map(partition).collect())]);
    let response: OffsetCommitResponse = call(groups, ApiKey::OffsetCommit, version, &request).await;
    response.topics[0].partitions.iter().map(|partition| partition.error_code).collect()
}

/// Committed offset and metadata by partition.
type Fetched = Vec<(i32, i64, String)>;

async fn fetch(groups: &Groups, version: i16, partitions: Option<Vec<i32>>) -> Fetched {
    let request = OffsetFetchRequest::default();
    if version < 8 {
        let topic = OffsetFetchRequestTopic::default().with_name(TopicName(text("t")));
        let topics = partitions.map(|partitions| vec![topic.with_partition_indexes(partitions)]);
        let request = request.with_group_id(GroupId(text("g"))).with_topics(topics);
        let response: OffsetFetchResponse = call(groups, ApiKey::OffsetFetch, version, &request).await;
        assert_eq!(response.error_code, 0);
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        let entry = |at: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
            (at.partition_index, at.committed_offset, at.metadata.unwrap().to_string())
        };
        return partitions.map(entry).collect();
    }
    let topic = OffsetFetchRequestTopics::default().with_name(TopicName(text("t")));
    let topics = partitions.map(|partitions| vec![topic.with_partition_indexes(partitions)]);
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(topics);
    let request = request.with_groups(vec![group.clone(), group]);
    let mut response: OffsetFetchResponse = call(groups, ApiKey::OffsetFetch, version, &request).await;
    assert_eq!((response.groups.len(), response.groups[0].error_code), (1, 0));
    let partitions = response.groups.remove(0).topics.into_iter().flat_map(|topic| topic.partitions);
    let entry = |at: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
        (at.partition_index, at.committed_offset, at.metadata.unwrap().to_string())
    };
    partitions.map(entry).collect()
}

#[tokio::test]
async fn offsets_of_every_version_are_committed_and_fetched() {
    for version in 2..=9 {
        let folder = tempfile::tempdir().unwrap();
        let groups = open(folder.path());
        assert_eq!(commit(&groups, version, "t", "note").await, [0, 0, 3], "v{version}");
        assert_eq!(commit(&groups, version, "unknown", "").await, [3, 3, 3]);
        assert_eq!(commit(&groups, version, "t", &"x".repeat(4_097)).await, [12, 12, 3]);
        drop(groups);
        let groups = open(folder.path());
        let (note, none) = ("note".to_owned(), String::new());
        for version in 1..=9 {
            let expected = vec![(0, 40, note.clone()), (2, -1, none.clone())];
            assert_eq!(fetch(&groups, version, Some(vec![0, 2, 0])).await, expected, "v{version}");
            if version >= 2 {
                let expected = vec![(0, 40, note.clone()), (1, 40, note.clone())];
                assert_eq!(fetch(&groups, version, None).await, expected, "v{version}");
            }
        }
    }
}

#[tokio::test]
async fn offsets_are_deleted_unless_a_member_reads_the_topic() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let partitions = [0, 9].map(|at| OffsetDeleteRequestPartition::default().with_partition_index(at));
    let topic = OffsetDeleteRequestTopic::default().with_name(TopicName(text("t")));
    let topic = topic.with_partitions(partitions.to_vec());
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic]);
    let unknown: OffsetDeleteResponse = call(&groups, ApiKey::OffsetDelete, 0, &request).await;
    assert_eq!((unknown.error_code, unknown.topics.len()), (69, 0));
    commit(&groups, 9, "t", "").await;
    let joined = join_named(&groups, 9).await;
    let codes = |response: OffsetDeleteResponse| {
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        partitions.map(|partition| partition.error_code).collect::<Vec<_>>()
    };
    // The metadata is not a consumer's: it may mean every topic.
    assert_eq!(codes(call(&groups, ApiKey::OffsetDelete, 0, &request).await), [86, 3]);
    leave(&groups, 3, &joined.member_id).await;
    assert_eq!(codes(call(&groups, ApiKey::OffsetDelete, 0, &request).await), [0, 3]);
    assert_eq!(fetch(&groups, 9, Some(vec![0, 1])).await.iter().map(|at| at.1).collect::<Vec<_>>(), [-1, 40]);
}

#[tokio::test]
async fn coordinators_are_found_in_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    for version in 0..=6 {
        for (key_type, code, node) in [(0, 0, 1), (1, 53, -1), (2, 42, -1)] {
            if version == 0 && key_type > 0 {
                continue;
            }
            let (host, port) = if code == 0 { ("127.0.0.1", 9_092) } else { ("", -1) };
            let request = FindCoordinatorRequest::default().with_key_type(key_type);
            if version < 4 {
                let request = request.with_key(text("g"));
                let found: FindCoordinatorResponse = call(&groups, ApiKey::FindCoordinator, version, &request).await;
                let node = (found.node_id.0 == node).then_some(found.port);
                assert_eq!((found.error_code, node, found.host.as_str()), (code, Some(port), host), "v{version}");
                continue;
            }
            let request = request.with_coordinator_keys(vec![text("g"), text("h")]);
            let found: FindCoordinatorResponse = call(&groups, ApiKey::FindCoordinator, version, &request).await;
            assert_eq!(found.coordinators.len(), 2);
            let found = &found.coordinators[1];
            assert_eq!((found.key.as_str(), found.error_code, found.node_id.0), ("h", code, node), "v{version}");
            assert_eq!((found.host.as_str(), found.port), (host, port));
        }
    }
}

async fn describe(groups: &Groups, version: i16, name: &str) -> DescribedGroup {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(name)), GroupId(text(name))]);
    let request = request.with_include_authorized_operations(version >= 3);
    let mut response: DescribeGroupsResponse = call(groups, ApiKey::DescribeGroups, version, &request).await;
    assert_eq!(response.groups.len(), 1);
    let described = response.groups.remove(0);
    assert_eq!(described.authorized_operations, if version >= 3 { 328 } else { i32::MIN });
    described
}

#[tokio::test]
async fn groups_are_described_in_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let joined = join(&groups, 9, "", Some("i1")).await;
    let syncing = describe(&groups, 6, "g").await;
    assert_eq!((syncing.group_state.as_str(), syncing.protocol_data.as_str()), ("CompletingRebalance", ""));
    sync(&groups, 5, &joined).await;
    for version in 0..=6 {
        let dead = describe(&groups, version, "nope").await;
        assert_eq!((dead.group_state.as_str(), dead.members.len()), ("Dead", 0));
        assert_eq!((dead.error_code, dead.error_message.is_some()), if version < 6 { (0, false) } else { (69, true) });
        let group = describe(&groups, version, "g").await;
        assert_eq!((group.group_state.as_str(), group.error_code), ("Stable", 0), "v{version}");
        assert_eq!((group.protocol_type.as_str(), group.protocol_data.as_str()), ("consumer", "range"));
        let member = &group.members[0];
        assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("me", "/127.0.0.1"));
        assert_eq!(
            (&member.member_metadata[..], &member.member_assignment[..]),
            (&b"metadata"[..], &b"everything"[..])
        );
        assert_eq!(member.group_instance_id.as_deref(), (version >= 4).then_some("i1"));
        assert_eq!(member.member_id, joined.member_id);
    }
}

#[tokio::test]
async fn groups_are_listed_and_deleted_in_every_version() {
    for version in 0..=5 {
        let folder = tempfile::tempdir().unwrap();
        let groups = open(folder.path());
        commit(&groups, 9, "t", "").await;
        let request = ListGroupsRequest::default();
        let listed: ListGroupsResponse = call(&groups, ApiKey::ListGroups, version, &request).await;
        let [group] = &listed.groups[..] else { panic!("{:?}", listed.groups) };
        assert_eq!((group.group_id.as_str(), group.protocol_type.as_str()), ("g", ""));
        assert_eq!(group.group_state.as_str(), if version >= 4 { "Empty" } else { "" });
        assert_eq!(group.group_type.as_str(), if version >= 5 { "classic" } else { "" });
        let joined = join_named(&groups, 3).await;
        if version >= 4 {
            for (state, count) in [("Empty", 0), ("completingrebalance", 1)] {
                let request = ListGroupsRequest::default().with_states_filter(vec![text(state)]);
                let listed: ListGroupsResponse = call(&groups, ApiKey::ListGroups, version, &request).await;
                assert_eq!(listed.groups.len(), count, "{state}");
            }
        }
        if version >= 5 {
            let request = ListGroupsRequest::default().with_types_filter(vec![text("share")]);
            let listed: ListGroupsResponse = call(&groups, ApiKey::ListGroups, version, &request).await;
            assert_eq!(listed.groups.len(), 0);
        }
        for (expected, leaves) in [([68, 69], true), ([0, 69], false), ([69, 69], false)] {
            let request = DeleteGroupsRequest::default();
            let request = request.with_groups_names(vec![GroupId(text("g")), GroupId(text("nope"))]);
            let deleted: DeleteGroupsResponse = call(&groups, ApiKey::DeleteGroups, version.min(2), &request).await;
            assert_eq!(deleted.results.iter().map(|result| result.error_code).collect::<Vec<_>>(), expected);
            if leaves {
                assert_eq!(leave(&groups, 0, &joined.member_id).await, 0);
            }
        }
    }
}

#[tokio::test]
async fn the_new_consumer_protocol_is_always_refused() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    for version in 0..=1 {
        let request = ConsumerGroupHeartbeatRequest::default();
        let refused: ConsumerGroupHeartbeatResponse =
            call(&groups, ApiKey::ConsumerGroupHeartbeat, version, &request).await;
        assert_eq!(refused.error_code, 35);
    }
}

#[tokio::test]
async fn foreign_malformed_and_excessive_requests_have_no_response() {
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let ask =
        |api, version, body: Bytes| handle(&groups, GroupRequest { api, version, client_id: None, host: "", body });
    assert_eq!(ask(ApiKey::Produce, 3, Bytes::new()).await, None);
    assert_eq!(ask(ApiKey::JoinGroup, 5, Bytes::from("\0\u{1}g")).await, None);
    assert_eq!(ask(ApiKey::JoinGroup, 99, Bytes::new()).await, None);
    let keys = vec![text(""); MAX_GROUP_ITEMS + 1];
    let mut body = BytesMut::new();
    FindCoordinatorRequest::default().with_coordinator_keys(keys).encode(&mut body, 6).unwrap();
    assert_eq!(ask(ApiKey::FindCoordinator, 6, body.freeze()).await, None);
}

#[test]
fn handling_may_move_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    let folder = tempfile::tempdir().unwrap();
    let groups = open(folder.path());
    let (api, body) = (ApiKey::JoinGroup, Bytes::new());
    assert_send(handle(&groups, GroupRequest { api, version: 0, client_id: None, host: "", body }));
}
