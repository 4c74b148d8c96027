//! Data folders and topics.

use std::collections::HashSet;

use kafka_protocol::error::ResponseError;
use tempfile::tempdir;

use super::*;
use crate::log::FolderLock;

fn refusal(folder: &Path) -> String {
    format!("{:#}", Log::open(folder, Options::default()).unwrap_err())
}

#[test]
fn the_folder_of_the_previous_broker_stays_untouched() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("broker.db"), "old").unwrap();
    assert!(refusal(folder.path()).contains("earlier version"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn folders_of_other_formats_are_refused() {
    let folder = tempdir().unwrap();
    let meta = folder.path().join("meta.json");
    fs::write(&meta, r#"{"format":9,"more":1}"#).unwrap();
    assert!(refusal(folder.path()).contains("data format 9"));
    fs::write(&meta, "{").unwrap();
    assert!(refusal(folder.path()).contains("meta.json: damaged"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::remove_file(&meta).unwrap();
    fs::create_dir_all(folder.path().join("topics/x")).unwrap();
    assert!(refusal(folder.path()).contains("there are topics"));
    assert!(folder.path().join("topics/x").exists());
}

#[test]
fn only_one_broker_uses_a_folder() {
    let folder = tempdir().unwrap();
    let log = open(folder.path());
    assert!(refusal(folder.path()).contains("another broker uses this folder"));
    drop(log);
    open(folder.path());
}

#[test]
fn a_child_process_that_inherits_the_lock_does_not_keep_it() {
    let folder = tempdir().unwrap();
    let lock = FolderLock::take(folder.path()).unwrap();
    let _inherited = lock.0.try_clone().unwrap();
    drop(lock);
    FolderLock::take(folder.path()).unwrap();
}

#[test]
fn the_epoch_rises_after_a_kill_only() {
    let folder = tempdir().unwrap();
    let log = open(folder.path());
    let cluster = log.cluster_id().to_owned();
    assert_eq!(log.epoch(), 0);
    log.close().unwrap();
    drop(log);
    let log = open(folder.path());
    assert_eq!((log.epoch(), log.cluster_id()), (0, cluster.as_str()));
    drop(log);
    let log = open(folder.path());
    assert_eq!((log.epoch(), log.cluster_id()), (1, cluster.as_str()));
}

#[test]
fn topics_are_checked_like_kafka_does() {
    let folder = tempdir().unwrap();
    let log = open(folder.path());
    let create = |name: &str, partitions| {
        log.create_topic(name, partitions, TopicConfig::default()).map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(create("a.b", 2), Ok(()));
    assert_eq!(create("a.b", 2), Err(36));
    assert_eq!(create("a_b", 2), Err(17));
    for name in ["", ".", "..", "a/b", "ä", &"x".repeat(250)] {
        assert_eq!(create(name, 1), Err(17), "{name}");
    }
    assert_eq!(create("c", 0), Err(37));
    assert_eq!(create("c", 10_001), Err(44));
    let bad = TopicConfig { segment_bytes: 10, ..TopicConfig::default() };
    assert_eq!(log.create_topic("c", 1, bad).unwrap_err(), ResponseError::InvalidConfig);
    assert_eq!(log.add_partitions("a.b", 2), Err(ResponseError::InvalidPartitions));
    assert_eq!(log.add_partitions("nope", 2), Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(log.topics().len(), 1);
}

#[test]
fn topics_survive_a_kill() {
    let folder = tempdir().unwrap();
    let log = open(folder.path());
    let id = log.create_topic("t", 1, TopicConfig::default()).unwrap().id();
    log.create_topic("gone", 1, TopicConfig::default()).unwrap();
    log.delete_topic("gone").unwrap();
    log.add_partitions("t", 3).unwrap();
    log.set_config("t", small()).unwrap();
    log.topic("t").unwrap().partition(2).unwrap().append(&plain(4, 1), 1).unwrap();
    // What a crash leaves behind while a topic is created.
    let orphan = folder.path().join("topics/11111111-1111-4111-8111-111111111111");
    fs::create_dir_all(orphan.join("0")).unwrap();
    drop(log);
    let log = open(folder.path());
    let topic = log.topic_by_id(id).unwrap();
    assert_eq!((topic.name(), topic.partitions(), topic.config()), ("t", 3, small()));
    assert_eq!(topic.partition(2).unwrap().end(), 4);
    assert!(topic.partition(3).is_none() && topic.partition(-1).is_none() && log.topic("gone").is_none());
    assert!(!orphan.exists());
}

#[tokio::test]
async fn deletion_wakes_readers_and_recreation_begins_anew() {
    let folder = tempdir().unwrap();
    let (log, old) = one(folder.path(), TopicConfig::default());
    let topic = log.topic("t").unwrap();
    old.append(&idempotent(5, 0, 0, 3), 1).unwrap();
    let slices = old.read(0, 1_000, true).unwrap();
    let woken = topic.changed().notified();
    assert_eq!(log.delete_topic("t"), Ok(topic.id()));
    woken.await;
    assert!(topic.is_deleted());
    assert_eq!(old.append(&plain(1, 1), 1), Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(old.read(0, 1, true).unwrap_err(), ResponseError::UnknownTopicOrPartition);
    assert!(!bytes_of(&slices).is_empty(), "a reader finishes");
    assert!(fs::read_dir(folder.path().join("topics")).unwrap().next().is_none());
    let recreated = log.create_topic("t", 1, TopicConfig::default()).unwrap();
    assert_ne!(recreated.id(), topic.id());
    let new = recreated.partition(0).unwrap();
    // Nothing is known about the producer.
    assert_eq!(new.append(&idempotent(5, 0, 9, 1), 1).unwrap().base_offset, 0);
}

#[tokio::test]
async fn an_append_wakes_readers() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig::default());
    let topic = log.topic("t").unwrap();
    let woken = topic.changed().notified();
    partition.append(&plain(1, 1), 1).unwrap();
    woken.await;
}

#[test]
fn producer_ids_are_never_given_twice() {
    let folder = tempdir().unwrap();
    let mut ids = HashSet::new();
    for run in 0..3 {
        let log = open(folder.path());
        for _ in 0..1_001 {
            assert!(ids.insert(log.new_producer_id().unwrap()));
        }
        if run == 1 {
            log.close().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_commit_serves_all_who_wait() {
    let folder = tempdir().unwrap();
    let log = Log::open(folder.path(), Options { flush: Flush::Always }).unwrap();
    let partition = log.create_topic("t", 1, small()).unwrap().partition(0).unwrap();
    let first = partition.append(&plain(1, 100), 1).unwrap().end;
    assert!(!partition.is_durable(first));
    partition.durable(first).await.unwrap();
    assert!(partition.is_durable(first));
    let mut tasks = Vec::new();
    for n in 0..50 {
        let partition = Arc::clone(&partition);
        tasks.push(tokio::spawn(async move {
            let end = partition.append(&plain(1, 100 + n), 1).unwrap().end;
            partition.durable(end).await.unwrap();
            assert!(partition.mark().recovery >= end);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(partition.mark().recovery, 51);
    // An offset beyond the end does not wait forever.
    partition.durable(1_000).await.unwrap();
    log.delete_topic("t").unwrap();
    partition.durable(50).await.unwrap();
}

#[test]
fn consumers_read_what_is_on_disk_and_no_further_when_every_append_is_flushed() {
    let folder = tempdir().unwrap();
    let log = Log::open(folder.path(), Options { flush: Flush::Always }).unwrap();
    let partition = log.create_topic("t", 1, small()).unwrap().partition(0).unwrap();
    let batches = |offset| batches_of(&bytes_of(&partition.read(offset, 1_000_000, true).unwrap())).len();
    let mut expected = 0;
    // Beyond the first segments, whose size is small.
    for appended in 1..=200 {
        partition.append(&plain(1, 100), 1).unwrap();
        assert_eq!((partition.visible_end(), batches(0)), (expected, usize::try_from(expected).unwrap()));
        assert_eq!(batches(expected), 0);
        if appended % 7 == 0 {
            partition.flush();
            expected = appended;
            assert_eq!((partition.visible_end(), batches(0)), (expected, usize::try_from(expected).unwrap()));
        }
    }
    assert!(files(folder.path(), "log").len() > 1, "one segment is too few for this test");
    // The log start may pass what is visible.
    partition.delete_before(200).unwrap();
    assert_eq!((partition.visible_end(), batches(200)), (200, 0));
}

#[test]
fn a_closed_log_refuses_appends() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig::default());
    partition.append(&plain(1, 1), 1).unwrap();
    log.close().unwrap();
    assert_eq!(partition.append(&plain(1, 1), 1), Err(ResponseError::KafkaStorageError));
    assert_eq!((partition.end(), partition.mark().recovery), (1, 1));
    log.close().unwrap();
}

#[test]
fn readers_writers_and_deletion_run_side_by_side() {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), TopicConfig { retention_bytes: 20_000, ..small() });
    let batches = 2_000;
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let partition = &partition;
            scope.spawn(move || {
                for n in 0..batches {
                    partition.append(&idempotent(writer, 0, n, 1), 1).unwrap();
                }
            });
        }
        scope.spawn(|| {
            while partition.end() < i64::from(2 * batches) {
                partition.retain(1);
                log.maintain(i64::from(batches));
            }
        });
        let mut offset = 0;
        while offset < i64::from(2 * batches) {
            let slices = match partition.read(offset, 3_000, true) {
                Ok(slices) => slices,
                Err(error) => {
                    assert_eq!(error, ResponseError::OffsetOutOfRange);
                    assert!(partition.start() > offset);
                    offset = partition.start();
                    continue;
                }
            };
            for batch in batches_of(&bytes_of(&slices)) {
                assert_eq!(batch.base_offset, offset);
                offset = batch.next();
            }
        }
    });
    partition.retain(1);
    assert!(partition.bytes() < 20_000 + 4_096 && partition.start() > 0);
}
