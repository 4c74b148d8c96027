//! Which batches the log accepts, and how it stores them.

use std::fs;

use kafka_protocol::error::ResponseError;
use tempfile::tempdir;

use super::super::partition::tests::ROOM;
use super::*;

/// Appends and returns the offset, marked if it is a duplicate.
fn append(partition: &Partition, batch: &[u8]) -> Result<(i64, bool), i16> {
    let appended = partition.append(batch, 5_000).map_err(|error| error.code())?;
    Ok((appended.base_offset, appended.is_duplicate))
}

#[test]
fn a_batch_reads_back_identical_apart_from_offset_and_epoch() {
    let folder = tempdir().unwrap();
    let (_log, partition) = one(folder.path(), TopicConfig::default());
    let batches = [plain(3, 100), idempotent(7, 0, 0, 2), plain(1, 0)];
    let expected: Vec<u8> =
        batches.iter().zip([0, 3, 5]).flat_map(|(batch, offset)| stamped(batch, offset, 0, None)).collect();
    for batch in &batches {
        partition.append(batch, 1).unwrap();
    }
    assert_eq!(bytes_of(&partition.read(0, 1 << 20, true).unwrap()), expected);
    assert_eq!((partition.start(), partition.end(), partition.bytes()), (0, 6, expected.len() as u64));
}

#[test]
fn append_time_is_stamped_and_never_falls() {
    let folder = tempdir().unwrap();
    let config = TopicConfig { append_time: true, ..TopicConfig::default() };
    let (log, partition) = one(folder.path(), config);
    let (first, second) = (idempotent(7, 0, 0, 2), plain(1, 10));
    assert_eq!(partition.append(&first, 900).unwrap().append_time_ms, 900);
    assert_eq!(partition.append(&second, 800).unwrap().append_time_ms, 900);
    let again = partition.append(&first, 950).unwrap();
    assert_eq!((again.append_time_ms, again.base_offset, again.is_duplicate), (900, 0, true));
    let expected = [stamped(&first, 0, 0, Some(900)), stamped(&second, 2, 0, Some(900))].concat();
    assert_eq!(read_all(&partition, 0, 1), expected);
    drop((log, partition));
    // The kill raised the epoch, but the time does not fall and the duplicate keeps its own.
    let log = open(folder.path());
    let partition = super::partition(&log);
    assert_eq!(partition.append(&first, 950).unwrap().append_time_ms, 900);
    assert_eq!(partition.append(&second, 100).unwrap().append_time_ms, 900);
}

#[test]
fn bad_batches_get_kafkas_errors() {
    let folder = tempdir().unwrap();
    let (_log, partition) = one(folder.path(), TopicConfig::default());
    let good = plain(2, 10);
    let change = |at: usize, bytes: &[u8]| {
        let mut batch = good.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        fix(&mut batch);
        batch
    };
    let mut damaged = good.clone();
    damaged[30] ^= 1;
    let cases = [
        ("damaged", damaged, 2),
        ("empty", Vec::new(), 87),
        ("30 bytes", good[..30].to_vec(), 87),
        ("two batches", [good.clone(), good.clone()].concat(), 87),
        ("too long", change(8, &1_000_000_i32.to_be_bytes()), 87),
        ("negative length", change(8, &(-1_i32).to_be_bytes()), 2),
        ("magic 1", change(16, &[1]), 87),
        ("magic 3", change(16, &[3]), 2),
        ("base offset", change(7, &[1]), 87),
        ("control", change(22, &[0x20]), 87),
        ("transactional", change(22, &[0x10]), 53),
        ("append time", change(22, &[8]), 32),
        ("compression 5", change(22, &[5]), 76),
        ("count", change(57, &5_i32.to_be_bytes()), 87),
        ("delta", change(23, &0_i32.to_be_bytes()), 87),
        ("count 0", change(57, &0_i32.to_be_bytes()), 87),
        ("no sequence", idempotent(7, 0, -1, 1), 87),
        ("too large", plain(1, 1_100_000), 10),
    ];
    for (name, batch, code) in cases {
        assert_eq!(append(&partition, &batch), Err(code), "{name}");
    }
    for length in 0..good.len() {
        assert!(append(&partition, &good[..length]).is_err(), "{length} bytes");
    }
    assert_eq!((partition.end(), partition.bytes()), (0, 0));
    assert_eq!(append(&partition, &good), Ok((0, false)));
}

