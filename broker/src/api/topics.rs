//! CreateTopics, DeleteTopics, CreatePartitions.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsRequest;
use kafka_protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use uuid::Uuid;

use super::settings::{self, SETTINGS};
use super::{Broker, answer, text};
use crate::limits::{MAX_PARTITIONS, MAX_TOPIC_NAME, MAX_TOPICS};
use crate::log::TopicConfig;
use crate::wire::{Reply, Request};

/// Partitions of a topic whose creator leaves the number to the broker.
const DEFAULT_PARTITIONS: i32 = 1;
/// Kafka's number for a value set on the topic, and for a default.
pub(super) const FROM_TOPIC: i8 = 1;
pub(super) const FROM_DEFAULT: i8 = 5;

/// Why a topic is refused, with a message for the client.
type Refusal = (ResponseError, String);

/// Creates topics. A topic that is refused does not affect the others.
pub(super) fn create(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: CreateTopicsRequest| {
        let mut names = BTreeSet::new();
        let twice: BTreeSet<TopicName> =
            asked.topics.iter().map(|topic| topic.name.clone()).filter(|name| !names.insert(name.clone())).collect();
        let topics = asked.topics.iter().map(|topic| {
            let outcome = if twice.contains(&topic.name) {
                Err((ResponseError::InvalidRequest, "the request names the topic twice".to_owned()))
            } else {
                create_one(broker, topic, asked.validate_only)
            };
            created(topic, outcome)
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    })
}

fn create_one(broker: &Broker, asked: &CreatableTopic, only_check: bool) -> Result<(Uuid, i32, TopicConfig), Refusal> {
    let partitions = if !asked.assignments.is_empty() {
        i32::try_from(asked.assignments.len()).unwrap_or(i32::MAX)
    } else if asked.num_partitions == -1 {
        DEFAULT_PARTITIONS
    } else {
        asked.num_partitions
    };
    if !matches!(asked.replication_factor, -1 | 1) {
        let why = format!("replication factor {} is more than the one broker", asked.replication_factor);
        return Err((ResponseError::InvalidReplicationFactor, why));
    }
    let mut config = TopicConfig::default();
    for setting in &asked.configs {
        settings::change(&mut config, &setting.name, setting.value.as_deref())
            .map_err(|why| (ResponseError::InvalidConfig, why))?;
    }
    let refused = |error| (error, why(error, &asked.name));
    if only_check {
        broker.log.check_new_topic(&asked.name, partitions, &config).map_err(refused)?;
        return Ok((Uuid::nil(), partitions, config));
    }
    let topic = broker.log.create_topic(&asked.name, partitions, config).map_err(refused)?;
    Ok((topic.id(), partitions, config))
}

/// An error of the log in words.
fn why(error: ResponseError, topic: &str) -> String {
    match error {
        ResponseError::TopicAlreadyExists => format!("topic `{topic}` exists already"),
        ResponseError::InvalidTopicException => format!(
            "topic name `{topic}` is refused: it needs 1 to {MAX_TOPIC_NAME} letters, digits, `.`, `_` or `-`, and must \
             differ from other names in more than `.` and `_`"
        ),
        ResponseError::InvalidPartitions => {
            format!("topic `{topic}` needs at least one partition, and more than before when some are added")
        }
        ResponseError::PolicyViolation => format!(
            "topic `{topic}` is one too many: the broker has at most {MAX_TOPICS} topics and {MAX_PARTITIONS} partitions"
        ),
        ResponseError::UnknownTopicOrPartition => format!("topic `{topic}` does not exist"),
        other => format!("topic `{topic}`: {other}"),
    }
}

fn created(asked: &CreatableTopic, outcome: Result<(Uuid, i32, TopicConfig), Refusal>) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(asked.name.clone());
    match outcome {
        Ok((id, partitions, config)) => {
            let configs = SETTINGS.iter().map(|setting| {
                CreatableTopicConfigs::default()
                    .with_name(text(setting.name))
                    .with_value(Some(text(setting.value(&config))))
                    .with_config_source(if setting.is_set(&config) { FROM_TOPIC } else { FROM_DEFAULT })
            });
            let configs = Some(configs.collect());
            result.with_topic_id(id).with_num_partitions(partitions).with_replication_factor(1).with_configs(configs)
        }
        Err((error, why)) => result
            .with_error_code(error.code())
            .with_error_message(Some(text(why)))
            .with_num_partitions(-1)
            .with_replication_factor(-1),
    }
}

/// Deletes topics by name or by id.
pub(super) fn delete(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: DeleteTopicsRequest| {
        let named = asked.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
        let states = named.chain(asked.topics).map(|state| delete_one(broker, state));
        DeleteTopicsResponse::default().with_responses(states.collect())
    })
}

fn delete_one(broker: &Broker, asked: DeleteTopicState) -> DeletableTopicResult {
    let topic = broker.topic(asked.name.as_deref().map_or("", |name| name), asked.topic_id);
    let outcome = topic.and_then(|topic| {
        let id = broker.log.delete_topic(topic.name())?;
        broker.groups.forget_topic(id);
        Ok(topic)
    });
    let result = DeletableTopicResult::default();
    match outcome {
        Ok(topic) => result.with_name(Some(text(topic.name()).into())).with_topic_id(topic.id()),
        Err(error) => result
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
            .with_error_code(error.code())
            .with_error_message(Some(text(error.to_string()))),
    }
}

/// Adds partitions, until a topic has as many as named.
pub(super) fn add_partitions(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: CreatePartitionsRequest| {
        let results = asked.topics.into_iter().map(|topic| {
            let outcome = broker.topic(&topic.name, Uuid::nil()).and_then(|known| {
                if topic.count <= known.partitions() {
                    Err(ResponseError::InvalidPartitions)
                } else if asked.validate_only {
                    Ok(())
                } else {
                    broker.log.add_partitions(&topic.name, topic.count)
                }
            });
            let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            match outcome {
                Ok(()) => result.with_error_message(None),
                Err(error) => {
                    result.with_error_code(error.code()).with_error_message(Some(text(why(error, &topic.name))))
                }
            }
        });
        CreatePartitionsResponse::default().with_results(results.collect())
    })
}
