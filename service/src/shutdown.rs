//! Orderly shutdown.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::settings;

/// A token that is cancelled by SIGINT or SIGTERM, and by the end of standard input where the environment asks for it.
pub fn token() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    if settings::read(&settings::STOP_AT_EOF).is_some() {
        let cancelled = token.clone();
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            // However standard input ends, the process that could stop us is gone.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            cancelled.cancel();
        })?;
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}
