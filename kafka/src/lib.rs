//! Everything about Kafka: the cluster, topics, publishing, consuming in a group, reading by offset or time, schemas.
//!
//! | to | use |
//! |---|---|
//! | create topics, configure a client | [`cluster::Cluster`] |
//! | publish records in bulk with one result for all | [`publish::Publisher`] |
//! | publish single messages, each with its own result | [`send::Sender`] |
//! | consume as a member of a group | [`group::GroupConsumer`] |
//! | read a range outside of any group | [`reader::Reader`], [`reader::Topic`] |
//! | look up offsets | [`offsets`] |
//! | recognise a topic | [`topic_id`] |
//! | find out how long records wait | [`waiting`] |
//! | find the schema behind an id | [`schemas::Schemas`], [`registry::Registry`] |
//!
//! This crate depends on the datasets ([`contract`]), but on no database, no source, and neither the producers nor the
//! consumers. Its errors are named by the caller's next action: [`KafkaError::Retry`] or [`KafkaError::Halt`].

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod claim;
pub mod cluster;
mod delivery;
mod detour;
pub mod error;
pub mod group;
mod headers;
pub mod in_flight;
pub mod message;
pub mod offsets;
mod probe;
pub mod publish;
mod quiet;
pub mod reader;
mod refusal;
pub mod registry;
pub mod schemas;
mod security;
pub mod send;
mod statistics;
pub mod survey;
pub mod topic_id;
mod topics;
pub mod waiting;

pub use cluster::Cluster;
pub use error::KafkaError;
pub use message::Message;
pub use registry::Registry;
