//! The deck's daemons as child processes of this executable: start, watch, restart and stop them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

/// How long a child may take to stop cleanly; a consumer waits for its last chunk.
const STOP_PATIENCE: Duration = Duration::from_secs(25);
/// First and longest pause before a restart; it doubles with each end of the child.
const RESTART_WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(30)];
/// How long a child must have run for its pauses to begin again with the first.
const LONG_RUN: Duration = Duration::from_secs(60);
/// Number of ends in a row after which a run that ends by itself gives a child up.
pub const MAX_ENDS: u32 = 10;

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

/// What happened to a child.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// It has ended.
    Ended(ExitStatus),
    /// It was started again.
    Restarted,
}

/// How a child is being restarted.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// The pause before it.
    pub wait: Duration,
    /// How often the child has ended in a row.
    pub ends: u32,
}

/// A child: running, or waiting for its restart.
#[derive(Debug)]
pub struct Child {
    recipe: Recipe,
    folder: PathBuf,
    process: Process,
    /// Kept apart, because waiting for a process closes its standard input, and that would stop it.
    stdin: Option<ChildStdin>,
    started: Instant,
    /// When it is restarted; None while it runs.
    restart_at: Option<Instant>,
    /// How often it has ended in a row, each time soon after its start.
    ends: u32,
}

impl Child {
    /// Starts it; its log goes to `logs` in the folder, its process id to `run`.
    pub fn start(recipe: Recipe, folder: &Path) -> anyhow::Result<Child> {
        let mut process = spawn(&recipe, folder)?;
        let stdin = process.stdin.take();
        let (folder, started) = (folder.to_owned(), Instant::now());
        Ok(Child { recipe, folder, process, stdin, started, restart_at: None, ends: 0 })
    }

    /// Its standard output, if it is piped; only the first call after a start returns it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Waits until it ends.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait().await.with_context(|| format!("cannot wait for `{}`", self.recipe.name))
    }

    /// Waits until it ends or, after [`Child::restart`], until it is started again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has done nothing.
    pub async fn event(&mut self) -> anyhow::Result<Event> {
        let Some(at) = self.restart_at else {
            return self.wait().await.map(Event::Ended);
        };
        tokio::time::sleep_until(at).await;
        self.process = spawn(&self.recipe, &self.folder)?;
        self.stdin = self.process.stdin.take();
        (self.started, self.restart_at) = (Instant::now(), None);
        Ok(Event::Restarted)
    }

    /// Restarts it, after a pause that becomes longer each time it ends soon: [`Child::event`] does it.
    pub fn restart(&mut self) -> Restart {
        self.ends = if self.started.elapsed() > LONG_RUN { 1 } else { self.ends + 1 };
        let wait = pause_before(self.ends);
        self.restart_at = Some(Instant::now() + wait);
        Restart { wait, ends: self.ends }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// The last line of its log: usually why it has ended.
    pub fn last_line(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().last().unwrap_or("its log is empty").to_owned()
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

/// The pause before a child is restarted that has ended so often in a row.
fn pause_before(ends: u32) -> Duration {
    let [first, longest] = RESTART_WAITS;
    first.saturating_mul(2_u32.saturating_pow(ends.saturating_sub(1))).min(longest)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_before_restarts_double_up_to_half_a_minute() {
        let pauses: Vec<u128> = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1000].map(|ends| pause_before(ends).as_millis()).into();
        assert_eq!(pauses, [300, 600, 1200, 2400, 4800, 9600, 19_200, 30_000, 30_000, 30_000]);
    }

    #[tokio::test]
    async fn a_child_that_ends_is_started_again_after_its_pause_and_its_last_words_are_known() {
        let folder = tempfile::TempDir::new().unwrap();
        let program = PathBuf::from("/bin/sh");
        let arguments = vec!["-c".to_owned(), "echo broken >&2; exit 3".to_owned()];
        let name = "sh".to_owned();
        let recipe = Recipe { name, program, arguments, environment: Vec::new(), piped: false };
        let mut child = Child::start(recipe, folder.path()).unwrap();
        for end in 1..=2 {
            let Event::Ended(status) = child.event().await.unwrap() else { panic!("it was not started") };
            assert_eq!((status.code(), child.last_line().as_str()), (Some(3), "broken"));
            let (began, restart) = (Instant::now(), child.restart());
            assert_eq!((restart.ends, restart.wait), (end, pause_before(end)));
            assert!(matches!(child.event().await.unwrap(), Event::Restarted));
            assert!(began.elapsed() >= restart.wait);
        }
    }
}
