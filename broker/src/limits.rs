//! Every limit of the broker.

use std::time::Duration;

/// Most client connections; further ones are closed.
pub const MAX_CONNECTIONS: usize = 1_000;
/// Connections take at most this share of the files that the process may open; the log needs the others.
pub const CONNECTION_SHARE_OF_FILES: usize = 2;
/// Most topics.
pub const MAX_TOPICS: usize = 1_000;
/// Most partitions of all topics together.
pub const MAX_PARTITIONS: usize = 10_000;
/// Most bytes of a Fetch response, before the one batch that is sent whatever its size.
pub const MAX_FETCH_BYTES: usize = 64 << 20;
/// Longest wait of a Fetch for new records.
pub const MAX_FETCH_WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Most bytes of a Produce frame.
pub const MAX_PRODUCE_FRAME: usize = 16 << 20;
/// Most bytes of any other frame.
pub const MAX_FRAME: usize = 1 << 20;
/// Fewest bytes of a frame: API key, version, correlation id, length of the client id.
pub const MIN_FRAME: usize = 10;
/// A frame of at most so many bytes, decoded structs included, needs no share of the memory for frames.
pub const SMALL_FRAME: usize = 16 << 10;
/// Memory of all Produce frames together, next to the one frame on the reserve.
pub const PRODUCE_MEMORY: usize = 32 << 20;
/// Memory of all other frames together.
pub const FRAME_MEMORY: usize = 16 << 20;
/// A Produce frame's buffer starts with so many bytes and doubles as bytes arrive.
pub const FIRST_BUFFER: usize = 64 << 10;
/// Most array elements of a request: every partition and every topic, and room for as many unknown ones.
pub const MAX_ELEMENTS: usize = 2 * (MAX_PARTITIONS + MAX_TOPICS);
/// Most unknown tagged fields of a request; each costs a map node of some 400 bytes.
pub const MAX_UNKNOWN_TAGS: usize = 32;
/// Memory that one decoded array element takes, at most.
pub const ELEMENT_MEMORY: usize = 256;
/// Requests of a connection that the broker handles or answers at a time.
pub const MAX_IN_FLIGHT: usize = 5;
/// A response of at most so many bytes needs no share of the memory for responses.
pub const SMALL_RESPONSE: usize = 16 << 10;
/// Memory of all responses that clients have not read yet.
pub const RESPONSE_MEMORY: usize = 64 << 20;
/// The broker streams log files in pieces of so many bytes.
pub const PIECE: usize = 64 << 10;
/// A frame must arrive within this time.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// The broker closes a connection when the client reads nothing for so long.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The broker closes a connection without requests after this time, like Kafka's `connections.max.idle.ms`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// At a stop, requests in progress get this time.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// Least time between two warnings that connections are closed because too many are open.
pub const FULL_WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a failed `accept`, for example without free file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Largest `max.message.bytes` of a topic: a batch must fit into a Produce request.
pub const MAX_MESSAGE_BYTES: i32 = 16 << 20;
/// Smallest `segment.bytes` of a topic: smaller segments would flood the data folder with files.
pub const MIN_SEGMENT_BYTES: i64 = 4 << 10;
/// Largest `segment.bytes` of a topic: recovery reads a whole segment in seconds.
pub const MAX_SEGMENT_BYTES: i64 = 1 << 30;
/// Longest topic name, the same as Kafka's.
pub const MAX_TOPIC_NAME: usize = 249;
/// Distance of entries in the sparse index of a segment.
pub const INDEX_INTERVAL_BYTES: u64 = 64 << 10;
/// Most idle segment files that stay open for readers.
pub const MAX_IDLE_FILES: usize = 64;
/// How often the log moves its recovery point forward.
pub const FLUSH_INTERVAL_MS: i64 = 5_000;
/// Batches per idempotent producer whose duplicates the log recognises, the same as Kafka's.
pub const PRODUCER_BATCHES: usize = 5;
/// Most idempotent producers per partition; beyond it the log forgets the half that has been silent longest.
pub const MAX_PRODUCERS: usize = 5_000;
/// The log forgets an idempotent producer after this time without an append, the same as Kafka.
pub const PRODUCER_EXPIRY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Producer ids that the log reserves with one write to disk.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;
/// Most leader epochs that a partition remembers; the log forgets the oldest.
pub const MAX_EPOCHS: usize = 1_000;

/// Most members of a consumer group.
pub const MAX_MEMBERS: usize = 1_000;
/// Most consumer groups that have members.
pub const MAX_GROUPS: usize = 1_000;
/// Most bytes of metadata and assignments of all members of all groups together.
pub const MAX_GROUPS_BYTES: usize = 64 << 20;
/// Longest name of a group, client or instance, in bytes; a longer client id is cut.
pub const MAX_GROUP_NAME: usize = 255;
/// Shortest session timeout of a group's member, the same as Kafka's.
pub const MIN_SESSION: Duration = Duration::from_secs(6);
/// Longest session timeout of a group's member, the same as Kafka's.
pub const MAX_SESSION: Duration = Duration::from_secs(30 * 60);
/// Shortest wait of a rebalance for members that have not joined.
pub const MIN_REBALANCE: Duration = Duration::from_secs(1);
/// Longest wait of a rebalance for members that have not joined.
pub const MAX_REBALANCE: Duration = Duration::from_secs(30 * 60);
/// Most items (keys, groups, partitions) of one request about groups.
pub const MAX_GROUP_ITEMS: usize = 100_000;
/// Longest metadata of a committed offset, in bytes, the same as Kafka's.
pub const MAX_OFFSET_METADATA: usize = 4_096;
/// Most bytes of all committed offsets together.
pub const MAX_OFFSETS_BYTES: usize = 64 << 20;
/// Longest record in the file of committed offsets: a request's offsets, or a part of a group's when compacted.
pub const MAX_OFFSETS_RECORD: usize = 4 << 20;
/// The file of committed offsets is not compacted below this size.
pub const MIN_COMPACTION: u64 = 1 << 20;
