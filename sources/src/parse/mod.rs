//! What parsers share, from the body of a response down to a value.

pub mod article;
pub mod body;
pub mod caught;
pub mod date;
pub mod duplicates;
pub mod fault;
pub mod json;
pub mod lines;
pub mod occ;
pub mod percent;
pub mod raw;
pub mod value;
