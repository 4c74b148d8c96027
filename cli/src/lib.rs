//! The front door: `tapedeck up`, which runs everything on one machine, and `tapedeck query`.

pub mod commands;
mod data_dir;
pub mod deck;
