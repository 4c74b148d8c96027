//! Creates, grows, changes and deletes topics.

use std::fs;
use std::sync::{Arc, PoisonError};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::meta::{Checkpoint, TopicMeta};
use super::partition::Partition;
use super::topic::{Topic, TopicConfig, TopicState, check_name, collide};
use super::{Log, create_folder, files, lock, now_ms};
use crate::limits::{MAX_PARTITIONS, MAX_TOPICS};

impl Log {
    /// Creates a topic.
    pub fn create_topic(&self, name: &str, partitions: i32, config: TopicConfig) -> Result<Arc<Topic>, ResponseError> {
        let _only_one = lock(&self.changing);
        self.check_new_topic(name, partitions, &config)?;
        let id = Uuid::new_v4();
        let state = TopicState::new(config);
        let partitions_ready = self.make_partitions(id, 0..partitions, &state);
        let added = partitions_ready.and_then(|ready| {
            self.change(|meta| {
                meta.topics.insert(name.to_owned(), TopicMeta { id, partitions, config });
            })?;
            Ok(Arc::new(Topic::new(name, id, state, ready)))
        });
        match &added {
            Ok(topic) => {
                let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
                topics.insert(name.to_owned(), Arc::clone(topic));
            }
            Err(_) => self.remove_folder(id),
        }
        added
    }

    /// Whether a topic could be created; changes nothing.
    pub fn check_new_topic(&self, name: &str, partitions: i32, config: &TopicConfig) -> Result<(), ResponseError> {
        check_name(name)?;
        config.check()?;
        let topics = self.topics();
        if topics.iter().any(|topic| topic.name() == name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        if topics.iter().any(|topic| collide(topic.name(), name)) {
            return Err(ResponseError::InvalidTopicException);
        }
        if partitions < 1 {
            return Err(ResponseError::InvalidPartitions);
        }
        if topics.len() >= MAX_TOPICS {
            return Err(ResponseError::PolicyViolation);
        }
        self.check_room(partitions)
    }

    /// Raises the number of partitions.
    pub fn add_partitions(&self, name: &str, total: i32) -> Result<(), ResponseError> {
        let _only_one = lock(&self.changing);
        let topic = self.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let current = topic.partitions();
        if total <= current {
            return Err(ResponseError::InvalidPartitions);
        }
        self.check_room(total - current)?;
        let more = self.make_partitions(topic.id(), current..total, topic.state())?;
        self.change_topic(name, |meta| meta.partitions = total)?;
        topic.add(more);
        Ok(())
    }

    /// Deletes a topic with its records. Its waiting readers wake up.
    pub fn delete_topic(&self, name: &str) -> Result<Uuid, ResponseError> {
        let _only_one = lock(&self.changing);
        let topic = self.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.change(|meta| {
            meta.topics.remove(name);
        })?;
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        topic.delete();
        self.remove_folder(topic.id());
        Ok(topic.id())
    }

    /// Changes the settings of a topic.
    pub fn set_config(&self, name: &str, config: TopicConfig) -> Result<(), ResponseError> {
        config.check()?;
        let _only_one = lock(&self.changing);
        let topic = self.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.change_topic(name, |meta| meta.config = config)?;
        topic.set_config(config);
        Ok(())
    }

    fn change_topic(&self, name: &str, change: impl FnOnce(&mut TopicMeta)) -> Result<(), ResponseError> {
        self.change(|meta| {
            if let Some(topic) = meta.topics.get_mut(name) {
                change(topic);
            }
        })
    }

    fn check_room(&self, more: i32) -> Result<(), ResponseError> {
        let used: i64 = self.topics().iter().map(|topic| i64::from(topic.partitions())).sum();
        let limit = i64::try_from(MAX_PARTITIONS).unwrap_or(i64::MAX);
        if used + i64::from(more) > limit { Err(ResponseError::PolicyViolation) } else { Ok(()) }
    }

    fn make_partitions(
        &self,
        id: Uuid,
        range: std::ops::Range<i32>,
        state: &Arc<TopicState>,
    ) -> Result<Vec<Arc<Partition>>, ResponseError> {
        let parent = self.topic_folder(id);
        let make = |n: i32| -> anyhow::Result<Arc<Partition>> {
            let folder = parent.join(n.to_string());
            create_folder(&folder)?;
            let (shared, state) = (Arc::clone(&self.shared), Arc::clone(state));
            let mark = Checkpoint::default();
            Ok(Arc::new(Partition::open(folder, shared, state, mark.mark(id, n), now_ms())?))
        };
        let made = range.map(make).collect::<anyhow::Result<Vec<_>>>();
        let synced = made.and_then(|made| {
            files::sync_folder(&parent)?;
            files::sync_folder(&self.folder.join("topics"))?;
            Ok(made)
        });
        synced.map_err(|error| {
            tracing::error!("{}: cannot create partitions: {error:#}", parent.display());
            ResponseError::KafkaStorageError
        })
    }

    /// Deletes the files of a topic; what cannot be deleted now goes at the next start.
    fn remove_folder(&self, id: Uuid) {
        let folder = self.topic_folder(id);
        if let Err(error) = fs::remove_dir_all(&folder)
            && folder.exists()
        {
            tracing::warn!("{}: cannot delete: {error}", folder.display());
        }
    }
}
