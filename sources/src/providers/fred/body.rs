//! A body as it was read, in either of FRED's forms.

use std::borrow::Cow;

use crate::parse::raw::{Raw, Written};

/// Most members beside the rows: FRED sends 13.
pub(super) const MAX_MEMBERS: usize = 64;

/// Names and texts beside the rows; a number is its own text.
pub(super) type Members<'a> = Vec<(String, Cow<'a, str>)>;

/// A row of an answer, in whichever form it came.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// As JSON.
    Sent(Raw<'a>),
    /// In another form, which was written as JSON here; boxed, as there are never both.
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

    /// The row as it was sent.
    pub(super) fn sent(&self) -> &'a str {
        match self {
            Row::Sent(raw) => raw.get(),
            Row::Written(written) => written.1,
        }
    }
}

/// A body as it was read, without a look at what it says.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub(super) members: Members<'a>,
    /// None when there is no list of that name.
    pub(super) rows: Option<Vec<Row<'a>>>,
}

impl<'a> Body<'a> {
    /// Keeps a member; false when there are too many.
    pub(super) fn keep(&mut self, name: String, text: Cow<'a, str>) -> bool {
        let has_room = self.members.len() < MAX_MEMBERS;
        if has_room {
            self.members.push((name, text));
        }
        has_room
    }
}
