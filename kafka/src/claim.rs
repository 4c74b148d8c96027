//! Which database fills a sink. The consumer group keeps the database's identity beside each committed offset, and each
//! member has it in its client id, so that a second database under the same name is refused.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::REQUEST_TIMEOUT;
use crate::error::{KafkaError, halt, retry};

/// What precedes the identity in the metadata of a committed offset.
const METADATA: &str = "database=";
/// What precedes the identity in a member's client id.
const CLIENT: &str = "-database-";

/// The client id of a member that fills this database.
pub(crate) fn client_id(database: &str) -> String {
    // Unique per process: members of a group that share an id confuse librdkafka.
    format!("tapedeck-consumer-{}{CLIENT}{database}", std::process::id())
}

/// The identity in the metadata of a committed offset; None for other metadata.
pub(crate) fn identity(metadata: &str) -> Option<&str> {
    metadata.strip_prefix(METADATA).filter(|identity| !identity.is_empty())
}

/// Offsets to commit, (partition, offset), in the name of this database.
pub(crate) fn offsets(topic: &str, database: Option<&str>, offsets: &[(i32, i64)]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    if let Some(database) = database {
        list.elements().iter_mut().for_each(|element| element.set_metadata(format!("{METADATA}{database}")));
    }
    Ok(list)
}

/// Makes sure that this database alone fills the sink, and says so in the group, with its positions, (partition, offset).
///
/// The database in the lowest partition is the owner. Another one takes its place only when no member fills the owner's
/// database any more. Two that begin at the same moment see each other's claims, and stop.
///
/// # Errors
///
/// [`KafkaError::Halt`] when another database fills the sink; [`KafkaError::Retry`] when Kafka cannot be reached.
pub(crate) fn claim<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    (group, topic): (&str, &str),
    database: &str,
    positions: &[(i32, i64)],
) -> Result<(), KafkaError> {
    let owner = owners(consumer, topic)?.into_values().next();
    if let Some(owner) = owner.as_deref().filter(|owner| *owner != database) {
        if is_member(consumer, group, owner)? {
            return Err(refusal(group, owner, database));
        }
        tracing::warn!(group, before = owner, now = database, "another database fills the sink from now on");
    }
    let list = offsets(topic, Some(database), positions).map_err(|error| halt(&error))?;
    match consumer.commit(&list, CommitMode::Sync) {
        // The partitions are being given to others already, with another assignment and another claim.
        Err(ClientError::ConsumerCommit(
            RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId,
        )) => return Ok(()),
        committed => committed.map_err(|error| retry(&format!("cannot commit offsets of group `{group}`"), &error))?,
    }
    if owner.as_deref() == Some(database) {
        return Ok(());
    }
    for other in
        owners(consumer, topic)?.into_values().filter(|other| other != database && Some(other) != owner.as_ref())
    {
        if is_member(consumer, group, &other)? {
            return Err(refusal(group, &other, database));
        }
    }
    Ok(())
}

/// By partition, the database in whose name its offset was committed.
fn owners<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Result<BTreeMap<i32, String>, KafkaError> {
    let unread = |error| retry(&format!("cannot read the committed offsets of topic `{topic}`"), &error);
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(unread)?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        list.add_partition(topic, partition.id());
    }
    let committed = consumer.committed_offsets(list, REQUEST_TIMEOUT).map_err(unread)?;
    let owner = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        Some((element.partition(), identity(element.metadata())?.to_owned()))
    };
    Ok(committed.elements().iter().filter_map(owner).collect())
}

/// Whether a member of the group fills that database.
fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>, group: &str, database: &str) -> Result<bool, KafkaError> {
    let groups = consumer.fetch_group_list(Some(group), REQUEST_TIMEOUT);
    let groups = groups.map_err(|error| retry(&format!("cannot read the members of group `{group}`"), &error))?;
    let members = groups.groups().iter().flat_map(|group| group.members());
    Ok(members.into_iter().any(|member| member.client_id().ends_with(&format!("{CLIENT}{database}"))))
}

fn refusal(group: &str, owner: &str, database: &str) -> KafkaError {
    KafkaError::Halt(format!(
        "`{group}` already fills database `{owner}`, and this is database `{database}`: each would get half of the records; \
         give this one another `TAPEDECK_SINK`, or stop the consumers of the other one first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_a_committed_offset_names_the_database_and_other_metadata_names_none() {
        let list = offsets("t", Some("0a"), &[(3, 7)]).unwrap();
        assert_eq!(
            list.elements().iter().map(|element| identity(element.metadata())).collect::<Vec<_>>(),
            [Some("0a")]
        );
        assert!(["", "database=", "by hand"].iter().all(|other| identity(other).is_none()));
        assert!(client_id("0a").ends_with("-database-0a"));
    }
}
