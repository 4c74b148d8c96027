//! `tapedeck reset`: deletes a data folder.

use anyhow::{Context as _, bail};

use crate::folder::{Folder, Kind};

/// Delete the data folder: topics, tables, state and logs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck reset --data-dir .tapedeck-demo --yes")]
pub(super) struct Arguments {
    /// Delete; without it the command only shows what it would delete
    #[arg(long)]
    yes: bool,
}

/// Deletes the folder. A database outside of it stays as it is.
pub(super) fn run(Arguments { yes }: &Arguments, folder: &Folder) -> anyhow::Result<()> {
    if !folder.exists() {
        println!("there is no data folder `{}`", folder.shown());
        return Ok(());
    }
    if !folder.is_tapedecks() {
        bail!("`{}` is no data folder of tapedeck: nothing was deleted", folder.shown());
    }
    let kind = if folder.kind() == Kind::Demo { "the demo's invented data" } else { "real data" };
    // Held while deleting, so that no deck starts in between.
    let (folder, _lock) = Folder::take(Some(folder.path()), folder.kind())?;
    if !*yes {
        bail!("this deletes `{}` with {kind}: add `--yes` to delete it", folder.shown());
    }
    if folder.delete().with_context(|| format!("cannot delete all of `{}`", folder.shown()))? {
        println!("deleted `{}` with {kind}", folder.shown());
    } else {
        println!("deleted {kind} in `{}`; the other files there are not tapedeck's and stay", folder.shown());
    }
    Ok(())
}
