//! Requests about consumer groups: decode, call [`Groups`], encode.

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::groups::{GroupRequest, Groups};

mod admin;
mod members;
mod offsets;
#[cfg(test)]
mod tests;

/// Answers a request: the body of the response. None if the request is not about groups, and if it is malformed or
/// exceeds a limit that its response has no error code for: the connection is then closed.
pub(crate) async fn handle(groups: &Groups, request: GroupRequest<'_>) -> Option<BytesMut> {
    let (version, body) = (request.version, request.body.clone());
    match request.api {
        ApiKey::FindCoordinator => encode(&admin::find_coordinator(groups, version, &decode(body, version)?)?, version),
        ApiKey::JoinGroup => encode(&members::join(groups, &request, decode(body, version)?).await, version),
        ApiKey::SyncGroup => encode(&members::sync(groups, version, &decode(body, version)?).await, version),
        ApiKey::Heartbeat => encode(&members::heartbeat(groups, &decode(body, version)?), version),
        ApiKey::LeaveGroup => encode(&members::leave(groups, version, &decode(body, version)?)?, version),
        ApiKey::OffsetCommit => encode(&offsets::commit(groups, &decode(body, version)?)?, version),
        ApiKey::OffsetFetch => encode(&offsets::fetch(groups, version, &decode(body, version)?)?, version),
        ApiKey::OffsetDelete => encode(&offsets::delete(groups, &decode(body, version)?)?, version),
        ApiKey::ListGroups => encode(&admin::list(groups, version, &decode(body, version)?), version),
        ApiKey::DescribeGroups => encode(&admin::describe(groups, version, &decode(body, version)?)?, version),
        ApiKey::DeleteGroups => encode(&admin::delete(groups, &decode(body, version)?)?, version),
        ApiKey::ConsumerGroupHeartbeat => encode(&admin::consumer_group_heartbeat(), version),
        _ => None,
    }
}

fn decode<M: Decodable>(mut body: Bytes, version: i16) -> Option<M> {
    M::decode(&mut body, version).ok()
}

fn encode<M: Encodable>(message: &M, version: i16) -> Option<BytesMut> {
    let mut body = BytesMut::new();
    match message.encode(&mut body, version) {
        Ok(()) => Some(body),
        Err(error) => {
            tracing::error!("cannot encode a response of version {version}: {error:#}");
            None
        }
    }
}

/// The error code of an outcome; 0 for success.
fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}

/// A copy that does not keep the request's frame in memory.
fn text(string: &str) -> StrBytes {
    StrBytes::from_string(string.to_owned())
}
