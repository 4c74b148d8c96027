//! Harness of the integration tests: what they share, not what they check.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should say so and stop")]

pub mod broker;
pub mod certificates;
pub mod embedded;
pub mod forward;
pub mod generate;
pub mod message;
pub mod oracle;
pub mod pages;
pub mod process;
pub mod proxy;
pub mod secure;
pub mod services;
pub mod table;
pub mod torture;
pub mod workload;
pub mod year;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of recorded provider responses, if one lies beside the repository.
pub fn samples() -> Option<PathBuf> {
    let folder = root().join("../shared/providers/samples");
    folder.is_dir().then_some(folder)
}

/// A service that `./test` started, by the variable with its address. If it is absent: None, and a line that says so.
pub fn service(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok().filter(|address| !address.is_empty());
    if address.is_none() {
        eprintln!("skipped: `{variable}` is not set");
    }
    address
}

/// A name that no other test and no other run uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test_{what}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
