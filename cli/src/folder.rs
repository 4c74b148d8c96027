//! The folder of a deck: which one a command means, whether a deck runs in it, and with what settings.
//!
//! | file | holds |
//! |---|---|
//! | `folder.json` | format, and whether the data is the demo's |
//! | `lock` | locked by the running `tapedeck up`, whose process id it holds |
//! | `run/deck.json` | the running deck's settings; only its user can read it |

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use service::settings;

/// The default folder.
pub(crate) const DEFAULT: &str = ".tapedeck";
/// The default folder of the demo.
pub(crate) const DEMO: &str = ".tapedeck-demo";
/// The format of the folder that this version writes.
const FORMAT: u32 = 1;
/// All that tapedeck makes in a folder. The mark is the last but one: until then the rest can be deleted again.
const ENTRIES: [&str; 10] = [
    "broker",
    "state",
    "logs",
    "run",
    "tapedeck.db",
    "tapedeck.db-shm",
    "tapedeck.db-wal",
    "demo-watchlist.toml",
    "folder.json",
    LOCK,
];
/// The file that a running deck has locked.
const LOCK: &str = "lock";
/// How long `up` waits for the lock: a command that looks whether a deck runs holds it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Time between two looks at a lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a command waits for the settings of a deck that starts.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Where the data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// From providers.
    Real,
    /// Invented by the simulator.
    Demo,
}

/// What `folder.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    format: u32,
    kind: Kind,
}

/// The folder of a deck.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    kind: Kind,
}

/// The exclusive right to run a deck in a folder.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child process between its fork and its exec has the file open too.
        let _ = self.0.unlock();
    }
}

impl Folder {
    /// Makes the folder for `up`, if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written, in which another deck runs, of another format, with data of the other kind, or
    /// with files of somebody else under the names of tapedeck's, which `reset` would delete.
    pub(crate) fn take(given: Option<&Path>, kind: Kind) -> anyhow::Result<(Folder, Lock)> {
        let path = given.unwrap_or(Path::new(if kind == Kind::Demo { DEMO } else { DEFAULT }));
        let written = || format!("cannot write in data folder `{}`", path.display());
        fs::create_dir_all(path)
            .with_context(|| format!("cannot create data folder `{}` (--data-dir names another)", path.display()))?;
        let path = path.canonicalize().with_context(written)?;
        let marked = mark(&path)?;
        if let Some(name) = ENTRIES.iter().find(|name| marked.is_none() && **name != LOCK && path.join(name).exists()) {
            bail!(
                "`{}` has `{name}`, which this tapedeck did not make: choose another data folder with --data-dir",
                path.display()
            );
        }
        let lock = lock(&path)?;
        let folder = Folder { path: path.clone(), kind };
        // Those of a deck that was killed.
        folder.forget_settings();
        match mark(&path)? {
            Some(mark) if mark.kind == kind => {}
            Some(Mark { kind: Kind::Demo, .. }) => bail!(
                "data folder `{}` holds the demo's invented data: choose another with --data-dir, or delete it with \
                 `tapedeck reset --data-dir {0}`",
                path.display()
            ),
            Some(_) => bail!(
                "data folder `{}` holds real data, and the demo's is invented: choose another folder with --data-dir",
                path.display()
            ),
            None => {
                let text = serde_json::to_string(&Mark { format: FORMAT, kind })?;
                fs::write(path.join("folder.json"), format!("{text}\n")).with_context(written)?;
            }
        }
        Ok((folder, lock))
    }

    /// Finds the folder for a command beside `up`: the given folder, else the default one in which a deck runs, else a
    /// default one that exists.
    ///
    /// # Errors
    ///
    /// A folder of another format.
    pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Folder> {
        if let Some(path) = given {
            return Folder::at(path);
        }
        let there = Folder::by_default()?;
        let chosen = there.iter().find(|folder| folder.is_running()).or(there.first());
        let Some(chosen) = chosen else { return Folder::at(Path::new(DEFAULT)) };
        if there.len() > 1 {
            eprintln!("data folder `{}`; choose another with --data-dir", chosen.path.display());
        }
        Ok(chosen.clone())
    }

