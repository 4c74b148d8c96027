//! InitProducerId: the identity of an idempotent producer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Broker, answer, code};
use crate::wire::{Reply, Request};

/// Gives out an id that no other producer of this data folder ever had. Transactions are refused.
pub(super) fn handle(broker: &Broker, request: Request) -> Reply {
    answer(request, |asked: InitProducerIdRequest| {
        let outcome = match asked.transactional_id {
            Some(_) => Err(ResponseError::TransactionalIdAuthorizationFailed),
            None => broker.log.new_producer_id(),
        };
        let epoch = if outcome.is_ok() { 0 } else { -1 };
        InitProducerIdResponse::default()
            .with_error_code(code(&outcome))
            .with_producer_id(ProducerId(outcome.unwrap_or(-1)))
            .with_producer_epoch(epoch)
    })
}
