//! Tests of the log store.

mod batches;
mod lifecycle;
mod model;
mod recovery;
mod times;
mod trim;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::batch::Header;
use super::{Flush, Log, Options, Partition, Slice, TopicConfig};

/// A batch of records, encoded by `kafka-protocol`.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) times: Vec<i64>,
    pub(super) size: usize,
    /// Producer id, epoch and first sequence.
    pub(super) producer: (i64, i16, i32),
}

impl Default for Spec {
    fn default() -> Spec {
        Spec { times: vec![1_000], size: 10, producer: (-1, -1, -1) }
    }
}

pub(super) fn encode(spec: &Spec) -> Vec<u8> {
    let (producer_id, producer_epoch, sequence) = spec.producer;
    let record = |(offset, timestamp): (i64, &i64)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: sequence.wrapping_add(i32::try_from(offset).unwrap()),
        timestamp: *timestamp,
        key: Some(Bytes::from_static(b"key")),
        value: Some(vec![u8::try_from(spec.size % 256).unwrap(); spec.size].into()),
        headers: Default::default(),
    };
    let records: Vec<Record> = (0..).zip(&spec.times).map(record).collect();
    let mut to = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut to, &records, &options).unwrap();
    to.to_vec()
}

/// A batch of an idempotent producer with small records.
pub(super) fn idempotent(id: i64, epoch: i16, sequence: i32, count: usize) -> Vec<u8> {
    encode(&Spec { times: vec![1_000; count], producer: (id, epoch, sequence), ..Spec::default() })
}

/// A batch without a producer.
pub(crate) fn plain(count: usize, size: usize) -> Vec<u8> {
    encode(&Spec { times: vec![1_000; count], size, ..Spec::default() })
}

/// Computes the checksum again after a test changed a batch.
pub(super) fn fix(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// The batch as the log must return it.
pub(super) fn stamped(batch: &[u8], offset: i64, epoch: i32, append_time: Option<i64>) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[0..8].copy_from_slice(&offset.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.to_be_bytes());
    if let Some(time) = append_time {
        batch[22] |= 8;
        batch[35..43].copy_from_slice(&time.to_be_bytes());
        fix(&mut batch);
    }
    batch
}

pub(super) fn bytes_of(slices: &[Slice]) -> Vec<u8> {
    let mut all = Vec::new();
    for slice in slices {
        let mut part = vec![0; slice.len];
        slice.file.read_exact_at(&mut part, slice.position).unwrap();
        all.extend(part);
    }
    all
}

/// The headers of whole batches.
fn batches_of(mut bytes: &[u8]) -> Vec<Header> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let header = Header::parse(bytes).unwrap();
        bytes = &bytes[usize::try_from(header.size).unwrap()..];
        headers.push(header);
    }
    headers
}

/// All batches from an offset on, read in steps.
pub(super) fn read_all(partition: &Partition, mut offset: i64, max_bytes: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while offset < partition.end() {
        let part = bytes_of(&partition.read(offset, max_bytes, true).unwrap());
        for header in batches_of(&part) {
            assert!(header.next() > offset, "no progress at {offset}");
            offset = header.next();
        }
        all.extend(part);
    }
    all
}

pub(super) fn open(folder: &Path) -> Log {
    Log::open(folder, Options { flush: Flush::Interval }).unwrap()
}

/// A log with one topic `t` of one partition.
pub(super) fn one(folder: &Path, config: TopicConfig) -> (Log, Arc<Partition>) {
    let log = open(folder);
    let partition = log.create_topic("t", 1, config).unwrap().partition(0).unwrap();
    (log, partition)
}

pub(super) fn partition(log: &Log) -> Arc<Partition> {
    log.topic("t").unwrap().partition(0).unwrap()
}

/// The files of the only partition with an extension, in order.
pub(super) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for topic in fs::read_dir(folder.join("topics")).unwrap() {
        for file in fs::read_dir(topic.unwrap().path().join("0")).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|known| known == extension));
    found.sort();
    found
}

/// Settings that keep everything in small segments.
pub(super) fn small() -> TopicConfig {
    TopicConfig { retention_ms: -1, segment_bytes: 4 << 10, ..TopicConfig::default() }
}
