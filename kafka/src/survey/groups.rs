//! What consumer groups have reported to Kafka.
#![expect(unsafe_code, reason = "rdkafka does not wrap librdkafka's ListConsumerGroupOffsets")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::{ptr, slice};

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

use super::Survey;
use crate::claim;
use crate::cluster::REQUEST_TIMEOUT;
use crate::error::KafkaError;
use crate::quiet::{Quiet, failed};

/// What a group has reported.
#[derive(Debug, Clone, Default)]
pub struct GroupFacts {
    /// Offsets by topic and partition.
    pub offsets: HashMap<(String, i32), i64>,
    /// The identities of the databases that the group fills, by topic and partition.
    pub databases: BTreeMap<(String, i32), String>,
}

impl Survey {
    /// What these groups have reported. It only reads: the groups' members are not affected. Blocks.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when Kafka cannot be reached, [`KafkaError::Halt`] when the user lacks a right.
    pub fn groups(&self, groups: &[String]) -> Result<HashMap<String, GroupFacts>, KafkaError> {
        let asked: Vec<_> = groups.iter().map(|group| (group, Question::ask(&self.consumer, group))).collect();
        let answered = |(group, question): (&String, Question<'_>)| {
            let what = || format!("cannot read the offsets of group `{group}`");
            let facts = question.wait();
            let facts = facts.map_err(|code| failed(&self.consumer, &what(), &ClientError::OffsetFetch(code)))?;
            Ok((group.clone(), facts))
        };
        asked.into_iter().map(answered).collect()
    }
}

/// A question for the offsets of a group, on its way.
struct Question<'a> {
    queue: *mut c::rd_kafka_queue_t,
    _client: &'a BaseConsumer<Quiet>,
}

impl<'a> Question<'a> {
    fn ask(client: &'a BaseConsumer<Quiet>, group: &str) -> Question<'a> {
        // A name of ours has no zero byte.
        let name = CString::new(group).unwrap_or_default();
        let native = client.client().native_ptr();
        // SAFETY: the client outlives the question, which borrows it. The request copies group, partitions (null: all of
        // them) and options, so that they may be freed at once.
        let queue = unsafe {
            let queue = c::rd_kafka_queue_new(native);
            let mut wanted = c::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null());
            let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
            let options = c::rd_kafka_AdminOptions_new(native, operation);
            let millis = i32::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
            c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
            c::rd_kafka_ListConsumerGroupOffsets(native, &raw mut wanted, 1, options, queue);
            c::rd_kafka_AdminOptions_destroy(options);
            c::rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
            queue
        };
        Question { queue, _client: client }
    }

    /// Waits for the answer: librdkafka answers a timeout as well.
    fn wait(&self) -> Result<GroupFacts, RDKafkaErrorCode> {
        let millis = i32::try_from(2 * REQUEST_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives as long as the question.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue, millis) };
        if event.is_null() {
            return Err(RDKafkaErrorCode::OperationTimedOut);
        }
        // SAFETY: the event is valid until it is destroyed, here and once; `read` keeps nothing of it.
        unsafe {
            let facts = read(event);
            c::rd_kafka_event_destroy(event);
            facts
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        // SAFETY: the queue was created with the question, and its client still exists. An answer that comes later is
        // discarded.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

/// The offsets in an answer.
///
/// # Safety
///
/// The event must be valid.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<GroupFacts, RDKafkaErrorCode> {
    // SAFETY: the event is valid. The result and all of its parts belong to it; an event of another type has none, which
    // is checked. A topic's name ends with a zero byte; metadata has its length beside it.
    unsafe {
        succeeded(c::rd_kafka_event_error(event).into())?;
        let result = c::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let mut count = 0;
        if result.is_null() {
            return Ok(GroupFacts::default());
        }
        let groups = c::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Ok(GroupFacts::default());
        }
        let error = c::rd_kafka_group_result_error(*groups);
        if !error.is_null() {
            succeeded(c::rd_kafka_error_code(error).into())?;
        }
        let partitions = c::rd_kafka_group_result_partitions(*groups);
        if partitions.is_null() || (*partitions).elems.is_null() {
            return Ok(GroupFacts::default());
        }
        let count = usize::try_from((*partitions).cnt).unwrap_or_default();
        facts(slice::from_raw_parts((*partitions).elems, count))
    }
}

fn succeeded(code: RDKafkaErrorCode) -> Result<(), RDKafkaErrorCode> {
    // Nobody has joined a group of this name yet.
    if matches!(code, RDKafkaErrorCode::NoError | RDKafkaErrorCode::GroupIdNotFound) { Ok(()) } else { Err(code) }
}

/// What partitions say.
///
/// # Safety
///
/// They must be librdkafka's.
unsafe fn facts(partitions: &[c::rd_kafka_topic_partition_t]) -> Result<GroupFacts, RDKafkaErrorCode> {
    let mut facts = GroupFacts::default();
    for partition in partitions {
        succeeded(partition.err.into())?;
        // SAFETY: see `read`.
        let (topic, metadata) = unsafe {
            let metadata: &[u8] = match partition.metadata.is_null() {
                true => &[],
                false => slice::from_raw_parts(partition.metadata.cast(), partition.metadata_size),
            };
            (CStr::from_ptr(partition.topic).to_string_lossy().into_owned(), metadata)
        };
        let at = (topic, partition.partition);
        if let Some(identity) = std::str::from_utf8(metadata).ok().and_then(claim::identity) {
            facts.databases.insert(at.clone(), identity.to_owned());
        }
        if partition.offset >= 0 {
            facts.offsets.insert(at, partition.offset);
        }
    }
    Ok(facts)
}