    /// Finds the folder for a command that deletes it. Which one [`Folder::find`] chooses depends on what runs, so this
    /// never chooses.
    ///
    /// # Errors
    ///
    /// Two default folders and none given; a folder of another format.
    pub(crate) fn find_to_delete(given: Option<&Path>) -> anyhow::Result<Folder> {
        if given.is_none() && Folder::by_default()?.len() > 1 {
            bail!("there are two data folders, `{DEFAULT}` and `{DEMO}`: name the one to delete with --data-dir");
        }
        Folder::find(given)
    }

    /// The default folders that exist.
    fn by_default() -> anyhow::Result<Vec<Folder>> {
        [DEFAULT, DEMO].into_iter().map(Path::new).filter(|path| path.is_dir()).map(Folder::at).collect()
    }

    fn at(path: &Path) -> anyhow::Result<Folder> {
        let kind = mark(path)?.map_or(Kind::Real, |mark| mark.kind);
        // The path stays as it is, so that messages are short.
        Ok(Folder { path: path.to_owned(), kind })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its path for a message.
    pub(crate) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The option that names it, for a command to show to the user; empty when the command finds it by itself: it is a
    /// default folder, and the other one does not exist.
    pub(crate) fn option(&self) -> String {
        let own = std::env::current_dir().unwrap_or_default();
        let is_own = |name: &str| self.path == own.join(name) || self.path == Path::new(name);
        match [DEFAULT, DEMO].iter().find(|name| is_own(name)) {
            Some(_) if ![DEFAULT, DEMO].iter().all(|name| own.join(name).is_dir()) => String::new(),
            Some(name) => format!("--data-dir {name} "),
            None => format!("--data-dir {} ", self.path.display()),
        }
    }

    /// Where the data comes from.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it exists.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether `tapedeck up` made it, so that it may be deleted.
    pub(crate) fn is_tapedecks(&self) -> bool {
        mark(&self.path).is_ok_and(|mark| mark.is_some())
    }

    /// Address of the embedded database.
    pub(crate) fn sqlite_address(&self) -> String {
        format!("sqlite:{}", self.path.join("tapedeck.db").display())
    }

    /// Folder of the producers' state.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The demo's watchlist.
    pub(crate) fn demo_watchlist(&self) -> PathBuf {
        self.path.join("demo-watchlist.toml")
    }

    /// Folder of all logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Deletes it again if no process of a deck has ever started in it.
    pub(crate) fn delete_if_new(&self) {
        let is_used = [self.logs(), self.state(), self.path.join("tapedeck.db")].iter().any(|path| path.exists());
        if !is_used {
            // What is left harms nobody.
            let _ = self.delete();
        }
    }

    /// Deletes what tapedeck keeps in it, and the folder itself if nothing else is there; returns whether it is gone.
    pub(crate) fn delete(&self) -> std::io::Result<bool> {
        for name in ENTRIES {
            let path = self.path.join(name);
            let deleted = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match deleted {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    /// Free bytes of its disk.
    pub(crate) fn free_bytes(&self) -> std::io::Result<u64> {
        let path = if self.exists() { self.path() } else { Path::new(".") };
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Whether a deck runs in it.
    pub(crate) fn is_running(&self) -> bool {
        let Ok(file) = File::open(self.path.join(LOCK)) else { return false };
        let is_locked = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        if !is_locked {
            let _ = file.unlock();
        }
        is_locked
    }

    /// Process id of the `tapedeck up` that runs in it.
    pub(crate) fn process(&self) -> Option<i32> {
        let text = self.is_running().then(|| fs::read_to_string(self.path.join(LOCK)))?;
        text.ok()?.trim().parse().ok()
    }

    /// Waits until no deck runs in it; false when that takes longer.
    pub(crate) fn await_end(&self, patience: Duration) -> bool {
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > patience {
                return false;
            }
            std::thread::sleep(LOCK_INTERVAL);
        }
        true
    }

    /// Writes the settings of the running deck, for the other commands.
    pub(crate) fn save_settings(&self, settings: &[(String, String)]) -> anyhow::Result<()> {
        let path = self.deck_file();
        let settings: HashMap<&str, &str> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        fs::create_dir_all(self.path.join("run"))?;
        // It may hold a password of the database.
        let text = serde_json::to_string_pretty(&settings)?;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())
        });
        written.with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Removes the settings of the deck that has ended.
    pub(crate) fn forget_settings(&self) {
        // Without a running deck nothing reads them.
        let _ = fs::remove_file(self.deck_file());
    }

    /// The settings of the running deck; empty when none runs. Waits for a deck that has just begun to start.
    pub(crate) fn running_settings(&self) -> HashMap<String, String> {
        let began = Instant::now();
        while self.is_running() {
            let saved = fs::read_to_string(self.deck_file()).ok();
            if let Some(settings) = saved.and_then(|text| serde_json::from_str(&text).ok()) {
                return settings;
            }
            if began.elapsed() > START_PATIENCE {
                break;
            }
            std::thread::sleep(LOCK_INTERVAL);
        }
        HashMap::new()
    }

    /// The settings that follow from the folder: those of a deck with no others.
    pub(crate) fn usual_settings(&self) -> HashMap<String, String> {
        let mut settings = HashMap::new();
        if self.exists() {
            settings.insert(settings::STATE_DIR.name.to_owned(), self.state().display().to_string());
            settings.insert(settings::DATABASE_URL.name.to_owned(), self.sqlite_address());
        }
        if self.kind == Kind::Demo {
            settings.insert(settings::WATCHLIST.name.to_owned(), self.demo_watchlist().display().to_string());
        }
        settings
    }

    fn deck_file(&self) -> PathBuf {
        self.path.join("run").join("deck.json")
    }
}

fn lock(path: &Path) -> anyhow::Result<Lock> {
    let file = path.join(LOCK);
    let options = File::options().write(true).create(true).truncate(false).open(&file);
    let mut lock =
        options.with_context(|| format!("cannot write `{}` (--data-dir names another folder)", file.display()))?;
    let began = Instant::now();
    while let Err(error) = lock.try_lock() {
        match error {
            TryLockError::WouldBlock if began.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_INTERVAL),
            TryLockError::WouldBlock => bail!(
                "another tapedeck uses data folder `{}`: stop it with `tapedeck down`, or choose another with --data-dir",
                path.display()
            ),
            TryLockError::Error(error) => {
                return Err(error).with_context(|| format!("cannot lock `{}`", file.display()));
            }
        }
    }
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    Ok(Lock(lock))
}

/// What the folder says about itself; None for a folder without data.
fn mark(path: &Path) -> anyhow::Result<Option<Mark>> {
    let file = path.join("folder.json");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // An earlier version left no mark.
            let kind = if path.join("demo-watchlist.toml").exists() { Kind::Demo } else { Kind::Real };
            return Ok(path.join("tapedeck.db").exists().then_some(Mark { format: FORMAT, kind }));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    };
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = || format!("`{}` is damaged: move the folder away, or restore the file", file.display());
    let Format { format } = serde_json::from_str(&text).with_context(damaged)?;
    ensure!(
        format == FORMAT,
        "data folder `{}` has format {format}, and this tapedeck knows format {FORMAT}: use the version that wrote it, or \
         choose another folder with --data-dir",
        path.display()
    );
    serde_json::from_str(&text).with_context(damaged).map(Some)
}

#[cfg(test)]
mod tests;
