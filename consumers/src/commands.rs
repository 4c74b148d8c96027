//! The command line of `consumer`: one module per command, with its arguments and `run`.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use contract::{Dataset, datasets};
use service::settings;
use store::chunk::Limits;

pub mod dead_letters;
pub mod migrate;
pub mod replay;
pub mod run;
pub mod verify;

/// The datasets of these names; all when none is named.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Dataset>> {
    if names.is_empty() {
        return Ok(datasets().iter().collect());
    }
    names.iter().map(|name| one(name)).collect()
}

/// The dataset of that name.
fn one(name: &str) -> anyhow::Result<&'static Dataset> {
    let known = || datasets().iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", ");
    contract::dataset(name).with_context(|| format!("there is no dataset `{name}`; there are: {}", known()))
}

/// When a chunk is committed, as the environment says.
fn limits() -> anyhow::Result<Limits> {
    Ok(Limits {
        rows: settings::read_number(&settings::CHUNK_ROWS, 1..=1_000_000)? as usize,
        bytes: settings::read_number(&settings::CHUNK_BYTES, 1..=1 << 30)? as usize,
        age: Duration::from_millis(settings::read_number(&settings::CHUNK_AGE_MS, 1..=3_600_000)?.cast_unsigned()),
    })
}

/// Prints to standard output. A closed pipe, as of `| head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
