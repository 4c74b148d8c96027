//! Finding offsets by time and by epoch.

use tempfile::tempdir;

use super::super::meta::Mark;
use super::super::recovery::recover;
use super::*;

fn timed(times: &[i64], size: usize) -> Vec<u8> {
    encode(&Spec { times: times.to_vec(), size, ..Spec::default() })
}

#[test]
fn times_find_the_first_record_at_or_after() {
    let folder = tempdir().unwrap();
    // 30 KB per batch: the sparse index has entries, and there are several segments.
    let (log, partition) = one(folder.path(), TopicConfig { segment_bytes: 400 << 10, ..small() });
    let times = |n: i64| [1_000 * n, 1_000 * n + 500, 1_000 * n + 200];
    for n in 0..40 {
        partition.append(&timed(&times(n), 10_000), 1).unwrap();
    }
    let all: Vec<(i64, i64)> = (0..).zip((0..40).flat_map(times)).collect();
    let check = |partition: &Partition, start: i64| {
        for time in (-100..40_100).step_by(50) {
            let expected = all.iter().copied().find(|record| record.0 >= start && record.1 >= time);
            assert_eq!(partition.find_time(time).unwrap(), expected, "time {time}, start {start}");
        }
        let latest = all.iter().copied().filter(|record| record.0 >= start).max_by_key(|record| (record.1, -record.0));
        assert_eq!(partition.latest_time(), latest);
    };
    check(&partition, 0);
    log.close().unwrap();
    drop((log, partition));
    let log = open(folder.path());
    let partition = super::partition(&log);
    for start in [1, 3, 50, 118, 119, 120] {
        partition.delete_before(start).unwrap();
        check(&partition, start);
    }
}

#[test]
fn append_times_and_compressed_batches_need_no_decoding() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig { append_time: true, ..small() });
    partition.append(&timed(&[7, 8, 9], 10), 100).unwrap();
    partition.append(&timed(&[7, 8, 9], 10), 200).unwrap();
    assert_eq!(partition.find_time(9).unwrap(), Some((0, 100)));
    assert_eq!(partition.find_time(101).unwrap(), Some((3, 200)));
    assert_eq!(partition.find_time(201).unwrap(), None);
    assert_eq!(partition.latest_time(), Some((3, 200)));
    log.set_config("t", small()).unwrap();
    // Garbage that claims to be zstd: found early, never late.
    let mut batch = timed(&[300, 400], 10);
    batch[22] |= 4;
    fix(&mut batch);
    partition.append(&batch, 1).unwrap();
    assert_eq!(partition.find_time(350).unwrap(), Some((6, 300)));
    assert_eq!(partition.latest_time(), Some((7, 400)));
    // Garbage that claims to be records.
    let mut batch = timed(&[500, 600], 10);
    batch[61..].fill(0xff);
    fix(&mut batch);
    partition.append(&batch, 1).unwrap();
    assert_eq!(partition.find_time(550).unwrap(), Some((8, 500)));
    assert_eq!(partition.latest_time(), Some((8, 500)));
}

#[test]
fn an_empty_partition_has_no_times() {
    let folder = tempdir().unwrap();
    let (_log, partition) = one(folder.path(), small());
    assert_eq!((partition.find_time(0).unwrap(), partition.latest_time()), (None, None));
}

#[test]
fn epochs_end_where_the_next_one_begins() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    partition.append(&plain(3, 10), 1).unwrap();
    drop((log, partition));
    let mut log = open(folder.path());
    // Nothing is written in epoch 1; in epoch 2 checkpoints are.
    for _ in 0..2 {
        drop(log);
        log = open(folder.path());
    }
    let partition = super::partition(&log);
    assert_eq!(log.epoch(), 3);
    partition.append(&plain(2, 10), 1).unwrap();
    let check = |partition: &Partition, end: i64| {
        let ends: Vec<(i32, i64)> = (-1..5).map(|epoch| partition.epoch_end(epoch)).collect();
        let newest = if end == 5 { (3, 5) } else { (3, end) };
        assert_eq!(ends[..5], [(-1, -1), (0, 3), (0, 3), (0, 3), newest]);
    };
    check(&partition, 5);
    assert_eq!(partition.epoch_end(4), (-1, -1));
    log.close().unwrap();
    drop((log, partition));
    let log = open(folder.path());
    check(&super::partition(&log), 5);
    drop(log);
    let log = open(folder.path());
    let partition = super::partition(&log);
    partition.append(&plain(1, 10), 1).unwrap();
    check(&partition, 5);
    assert_eq!(partition.epoch_end(4), (4, 6));
    partition.delete_before(2).unwrap();
    check(&partition, 5);
}

#[test]
fn epochs_of_lost_records_are_forgotten() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    partition.append(&plain(3, 10), 1).unwrap();
    drop((log, partition));
    // A checkpoint may know epochs beyond its recovery point, whose records a power cut took.
    let mark = Mark { recovery: 3, stamp: 0, epochs: vec![(0, 0), (1, 3), (2, 9)] };
    let partition_folder = files(folder.path(), "log")[0].parent().unwrap().to_owned();
    assert_eq!(recover(&partition_folder, Some(&mark), 1).unwrap().epochs, [(0, 0)]);
}
