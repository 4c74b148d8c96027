//! The log store: all topics of a data folder. It knows files and record batches, but no connections and no requests.
//!
//! ```text
//! lock                                  held by the running broker
//! meta.json                             cluster id, epoch, topics and their settings, producer ids
//! checkpoint.json                       recovery points
//! topics/ID/N/OFFSET.log                segment: record batches as on the wire
//! topics/ID/N/OFFSET.index              sparse index of a segment
//! topics/ID/N/OFFSET.producers          idempotent producers before this offset
//! topics/ID/N/start                     first offset, once records were deleted
//! ```
//!
//! All functions wait for the disk, except [`Partition::durable`]. A reader or an append takes microseconds;
//! [`Log::maintain`], [`Log::close`] and changes of topics belong on a blocking thread.

mod batch;
mod files;
mod index;
mod meta;
mod partition;
mod producers;
mod recovery;
#[cfg(test)]
pub(crate) mod tests;
mod topic;
mod topics;
mod walk;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use self::files::{OpenFiles, lock};
use self::meta::{Checkpoint, Meta, TopicMeta};
use self::partition::Shared;
pub use self::partition::{Appended, Partition, Slice};
use self::topic::TopicState;
pub use self::topic::{Topic, TopicConfig, check_name};
use crate::limits::{FLUSH_INTERVAL_MS, PRODUCER_ID_BLOCK};

/// When appended records reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flush {
    /// Every few seconds: acknowledged records survive a crash of the process.
    #[default]
    Interval,
    /// Before they are acknowledged: they survive a power cut.
    Always,
}

/// How to open a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// When appended records reach the disk.
    pub flush: Flush,
}

/// All topics of a data folder.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    shared: Arc<Shared>,
    cluster_id: String,
    meta: Mutex<Meta>,
    /// Held while a topic is created, changed or deleted.
    changing: Mutex<()>,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    checkpoint: Mutex<Checkpoint>,
    /// Producer ids that are reserved and free: next, end.
    producer_ids: Mutex<(i64, i64)>,
    flushed_ms: AtomicI64,
    _lock: FolderLock,
}

impl Log {
    /// Opens a data folder, which one process can do at a time, and recovers its partitions.
    pub fn open(folder: &Path, options: Options) -> anyhow::Result<Log> {
        // Another version's folder stays untouched.
        Meta::load(folder)?;
        let topics = folder.join("topics");
        fs::create_dir_all(&topics).with_context(|| format!("cannot create {}", topics.display()))?;
        let lock = FolderLock::take(folder)?;
        let mut meta = Meta::load(folder)?;
        if !meta.is_clean {
            meta.epoch = meta.epoch.saturating_add(1);
        }
        meta.is_clean = false;
        meta.save(folder)?;
        let checkpoint = Checkpoint::load(folder)?;
        let shared = Arc::new(Shared { epoch: meta.epoch, flush: options.flush, files: OpenFiles::default() });
        remove_unknown(&topics, |name| meta.topics.values().any(|topic| topic.id.to_string() == name))?;
        let mut log = Log {
            folder: folder.to_owned(),
            shared,
            cluster_id: meta.cluster_id.clone(),
            producer_ids: Mutex::new((meta.next_producer_id, meta.next_producer_id)),
            meta: Mutex::new(meta.clone()),
            changing: Mutex::default(),
            topics: RwLock::default(),
            checkpoint: Mutex::default(),
            flushed_ms: AtomicI64::new(0),
            _lock: lock,
        };
        let opened =
            meta.topics.iter().map(|(name, topic)| Ok((name.clone(), log.open_topic(name, topic, &checkpoint)?)));
        log.topics = RwLock::new(opened.collect::<anyhow::Result<_>>()?);
        log.save_checkpoint()?;
        Ok(log)
    }

    fn open_topic(&self, name: &str, meta: &TopicMeta, checkpoint: &Checkpoint) -> anyhow::Result<Arc<Topic>> {
        let folder = self.topic_folder(meta.id);
        remove_unknown(&folder, |name| name.parse().is_ok_and(|n: i32| (0..meta.partitions).contains(&n)))?;
        let (state, now_ms) = (TopicState::new(meta.config), now_ms());
        let partitions = (0..meta.partitions).map(|n| {
            let (shared, state) = (Arc::clone(&self.shared), Arc::clone(&state));
            let partition =
                Partition::open(folder.join(n.to_string()), shared, state, checkpoint.mark(meta.id, n), now_ms);
            partition.with_context(|| format!("topic {name}, partition {n}")).map(Arc::new)
        });
        let partitions = partitions.collect::<anyhow::Result<_>>()?;
        Ok(Arc::new(Topic::new(name, meta.id, state, partitions)))
    }

