//! Committed offsets of all groups: in memory, and in one append-only file with a checksum per record.
//!
//! An offset is written before its request is answered, so it survives `SIGKILL` of the broker. The file is compacted
//! when most of it is obsolete.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use crate::limits::{MAX_OFFSETS_BYTES, MAX_OFFSETS_RECORD, MIN_COMPACTION};

mod format;
#[cfg(test)]
mod tests;

use format::{Change, MAGIC, Scan};

/// Name of the file in the data folder.
const FILE: &str = "offsets.bin";
/// A new file until it is complete.
const NEW_FILE: &str = "offsets.new";
/// A file that was damaged before its end, kept for examination.
const DAMAGED_FILE: &str = "offsets.damaged";
/// Memory of a committed offset without its strings, at most, in bytes. A group with a single offset needs that much.
const OVERHEAD: usize = 512;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// Epoch of the record before it; -1 if the client did not know it.
    pub(crate) epoch: i32,
    pub(crate) metadata: Arc<str>,
}

/// A partition whose offset is committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The topic's name, for clients that ask for all offsets of a group.
    pub(crate) topic: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) partition: i32,
}

/// A topic's id and name, and its offsets by partition.
type OfTopic = (Arc<str>, BTreeMap<i32, Committed>);

/// The committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    folder: PathBuf,
    file: Arc<File>,
    /// Bytes of whole records; the next one is written here, over the rest of a failed write.
    end: u64,
    /// The file is compacted at this size.
    compact_at: u64,
    /// Whether the disk may lack the last writes.
    is_dirty: bool,
    groups: BTreeMap<String, HashMap<Uuid, OfTopic>>,
    /// Bytes of all offsets in memory, about.
    bytes: usize,
    max_bytes: usize,
}

