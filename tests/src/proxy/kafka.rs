//! Kafka's protocol as far as a trap needs it: which response belongs to a Produce request.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Control, Point, Trap, lock};

/// Number of the API that accepts records.
const PRODUCE: i16 = 0;

/// State shared by both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Kafka {
    /// Correlation ids of Produce requests without a response yet.
    produces: HashSet<[u8; 4]>,
}

impl Kafka {
    /// Length of the first whole message. It begins with its length, which does not count itself.
    pub(super) fn length(bytes: &[u8]) -> Option<usize> {
        let length = bytes.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*length) as usize + 4)
    }

    /// Reads a request: length, API, its version, correlation id.
    pub(super) fn request(&mut self, message: &[u8], control: &Control) {
        let Some(api) = message.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(i16::from_be_bytes) else {
            return;
        };
        *lock(&control.requests).entry(api).or_default() += 1;
        if api == PRODUCE {
            self.produces.extend(message.get(8..12).and_then(|id| <[u8; 4]>::try_from(id).ok()));
        }
    }

    /// Reads a response: length, correlation id.
    pub(super) fn answer(&mut self, message: &[u8], control: &Control) -> Option<Arc<Trap>> {
        let id = message.get(4..8)?.try_into().ok()?;
        if !self.produces.remove::<[u8; 4]>(&id) {
            return None;
        }
        control.sprung(|point| *point == Point::ProduceAnswered)
    }
}
