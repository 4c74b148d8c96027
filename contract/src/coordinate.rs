//! Where a record is on Kafka.

use std::fmt;

use crate::original::Original;

/// A record's place: topic, incarnation of the topic, partition and offset.
///
/// Two records of one topic have different coordinates, also after the topic was recreated. As text it is
/// `topic/incarnation/partition/offset`, which is the id of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coordinate<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// How often the topic has been recreated or truncated; offsets are comparable only within one incarnation.
    pub incarnation: i32,
    /// The partition's number.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

impl<'a> Coordinate<'a> {
    /// Reads a coordinate from its text; None when the text is not a coordinate.
    pub fn parse(text: &'a str) -> Option<Coordinate<'a>> {
        let mut parts = text.rsplitn(4, '/');
        let offset = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        let incarnation = parts.next()?.parse().ok()?;
        Some(Coordinate { topic: parts.next()?, incarnation, partition, offset })
    }
}

impl fmt::Display for Coordinate<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}/{}", self.topic, self.incarnation, self.partition, self.offset)
    }
}

/// The last record of a range of offsets, and a hash of its bytes: a topic that was recreated holds another record
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// Its offset.
    pub offset: i64,
    /// Its hash, see [`Original::hash`].
    pub hash: i64,
}

impl LastRecord {
    /// Of a message as it came.
    pub fn of(original: &Original<'_>) -> LastRecord {
        LastRecord { offset: original.offset, hash: original.hash() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinate_is_read_back_from_its_text() {
        let coordinate = Coordinate { topic: "tapedeck.a/b", incarnation: 1, partition: 2, offset: 30 };
        assert_eq!(coordinate.to_string(), "tapedeck.a/b/1/2/30");
        assert_eq!(Coordinate::parse("tapedeck.a/b/1/2/30"), Some(coordinate));
        for text in ["", "2/30", "1/2/30", "topic/1/2/x", "topic/1/9999999999/30"] {
            assert_eq!(Coordinate::parse(text), None, "{text}");
        }
    }
}
