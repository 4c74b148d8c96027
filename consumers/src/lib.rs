//! Consumer groups: validate the records of the topics and upsert them in chunks, each with its position in one
//! transaction.
//!
//! | module | does |
//! |---|---|
//! | [`sink`] | plays one dataset's topic into its table |
//! | [`replay`] | plays a range again, into the table or one beside it |
//! | [`verify`] | compares the database with the topics |
//! | [`dead_letters`] | lists, shows and redrives refused records |
//! | [`relay`] | publishes dead letters on their topic |
//! | [`commands`] | the command line: arguments in, lines out |

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

pub mod commands;
mod compact;
pub mod dead_letters;
pub mod events;
pub mod relay;
mod reminder;
pub mod replay;
pub mod sink;
mod supervise;
pub mod verify;
