//! The two files of a data folder: `meta.json` (what exists) and `checkpoint.json` (how far it is on disk).

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::files::replace;
use super::topic::TopicConfig;

/// Version of the data folder.
const FORMAT: u32 = 1;

/// The content of `meta.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Meta {
    format: u32,
    pub(super) cluster_id: String,
    /// Leader epoch of all partitions: raised by each start after an unclean stop.
    pub(super) epoch: i32,
    /// Whether the last stop was clean.
    pub(super) is_clean: bool,
    /// The first producer id that is not reserved.
    pub(super) next_producer_id: i64,
    pub(super) topics: BTreeMap<String, TopicMeta>,
}

/// A topic in `meta.json`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TopicMeta {
    pub(super) id: Uuid,
    pub(super) partitions: i32,
    pub(super) config: TopicConfig,
}

impl Meta {
    fn new() -> Meta {
        let cluster_id = Uuid::new_v4().simple().to_string();
        Meta { format: FORMAT, cluster_id, epoch: 0, is_clean: true, next_producer_id: 0, topics: BTreeMap::new() }
    }

    /// Loads the file. Refuses folders that this version of the broker did not write.
    pub(super) fn load(folder: &Path) -> anyhow::Result<Meta> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let database = folder.join("broker.db");
        if database.exists() {
            bail!(
                "{}: this folder belongs to an earlier version of the broker; choose another folder, or remove this one",
                database.display()
            );
        }
        let path = folder.join("meta.json");
        if let Some(Format { format }) = load(&path)? {
            ensure!(
                format == FORMAT,
                "{}: data format {format}, but this broker reads format {FORMAT}; use the version of the broker that \
                 wrote the folder, or choose another folder",
                path.display()
            );
        }
        if let Some(meta) = load(&path)? {
            return Ok(meta);
        }
        let topics = folder.join("topics");
        let is_empty = fs::read_dir(&topics).map_or(true, |mut entries| entries.next().is_none());
        ensure!(
            is_empty,
            "{}: missing, but there are topics; restore the file, or choose another folder",
            path.display()
        );
        Ok(Meta::new())
    }

    pub(super) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        save(&folder.join("meta.json"), self)
    }
}

/// What the next start may rely on in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// All records before this offset are on disk.
    pub(super) recovery: i64,
    /// The last time that the broker stamped.
    pub(super) stamp: i64,
    /// Leader epochs and the offset at which each begins.
    pub(super) epochs: Vec<(i32, i64)>,
}

/// The content of `checkpoint.json`: the marks by topic and partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) partitions: BTreeMap<Uuid, BTreeMap<i32, Mark>>,
}

impl Checkpoint {
    pub(super) fn load(folder: &Path) -> anyhow::Result<Checkpoint> {
        Ok(load(&folder.join("checkpoint.json"))?.unwrap_or_default())
    }

    pub(super) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        save(&folder.join("checkpoint.json"), self)
    }

    pub(super) fn mark(&self, topic: Uuid, partition: i32) -> Option<&Mark> {
        self.partitions.get(&topic)?.get(&partition)
    }
}

fn load<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(content) => {
            let value = serde_json::from_slice(&content);
            Ok(Some(value.with_context(|| format!("{}: damaged; restore the file from a copy", path.display()))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn save<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    replace(path, &serde_json::to_vec(value)?).with_context(|| format!("cannot write {}", path.display()))
}
