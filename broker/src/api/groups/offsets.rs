//! OffsetCommit, OffsetFetch, OffsetDelete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{code, text};
use crate::group::Caller;
use crate::groups::Groups;
use crate::limits::{MAX_GROUP_ITEMS, MAX_OFFSET_METADATA};
use crate::offsets::{Committed, Place};

/// A request of this version or later may ask for several groups.
const SEVERAL_GROUPS: i16 = 8;
/// Committed offset of a partition that has none.
const NO_OFFSET: i64 = -1;

/// None if it names too many partitions.
pub(super) fn commit(groups: &Groups, body: &OffsetCommitRequest) -> Option<OffsetCommitResponse> {
    if body.topics.iter().map(|topic| 1 + topic.partitions.len()).sum::<usize>() > MAX_GROUP_ITEMS {
        return None;
    }
    let caller = Caller {
        member: &body.member_id,
        instance: body.group_instance_id.as_deref(),
        generation: body.generation_id_or_member_epoch,
    };
    let mut offsets = Vec::new();
    // An error of the partition itself comes before one of the group.
    let mut own_errors = Vec::new();
    for topic in &body.topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for partition in &topic.partitions {
            let checked = check(groups, &name, partition);
            own_errors.push(code(&checked));
            offsets.extend(checked);
        }
    }
    let outcome = if offsets.is_empty() { Ok(()) } else { groups.commit(&body.group_id, &caller, offsets) };
    let mut own_errors = own_errors.into_iter();
    let mut partition = |partition: &OffsetCommitRequestPartition| {
        let own = own_errors.next().unwrap_or_default();
        let response = OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
        response.with_error_code(if own == 0 { code(&outcome) } else { own })
    };
    let topics = body.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(&mut partition).collect();
        OffsetCommitResponseTopic::default().with_name(name(&topic.name)).with_partitions(partitions)
    });
    let topics = topics.collect();
    Some(OffsetCommitResponse::default().with_topics(topics))
}

