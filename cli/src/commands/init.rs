//! `tapedeck init`: writes a watchlist and a file of settings to begin with.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contract::settings::Variable;
use service::settings::{self, files};
use sources::SOURCES;

/// The watchlist to begin with: what needs no key is active.
const WATCHLIST: &str = include_str!("../../../watchlist.toml");

/// Write a commented `watchlist.toml` and `.env` into the working directory; files that exist stay as they are
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tapedeck init\n  tapedeck init --user")]
pub(super) struct Arguments {
    /// Write into the user's configuration directory instead, which is read where the working directory has no file
    #[arg(long)]
    user: bool,
}

/// Writes the files that are missing, and says what comes next.
pub(super) fn run(Arguments { user }: &Arguments) -> anyhow::Result<()> {
    let folder = if *user {
        files::user_folder().context("there is no configuration directory without a home directory: set HOME")?
    } else {
        PathBuf::new()
    };
    if *user {
        let made = std::fs::create_dir_all(&folder);
        made.with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    }
    let (watchlist, env_file) = (folder.join("watchlist.toml"), folder.join(".env"));
    write(&watchlist, WATCHLIST)?;
    write(&env_file, &env()?)?;
    let (watchlist, env_file) = (watchlist.display(), env_file.display());
    println!("next: list what to poll in `{watchlist}`, put keys into `{env_file}`, then `tapedeck up`");
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    // Never over a file of the user's. Keys are for the user alone.
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => println!("`{}` is there already", path.display()),
        opened => {
            let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
            written.with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("wrote `{}`", path.display());
        }
    }
    Ok(())
}

/// The keys of the sources first, then every setting.
fn env() -> anyhow::Result<String> {
    let mut text = "# Settings of tapedeck: `NAME=value`. Variables of the environment take precedence.\n".to_owned();
    text.push_str("# A secret may be in a file instead: FRED_API_KEY_FILE=/path/to/key.\n\n# Keys of the sources\n");
    for source in SOURCES {
        if let Some(key) = source.key_variable() {
            writeln!(text, "# {}: {}\n#{}=", source.name, key.doc, key.name)?;
        }
    }
    text.push_str("\n# Everything else, with its default\n");
    let is_for_users = |variable: &&&Variable| variable.name != settings::ENV_FILE.name;
    for variable in settings::ALL.iter().filter(is_for_users) {
        writeln!(text, "# {}\n#{}={}", variable.doc, variable.name, variable.default.unwrap_or_default())?;
    }
    Ok(text)
}
