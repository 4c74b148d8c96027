//! The ids of the topics that a sink reads: a topic that was deleted and created again shows by another id.

use crate::outcome::StoreError;
use crate::store::Store;

/// Remembers that in these partitions, (incarnation, partition), the sink reads the topic with that id.
///
/// # Errors
///
/// [`StoreError::Retry`] when the database is unavailable.
pub async fn remember(
    store: &mut dyn Store,
    (sink, topic): (&str, &str),
    topic_id: &str,
    partitions: &[(i32, i32)],
) -> Result<(), StoreError> {
    if partitions.is_empty() {
        return Ok(());
    }
    let row = |(incarnation, partition): &(i32, i32)| format!("($1, $2, {incarnation}, {partition}, $3)");
    let rows = partitions.iter().map(row).collect::<Vec<_>>().join(", ");
    let insert = format!(
        "insert into sink_topic (sink, kafka_topic, kafka_incarnation, kafka_partition, topic_id) values {rows} \
         on conflict (sink, kafka_topic, kafka_incarnation, kafka_partition) do update set topic_id = excluded.topic_id"
    );
    store.rows(insert, &[sink, topic, topic_id]).await.map(drop)
}
