//! A partition as a sink sees it. Pure.

use std::sync::Arc;

use contract::Coordinate;
pub use contract::LastRecord;

/// A partition of a topic, as one sink sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkPartition {
    /// The consumer group, which names the sink.
    pub sink: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// How often the topic has been recreated or truncated; offsets are only comparable within one incarnation.
    pub incarnation: i32,
    /// The partition's number.
    pub number: i32,
}

impl SinkPartition {
    /// The coordinate of the record at this offset.
    pub fn coordinate(&self, offset: i64) -> Coordinate<'_> {
        Coordinate { topic: &self.topic, incarnation: self.incarnation, partition: self.number, offset }
    }
}

impl std::fmt::Display for SinkPartition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}[{}]", self.topic, self.number)
    }
}
