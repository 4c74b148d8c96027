//! What is to happen once, at a point inside a transaction or a request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long it takes at most from a trap's springing to its effect.
const STRIKE_PATIENCE: Duration = Duration::from_secs(5);

/// A point in what a client and a server say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The client executes, within the transaction of a chunk, a statement that holds this text; the server has not
    /// got it yet. The transaction of a chunk is the one that updates `sink_position`.
    Statement(&'static str),
    /// The server answers the commit of a chunk's transaction; the client has not got it yet.
    CommitAnswered,
    /// The broker answers a Produce request; the producer has not got it yet.
    ProduceAnswered,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The client is killed.
    Kill,
    /// The server's answer is passed on and the client is killed.
    PassAndKill,
    /// The client is stopped (SIGSTOP); what was to be passed on waits for [`Trap::release`].
    Stop,
    /// Both sides are reset; what was to be passed on is lost.
    Cut,
    /// What was to be passed on waits for so long.
    Hold(Duration),
}

/// An action at a point; it springs once, wherever it is set.
#[derive(Debug)]
pub struct Trap {
    /// Where.
    pub point: Point,
    /// What.
    pub action: Action,
    sprung: AtomicBool,
    struck: AtomicBool,
    process: AtomicU32,
    released: watch::Sender<bool>,
}

impl Trap {
    /// A trap to be set.
    pub fn new(point: Point, action: Action) -> Trap {
        Trap {
            point,
            action,
            sprung: AtomicBool::new(false),
            struck: AtomicBool::new(false),
            process: AtomicU32::new(0),
            released: watch::Sender::new(false),
        }
    }

    /// Claims the trap for the caller; false when it has sprung before.
    pub(super) fn spring(&self) -> bool {
        !self.sprung.swap(true, Ordering::SeqCst)
    }

    pub(super) fn has_sprung(&self) -> bool {
        self.sprung.load(Ordering::SeqCst)
    }

    pub(super) fn has_struck(&self, process: u32) {
        self.process.store(process, Ordering::SeqCst);
        self.struck.store(true, Ordering::SeqCst);
    }

    pub(super) async fn released(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }

    /// Waits until its action has been taken; gives the process it struck, None when that takes too long. A trap that
    /// was too late cannot spring any more.
    pub fn await_strike(&self, patience: Duration) -> Option<u32> {
        let deadline = Instant::now() + patience;
        while !self.struck.load(Ordering::SeqCst) {
            // One that springs just now is given the time to strike; the process may have ended before it could.
            let late = Instant::now().saturating_duration_since(deadline);
            if !late.is_zero() && (self.spring() || late > STRIKE_PATIENCE) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(self.process.load(Ordering::SeqCst))
    }

    /// Passes on what waits since [`Action::Stop`].
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}
