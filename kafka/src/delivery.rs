//! What librdkafka's reports of delivery are worth.

/// Whether a message that librdkafka reports as delivered is on the topic: only then its offset is known.
///
/// Of two messages on their way, a leader may refuse the first for the moment and take the second, e.g. right after the
/// topic was created. Kafka knows nothing of this producer yet and takes any number. When librdkafka sends the first
/// again, Kafka answers that its number is behind, and librdkafka takes it for a message that Kafka already has.
pub(crate) fn is_on_topic(offset: i64) -> bool {
    offset >= 0
}
