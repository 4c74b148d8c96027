//! Starts what watches a process: the health server, the watchdog, and the file with the server's address.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::health::Health;
use crate::{server, settings, watchdog};

impl Health {
    /// Serves `/livez`, `/readyz` and `/metrics` and starts the watchdog, as the environment configures them.
    pub fn start(&self) -> anyhow::Result<()> {
        let address = settings::read(&settings::HEALTH_ADDRESS).unwrap_or_default();
        let limit = settings::read_number(&settings::WATCHDOG, 0..=86_400)?;
        let limit = (limit > 0).then(|| Duration::from_secs(limit.cast_unsigned()));
        let failed = || format!("cannot serve health on `{address}` (`{}`)", settings::HEALTH_ADDRESS.name);
        let listener = TcpListener::bind(&*address).with_context(failed)?;
        let url = format!("http://{}", listener.local_addr()?);
        server::start(listener, self.clone()).with_context(failed)?;
        watchdog::start(self.clone(), limit)?;
        if let Some(path) = settings::read(&settings::HEALTH_FILE) {
            write_whole(Path::new(&path), &url).with_context(|| format!("cannot write `{path}`"))?;
        }
        tracing::info!("health on {url}");
        Ok(())
    }
}

/// Writes a file atomically: no reader gets half of it.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, format!("{text}\n"))?;
    std::fs::rename(&beside, path)
}
