//! `tapedeck logs`: what the deck's processes logged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::print;
use crate::folder::Folder;

/// How often `-f` looks for new lines.
const INTERVAL: Duration = Duration::from_millis(200);
/// The end of a log that is read to find its last lines.
const TAIL_BYTES: u64 = 1 << 20;

/// Show the logs of the deck's processes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tapedeck logs\n  tapedeck logs -f consumer")]
pub(super) struct Arguments {
    /// Name of a process; all when none is named
    name: Option<String>,
    /// Go on with new lines until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Begin with so many last lines of each log
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: usize,
}

/// Prints the logs, each line with the name of its process.
pub(super) fn run(arguments: &Arguments, folder: &Folder) -> anyhow::Result<()> {
    let files = files(folder, arguments.name.as_deref())?;
    let name_each = files.len() > 1;
    let mut positions = BTreeMap::new();
    for (name, path) in &files {
        let (text, end) = tail(path, arguments.lines).with_context(|| format!("cannot read `{}`", path.display()))?;
        positions.insert(name.clone(), end);
        print(&named(&text, name, name_each))?;
    }
    if !arguments.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(INTERVAL);
        for (name, path) in &files {
            let position = positions.entry(name.clone()).or_default();
            let text = more(path, position).with_context(|| format!("cannot read `{}`", path.display()))?;
            print(&named(&text, name, name_each))?;
        }
    }
}

/// The logs by name of the process.
fn files(folder: &Folder, name: Option<&str>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let logs = folder.logs();
    let entries = match std::fs::read_dir(&logs) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there are no logs in `{}`: `tapedeck up` writes them", logs.display())
        }
        entries => entries.with_context(|| format!("cannot read the logs in `{}`", logs.display()))?,
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let all: BTreeMap<String, PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    let Some(name) = name else { return Ok(all) };
    let Some(path) = all.get(name) else {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        bail!("there is no log of `{name}` in `{}`; there are: {}", logs.display(), names.join(", "));
    };
    Ok(BTreeMap::from([(name.to_owned(), path.clone())]))
}

/// The last lines of a file, and its length.
fn tail(path: &PathBuf, lines: usize) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    Ok((last.iter().map(|line| format!("{line}\n")).collect(), end))
}

/// The whole lines from a position on; moves the position behind them. A log that became shorter is read from its start.
fn more(path: &PathBuf, position: &mut u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() < *position {
        *position = 0;
    }
    file.seek(SeekFrom::Start(*position))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    *position += whole as u64;
    Ok(String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).into_owned())
}

fn named(text: &str, name: &str, name_each: bool) -> String {
    if !name_each {
        return text.to_owned();
    }
    text.lines().map(|line| format!("{name}: {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_are_shown_and_new_ones_only_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        let (text, mut position) = tail(&path, 2).unwrap();
        assert_eq!((text.as_str(), position), ("b\nc\n", 6));
        let mut file = File::options().append(true).open(&path).unwrap();
        write!(file, "d\nhal").unwrap();
        assert_eq!(more(&path, &mut position).unwrap(), "d\n");
        assert_eq!(more(&path, &mut position).unwrap(), "");
        writeln!(file, "f").unwrap();
        assert_eq!(more(&path, &mut position).unwrap(), "half\n");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(more(&path, &mut position).unwrap(), "new\n");
        assert_eq!(named("a\nb\n", "x", true), "x: a\nx: b\n");
    }
}
