//! The response written by hand is what `kafka-protocol` writes.

use std::io::Write as _;

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kafka_protocol::protocol::{Encodable as _, StrBytes};

use super::*;

fn bytes_of(reply: Reply) -> Vec<u8> {
    let Reply::Pieces(pieces) = reply else { panic!("not in pieces") };
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => all.extend_from_slice(&bytes),
            Piece::File { file, position, len } => {
                let mut part = vec![0; len];
                std::os::unix::fs::FileExt::read_exact_at(&*file, &mut part, position).unwrap();
                all.extend_from_slice(&part);
            }
        }
    }
    all
}

fn topic(name: &str, id: Uuid, partitions: Vec<Found>) -> FoundTopic {
    FoundTopic { name: StrBytes::from_string(name.to_owned()).into(), id, partitions }
}

#[test]
fn every_version_is_byte_for_byte_what_the_library_writes() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"..first batch..second").unwrap();
    let file = Arc::new(file);
    let slice = |position, len| Slice { file: file.clone(), position, len };
    let id = Uuid::from_u128(7);
    for version in 4..=17 {
        for is_committed in [false, true] {
            let found_topic = topic(
                "prices",
                id,
                vec![
                    Found { index: 0, error: 0, start: 3, end: 1 << 40, slices: vec![slice(2, 11), slice(15, 6)] },
                    Found { index: 200, error: 1, start: -1, end: -1, slices: Vec::new() },
                    Found { index: 201, error: 3, start: -1, end: -1, slices: Vec::new() },
                    Found { index: 202, error: 100, start: -1, end: -1, slices: Vec::new() },
                ],
            );
            let long = topic(&"x".repeat(200), id, Vec::new());
            let ours = bytes_of(found(version, &[found_topic, long], is_committed));
            let data = |index, error, start, end, records: &'static [u8]| {
                // As probed from Kafka: null with most errors, an empty list for unknown partitions.
                let is_listed = [3, 100].contains(&error) || error == 0 && is_committed;
                let aborted = is_listed.then(Vec::new);
                let data = PartitionData::default().with_partition_index(index).with_error_code(error);
                let data = data.with_high_watermark(end).with_last_stable_offset(end).with_log_start_offset(start);
                data.with_aborted_transactions(aborted)
                    .with_preferred_read_replica((-1).into())
                    .with_records(Some(Bytes::from_static(records)))
            };
            let named = |name: String, partitions| {
                let topic = FetchableTopicResponse::default().with_partitions(partitions);
                if version >= TOPIC_IDS {
                    topic.with_topic_id(id)
                } else {
                    topic.with_topic(StrBytes::from_string(name).into())
                }
            };
            let partitions = vec![
                data(0, 0, 3, 1 << 40, b"first batchsecond"),
                data(200, 1, -1, -1, b""),
                data(201, 3, -1, -1, b""),
                data(202, 100, -1, -1, b""),
            ];
            let topics = vec![named("prices".to_owned(), partitions), named("x".repeat(200), Vec::new())];
            let mut theirs = BytesMut::new();
            FetchResponse::default().with_responses(topics).encode(&mut theirs, version).unwrap();
            assert_eq!(ours, theirs, "version {version}");
        }
    }
}