    fn topic_folder(&self, id: Uuid) -> PathBuf {
        self.folder.join("topics").join(id.to_string())
    }

    /// Names the data folder for good.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// When appended records reach the disk.
    pub fn flush(&self) -> Flush {
        self.shared.flush
    }

    /// The leader epoch of all partitions. A start after an unclean stop raises it; it never falls.
    pub fn epoch(&self) -> i32 {
        self.shared.epoch
    }

    /// All topics by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A topic.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().find(|topic| topic.id() == id).cloned()
    }

    /// An id for an idempotent producer, never given before.
    pub fn new_producer_id(&self) -> Result<i64, ResponseError> {
        let mut ids = lock(&self.producer_ids);
        if ids.0 == ids.1 {
            self.change(|meta| {
                meta.next_producer_id = meta.next_producer_id.saturating_add(PRODUCER_ID_BLOCK);
                *ids = (meta.next_producer_id - PRODUCER_ID_BLOCK, meta.next_producer_id);
            })?;
        }
        ids.0 += 1;
        Ok(ids.0 - 1)
    }

    /// Changes `meta.json`, or nothing if the disk fails.
    fn change(&self, change: impl FnOnce(&mut Meta)) -> Result<(), ResponseError> {
        let mut meta = lock(&self.meta);
        let mut changed = meta.clone();
        change(&mut changed);
        if let Err(error) = changed.save(&self.folder) {
            tracing::error!("{error:#}");
            return Err(ResponseError::KafkaStorageError);
        }
        *meta = changed;
        Ok(())
    }

    /// Applies retention and, every few seconds, moves appended records to disk. The broker calls it once a second.
    pub fn maintain(&self, now_ms: i64) {
        let topics = self.topics();
        let partitions = || topics.iter().flat_map(|topic| topic.all());
        partitions().for_each(|partition| partition.retain(now_ms));
        let is_due = |last: i64| (now_ms.saturating_sub(last) >= FLUSH_INTERVAL_MS || now_ms < last).then_some(now_ms);
        if self.flushed_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_err() {
            return;
        }
        for partition in partitions() {
            partition.expire(now_ms);
            partition.flush();
        }
        if let Err(error) = self.save_checkpoint() {
            // The next start checks more than it needs to.
            tracing::warn!("{error:#}");
        }
    }

    fn save_checkpoint(&self) -> anyhow::Result<()> {
        let marks = |topic: &Arc<Topic>| (0..).zip(topic.all().iter().map(|partition| partition.mark())).collect();
        let mut saved = lock(&self.checkpoint);
        let partitions = self.topics().iter().map(|topic| (topic.id(), marks(topic))).collect();
        let checkpoint = Checkpoint { partitions };
        if checkpoint != *saved {
            checkpoint.save(&self.folder)?;
            *saved = checkpoint;
        }
        Ok(())
    }

    /// Stops cleanly: the next start needs no recovery. Appends fail from now on.
    pub fn close(&self) -> anyhow::Result<()> {
        for topic in self.topics() {
            topic.all().iter().for_each(|partition| partition.stop());
        }
        self.save_checkpoint()?;
        let mut meta = lock(&self.meta);
        meta.is_clean = true;
        meta.save(&self.folder)
    }
}

/// The exclusive right to use a data folder, until this is dropped or the process ends, even by SIGKILL.
#[derive(Debug)]
struct FolderLock(File);

impl FolderLock {
    fn take(folder: &Path) -> anyhow::Result<FolderLock> {
        let path = folder.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock(file)),
            Err(TryLockError::WouldBlock) => bail!("{}: another broker uses this folder", folder.display()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file would not do: a child process between its fork and its exec has the file open too.
        let _ = self.0.unlock();
    }
}

/// Deletes folders that a crash left behind while a topic was created or deleted.
fn remove_unknown(folder: &Path, is_known: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&is_known) && entry.file_type()?.is_dir() {
            let path = entry.path();
            fs::remove_dir_all(&path).with_context(|| format!("cannot delete {}", path.display()))?;
        }
    }
    Ok(())
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// Makes the folder of a new partition.
fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    File::create(partition::segment(path, 0))?.sync_all()?;
    files::sync_folder(path)
}
