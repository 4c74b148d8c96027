//! The APIs and versions that the broker serves, and the answer to ApiVersions.

use bytes::{BufMut, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

/// An API and its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// Lowest version served.
    pub min: i16,
    /// Highest version served.
    pub max: i16,
}

impl Api {
    /// The lowest version that ApiVersions claims. Produce claims 0: otherwise librdkafka 2.0.2 silently stops
    /// compressing.
    #[must_use]
    pub fn claimed(&self) -> i16 {
        if self.key == ApiKey::Produce { 0 } else { self.min }
    }
}

const fn api(key: ApiKey, min: i16, max: i16) -> Api {
    Api { key, min, max }
}

/// Highest version of ApiVersions.
const API_VERSIONS_MAX: i16 = 4;

/// Every API that the broker serves.
pub const APIS: &[Api] = &[
    api(ApiKey::Produce, 3, 13),
    api(ApiKey::Fetch, 4, 17),
    api(ApiKey::ListOffsets, 1, 10),
    api(ApiKey::Metadata, 0, 13),
    api(ApiKey::OffsetCommit, 2, 9),
    api(ApiKey::OffsetFetch, 1, 9),
    api(ApiKey::FindCoordinator, 0, 6),
    api(ApiKey::JoinGroup, 0, 9),
    api(ApiKey::Heartbeat, 0, 4),
    api(ApiKey::LeaveGroup, 0, 5),
    api(ApiKey::SyncGroup, 0, 5),
    api(ApiKey::DescribeGroups, 0, 6),
    api(ApiKey::ListGroups, 0, 5),
    api(ApiKey::ApiVersions, 0, API_VERSIONS_MAX),
    api(ApiKey::CreateTopics, 2, 7),
    api(ApiKey::DeleteTopics, 1, 6),
    api(ApiKey::DeleteRecords, 0, 2),
    api(ApiKey::InitProducerId, 0, 5),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4),
    api(ApiKey::DescribeConfigs, 1, 4),
    api(ApiKey::CreatePartitions, 0, 3),
    api(ApiKey::DeleteGroups, 0, 2),
    api(ApiKey::IncrementalAlterConfigs, 0, 1),
    api(ApiKey::OffsetDelete, 0, 0),
    api(ApiKey::DescribeCluster, 0, 2),
    api(ApiKey::ConsumerGroupHeartbeat, 0, 1),
];

/// What to do with a request of this key and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// The broker serves it.
    Yes(ApiKey),
    /// ApiVersions in a version that the broker does not know: it answers version 0 with error 35.
    UnknownApiVersions,
    /// The broker closes the connection, like Kafka.
    No,
}

pub(super) fn served(key: i16, version: i16) -> Served {
    match APIS.iter().find(|api| api.key as i16 == key) {
        Some(api) if (api.min..=api.max).contains(&version) => Served::Yes(api.key),
        Some(api) if api.key == ApiKey::ApiVersions => Served::UnknownApiVersions,
        _ => Served::No,
    }
}

/// First version of ApiVersions with compact arrays.
const FLEXIBLE: i16 = 3;
/// First version of ApiVersions with a throttle time.
const THROTTLE: i16 = 1;

/// The body of the answer to ApiVersions. It has no tagged fields: librdkafka 2.0.2 reads them wrong.
pub(super) fn answer(version: i16) -> BytesMut {
    let mut body = BytesMut::with_capacity(16 + APIS.len() * 7);
    body.put_i16(0);
    let flexible = version >= FLEXIBLE;
    let count = u8::try_from(APIS.len()).unwrap_or(u8::MAX);
    // A compact count is one more than the length; below 128 it is one byte.
    if flexible {
        body.put_u8(count + 1)
    } else {
        body.put_i32(i32::from(count))
    }
    for api in APIS {
        put(&mut body, api.key, api.claimed(), api.max);
        if flexible {
            body.put_u8(0);
        }
    }
    if version >= THROTTLE {
        body.put_i32(0);
    }
    if flexible {
        body.put_u8(0);
    }
    body
}

/// The body of the answer to ApiVersions in an unknown version: version 0, naming the versions of ApiVersions.
pub(super) fn unknown_version() -> BytesMut {
    let mut body = BytesMut::with_capacity(12);
    body.put_i16(ResponseError::UnsupportedVersion.code());
    body.put_i32(1);
    put(&mut body, ApiKey::ApiVersions, 0, API_VERSIONS_MAX);
    body
}

fn put(body: &mut BytesMut, key: ApiKey, min: i16, max: i16) {
    body.put_i16(key as i16);
    body.put_i16(min);
    body.put_i16(max);
}

const _: () = assert!(APIS.len() < 127, "the compact count takes one byte");
