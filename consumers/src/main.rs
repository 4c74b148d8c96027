//! `consumer`: plays topics into the database.

use std::process::ExitCode;

fn main() -> ExitCode {
    consumers::commands::main()
}
