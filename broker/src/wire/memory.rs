//! The memory that all connections share for frames and responses.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{FRAME_MEMORY, PRODUCE_MEMORY, RESPONSE_MEMORY, SMALL_FRAME, SMALL_RESPONSE};

/// The shared memory.
///
/// Produce frames grow while bytes arrive. Without more, half-arrived frames could hold all memory and wait for
/// each other, so one Produce frame at a time may finish on a reserve of its own. Requests that wait long (Fetch,
/// JoinGroup) never hold memory that Produce needs.
#[derive(Debug)]
pub(super) struct Memory {
    produce: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    others: Arc<Semaphore>,
    responses: Arc<Semaphore>,
}

/// The share of one frame, given back on drop.
#[derive(Debug, Default)]
pub(super) struct Lease {
    permit: Option<OwnedSemaphorePermit>,
    reserve: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            produce: Arc::new(Semaphore::new(PRODUCE_MEMORY)),
            reserve: Arc::new(Semaphore::new(1)),
            others: Arc::new(Semaphore::new(FRAME_MEMORY)),
            responses: Arc::new(Semaphore::new(RESPONSE_MEMORY)),
        }
    }

    /// Waits until `lease` covers `bytes` bytes.
    pub(super) async fn cover(&self, lease: &mut Lease, bytes: usize, produce: bool) {
        let held = lease.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes <= SMALL_FRAME || bytes <= held || lease.reserve.is_some() {
            return;
        }
        let pool = if produce { &self.produce } else { &self.others };
        let more = u32::try_from(bytes - held).unwrap_or(u32::MAX);
        let more = pool.clone().acquire_many_owned(more);
        tokio::select! {
            biased;
            Ok(more) = more => match &mut lease.permit {
                Some(permit) => permit.merge(more),
                None => lease.permit = Some(more),
            },
            Ok(reserve) = self.reserve(produce) => lease.reserve = Some(reserve),
            else => {}
        }
    }

    async fn reserve(&self, produce: bool) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
        if produce { self.reserve.clone().acquire_owned().await } else { std::future::pending().await }
    }

    /// The share of a response; `None` when unread responses hold all memory. Small responses need no share.
    pub(super) fn response(&self, bytes: usize) -> Option<Option<OwnedSemaphorePermit>> {
        if bytes <= SMALL_RESPONSE {
            return Some(None);
        }
        let bytes = u32::try_from(bytes).ok()?;
        self.responses.clone().try_acquire_many_owned(bytes).ok().map(Some)
    }
}
