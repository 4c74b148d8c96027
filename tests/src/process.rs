//! Runs tapedeck's executables as a user does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Longest that a command may run that ends by itself; the longest ones read millions of records.
const COMMAND_PATIENCE: Duration = Duration::from_secs(300);

/// An executable of tapedeck, beside the test's own.
pub fn executable(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap().parent().unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `./test`", path.display());
    path
}

/// The environment of an executable; it inherits no variable of tapedeck's.
pub type Environment = BTreeMap<&'static str, String>;

/// A command of tapedeck's with that environment.
pub fn command(name: &str, arguments: &[&str], environment: &Environment) -> Command {
    command_of(&executable(name), arguments, environment)
}

/// The same of an executable that lies elsewhere.
pub fn command_of(program: &Path, arguments: &[&str], environment: &Environment) -> Command {
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("TAPEDECK_")) {
        command.env_remove(variable);
    }
    for variable in sources::variables() {
        command.env_remove(variable.name);
    }
    // Nor does it read a developer's files.
    command.env("TAPEDECK_ENV_FILE", "/dev/null").env("XDG_CONFIG_HOME", "/dev/null");
    command.args(arguments).envs(environment);
    command.current_dir(crate::root()).stdin(Stdio::null());
    command
}

/// Runs a command, which must end within [`COMMAND_PATIENCE`].
pub fn run(name: &str, arguments: &[&str], environment: &Environment) -> Output {
    ended(command(name, arguments, environment))
}

/// Runs a command to its end, which must come within [`COMMAND_PATIENCE`].
pub fn ended(mut command: Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, (end_sender, end)) = (child.id(), mpsc::channel::<()>());
    // Dropping the sender wakes it up at once.
    let watchdog = std::thread::spawn(move || {
        let is_late = end.recv_timeout(COMMAND_PATIENCE) == Err(RecvTimeoutError::Timeout);
        if is_late {
            signal_process(id, "KILL");
        }
        is_late
    });
    let output = child.wait_with_output().unwrap();
    drop(end_sender);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!watchdog.join().unwrap(), "{command:?} did not end within {COMMAND_PATIENCE:?}: {said}");
    output
}

/// Runs a command that must succeed; returns its standard output.
pub fn succeed(name: &str, arguments: &[&str], environment: &Environment) -> String {
    let output = run(name, arguments, environment);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?} ended with {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail; returns its standard error.
pub fn fail(name: &str, arguments: &[&str], environment: &Environment) -> String {
    let output = run(name, arguments, environment);
    assert!(!output.status.success(), "{name} {arguments:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Running {
        Running(command.spawn().unwrap())
    }

    /// Sends it a signal by name, e.g. `KILL`.
    pub fn signal(&self, signal: &str) {
        signal_process(self.0.id(), signal);
    }

    /// Waits until it ends; true if it succeeded.
    pub fn wait(&mut self) -> bool {
        let mut status = None;
        until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process whose standard error is read while it runs.
#[derive(Debug)]
pub struct Heard {
    running: Running,
    lines: Arc<Mutex<Vec<String>>>,
    /// Reads them until the end.
    listener: JoinHandle<()>,
}

impl Heard {
    /// Starts a command.
    pub fn start(mut command: Command) -> Heard {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (said, heard) = (BufReader::new(child.stderr.take().unwrap()), lines.clone());
        let listener = std::thread::spawn(move || {
            said.lines().map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line));
        });
        Heard { running: Running(child), lines, listener }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.running.0.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, signal: &str) {
        self.running.signal(signal);
    }

    /// Whether it succeeded, once it has ended and its last line is among those that it said; None before.
    pub fn ended(&mut self) -> Option<bool> {
        let status = self.running.0.try_wait().unwrap()?;
        self.listener.is_finished().then(|| status.success())
    }

    /// Waits until it ends; true if it succeeded.
    pub fn wait(&mut self) -> bool {
        let mut succeeded = None;
        until("the process ends", || {
            succeeded = self.ended();
            succeeded.is_some()
        });
        succeeded.unwrap()
    }

    /// Lines so far that contain a text.
    pub fn said(&self, text: &str) -> Vec<String> {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Waits for a line that contains a text.
    pub fn until_said(&self, text: &str) {
        until(&format!("the process says `{text}`"), || !self.said(text).is_empty());
    }
}

/// Sends a process a signal by name.
pub fn signal_process(id: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(id.to_string()).status().unwrap();
    assert!(status.success(), "cannot send {signal} to {id}");
}

/// Most memory that a process has used, in KiB; None once it has ended.
pub fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Waits until a condition holds.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
