//! The commands of `tapedeck`, one file each: arguments and `run`.

pub mod query;
pub mod up;
