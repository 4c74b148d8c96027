//! `producer parse`.

use std::fs::File;
use std::io::{self, BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, SubsecRound as _, Utc};
use clap::Args;
use contract::Record;
use serde::Serialize;
use service::arguments::time;
use service::telemetry;
use sources::providers::file::part;
use sources::response::{Parsed, Reject, Request};
use sources::source;
use sources::source::Endpoint;

use super::now;
use crate::fetch::LIMITS;
use crate::fetch::local::{self, Content};

/// Parse saved responses and print their records as JSON lines; needs neither network nor Kafka
///
/// Example: `producer parse yahoo chart --item AAPL response.json`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Source
    source: String,
    /// Endpoint
    endpoint: String,
    /// Item of the responses, e.g. `AAPL`
    #[arg(long)]
    item: String,
    /// When the responses were received, e.g. `2026-11-20T12:00:00Z`; now by default
    #[arg(long, value_parser = time)]
    at: Option<DateTime<Utc>>,
    /// Files with the responses' bodies
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(Arguments { source, endpoint, item, at, files }: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(Inspection::new(source, endpoint, item, at.unwrap_or_else(now))?.files(files))
}

/// How to read the files.
struct Inspection<'a> {
    endpoint: &'static Endpoint,
    item: &'a str,
    received_at: DateTime<Utc>,
    /// Whether the source reads files, so that these are its files and not saved responses.
    is_local: bool,
}

#[derive(Serialize)]
struct RecordLine<'a> {
    dataset: &'a str,
    record: &'a Record,
}

#[derive(Serialize)]
struct RejectLine<'a> {
    reject: RejectFields<'a>,
}

#[derive(Serialize)]
struct RejectFields<'a> {
    class: &'a str,
    reason: &'a str,
    fragment: &'a str,
}

impl<'a> Inspection<'a> {
    /// Reads responses of an endpoint for an item.
    fn new(
        source_name: &str,
        endpoint: &str,
        item: &'a str,
        received_at: DateTime<Utc>,
    ) -> anyhow::Result<Inspection<'a>> {
        let source = source(source_name).map_err(|error| anyhow!(error))?;
        let endpoint = source.endpoint(endpoint).map_err(|error| anyhow!(error))?;
        Ok(Inspection { endpoint, item, received_at, is_local: source.is_local() })
    }

    /// Writes the records of each file to standard output and counts to standard error. Fails if one cannot be parsed, or has only rejects.
    fn files(&self, paths: &[PathBuf]) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        let mut out = BufWriter::new(io::stdout().lock());
        for path in paths {
            match self.file(path, &mut out) {
                Ok(counts) => {
                    eprintln!("{}: {}", path.display(), shown(counts));
                    if matches!(counts, [0, rejects, _] if rejects > 0) {
                        code = ExitCode::FAILURE;
                    }
                }
                // The reader has closed the pipe.
                Err(error) if is_broken_pipe(&error) => return code,
                Err(error) => code = telemetry::report(Err(error.context(path.display().to_string()))),
            }
        }
        code
    }

    /// Writes the contents of a file; returns the numbers of records, rejects and holes.
    fn file(&self, path: &Path, out: &mut impl io::Write) -> anyhow::Result<[u64; 3]> {
        let (mut counts, mut offset) = ([0; 3], Some(0));
        while let Some(at) = offset {
            let parsed = self.parse(path, at)?;
            write(out, &parsed)?;
            out.flush()?;
            let page = [parsed.records.len() as u64, parsed.rejects.len() as u64, parsed.holes];
            counts.iter_mut().zip(page).for_each(|(sum, count)| *sum += count);
            // A saved response is one page, whatever follows at the provider.
            offset = parsed.next_offset.filter(|next| self.is_local && *next > at);
        }
        Ok(counts)
    }

    fn parse(&self, path: &Path, offset: u64) -> anyhow::Result<Parsed> {
        let Content { body, modified } = if self.is_local {
            let asked = (self.endpoint.path)(self.item, offset)?;
            let (_, part) = part::parse(&asked).context("is not the item of a file")?;
            local::read(path, part, LIMITS.body)?
        } else {
            Content { body: response(path)?, modified: None }
        };
        let last_modified = modified.map(|time| DateTime::from(time).trunc_subsecs(6));
        let request = Request { item: self.item, offset, received_at: self.received_at, last_modified };
        Ok(self.endpoint.read(&request, &body)?)
    }
}

/// A saved response.
fn response(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = LIMITS.body as u64;
    let mut body = Vec::new();
    let mut file = File::open(path).context("cannot be read")?.take(limit + 1);
    file.read_to_end(&mut body).context("cannot be read")?;
    if body.len() as u64 > limit {
        bail!("has more than {limit} bytes");
    }
    Ok(body)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn write(out: &mut impl io::Write, parsed: &Parsed) -> io::Result<()> {
    for record in &parsed.records {
        line(out, &RecordLine { dataset: record.dataset(), record })?;
    }
    for Reject { fragment, class, reason, .. } in &parsed.rejects {
        let fragment = &String::from_utf8_lossy(fragment);
        line(out, &RejectLine { reject: RejectFields { class, reason, fragment } })?;
    }
    Ok(())
}

fn line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn shown([records, rejects, holes]: [u64; 3]) -> String {
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!("{}, {}, {}", count(records, "record"), count(rejects, "reject"), count(holes, "hole"))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn inspected(item: &str, file: &str) -> anyhow::Result<Parsed> {
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        let inspection = Inspection::new("cboe", "index_history", item, at).unwrap();
        let folder = sources::fixture::folder().join("cboe/index_history");
        inspection.parse(&folder.join(file), 0)
    }

    #[test]
    fn records_and_rejects_are_one_json_line_each() {
        let parsed = inspected("VIX9D", "VIX9D~odd_rows.csv").unwrap();
        let mut out = Vec::new();
        write(&mut out, &parsed).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 8);
        assert_eq!((&lines[0]["dataset"], &lines[0]["record"]["close"]), (&"ohlcv_bar".into(), &15.95.into()));
        assert_eq!(lines[0]["record"]["observed_at"], "2026-11-20T12:00:00Z");
        assert_eq!(lines[2]["reject"]["class"], "columns");
        assert_eq!(lines[2]["reject"]["fragment"], "01/05/2011,16.300000,16.350000,15.080000\n");
        assert_eq!(shown([2, 1, 0]), "2 records, 1 reject, 0 holes");
    }

    #[test]
    fn a_file_of_any_size_is_read_as_it_would_be_polled() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.csv");
        let row = |day: u64| format!("{},1.5,{}\n", NaiveDate::default() + chrono::Days::new(day), "x".repeat(500));
        let rows: String = (0..20_000).map(row).collect();
        std::fs::write(&path, format!("trading_date,close,note\n{rows}1999-01-01,x,\n1999-01-02,2,")).unwrap();
        let item = "a.csv?ohlcv_bar&symbol:=X&bar_interval:=1d";
        let inspection = Inspection::new("file", "csv", item, Utc::now()).unwrap();
        let mut out = Vec::new();
        assert_eq!(inspection.file(&path, &mut out).unwrap(), [20_001, 1, 0]);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 20_002);
    }

    #[test]
    fn a_file_that_cannot_be_parsed_says_why_on_one_line() {
        let error = inspected("NOSUCH", "NOSUCH~error_access_denied.xml").unwrap_err().to_string();
        assert!(error.starts_with("unknown index `NOSUCH`") && !error.contains('\n'), "{error}");
        assert!(inspected("VIX", "none.csv").unwrap_err().to_string().contains("cannot be read"));
    }
}