#[test]
fn idempotent_producers_follow_kafkas_rules() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig::default());
    let check = |partition: &Partition| {
        assert_eq!(append(partition, &idempotent(1, 0, 3, 1)), Ok((3, true)), "the fifth last");
        assert_eq!(append(partition, &idempotent(1, 0, 0, 3)), Err(45), "the sixth last");
        assert_eq!(append(partition, &idempotent(1, 0, 20, 1)), Err(45), "gap");
        assert_eq!(append(partition, &idempotent(1, 0, 7, 2)), Err(45), "same start, other length");
        assert_eq!(append(partition, &idempotent(1, 1, 5, 1)), Err(45), "a new epoch begins at 0");
    };
    assert_eq!(append(&partition, &idempotent(1, 0, 0, 3)), Ok((0, false)));
    assert_eq!(append(&partition, &idempotent(1, 0, 0, 3)), Ok((0, true)));
    for sequence in 3..8 {
        assert_eq!(append(&partition, &idempotent(1, 0, sequence, 1)), Ok((i64::from(sequence), false)));
    }
    check(&partition);
    // After a kill and after a clean stop all is as before.
    drop((log, partition));
    let log = open(folder.path());
    check(&super::partition(&log));
    log.close().unwrap();
    drop(log);
    let log = open(folder.path());
    let partition = super::partition(&log);
    check(&partition);
    assert_eq!(append(&partition, &idempotent(1, 1, 0, 1)), Ok((8, false)));
    assert_eq!(append(&partition, &idempotent(1, 0, 8, 1)), Err(47));
    assert_eq!(append(&partition, &idempotent(9, 3, 7, 1)), Ok((9, false)), "unknown producers begin anywhere");
    // Sequences wrap inside a batch.
    let last = i32::MAX - 1;
    assert_eq!(append(&partition, &idempotent(2, 0, last, 3)), Ok((10, false)));
    assert_eq!(append(&partition, &idempotent(2, 0, 1, 1)), Ok((13, false)));
    assert_eq!(append(&partition, &idempotent(2, 0, last, 3)), Ok((10, true)));
    assert_eq!(append(&partition, &idempotent(3, 0, i32::MAX, 1)), Ok((14, false)));
    assert_eq!(append(&partition, &idempotent(3, 0, 0, 1)), Ok((15, false)));
}

#[test]
fn a_full_disk_leaves_no_trace() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig::default());
    append(&partition, &plain(1, 10)).unwrap();
    let bytes = partition.bytes();
    for room in [0, 1, 30, 61, 70] {
        ROOM.set(Some(room));
        assert_eq!(partition.append(&idempotent(1, 0, 0, 1), 1), Err(ResponseError::KafkaStorageError));
        ROOM.set(None);
        assert_eq!(fs::metadata(&files(folder.path(), "log")[0]).unwrap().len(), bytes, "room for {room} bytes");
    }
    // The retry is not taken for a duplicate.
    assert_eq!(append(&partition, &idempotent(1, 0, 0, 1)), Ok((1, false)));
    let all = read_all(&partition, 0, 1);
    drop((log, partition));
    assert_eq!(read_all(&super::partition(&open(folder.path())), 0, 1), all);
}

#[test]
fn reading_respects_the_limit_but_returns_one_batch() {
    let folder = tempdir().unwrap();
    let (_log, partition) = one(folder.path(), small());
    let batches: Vec<Vec<u8>> = (0..40).map(|n| stamped(&plain(2, 200 + n), 2 * n as i64, 0, None)).collect();
    for n in 0..40 {
        partition.append(&plain(2, 200 + n), 1).unwrap();
    }
    for (n, batch) in batches.iter().enumerate() {
        for offset in [2 * n as i64, 2 * n as i64 + 1] {
            assert_eq!(bytes_of(&partition.read(offset, 0, true).unwrap()), *batch);
            assert!(partition.read(offset, batch.len() - 1, false).unwrap().is_empty());
            assert_eq!(bytes_of(&partition.read(offset, batch.len(), false).unwrap()), *batch);
            let two: Vec<u8> = batches[n..].iter().take(2).flatten().copied().collect();
            assert_eq!(bytes_of(&partition.read(offset, 2 * batch.len() + 4, false).unwrap()), two);
            assert_eq!(bytes_of(&partition.read(offset, 1 << 20, false).unwrap()), batches[n..].concat());
        }
    }
    assert!(partition.read(80, 1 << 20, true).unwrap().is_empty());
    for offset in [-1, 81] {
        assert_eq!(partition.read(offset, 1, true).unwrap_err(), ResponseError::OffsetOutOfRange);
    }
}
