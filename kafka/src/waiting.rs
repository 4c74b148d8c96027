//! How long records have been waiting on a topic.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, REQUEST_TIMEOUT};
use crate::error::KafkaError;
use crate::reader::Reader;

/// How long one poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(100);

/// Kafka's timestamp, in milliseconds since 1970, of the first record at each of these offsets, (partition, offset), or
/// after it. Partitions without such a record are left out: markers of transactions have offsets, too. A record without
/// a timestamp counts as very old. Blocks.
///
/// # Errors
///
/// [`KafkaError::Retry`] when Kafka does not send them all within [`REQUEST_TIMEOUT`].
pub fn first_times(cluster: &Cluster, topic: &str, offsets: &[(i32, i64)]) -> Result<HashMap<i32, i64>, KafkaError> {
    let mut found = HashMap::new();
    if offsets.is_empty() {
        return Ok(found);
    }
    let reader = Reader::assign(cluster, topic, offsets)?;
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let is_open =
        |found: &HashMap<i32, i64>, partition: i32| !found.contains_key(&partition) && !reader.is_at_end(partition);
    while offsets.iter().any(|(partition, _)| is_open(&found, *partition)) {
        if let Some(message) = reader.poll(POLL_PATIENCE)? {
            found.entry(message.partition()).or_insert(message.timestamp_ms().unwrap_or_default());
        }
        if Instant::now() > deadline {
            let (brokers, seconds) = (cluster.brokers(), REQUEST_TIMEOUT.as_secs());
            return Err(KafkaError::Retry(format!(
                "cannot read the records of topic `{topic}` that wait: Kafka at `{brokers}` did not send them within \
                 {seconds} s"
            )));
        }
    }
    Ok(found)
}
