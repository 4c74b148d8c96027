//! `producer`: polls sources and publishes their records.

use std::panic;
use std::process::ExitCode;

use sources::parse::caught::without_caught;

/// Keeps the memory of a page for the next one. The system's allocator returns and maps it again, page fault by page
/// fault: a third of the time that it takes to read rows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    panic::set_hook(without_caught(panic::take_hook()));
    producers::commands::main()
}
