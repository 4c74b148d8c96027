//! `tapedeck man`: the manual, a page per command.

use std::path::PathBuf;

use anyhow::Context as _;

use super::command_line;

/// Write the manual into a folder, a page per command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck man ~/.local/share/man/man1")]
pub(super) struct Arguments {
    /// Made if missing
    folder: PathBuf,
}

/// Writes it.
pub(super) fn run(Arguments { folder }: &Arguments) -> anyhow::Result<()> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command_line(), folder));
    written.with_context(|| format!("cannot write the manual into `{}`", folder.display()))
}
