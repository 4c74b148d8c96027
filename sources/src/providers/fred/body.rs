//! A body, in either of FRED's formats.

use std::borrow::Cow;

use crate::parse::raw::{Raw, Written};

/// Most members beside the rows: FRED sends 13.
pub(super) const MAX_MEMBERS: usize = 64;

/// Names and texts beside the rows; a number counts as its text.
pub(super) type Members<'a> = Vec<(String, Cow<'a, str>)>;

/// A row, in either format.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// JSON, as sent.
    Sent(Raw<'a>),
    /// XML, rewritten as JSON, with its original text; boxed, to keep the enum small.
    Written(Box<(Written, &'a str)>),
}

impl<'a> Row<'a> {
    /// The row as JSON.
    pub(super) fn raw(&self) -> Raw<'_> {
        match self {
            Row::Sent(raw) => *raw,
            Row::Written(written) => written.0.raw(),
        }
    }

    /// The row as sent.
    pub(super) fn sent(&self) -> &'a str {
        match self {
            Row::Sent(raw) => raw.get(),
            Row::Written(written) => written.1,
        }
    }
}

/// A body: its members and its rows, not yet checked for errors.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub(super) members: Members<'a>,
    /// None if the body has no list of that name.
    pub(super) rows: Option<Vec<Row<'a>>>,
}

impl<'a> Body<'a> {
    /// Adds a member; returns false if there are too many.
    pub(super) fn keep(&mut self, name: String, text: Cow<'a, str>) -> bool {
        let has_room = self.members.len() < MAX_MEMBERS;
        if has_room {
            self.members.push((name, text));
        }
        has_room
    }
}
