//! `producer seed`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use kafka::Cluster;

use super::print;
use crate::seed;

/// Publish exchanges, sectors and industries that no provider publishes; records that the topics have are left out
///
/// `tapedeck up` does it when it starts. A record of yours with a later `known_at` corrects one of these.
#[derive(Debug, Args)]
pub struct Arguments {}

pub(super) fn run(Arguments {}: &Arguments) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::from_settings()?;
    let seeded = tokio::runtime::Runtime::new()?.block_on(seed::publish(&cluster))?;
    let mut text = String::new();
    for one in seeded {
        let _ = writeln!(text, "published {} of {} records of `{}`", one.published, one.records, one.dataset.name);
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
