//! Random operations against a vector of batches.

use std::collections::{HashMap, VecDeque};
use std::fs::OpenOptions;

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Of a producer, 0 for none; its next sequence.
    Append {
        producer: i64,
        times: Vec<i64>,
        size: usize,
    },
    /// The batch of a producer that is so many batches old.
    Repeat {
        producer: i64,
        back: usize,
    },
    /// A sequence that is so far ahead.
    Gap {
        producer: i64,
        ahead: i32,
    },
    /// Deletes this share of the records.
    Delete(u8),
    Retain(i64),
    Flush,
    Restart,
    Kill,
    /// A kill, after which the file ends within the batch that is so many batches before the end.
    Cut {
        back: usize,
        at: usize,
    },
    /// A kill, after which a bit of the batch is wrong.
    Flip {
        back: usize,
        at: usize,
    },
    Recreate,
}

fn op() -> impl Strategy<Value = Op> {
    let times = || prop::collection::vec(0..100_000_i64, 1..4);
    prop_oneof![
        12 => (0..4_i64, times(), 0..2_500_usize).prop_map(|(producer, times, size)| Op::Append { producer, times, size }),
        3 => (1..4_i64, 0..8_usize).prop_map(|(producer, back)| Op::Repeat { producer, back }),
        1 => (1..4_i64, 1..5).prop_map(|(producer, ahead)| Op::Gap { producer, ahead }),
        1 => any::<u8>().prop_map(Op::Delete),
        1 => (0..20_000_i64).prop_map(Op::Retain),
        1 => Just(Op::Flush),
        1 => Just(Op::Restart),
        1 => Just(Op::Kill),
        1 => (0..8_usize, 0..3_000_usize).prop_map(|(back, at)| Op::Cut { back, at }),
        1 => (0..8_usize, 0..3_000_usize).prop_map(|(back, at)| Op::Flip { back, at }),
        1 => Just(Op::Recreate),
    ]
}

#[derive(Debug, Clone)]
struct Batch {
    offset: i64,
    /// As sent, and as stored.
    sent: Vec<u8>,
    stored: Vec<u8>,
    /// The time of each record, as a reader sees it.
    times: Vec<i64>,
    /// Producer and sequence.
    producer: (i64, i32),
    append_time: i64,
    epoch: i32,
}

impl Batch {
    fn next(&self) -> i64 {
        self.offset + self.times.len() as i64
    }
}

struct Model {
    folder: TempDir,
    log: Option<Log>,
    config: TopicConfig,
    /// All batches since the topic was created, deleted ones too.
    batches: Vec<Batch>,
    start: i64,
    /// What a power cut cannot take.
    synced: i64,
    clock: i64,
    stamp: i64,
}

