//! Our executables, run as a person runs them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a command may take that is to end by itself; the longest read millions of records.
const COMMAND_PATIENCE: Duration = Duration::from_secs(300);

/// An executable of ours, beside the test's own.
pub fn executable(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap().parent().unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `./test`", path.display());
    path
}

/// The environment of an executable; nothing of tapedeck's is inherited.
pub type Environment = BTreeMap<&'static str, String>;

/// A command of ours with that environment.
pub fn command(name: &str, arguments: &[&str], environment: &Environment) -> Command {
    let mut command = Command::new(executable(name));
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("TAPEDECK_")) {
        command.env_remove(variable);
    }
    for variable in sources::variables() {
        command.env_remove(variable.name);
    }
    command.args(arguments).envs(environment);
    command.current_dir(crate::root()).stdin(Stdio::null());
    command
}

/// Runs a command to its end, which must come within [`COMMAND_PATIENCE`].
pub fn run(name: &str, arguments: &[&str], environment: &Environment) -> Output {
    let mut command = command(name, arguments, environment);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (id, (ended, end)) = (child.id(), mpsc::channel::<()>());
    // Dropping the sender wakes it up at once.
    let watchdog = std::thread::spawn(move || {
        let is_late = end.recv_timeout(COMMAND_PATIENCE) == Err(RecvTimeoutError::Timeout);
        if is_late {
            signal_process(id, "KILL");
        }
        is_late
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!watchdog.join().unwrap(), "{name} {arguments:?} did not end within {COMMAND_PATIENCE:?}: {said}");
    output
}

/// Runs a command to its end, which must be a success; gives what it printed.
pub fn succeed(name: &str, arguments: &[&str], environment: &Environment) -> String {
    let output = run(name, arguments, environment);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?} ended with {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command to its end, which must be a failure; gives what it said on standard error.
pub fn fail(name: &str, arguments: &[&str], environment: &Environment) -> String {
    let output = run(name, arguments, environment);
    assert!(!output.status.success(), "{name} {arguments:?} succeeded");
    String::from_utf8(output.stderr).unwrap()
}

/// A process that is killed when the test is done with it.
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

    /// Waits until it ends; gives whether that was a success.
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
    /// The process.
    pub running: Running,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Heard {
    /// Starts a command.
    pub fn start(mut command: Command) -> Heard {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (said, heard) = (BufReader::new(child.stderr.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            said.lines().map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line));
        });
        Heard { running: Running(child), lines }
    }

    /// The lines so far that hold a text.
    pub fn said(&self, text: &str) -> Vec<String> {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Waits until it has said something.
    pub fn until_said(&self, text: &str) {
        until(&format!("the process says `{text}`"), || !self.said(text).is_empty());
    }
}

/// Sends a process a signal by name.
pub fn signal_process(id: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(id.to_string()).status().unwrap();
    assert!(status.success(), "cannot send {signal} to {id}");
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
