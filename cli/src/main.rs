//! `tapedeck`: every command and every daemon in one executable.

use std::panic;
use std::process::ExitCode;

use sources::parse::caught::without_caught;

fn main() -> ExitCode {
    panic::set_hook(without_caught(panic::take_hook()));
    cli::main()
}
