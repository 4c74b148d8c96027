//! One action at one point inside a transaction or a request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Longest time between a trap's springing and its effect.
const STRIKE_PATIENCE: Duration = Duration::from_secs(5);

/// A point in the exchange between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// The client executes a statement that contains this text, within a chunk's transaction (the one that updates
    /// `sink_position`). The server has not received it yet.
    Statement(&'static str),
    /// The server responds to the commit of a chunk's transaction; the client has not received it yet.
    CommitAnswered,
    /// The broker responds to a Produce request; the producer has not received it yet.
    ProduceAnswered,
}

/// The action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The client is killed.
    Kill,
    /// The server's response passes, then the client is killed.
    PassAndKill,
    /// The client is stopped (SIGSTOP); the message waits for [`Trap::release`].
    Stop,
    /// Both sides are reset; the message is lost.
    Cut,
    /// The message waits that long.
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
    /// A new trap.
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

    /// Claims the trap for the caller; false if it has sprung before.
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

    /// Waits for its action; returns the process it struck, None after a timeout. After a timeout the trap cannot
    /// spring any more.
    pub fn await_strike(&self, patience: Duration) -> Option<u32> {
        let deadline = Instant::now() + patience;
        while !self.struck.load(Ordering::SeqCst) {
            // A trap that springs just now gets the time to strike; its process may have ended before.
            let late = Instant::now().saturating_duration_since(deadline);
            if !late.is_zero() && (self.spring() || late > STRIKE_PATIENCE) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(self.process.load(Ordering::SeqCst))
    }

    /// Passes on the message that waits since [`Action::Stop`].
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}
