//! `producer parse`: what the parser makes of saved responses.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, Utc};
use contract::Record;
use producers::fetch::LIMITS;
use producers::source::{Endpoint, Parsed, Reject, Request, source};
use serde::Serialize;
use service::telemetry;

/// How to read the files.
pub(crate) struct Inspection<'a> {
    endpoint: &'static Endpoint,
    item: &'a str,
    received_at: DateTime<Utc>,
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
    pub(crate) fn new(
        source_name: &str,
        endpoint: &str,
        item: &'a str,
        received_at: DateTime<Utc>,
    ) -> anyhow::Result<Inspection<'a>> {
        let source = source(source_name).map_err(|error| anyhow!(error))?;
        let endpoint = source.endpoint(endpoint).map_err(|error| anyhow!(error))?;
        Ok(Inspection { endpoint, item, received_at })
    }

    /// Writes the records of each file to standard output and counts to standard error. Fails if one is no page.
    pub(crate) fn files(&self, paths: &[PathBuf]) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        let mut out = BufWriter::new(io::stdout().lock());
        for path in paths {
            let parsed = match self.parse(path) {
                Ok(parsed) => parsed,
                Err(error) => {
                    code = telemetry::report(Err(error.context(path.display().to_string())));
                    continue;
                }
            };
            match write(&mut out, &parsed).and_then(|()| out.flush()) {
                // The reader has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return code,
                Err(error) => return telemetry::report(Err(error.into())),
                Ok(()) => eprintln!("{}: {}", path.display(), counts(&parsed)),
            }
        }
        code
    }

    fn parse(&self, path: &Path) -> anyhow::Result<Parsed> {
        let limit = LIMITS.body as u64;
        let mut body = Vec::new();
        let mut file = File::open(path).context("cannot be read")?.take(limit + 1);
        file.read_to_end(&mut body).context("cannot be read")?;
        if body.len() as u64 > limit {
            bail!("has more than {limit} bytes");
        }
        let request = Request { item: self.item, offset: 0, received_at: self.received_at, last_modified: None };
        Ok((self.endpoint.parse)(&request, &body)?)
    }
}

fn write(out: &mut impl io::Write, parsed: &Parsed) -> io::Result<()> {
    for record in &parsed.records {
        line(out, &RecordLine { dataset: record.dataset(), record })?;
    }
    for Reject { fragment, class, reason } in &parsed.rejects {
        let fragment = &String::from_utf8_lossy(fragment);
        line(out, &RejectLine { reject: RejectFields { class, reason, fragment } })?;
    }
    Ok(())
}

fn line(out: &mut impl io::Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn counts(parsed: &Parsed) -> String {
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (records, rejects) = (parsed.records.len() as u64, parsed.rejects.len() as u64);
    format!("{}, {}, {}", count(records, "record"), count(rejects, "reject"), count(parsed.holes, "hole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(item: &str, file: &str) -> anyhow::Result<Parsed> {
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        let inspection = Inspection::new("cboe", "index_history", item, at).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cboe/index_history");
        inspection.parse(&folder.join(file))
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
        assert_eq!(counts(&parsed), "2 records, 6 rejects, 0 holes");
    }

    #[test]
    fn a_file_that_is_no_page_says_why_on_one_line() {
        let error = inspected("NOSUCH", "NOSUCH~error_access_denied.xml").unwrap_err().to_string();
        assert!(error.starts_with("unknown index `NOSUCH`") && !error.contains('\n'), "{error}");
        assert!(inspected("VIX", "none.csv").unwrap_err().to_string().contains("cannot be read"));
    }
}
