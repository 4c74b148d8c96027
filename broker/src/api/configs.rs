//! DescribeConfigs and IncrementalAlterConfigs, of topics. The broker itself has no settings that a client can change.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::settings::{self, SETTINGS};
use super::topics::{FROM_DEFAULT, FROM_TOPIC};
use super::{Broker, answer, text};
use crate::wire::{Reply, Request};

/// Kafka's numbers for kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Kafka's numbers for operations on a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// The settings of topics.
pub(super) fn describe(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: DescribeConfigsRequest| {
        let results = asked.resources.into_iter().map(|resource| described(broker, resource));
        DescribeConfigsResponse::default().with_results(results.collect())
    })
}

fn described(broker: &Broker, asked: DescribeConfigsResource) -> DescribeConfigsResult {
    let outcome = match asked.resource_type {
        TOPIC => broker.topic(&asked.resource_name, Uuid::nil()).map(|topic| {
            let config = topic.config();
            let is_asked =
                |name: &str| asked.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| &**key == name));
            let asked = SETTINGS.iter().filter(|setting| is_asked(setting.name));
            let result = asked.map(|setting| {
                let is_set = setting.is_set(&config);
                DescribeConfigsResourceResult::default()
                    .with_name(text(setting.name))
                    .with_value(Some(text(setting.value(&config))))
                    .with_config_source(if is_set { FROM_TOPIC } else { FROM_DEFAULT })
                    .with_config_type(setting.kind)
            });
            result.collect()
        }),
        BROKER => Ok(Vec::new()),
        _ => Err(ResponseError::InvalidRequest),
    };
    let result = DescribeConfigsResult::default()
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name);
    match outcome {
        Ok(configs) => result.with_configs(configs),
        Err(error) => result.with_error_code(error.code()).with_error_message(Some(text(error.to_string()))),
    }
}

/// Changes settings of topics: all that a request names for a topic, or none.
pub(super) fn alter(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: IncrementalAlterConfigsRequest| {
        let only_check = asked.validate_only;
        let responses = asked.resources.into_iter().map(|resource| {
            let outcome = alter_one(broker, &resource, only_check);
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            match outcome {
                Ok(()) => response,
                Err((error, why)) => response
                    .with_error_code(error.code())
                    .with_error_message(why.or_else(|| Some(text(error.to_string())))),
            }
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    })
}

fn alter_one(
    broker: &Broker,
    asked: &AlterConfigsResource,
    only_check: bool,
) -> Result<(), (ResponseError, Option<StrBytes>)> {
    if asked.resource_type != TOPIC {
        return Err((ResponseError::InvalidRequest, Some(text("only topics have settings that can be changed"))));
    }
    let topic = broker.topic(&asked.resource_name, Uuid::nil()).map_err(|error| (error, None))?;
    let mut config = topic.config();
    for setting in &asked.configs {
        let value = match setting.config_operation {
            SET => setting.value.as_deref(),
            DELETE => None,
            _ => return Err((ResponseError::InvalidConfig, Some(text("the broker only sets and deletes settings")))),
        };
        settings::change(&mut config, &setting.name, value)
            .map_err(|why| (ResponseError::InvalidConfig, Some(text(why))))?;
    }
    if only_check {
        return Ok(());
    }
    broker.log.set_config(topic.name(), config).map_err(|error| (error, None))
}