/// What to commit for a partition.
fn check(
    groups: &Groups,
    topic: &Arc<str>,
    asked: &OffsetCommitRequestPartition,
) -> Result<(Place, Committed), ResponseError> {
    let partition = asked.partition_index;
    let id = groups.topic(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let metadata = asked.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > MAX_OFFSET_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let (offset, epoch, metadata) = (asked.committed_offset, asked.committed_leader_epoch, Arc::from(metadata));
    Ok((Place { topic: topic.clone(), id, partition }, Committed { offset, epoch, metadata }))
}

/// The offsets of a group by topic and partition; None for partitions without one.
type Found = BTreeMap<String, BTreeMap<i32, Option<Committed>>>;

/// None if it names too many groups or partitions.
pub(super) fn fetch(groups: &Groups, version: i16, body: &OffsetFetchRequest) -> Option<OffsetFetchResponse> {
    let response = OffsetFetchResponse::default();
    if version < SEVERAL_GROUPS {
        let asked = body.topics.as_ref().map(|topics| {
            let topic = |topic: &_| -> (String, BTreeSet<i32>) { asked_topic(topic) };
            topics.iter().map(|each| topic(&(each.name.as_str(), each.partition_indexes.as_slice()))).collect()
        });
        check_count(body.topics.iter().flatten().map(|topic| topic.partition_indexes.len()))?;
        let topics = find(groups, &body.group_id, asked).into_iter().map(|(topic, found)| {
            let partitions = found.into_iter().map(|(at, committed)| old_partition(at, committed)).collect();
            OffsetFetchResponseTopic::default().with_name(TopicName(topic.into())).with_partitions(partitions)
        });
        return Some(response.with_topics(topics.collect()));
    }
    let of_groups = body.groups.iter().flat_map(|group| group.topics.iter().flatten());
    check_count(of_groups.map(|topic| topic.partition_indexes.len()).chain(body.groups.iter().map(|_| 0)))?;
    // Each group once: otherwise a small request could ask for a response of any size.
    let mut seen = BTreeSet::new();
    let asked = body.groups.iter().filter(|group| seen.insert(group.group_id.as_str()));
    let answer = asked.map(|group| {
        let asked = group.topics.as_ref().map(|topics| {
            topics.iter().map(|each| asked_topic(&(each.name.as_str(), each.partition_indexes.as_slice()))).collect()
        });
        let topics = find(groups, &group.group_id, asked).into_iter().map(|(topic, found)| {
            let partitions = found.into_iter().map(|(at, committed)| partition(at, committed)).collect();
            OffsetFetchResponseTopics::default().with_name(TopicName(topic.into())).with_partitions(partitions)
        });
        let topics = topics.collect();
        OffsetFetchResponseGroup::default().with_group_id(GroupId(text(&group.group_id))).with_topics(topics)
    });
    let answer = answer.collect();
    Some(response.with_groups(answer))
}

fn asked_topic((name, partitions): &(&str, &[i32])) -> (String, BTreeSet<i32>) {
    ((*name).to_owned(), partitions.iter().copied().collect())
}

/// None if there are too many partitions; a list counts as one more.
fn check_count(partitions: impl Iterator<Item = usize>) -> Option<()> {
    (partitions.map(|count| count + 1).sum::<usize>() <= MAX_GROUP_ITEMS).then_some(())
}

/// The committed offsets of these partitions, or of all.
fn find(groups: &Groups, group: &str, asked: Option<Vec<(String, BTreeSet<i32>)>>) -> Found {
    let state = groups.lock();
    let mut found = Found::new();
    let Some(asked) = asked else {
        for (place, committed) in state.offsets.of_group(group).filter(|(place, _)| groups.exists(place)) {
            found.entry(place.topic.to_string()).or_default().insert(place.partition, Some(committed.clone()));
        }
        return found;
    };
    for (topic, partitions) in asked {
        let of_topic = found.entry(topic.clone()).or_default();
        for partition in partitions {
            let id = groups.topic(&topic, partition);
            let committed = id.and_then(|id| state.offsets.get(group, id, partition));
            of_topic.insert(partition, committed.cloned());
        }
    }
    found
}

fn old_partition(at: i32, committed: Option<Committed>) -> OffsetFetchResponsePartition {
    let partition = OffsetFetchResponsePartition::default().with_partition_index(at).with_committed_offset(NO_OFFSET);
    let Some(committed) = committed else {
        return partition;
    };
    let partition = partition.with_committed_offset(committed.offset).with_committed_leader_epoch(committed.epoch);
    partition.with_metadata(Some(text(&committed.metadata)))
}

fn partition(at: i32, committed: Option<Committed>) -> OffsetFetchResponsePartitions {
    let partition = OffsetFetchResponsePartitions::default().with_partition_index(at).with_committed_offset(NO_OFFSET);
    let Some(committed) = committed else {
        return partition;
    };
    let partition = partition.with_committed_offset(committed.offset).with_committed_leader_epoch(committed.epoch);
    partition.with_metadata(Some(text(&committed.metadata)))
}

/// None if it names too many partitions.
pub(super) fn delete(groups: &Groups, body: &OffsetDeleteRequest) -> Option<OffsetDeleteResponse> {
    check_count(body.topics.iter().map(|topic| topic.partitions.len()))?;
    let response = OffsetDeleteResponse::default();
    let mut asked = Vec::new();
    for topic in &body.topics {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        asked.push((topic.name.as_str(), partitions));
    }
    let outcomes = match groups.delete_offsets(&body.group_id, &asked) {
        Ok(outcomes) => outcomes,
        Err(error) => return Some(response.with_error_code(error.code())),
    };
    let topics = body.topics.iter().zip(outcomes).map(|(topic, outcomes)| {
        let partitions = topic.partitions.iter().zip(&outcomes).map(|(partition, outcome)| {
            let response = OffsetDeleteResponsePartition::default().with_partition_index(partition.partition_index);
            response.with_error_code(code(outcome))
        });
        OffsetDeleteResponseTopic::default().with_name(name(&topic.name)).with_partitions(partitions.collect())
    });
    Some(response.with_topics(topics.collect()))
}

fn name(topic: &StrBytes) -> TopicName {
    TopicName(text(topic))
}
