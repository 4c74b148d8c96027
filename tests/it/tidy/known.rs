//! What does not keep the rules yet. Each table only shrinks; an entry that is no longer needed makes the check fail.

/// Names of a crate in an import cycle; the cycle may have fewer.
pub(super) const KNOWN_CYCLES: &[(&str, &[&str])] = &[];

/// Libraries that a crate must give up.
pub(super) const KNOWN_LIBRARIES: &[(&str, &str)] = &[];

/// Files with a library that is not theirs.
pub(super) const KNOWN_PLACES: &[&str] = &[];

/// Files that are too long, with their length.
pub(super) const LONG_FILES: &[(&str, usize)] = &[];

/// Functions that are too long, with their length.
pub(super) const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// How many sentences of a document are too long.
pub(super) const LONG_SENTENCES: &[(&str, usize)] = &[];
