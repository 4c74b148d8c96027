//! The shape table: which fields each request has, in which versions.
//!
//! The table follows `kafka-protocol`'s decoders field by field. A test generates random requests from the table,
//! decodes them with the crate and compares what the crate encodes again.

use kafka_protocol::messages::ApiKey;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// One byte, zero or one.
    Bool,
    /// A number or identifier of so many bytes.
    Fixed(usize),
    /// A UTF-8 string.
    Text,
    /// A UTF-8 string or null.
    NullText,
    /// Bytes or null.
    NullData,
    /// Bytes.
    Data,
    /// An array.
    List(&'static Self),
    /// An array or null.
    NullList(&'static Self),
    /// Fields, in flexible versions followed by tagged fields.
    Struct(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    /// In every version.
    All(&'static str, Kind),
    /// From this version on.
    Since(i16, &'static str, Kind),
    /// Up to and including this version.
    Until(i16, &'static str, Kind),
    /// From the first version to the second, both included.
    Between(i16, i16, &'static str, Kind),
    /// A tagged field: first version, tag.
    Tag(i16, u32, &'static str, Kind),
}

/// The shape of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// First version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    pub(super) fields: &'static [Field],
}

use Field::{All, Between, Since, Tag, Until};
use Kind::{Bool, Data, Fixed, List, NullData, NullList, NullText, Struct, Text};

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);
const INTS: Kind = List(&I32);
const TEXTS: Kind = List(&Text);
/// No version is flexible.
const NEVER: i16 = i16::MAX;

/// The shape of the requests of `api`; `None` for an API that the broker does not serve.
pub(super) fn shape(api: ApiKey) -> Option<Shape> {
    let (flexible, fields) = match api {
        ApiKey::Produce => (9, PRODUCE),
        ApiKey::Fetch => (12, FETCH),
        ApiKey::ListOffsets => (6, LIST_OFFSETS),
        ApiKey::Metadata => (9, METADATA),
        ApiKey::OffsetCommit => (8, OFFSET_COMMIT),
        ApiKey::OffsetFetch => (6, OFFSET_FETCH),
        ApiKey::FindCoordinator => (3, FIND_COORDINATOR),
        ApiKey::JoinGroup => (6, JOIN_GROUP),
        ApiKey::Heartbeat => (4, HEARTBEAT),
        ApiKey::LeaveGroup => (4, LEAVE_GROUP),
        ApiKey::SyncGroup => (4, SYNC_GROUP),
        ApiKey::DescribeGroups => (5, DESCRIBE_GROUPS),
        ApiKey::ListGroups => (3, LIST_GROUPS),
        ApiKey::ApiVersions => (3, API_VERSIONS),
        ApiKey::CreateTopics => (5, CREATE_TOPICS),
        ApiKey::DeleteTopics => (4, DELETE_TOPICS),
        ApiKey::DeleteRecords => (2, DELETE_RECORDS),
        ApiKey::InitProducerId => (2, INIT_PRODUCER_ID),
        ApiKey::OffsetForLeaderEpoch => (4, OFFSET_FOR_LEADER_EPOCH),
        ApiKey::DescribeConfigs => (4, DESCRIBE_CONFIGS),
        ApiKey::CreatePartitions => (2, CREATE_PARTITIONS),
        ApiKey::DeleteGroups => (2, DELETE_GROUPS),
        ApiKey::IncrementalAlterConfigs => (1, INCREMENTAL_ALTER_CONFIGS),
        ApiKey::OffsetDelete => (NEVER, OFFSET_DELETE),
        ApiKey::DescribeCluster => (0, DESCRIBE_CLUSTER),
        ApiKey::ConsumerGroupHeartbeat => (0, CONSUMER_GROUP_HEARTBEAT),
        _ => return None,
    };
    Some(Shape { flexible, fields })
}

const PRODUCE: &[Field] = &[
    All("transactional_id", NullText),
    All("acks", I16),
    All("timeout_ms", I32),
    All(
        "topic_data",
        List(&Struct(&[
            Until(12, "name", Text),
            Since(13, "topic_id", UUID),
            All("partition_data", List(&Struct(&[All("index", I32), All("records", NullData)]))),
        ])),
    ),
];

const FETCH: &[Field] = &[
    Until(14, "replica_id", I32),
    All("max_wait_ms", I32),
    All("min_bytes", I32),
    All("max_bytes", I32),
    All("isolation_level", I8),
    Since(7, "session_id", I32),
    Since(7, "session_epoch", I32),
    All(
        "topics",
        List(&Struct(&[
            Until(12, "topic", Text),
            Since(13, "topic_id", UUID),
            All("partitions", List(&Struct(FETCH_PARTITION))),
        ])),
    ),
    Since(
        7,
        "forgotten_topics_data",
        List(&Struct(&[Until(12, "topic", Text), Since(13, "topic_id", UUID), All("partitions", INTS)])),
    ),
    Since(11, "rack_id", Text),
    Tag(12, 0, "cluster_id", NullText),
    Tag(15, 1, "replica_state", Struct(&[All("replica_id", I32), All("replica_epoch", I64)])),
];

const FETCH_PARTITION: &[Field] = &[
    All("partition", I32),
    Since(9, "current_leader_epoch", I32),
    All("fetch_offset", I64),
    Since(12, "last_fetched_epoch", I32),
    Since(5, "log_start_offset", I64),
    All("partition_max_bytes", I32),
    Tag(17, 0, "replica_directory_id", UUID),
    Tag(18, 1, "high_watermark", I64),
];

const LIST_OFFSETS: &[Field] = &[
    All("replica_id", I32),
    Since(2, "isolation_level", I8),
    All(
        "topics",
        List(&Struct(&[
            All("name", Text),
            All(
                "partitions",
                List(&Struct(&[
                    All("partition_index", I32),
                    Since(4, "current_leader_epoch", I32),
                    All("timestamp", I64),
                ])),
            ),
        ])),
    ),
    Since(10, "timeout_ms", I32),
];

const METADATA: &[Field] = &[
    All("topics", NullList(&Struct(&[Since(10, "topic_id", UUID), All("name", NullText)]))),
    Since(4, "allow_auto_topic_creation", Bool),
    Between(8, 10, "include_cluster_authorized_operations", Bool),
    Since(8, "include_topic_authorized_operations", Bool),
];

const OFFSET_COMMIT: &[Field] = &[
    All("group_id", Text),
    All("generation_id_or_member_epoch", I32),
    All("member_id", Text),
    Since(7, "group_instance_id", NullText),
    Until(4, "retention_time_ms", I64),
    All(
        "topics",
        List(&Struct(&[
            All("name", Text),
            All(
                "partitions",
                List(&Struct(&[
                    All("partition_index", I32),
                    All("committed_offset", I64),
                    Since(6, "committed_leader_epoch", I32),
                    All("committed_metadata", NullText),
                ])),
            ),
        ])),
    ),
];

const OFFSET_FETCH: &[Field] = &[
    Until(7, "group_id", Text),
    Until(7, "topics", NullList(&Struct(&[All("name", Text), All("partition_indexes", INTS)]))),
    Since(
        8,
        "groups",
        List(&Struct(&[
            All("group_id", Text),
            Since(9, "member_id", NullText),
            Since(9, "member_epoch", I32),
            All("topics", NullList(&Struct(&[All("name", Text), All("partition_indexes", INTS)]))),
        ])),
    ),
    Since(7, "require_stable", Bool),
];

const FIND_COORDINATOR: &[Field] =
    &[Until(3, "key", Text), Since(1, "key_type", I8), Since(4, "coordinator_keys", TEXTS)];

const JOIN_GROUP: &[Field] = &[
    All("group_id", Text),
    All("session_timeout_ms", I32),
    Since(1, "rebalance_timeout_ms", I32),
    All("member_id", Text),
    Since(5, "group_instance_id", NullText),
    All("protocol_type", Text),
    All("protocols", List(&Struct(&[All("name", Text), All("metadata", Data)]))),
    Since(8, "reason", NullText),
];

const HEARTBEAT: &[Field] = &[
    All("group_id", Text),
    All("generation_id", I32),
    All("member_id", Text),
    Since(3, "group_instance_id", NullText),
];

const LEAVE_GROUP: &[Field] = &[
    All("group_id", Text),
    Until(2, "member_id", Text),
    Since(
        3,
        "members",
        List(&Struct(&[All("member_id", Text), All("group_instance_id", NullText), Since(5, "reason", NullText)])),
    ),
];

const SYNC_GROUP: &[Field] = &[
    All("group_id", Text),
    All("generation_id", I32),
    All("member_id", Text),
    Since(3, "group_instance_id", NullText),
    Since(5, "protocol_type", NullText),
    Since(5, "protocol_name", NullText),
    All("assignments", List(&Struct(&[All("member_id", Text), All("assignment", Data)]))),
];

const DESCRIBE_GROUPS: &[Field] = &[All("groups", TEXTS), Since(3, "include_authorized_operations", Bool)];

const LIST_GROUPS: &[Field] = &[Since(4, "states_filter", TEXTS), Since(5, "types_filter", TEXTS)];

const DELETE_GROUPS: &[Field] = &[All("groups_names", TEXTS)];

const API_VERSIONS: &[Field] = &[Since(3, "client_software_name", Text), Since(3, "client_software_version", Text)];

const CREATE_TOPICS: &[Field] = &[
    All(
        "topics",
        List(&Struct(&[
            All("name", Text),
            All("num_partitions", I32),
            All("replication_factor", I16),
            All("assignments", List(&Struct(&[All("partition_index", I32), All("broker_ids", INTS)]))),
            All("configs", List(&Struct(&[All("name", Text), All("value", NullText)]))),
        ])),
    ),
    All("timeout_ms", I32),
    All("validate_only", Bool),
];

const DELETE_TOPICS: &[Field] = &[
    Since(6, "topics", List(&Struct(&[All("name", NullText), All("topic_id", UUID)]))),
    Until(5, "topic_names", TEXTS),
    All("timeout_ms", I32),
];

const DELETE_RECORDS: &[Field] = &[
    All(
        "topics",
        List(&Struct(&[
            All("name", Text),
            All("partitions", List(&Struct(&[All("partition_index", I32), All("offset", I64)]))),
        ])),
    ),
    All("timeout_ms", I32),
];

const INIT_PRODUCER_ID: &[Field] = &[
    All("transactional_id", NullText),
    All("transaction_timeout_ms", I32),
    Since(3, "producer_id", I64),
    Since(3, "producer_epoch", I16),
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    Since(3, "replica_id", I32),
    All(
        "topics",
        List(&Struct(&[
            All("topic", Text),
            All(
                "partitions",
                List(&Struct(&[All("partition", I32), All("current_leader_epoch", I32), All("leader_epoch", I32)])),
            ),
        ])),
    ),
];

const DESCRIBE_CONFIGS: &[Field] = &[
    All(
        "resources",
        List(&Struct(&[
            All("resource_type", I8),
            All("resource_name", Text),
            All("configuration_keys", NullList(&Text)),
        ])),
    ),
    All("include_synonyms", Bool),
    Since(3, "include_documentation", Bool),
];

const CREATE_PARTITIONS: &[Field] = &[
    All(
        "topics",
        List(&Struct(&[
            All("name", Text),
            All("count", I32),
            All("assignments", NullList(&Struct(&[All("broker_ids", INTS)]))),
        ])),
    ),
    All("timeout_ms", I32),
    All("validate_only", Bool),
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    All(
        "resources",
        List(&Struct(&[
            All("resource_type", I8),
            All("resource_name", Text),
            All("configs", List(&Struct(&[All("name", Text), All("config_operation", I8), All("value", NullText)]))),
        ])),
    ),
    All("validate_only", Bool),
];

const DESCRIBE_CLUSTER: &[Field] = &[
    All("include_cluster_authorized_operations", Bool),
    Since(1, "endpoint_type", I8),
    Since(2, "include_fenced_brokers", Bool),
];

const OFFSET_DELETE: &[Field] = &[
    All("group_id", Text),
    All(
        "topics",
        List(&Struct(&[All("name", Text), All("partitions", List(&Struct(&[All("partition_index", I32)])))])),
    ),
];

const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    All("group_id", Text),
    All("member_id", Text),
    All("member_epoch", I32),
    All("instance_id", NullText),
    All("rack_id", NullText),
    All("rebalance_timeout_ms", I32),
    All("subscribed_topic_names", NullList(&Text)),
    Since(1, "subscribed_topic_regex", NullText),
    All("server_assignor", NullText),
    All("topic_partitions", NullList(&Struct(&[All("topic_id", UUID), All("partitions", INTS)]))),
];