impl Model {
    fn new(append_time: bool) -> Model {
        let folder = tempdir().unwrap();
        let config = TopicConfig { append_time, ..small() };
        let (log, _) = one(folder.path(), config);
        let batches = Vec::new();
        Model { folder, log: Some(log), config, batches, start: 0, synced: 0, clock: 1_000_000, stamp: 0 }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn partition(&self) -> Arc<Partition> {
        partition(self.log())
    }

    fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::next)
    }

    /// The last five batches by producer.
    fn producers(&self) -> HashMap<i64, VecDeque<Batch>> {
        let mut producers: HashMap<i64, VecDeque<Batch>> = HashMap::new();
        for batch in self.batches.iter().filter(|batch| batch.producer.0 > 0) {
            let known = producers.entry(batch.producer.0).or_default();
            known.push_back(batch.clone());
            if known.len() > 5 {
                known.pop_front();
            }
        }
        producers
    }

    fn apply(&mut self, op: Op) {
        self.clock += 7;
        match op {
            Op::Append { producer, times, size } => self.append(producer, times, size),
            Op::Repeat { producer, back } => self.repeat(producer, back),
            Op::Gap { producer, ahead } => {
                if let Some(last) = self.producers().get(&producer).and_then(|known| known.back().cloned()) {
                    let sequence = last.producer.1 + last.times.len() as i32 + ahead;
                    let error = self.partition().append(&idempotent(producer, 0, sequence, 1), self.clock).unwrap_err();
                    assert_eq!(error.code(), 45);
                }
            }
            Op::Delete(share) => {
                let offset = self.start + (self.end() - self.start) * i64::from(share) / 255;
                assert_eq!(self.partition().delete_before(offset), Ok(offset));
                self.moved_to(offset);
            }
            Op::Retain(limit) => self.retain(limit),
            Op::Flush => {
                self.clock += 5_000;
                self.log().maintain(self.clock);
                self.synced = self.end();
            }
            Op::Restart => {
                self.log().close().unwrap();
                self.synced = self.end();
                self.restart();
            }
            Op::Kill => self.restart(),
            Op::Cut { back, at } => self.damage(back, |file, from, size| {
                file.set_len(from + at as u64 % size).unwrap();
            }),
            Op::Flip { back, at } => self.damage(back, |file, from, size| {
                // The leader epoch lies outside of the checksum.
                let at = at as u64 % size;
                let at = from + if (12..16).contains(&at) { 16 } else { at };
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            }),
            Op::Recreate => {
                self.log().delete_topic("t").unwrap();
                self.log().create_topic("t", 1, self.config).unwrap();
                self.batches.clear();
                (self.start, self.synced, self.stamp) = (0, 0, 0);
            }
        }
    }

    fn append(&mut self, producer: i64, times: Vec<i64>, size: usize) {
        let last = self.producers().get(&producer).and_then(|known| known.back().cloned());
        let sequence = last.map_or(0, |last| last.producer.1 + last.times.len() as i32);
        let ids = if producer == 0 { (-1, -1, -1) } else { (producer, 0, sequence) };
        let sent = encode(&Spec { times: times.clone(), size, producer: ids });
        let offset = self.end();
        let appended = self.partition().append(&sent, self.clock).unwrap();
        let time = self.config.append_time.then_some(self.clock);
        let epoch = self.log().epoch();
        let stored = stamped(&sent, offset, epoch, time);
        let seen = time.map_or(times.clone(), |time| vec![time; times.len()]);
        let append_time = time.unwrap_or(-1);
        assert_eq!((appended.base_offset, appended.append_time_ms), (offset, append_time));
        assert!(!appended.is_duplicate && appended.log_start == self.start);
        self.batches.push(Batch {
            offset,
            sent,
            stored,
            times: seen,
            producer: (producer, sequence),
            append_time,
            epoch,
        });
        assert_eq!(appended.end, self.end());
    }

    fn repeat(&mut self, producer: i64, back: usize) {
        let all: Vec<Batch> = self.batches.iter().filter(|batch| batch.producer.0 == producer).cloned().collect();
        let Some(batch) = all.iter().rev().nth(back) else { return };
        let result = self.partition().append(&batch.sent, self.clock);
        if back < 5 {
            let appended = result.unwrap();
            assert!(appended.is_duplicate);
            assert_eq!((appended.base_offset, appended.append_time_ms), (batch.offset, batch.append_time));
        } else {
            assert_eq!(result.unwrap_err().code(), 45);
        }
    }

    fn retain(&mut self, limit: i64) {
        self.log().set_config("t", TopicConfig { retention_bytes: limit, ..self.config }).unwrap();
        self.partition().retain(self.clock);
        self.log().set_config("t", self.config).unwrap();
        let (partition, files) = (self.partition(), files(self.folder.path(), "log"));
        let sizes: Vec<u64> = files.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
        assert_eq!(sizes.iter().sum::<u64>(), partition.bytes());
        // One segment less would be too little.
        assert!(sizes.len() == 1 || sizes[1..].iter().sum::<u64>() < limit as u64, "{sizes:?} with {limit}");
        let base: i64 = files[0].file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let start = partition.start();
        assert!(start == self.start || (start > self.start && start == base && self.end() - start >= 0));
        self.moved_to(start);
    }

    /// The log start moves only after the records before it are on disk, and with them all others.
    fn moved_to(&mut self, start: i64) {
        self.synced = if start > self.synced { self.end() } else { self.synced };
        self.start = start;
    }

    /// Restarts after the file of an unsynced batch was damaged.
    fn damage(&mut self, back: usize, damage: impl Fn(&fs::File, u64, u64)) {
        let unsynced = self.batches.iter().filter(|batch| batch.offset >= self.synced).count();
        self.log = None;
        if unsynced > 0 {
            let at = self.batches.len() - 1 - back % unsynced;
            let offset = self.batches[at].offset;
            let base = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<i64>().unwrap();
            let path = files(self.folder.path(), "log").into_iter().rfind(|path| base(path) <= offset).unwrap();
            let within = self.batches.iter().filter(|batch| (base(&path)..offset).contains(&batch.offset));
            let from: usize = within.map(|batch| batch.stored.len()).sum();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            damage(&file, from as u64, self.batches[at].stored.len() as u64);
            self.batches.truncate(at);
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.log = None;
        self.log = Some(open(self.folder.path()));
        // Starting checks all records, and they are on disk then.
        self.synced = self.end();
    }

    fn check(&self, max_bytes: usize, time: i64) {
        let partition = self.partition();
        assert_eq!((partition.start(), partition.end()), (self.start, self.end()));
        let live: Vec<&Batch> = self.batches.iter().filter(|batch| batch.next() > self.start).collect();
        let stored: Vec<u8> = live.iter().flat_map(|batch| batch.stored.clone()).collect();
        assert!(read_all(&partition, self.start, max_bytes) == stored, "other bytes");
        let records = live.iter().flat_map(|batch| (batch.offset..).zip(batch.times.iter().copied()));
        let records: Vec<(i64, i64)> = records.filter(|record| record.0 >= self.start).collect();
        let time = if self.config.append_time { 1_000_000 + time } else { time };
        let found = records.iter().copied().find(|record| record.1 >= time);
        assert_eq!(partition.find_time(time).unwrap(), found);
        let latest = records.iter().copied().max_by_key(|record| (record.1, -record.0));
        assert_eq!(partition.latest_time(), latest);
        for batch in &live {
            let next = live.iter().find(|other| other.epoch > batch.epoch).map_or(self.end(), |other| other.offset);
            assert_eq!(partition.epoch_end(batch.epoch), (batch.epoch, next));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_log_behaves_like_a_vector(
        append_time: bool,
        ops in prop::collection::vec((op(), 1..6_000_usize, 0..100_000_i64), 1..60),
    ) {
        let mut model = Model::new(append_time);
        for (op, max_bytes, time) in ops {
            model.apply(op);
            model.check(max_bytes, time);
        }
    }
}
