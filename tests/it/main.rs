//! The integration binary. Each module tests one family of promises.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bench;
mod broker;
mod calendars;
mod clients;
mod codec;
mod compose;
mod conformance;
mod cookbook;
mod dead_letters;
mod declared;
mod delete;
mod delivery;
mod derived;
mod evolution;
mod faults;
mod faults_single;
mod files;
mod first_run;
mod fold;
mod front_door;
mod groups;
mod health;
mod hostile;
mod interop;
mod memory;
mod migrate;
mod ninth;
mod odd;
mod oracle;
mod packages;
mod pipeline;
mod poison;
mod recipes;
mod replay;
mod restatements;
mod rules;
mod samples;
mod secrets;
mod supervise;
mod tidy;
mod up;
mod verify;
mod write_path;
mod year;
