//! The id of a topic: Kafka gives one to each topic when it is created, so that a topic that was deleted and created again
//! shows by another one (KIP-516).
#![expect(unsafe_code, reason = "rdkafka does not wrap librdkafka's DescribeTopics")]

use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

use crate::cluster::{Cluster, REQUEST_TIMEOUT};
use crate::error::{KafkaError, retry};
use crate::offsets;

/// A question for the id of a topic, on its way. It keeps its client, or a reference to it.
pub(crate) struct Question<O> {
    queue: *mut c::rd_kafka_queue_t,
    topic: String,
    _client: O,
}

impl<O, C> Question<O>
where
    O: Deref<Target = BaseConsumer<C>>,
    C: ConsumerContext,
{
    /// Asks. The answer comes within [`REQUEST_TIMEOUT`], if only as an error.
    pub(crate) fn ask(client: O, topic: &str) -> Question<O> {
        // A name of ours has no zero byte.
        let name = CString::new(topic).unwrap_or_default();
        let native = client.client().native_ptr();
        // SAFETY: the client outlives the question, which owns it or borrows it. The collection copies the name, and the
        // request copies collection and options, so that both may be freed at once.
        let queue = unsafe {
            let queue = c::rd_kafka_queue_new(native);
            let topics = c::rd_kafka_TopicCollection_of_topic_names([name.as_ptr()].as_mut_ptr(), 1);
            let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = c::rd_kafka_AdminOptions_new(native, operation);
            let millis = i32::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
            c::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
            c::rd_kafka_DescribeTopics(native, topics, options, queue);
            c::rd_kafka_AdminOptions_destroy(options);
            c::rd_kafka_TopicCollection_destroy(topics);
            queue
        };
        Question { queue, topic: topic.to_owned(), _client: client }
    }

    /// The answer, if it comes within that time: the id as Kafka's tools print it. Its id is None for a topic that does
    /// not exist, and from brokers before Kafka 2.8.
    pub(crate) fn answer(&self, patience: Duration) -> Option<Result<Option<String>, KafkaError>> {
        let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives as long as the question.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue, millis) };
        if event.is_null() {
            return None;
        }
        // SAFETY: the event is valid until it is destroyed, here and once; `read` keeps nothing of it.
        let id = unsafe {
            let id = read(event);
            c::rd_kafka_event_destroy(event);
            id
        };
        Some(id.map_err(|code| {
            retry(&format!("cannot read the id of topic `{}`", self.topic), &ClientError::AdminOp(code))
        }))
    }

    /// Waits for the answer.
    pub(crate) fn wait(&self) -> Result<Option<String>, KafkaError> {
        // Longer than the request may take: librdkafka answers a timeout as well.
        let (topic, patience) = (&self.topic, 2 * REQUEST_TIMEOUT);
        self.answer(patience).unwrap_or_else(|| {
            let seconds = patience.as_secs();
            Err(KafkaError::Retry(format!("cannot read the id of topic `{topic}`: no answer in {seconds} s")))
        })
    }
}

impl<O> Drop for Question<O> {
    fn drop(&mut self) {
        // SAFETY: the queue was created with the question, and its client still exists: fields are dropped after this. An
        // answer that comes later is discarded.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

/// The id in an answer.
///
/// # Safety
///
/// The event must be valid.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Result<Option<String>, RDKafkaErrorCode> {
    // SAFETY: the event is valid. The result and all of its parts belong to it; an event of another type has none, which
    // is checked. The id's text belongs to the id and ends with a zero byte.
    unsafe {
        let code: RDKafkaErrorCode = c::rd_kafka_event_error(event).into();
        if code != RDKafkaErrorCode::NoError {
            return Err(code);
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        if result.is_null() {
            return Ok(None);
        }
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Ok(None);
        }
        let topic = *topics;
        let code: RDKafkaErrorCode = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic)).into();
        match code {
            RDKafkaErrorCode::NoError => {}
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => return Ok(None),
            code => return Err(code),
        }
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        let bits = (c::rd_kafka_Uuid_most_significant_bits(id), c::rd_kafka_Uuid_least_significant_bits(id));
        if bits == (0, 0) {
            return Ok(None);
        }
        let text = c::rd_kafka_Uuid_base64str(id);
        Ok((!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned()))
    }
}

/// The id of a topic, as Kafka's tools print it; None when the topic does not exist, or the brokers are older than Kafka
/// 2.8. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka cannot be reached.
pub fn topic_id(cluster: &Cluster, topic: &str) -> Result<Option<String>, KafkaError> {
    ask(&offsets::consumer(cluster, "topic-id")?, topic)
}

/// The same through a client that exists already.
pub(crate) fn ask<C: ConsumerContext>(client: &BaseConsumer<C>, topic: &str) -> Result<Option<String>, KafkaError> {
    Question::ask(client, topic).wait()
}
