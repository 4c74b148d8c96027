//! The deck's daemons as child processes of this executable: start, watch, restart and stop them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};

/// How long a child may take to stop cleanly; a consumer waits for its last chunk.
const STOP_PATIENCE: Duration = Duration::from_secs(25);
/// Most restarts of a child within [`RESTART_WINDOW`]; after them it is given up.
const MAX_RESTARTS: usize = 10;
/// See [`MAX_RESTARTS`].
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Pause before a restart.
const RESTART_WAIT: Duration = Duration::from_millis(300);

/// How to start a child.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Name for messages, the log and the file with its process id.
    pub name: String,
    /// Path of its executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables in addition to the environment of this process.
    pub environment: Vec<(String, String)>,
    /// Whether its standard output is read here; otherwise it goes to the log.
    pub piped: bool,
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    recipe: Recipe,
    folder: PathBuf,
    process: Process,
    /// Kept apart, because waiting for a process closes its standard input, and that would stop it.
    stdin: Option<ChildStdin>,
    started: Vec<Instant>,
}

impl Child {
    /// Starts it; its log goes to `logs` in the folder, its process id to `run`.
    pub fn start(recipe: Recipe, folder: &Path) -> anyhow::Result<Child> {
        let mut process = spawn(&recipe, folder)?;
        let stdin = process.stdin.take();
        Ok(Child { recipe, folder: folder.to_owned(), process, stdin, started: vec![Instant::now()] })
    }

    /// Its standard output, if it is piped; only the first call returns it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Waits until it ends.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait().await.with_context(|| format!("cannot wait for `{}`", self.recipe.name))
    }

    /// Restarts it after it has ended on its own, unless that happens too often.
    pub async fn restart(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        self.started.retain(|started| started.elapsed() < RESTART_WINDOW);
        if self.started.len() > MAX_RESTARTS {
            let last = std::fs::read_to_string(self.log()).unwrap_or_default();
            let last = last.lines().last().unwrap_or("its log is empty");
            bail!("`{}` keeps ending ({status}): {last}; see {}", self.recipe.name, self.log().display());
        }
        tracing::warn!(child = self.recipe.name, %status, "ended on its own, restarting it");
        tokio::time::sleep(RESTART_WAIT).await;
        self.process = spawn(&self.recipe, &self.folder)?;
        self.stdin = self.process.stdin.take();
        self.started.push(Instant::now());
        Ok(())
    }

    /// Stops it cleanly by closing its standard input; kills it when that takes too long.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_PATIENCE, self.process.wait()).await.is_err() {
            tracing::warn!(child = self.recipe.name, "did not stop in time, killing it");
            self.process.kill().await.with_context(|| format!("cannot kill `{}`", self.recipe.name))?;
        }
        // These files describe a running child.
        let _ = std::fs::remove_file(pid_file(&self.folder, &self.recipe.name));
        let _ = std::fs::remove_file(health_file(&self.folder, &self.recipe.name));
        Ok(())
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Path of its log.
    pub fn log(&self) -> PathBuf {
        log_file(&self.folder, &self.recipe.name)
    }
}

fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("logs").join(format!("{name}.log"))
}

fn pid_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("run").join(format!("{name}.pid"))
}

/// Where a child writes the address of its health server.
pub fn health_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("run").join(format!("{name}.health"))
}

fn spawn(recipe: &Recipe, folder: &Path) -> anyhow::Result<Process> {
    let log_path = log_file(folder, &recipe.name);
    let log = open_log(&log_path).with_context(|| format!("cannot write log `{}`", log_path.display()))?;
    let process = Command::new(&recipe.program)
        .args(&recipe.arguments)
        .envs(recipe.environment.iter().map(|(name, value)| (name, value)))
        .env("TAPEDECK_STOP_AT_EOF", "1")
        .stdin(Stdio::piped())
        .stdout(if recipe.piped { Stdio::piped() } else { Stdio::from(log.try_clone()?) })
        .stderr(log)
        // Ctrl-C must reach only this process, which stops the children in the order in which nothing is lost.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start `{}`", recipe.program.display()))?;
    if let Some(id) = process.id() {
        let path = pid_file(folder, &recipe.name);
        std::fs::write(&path, id.to_string()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(process)
}

fn open_log(path: &Path) -> std::io::Result<File> {
    for folder in ["logs", "run"] {
        std::fs::create_dir_all(path.parent().and_then(Path::parent).unwrap_or(path).join(folder))?;
    }
    File::options().create(true).append(true).open(path)
}
