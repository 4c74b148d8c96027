//! `tapedeck-broker`: the embedded Kafka-compatible broker, one process with its data in one folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    broker::daemon::main()
}
