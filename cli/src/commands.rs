//! What a person can type after `tapedeck`.

pub mod query;
pub mod up;
