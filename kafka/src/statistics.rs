//! The ends of partitions, from librdkafka's statistics.

use std::collections::HashMap;

use serde::Deserialize;

/// librdkafka reports an offset that it does not know as a negative number.
const FIRST_OFFSET: i64 = 0;

#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: HashMap<i32, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
struct PartitionStatistics {
    hi_offset: i64,
    ls_offset: i64,
}

/// The end up to which a consumer can read each partition of a topic, (partition, end). Partitions whose end the
/// client does not know are left out.
pub(crate) fn ends(topic: &str, json: &[u8]) -> Vec<(i32, i64)> {
    let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else { return Vec::new() };
    let Some(topic) = statistics.topics.get(topic) else { return Vec::new() };
    let end = |(number, statistics): (&i32, &PartitionStatistics)| {
        // A consumer can read up to the last complete transaction.
        let PartitionStatistics { ls_offset, hi_offset } = *statistics;
        let end = if ls_offset >= FIRST_OFFSET { ls_offset } else { hi_offset };
        (end >= FIRST_OFFSET).then_some((*number, end))
    };
    topic.partitions.iter().filter_map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_behind_the_last_complete_transaction_where_the_client_knows_it() {
        let json = br#"{"name":"x","topics":{"t":{"topic":"t","partitions":{
            "0":{"partition":0,"hi_offset":999,"ls_offset":150},"1":{"hi_offset":7,"ls_offset":-1001},
            "-1":{"hi_offset":-1001,"ls_offset":-1001}}}}}"#;
        let mut ends = ends("t", json);
        ends.sort_unstable();
        assert_eq!(ends, [(0, 150), (1, 7)]);
        assert_eq!(super::ends("other", json), []);
        assert_eq!(super::ends("t", b"no JSON"), []);
    }
}
