//! The folder of all data and logs.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};

/// The default data folder.
pub(crate) const DEFAULT: &str = ".tapedeck";

/// Address of the embedded database in a data folder.
pub(crate) fn sqlite_address(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("tapedeck.db").display())
}

/// Locks the folder, so that only one `tapedeck up` uses it.
pub(crate) fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another tapedeck uses data folder `{}`: stop it, or choose another with --data-dir", folder.display());
    }
    Ok(file)
}
