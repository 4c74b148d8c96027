//! Retention and `DeleteRecords`.

use kafka_protocol::error::ResponseError;
use tempfile::tempdir;

use super::*;

fn fill(partition: &Partition, count: i64) {
    for n in 0..count {
        partition.append(&encode(&Spec { times: vec![1_000 + n], size: 500, ..Spec::default() }), 1).unwrap();
    }
}

#[test]
fn records_are_deleted_before_an_offset() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    fill(&partition, 30);
    let segments = files(folder.path(), "log").len();
    for offset in [-2, 31] {
        assert_eq!(partition.delete_before(offset), Err(ResponseError::OffsetOutOfRange));
    }
    let slices = partition.read(0, 1 << 20, true).unwrap();
    assert_eq!(partition.delete_before(10), Ok(10));
    assert_eq!(partition.delete_before(5), Ok(10));
    assert!(files(folder.path(), "log").len() < segments);
    assert_eq!(partition.read(9, 1, true).unwrap_err(), ResponseError::OffsetOutOfRange);
    assert_eq!(read_all(&partition, 10, 1).len() + 10 * bytes_of(&slices).len() / 30, bytes_of(&slices).len());
    drop((log, partition));
    let log = open(folder.path());
    let partition = super::partition(&log);
    assert_eq!((partition.start(), partition.end()), (10, 30));
    assert_eq!(partition.delete_before(-1), Ok(30));
    assert_eq!((partition.start(), partition.end(), partition.bytes()), (30, 30, 0));
    assert_eq!(files(folder.path(), "log").len(), 1);
    drop((log, partition));
    let log = open(folder.path());
    let partition = super::partition(&log);
    assert_eq!((partition.start(), partition.end()), (30, 30));
    assert_eq!(partition.append(&plain(1, 1), 1).unwrap().base_offset, 30);
}

#[test]
fn readers_finish_and_then_the_file_closes() {
    let folder = tempdir().unwrap();
    let (_log, partition) = one(folder.path(), small());
    fill(&partition, 30);
    let slice = partition.read(0, 100, true).unwrap().remove(0);
    assert_eq!(Arc::strong_count(&slice.file), 2);
    partition.delete_before(20).unwrap();
    assert_eq!(bytes_of(std::slice::from_ref(&slice)).len(), slice.len);
    drop(slice.clone());
    assert_eq!(Arc::strong_count(&slice.file), 1, "the log holds a deleted file open");
}

#[test]
fn retention_by_size_keeps_the_newest_segments() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig { retention_bytes: 9_000, ..small() });
    fill(&partition, 100);
    log.maintain(1);
    assert!((9_000..9_000 + 4_096).contains(&partition.bytes()), "{}", partition.bytes());
    assert!(partition.start() > 70 && partition.end() == 100);
    let start = partition.start();
    log.maintain(2);
    assert_eq!(partition.start(), start);
    drop((log, partition));
    assert_eq!(super::partition(&open(folder.path())).start(), start);
}

#[test]
fn retention_by_time_deletes_even_the_newest_segment() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig { retention_ms: 500, ..small() });
    fill(&partition, 30);
    // Nothing is older than 500 ms; then the first segment; then all.
    log.maintain(1_500);
    assert_eq!(partition.start(), 0);
    log.maintain(1_000 + 6 + 501);
    assert_eq!(partition.start(), 7);
    log.maintain(10_000);
    assert_eq!((partition.start(), partition.end(), partition.bytes()), (30, 30, 0));
    log.maintain(20_000);
    assert_eq!(files(folder.path(), "log").len(), 1);
}

#[test]
fn retention_forever_keeps_all() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    fill(&partition, 30);
    log.maintain(i64::MAX);
    assert_eq!(partition.start(), 0);
}

#[test]
fn silent_producers_are_forgotten_after_a_day() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    let day = 24 * 60 * 60 * 1_000;
    partition.append(&idempotent(1, 0, 0, 1), 10_000).unwrap();
    log.maintain(10_000 + day - 1);
    assert_eq!(partition.append(&idempotent(1, 0, 5, 1), 1), Err(ResponseError::OutOfOrderSequenceNumber));
    log.maintain(20_000 + day);
    partition.append(&idempotent(1, 0, 5, 1), 20_000 + day).unwrap();
}
