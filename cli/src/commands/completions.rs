//! `tapedeck completions`: what a shell needs to complete the command line.

use clap_complete::Shell;

use super::{command_line, print};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck completions bash > ~/.local/share/bash-completion/completions/tapedeck")]
pub(super) struct Arguments {
    shell: Shell,
}

/// Prints them.
pub(super) fn run(Arguments { shell }: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command_line(), "tapedeck", &mut script);
    print(&String::from_utf8(script)?)
}