impl Offsets {
    /// Reads the file, or makes it. A torn end is cut off: its commits were never answered.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Offsets> {
        let path = folder.join(FILE);
        let text = || format!("cannot open {}", path.display());
        let _ = std::fs::remove_file(folder.join(NEW_FILE));
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).with_context(text)?;
        let data = std::fs::read(&path).with_context(text)?;
        // A crash may tear the first write of the file, too.
        let is_new = data.len() < MAGIC.len() && MAGIC.starts_with(&data);
        ensure!(
            is_new || data.starts_with(MAGIC),
            "{} is not a file of committed offsets of this version; move it away to start without committed offsets",
            path.display()
        );
        let (end, compact_at) = (MAGIC.len() as u64, MIN_COMPACTION);
        let (groups, bytes, max_bytes) = (BTreeMap::new(), 0, MAX_OFFSETS_BYTES);
        let (folder, file) = (folder.to_owned(), Arc::new(file));
        let mut offsets = Offsets { folder, file, end, compact_at, is_dirty: true, groups, bytes, max_bytes };
        if is_new {
            offsets.file.write_all_at(MAGIC, 0).with_context(text)?;
            return Ok(offsets);
        }
        let mut scan = Scan::new(&data);
        for change in &mut scan {
            offsets.apply(change);
        }
        offsets.end = scan.end();
        if scan.is_damaged() {
            tracing::warn!(
                "{} is damaged before its end: some commits are lost, their groups read records again; \
                 the broker keeps the file as {DAMAGED_FILE}",
                path.display()
            );
            let _ = std::fs::copy(&path, offsets.folder.join(DAMAGED_FILE));
            offsets.compact().with_context(|| format!("cannot repair {}", path.display()))?;
        } else if offsets.end < data.len() as u64 {
            tracing::info!("{}: the last commit was not complete", path.display());
            offsets.file.set_len(offsets.end).with_context(text)?;
        }
        Ok(offsets)
    }

    /// Commits offsets of a group, all or none.
    pub(crate) fn commit(&mut self, group: &str, offsets: Vec<(Place, Committed)>) -> Result<(), ResponseError> {
        let old = |place: &Place| self.get(group, place.id, place.partition).map_or(0, |old| weight(place, old));
        let (mut new, mut replaced) = (0, 0);
        for (place, committed) in &offsets {
            (new, replaced) = (new + weight(place, committed), replaced + old(place));
        }
        // A request may name a partition twice.
        if self.bytes.saturating_sub(replaced) + new > self.max_bytes {
            return Err(ResponseError::InvalidCommitOffsetSize);
        }
        self.record(Change::Commit { group: group.to_owned(), offsets })
    }

    /// Forgets all offsets of a group; false if it has none.
    pub(crate) fn forget_group(&mut self, group: &str) -> Result<bool, ResponseError> {
        if !self.groups.contains_key(group) {
            return Ok(false);
        }
        self.record(Change::ForgetGroup(group.to_owned())).map(|()| true)
    }

    /// Forgets offsets of a group.
    pub(crate) fn forget(&mut self, group: &str, places: Vec<(Uuid, i32)>) -> Result<(), ResponseError> {
        self.record(Change::Forget { group: group.to_owned(), places })
    }

    /// Forgets all offsets of a deleted topic.
    pub(crate) fn forget_topic(&mut self, id: Uuid) -> Result<(), ResponseError> {
        if !self.groups.values().any(|topics| topics.contains_key(&id)) {
            return Ok(());
        }
        self.record(Change::ForgetTopic(id))
    }

    /// The committed offset of a partition.
    pub(crate) fn get(&self, group: &str, id: Uuid, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&id)?.1.get(&partition)
    }

    /// All offsets of a group.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (Place, &Committed)> {
        self.groups.get(group).into_iter().flat_map(places)
    }

    /// Whether a group has committed offsets.
    pub(crate) fn has(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// The groups with committed offsets.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// The file, if the disk may lack its last writes. The caller must bring it to the disk.
    pub(crate) fn take_dirty(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.is_dirty).then(|| self.file.clone())
    }

    /// Another try to bring the file to the disk is due.
    pub(crate) fn set_dirty(&mut self) {
        self.is_dirty = true;
    }

    /// Writes a change, then applies it. After an error nothing has changed.
    fn record(&mut self, change: Change) -> Result<(), ResponseError> {
        let record = format::encode(&change);
        if record.len() > MAX_OFFSETS_RECORD {
            return Err(ResponseError::InvalidCommitOffsetSize);
        }
        if let Err(error) = self.file.write_all_at(&record, self.end) {
            tracing::error!("cannot write {}: {error}", self.folder.join(FILE).display());
            let _ = self.file.set_len(self.end);
            // Clients retry.
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        self.end += record.len() as u64;
        self.is_dirty = true;
        self.apply(change);
        if self.end >= self.compact_at
            && let Err(error) = self.compact()
        {
            tracing::error!("cannot compact {}: {error:#}", self.folder.join(FILE).display());
            self.compact_at = self.end * 2;
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Commit { group, offsets } => {
                let topics = self.groups.entry(group).or_default();
                for (place, committed) in offsets {
                    self.bytes += weight(&place, &committed);
                    let (_, partitions) =
                        topics.entry(place.id).or_insert_with(|| (place.topic.clone(), BTreeMap::new()));
                    if let Some(old) = partitions.insert(place.partition, committed) {
                        self.bytes -= weight(&place, &old);
                    }
                }
            }
            Change::ForgetGroup(group) => {
                let topics = self.groups.remove(&group).unwrap_or_default();
                self.bytes -= places(&topics).map(|(place, committed)| weight(&place, committed)).sum::<usize>();
            }
            Change::Forget { group, places } => {
                for (id, partition) in places {
                    self.remove(&group, id, Some(partition));
                }
            }
            Change::ForgetTopic(id) => {
                let groups: Vec<String> = self.groups.keys().cloned().collect();
                for group in groups {
                    self.remove(&group, id, None);
                }
            }
        }
    }

    /// Removes a partition or all partitions of a topic from a group, and the group if nothing is left.
    fn remove(&mut self, group: &str, id: Uuid, partition: Option<i32>) {
        let Some(topics) = self.groups.get_mut(group) else {
            return;
        };
        if let Some((name, partitions)) = topics.get_mut(&id) {
            let is_gone = |at: &i32| partition.is_none_or(|partition| *at == partition);
            let gone = partitions.extract_if(.., |at, _| is_gone(at));
            let weight_of = |(partition, committed)| weight(&Place { topic: name.clone(), id, partition }, &committed);
            self.bytes -= gone.map(weight_of).sum::<usize>();
            if partitions.is_empty() {
                topics.remove(&id);
            }
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Replaces the file by one with only the present offsets.
    fn compact(&mut self) -> anyhow::Result<()> {
        let path = self.folder.join(NEW_FILE);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(MAGIC, 0)?;
        let mut end = MAGIC.len() as u64;
        for (group, topics) in &self.groups {
            let mut rest = places(topics).map(|(place, committed)| (place, committed.clone())).peekable();
            while rest.peek().is_some() {
                let offsets = rest.by_ref().take(format::OFFSETS_PER_RECORD).collect();
                let record = format::encode(&Change::Commit { group: group.clone(), offsets });
                file.write_all_at(&record, end)?;
                end += record.len() as u64;
            }
        }
        file.sync_all()?;
        std::fs::rename(&path, self.folder.join(FILE))?;
        (self.file, self.end) = (Arc::new(file), end);
        self.compact_at = (end * 4).max(MIN_COMPACTION);
        // Until the folder is on disk a power failure brings the old file back, which has the same offsets.
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

fn places(topics: &HashMap<Uuid, OfTopic>) -> impl Iterator<Item = (Place, &Committed)> {
    topics.iter().flat_map(|(id, (topic, partitions))| {
        let place = move |partition: &i32| Place { topic: topic.clone(), id: *id, partition: *partition };
        partitions.iter().map(move |(partition, committed)| (place(partition), committed))
    })
}

/// Bytes that an offset takes in memory, about.
fn weight(place: &Place, committed: &Committed) -> usize {
    OVERHEAD + place.topic.len() + committed.metadata.len()
}
