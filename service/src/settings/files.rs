//! Where the files of settings are: in the working directory, else in the user's configuration directory.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

/// Tapedeck's folder in the user's configuration directory: `~/.config/tapedeck`, or in `XDG_CONFIG_HOME`. None for a
/// user without a home directory.
pub fn user_folder() -> Option<PathBuf> {
    etcetera::choose_base_strategy().ok().map(|strategy| strategy.config_dir().join("tapedeck"))
}

/// The path of a file of settings: that in the working directory if there is one, else the user's if there is one, else
/// again that in the working directory, for a message.
pub fn find(name: &str) -> PathBuf {
    let here = PathBuf::from(name);
    let is_file = |path: &PathBuf| Path::is_file(path);
    if here.is_file() {
        return here;
    }
    user_folder().map(|folder| folder.join(name)).filter(is_file).unwrap_or(here)
}
