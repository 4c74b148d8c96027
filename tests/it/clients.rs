//! Foreign clients are the judges of the embedded broker: each reads back exactly what it or another one wrote.

mod java;
mod java_groups;
mod kcat;
mod restarts;
mod scripts;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tests::embedded::{Embedded, Received};
use tests::process::Running;

/// The longest that a foreign command may run, in seconds.
const SECONDS: &str = "100";

/// Runs a command, with its standard input. It ends after [`SECONDS`] at the latest.
fn run(command: &Command, input: &str) -> Output {
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after=5", SECONDS]).arg(command.get_program()).args(command.get_args());
    let piped = bounded.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = piped.spawn().unwrap();
    // A command that does not read its input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs a command that must succeed; returns its standard output.
fn succeed(command: &Command, input: &str) -> String {
    let description = format!("{command:?}");
    let output = run(command, input);
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{description} ended with {}:\n{said}\n{errors}", output.status);
    said
}

/// Runs a command whose error must hold a text, and which must give up by itself.
fn refused(command: &Command, expected: &str) {
    let description = format!("{command:?}");
    let output = run(command, "");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_ne!(output.status.code(), Some(124), "{description} did not give up: {said}");
    assert!(said.contains(expected), "{description} did not say `{expected}`:\n{said}");
}

/// A command whose lines are read while it runs.
#[derive(Debug)]
struct Events {
    running: Running,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Events {
    fn start(mut command: Command) -> Events {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (said, heard) = (BufReader::new(child.stdout.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            said.lines().map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line));
        });
        Events { running: Running(child), lines }
    }

    /// Closes its standard input; then it must end well.
    fn end(&mut self) {
        self.running.0.stdin = None;
        assert!(self.running.wait(), "it failed after {:?}", self.lines().last());
    }

    /// Its lines so far.
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The events of one name, in order.
    fn of(&self, name: &str) -> Vec<Value> {
        events(&self.lines(), name)
    }
}

/// The events of one name among lines of JSON.
fn events<L: AsRef<str>>(lines: &[L], name: &str) -> Vec<Value> {
    let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line.as_ref()).ok());
    parsed.filter(|event| event["name"] == name).collect()
}

/// Asserts that every partition has offsets from 0 without a hole.
fn assert_offsets(records: &[Received]) {
    let mut next = BTreeMap::<i32, i64>::new();
    for record in records {
        let expected = next.entry(record.partition).or_default();
        assert_eq!(record.offset, *expected, "offset in partition {}", record.partition);
        *expected += 1;
    }
}

/// Asserts that the values of all records are the numbers below `count`, each once.
fn assert_each_once(records: &[Received], count: u32) {
    let number = |record: &Received| record.value.as_ref().unwrap().parse().unwrap();
    let mut numbers: Vec<u32> = records.iter().map(number).collect();
    numbers.sort_unstable();
    let wrong = numbers.iter().zip(0..).find(|(number, expected)| **number != *expected);
    assert_eq!(wrong, None, "the first number that is missing or there twice");
    assert_eq!(numbers.len(), count as usize, "records");
}

/// Asserts that the broker complained about nothing.
fn assert_calm(broker: &Embedded) {
    assert_eq!(broker.complaints(), "", "the broker complained");
}
