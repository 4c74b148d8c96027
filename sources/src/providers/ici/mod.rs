//! Investment Company Institute (ICI): weekly and monthly flows of money into US funds, as `.xls` workbooks.
//!
//! ICI overwrites one file per report and year every week. Weeks are estimates and are revised; months are actual, and
//! the weeks of a month never add up to it. Rounded parts need not add up either. Such rows become records, which the
//! consumer flags. So do those of the template page, whose columns are duplicates of others.

use std::time::Duration;

use chrono_tz::America;
use contract::Text;

use crate::parse::body::{excerpt, is_markup};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, days, hours};
use crate::source::{Auth, Endpoint, History, Source};

mod biff;
mod number;
mod ole2;
mod table;
mod text;

/// The source.
pub const SOURCE: Source = Source {
    name: "ici",
    doc: "Investment Company Institute: flows of money into mutual funds and ETFs of the United States",
    base_url: "https://www.ici.org",
    base_url_env: "TAPEDECK_ICI_URL",
    auth: Auth::None,
    user_agent: concat!("tapedeck/", env!("CARGO_PKG_VERSION")),
    // The limit is not published; there are three files a week.
    pause: Duration::from_secs(1),
    burst: 1,
    quota: None,
    endpoints: &[Endpoint {
        name: "flows",
        doc: "Net flows by category of funds: actual months and estimated weeks, two to three years of them",
        datasets: &["etf_flow"],
        item: "report and year, e.g. `combined@2026`; the reports are `combined`, `etf`, `mutual_fund`",
        known_at: "`Last-Modified` of the file, else the time of receipt",
        // Written on Tuesdays or Wednesdays.
        schedule: Schedule {
            frequency: Frequency::Weekly,
            sla: days(3),
            ..Schedule::on_weekdays(Kind::Flows, America::New_York, hours(6))
        },
        history: History::ALL,
        base: None,
        path,
        parse,
    }],
};

/// The source's name, in records.
const NAME: Text = Text::literal(SOURCE.name);

/// First bytes of an OLE2 container, which an `.xls` is.
const OLE2: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// First bytes of a zip file, which an `.xlsx` is.
const ZIP: &[u8] = b"PK\x03\x04";

/// A report and the beginning of its file names: `<file><year>.xls`.
#[derive(Debug)]
struct Report {
    name: &'static str,
    file: &'static str,
}

const REPORTS: &[Report] = &[
    Report { name: "combined", file: "combined_flows_data_" },
    Report { name: "etf", file: "etf_flows_data_" },
    Report { name: "mutual_fund", file: "flows_data_" },
];

fn path(item: &str, _offset: u64) -> Result<String, PageError> {
    let (_, file) = report(item)?;
    Ok(format!("/{file}"))
}

/// The report of an item, and its file.
fn report(item: &str) -> Result<(&'static Report, String), PageError> {
    let (name, year) = item.split_once('@').unwrap_or((item, ""));
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let report = REPORTS.iter().find(|report| report.name == name).filter(|_| is_year);
    let report = report.ok_or_else(|| {
        let item = excerpt(item.as_bytes());
        PageError::Skip(format!("`{item}` is not a report and its year, such as `combined@2026`"))
    })?;
    Ok((report, format!("{}{year}.xls", report.file)))
}

fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let (report, file) = report(request.item)?;
    if is_markup(body) {
        return Err(PageError::Retry(format!("expected a workbook, received HTML: `{}`", excerpt(body))));
    }
    if body.trim_ascii().is_empty() {
        return Err(PageError::Retry("the body is empty".to_owned()));
    }
    if body.starts_with(ZIP) {
        let reason = "the file is a zip file (an `.xlsx`?), which is not supported: ICI's workbooks are `.xls`";
        return Err(PageError::Retry(reason.to_owned()));
    }
    let table = table::Table { request, report: report.name.into(), source_file: file.into() };
    if body.starts_with(OLE2) {
        return workbook(&table, body);
    }
    let parsed = table.read(text::rows(body)?)?;
    parsed.ok_or_else(|| PageError::Retry(format!("expected a table of flows, received `{}`", excerpt(body))))
}

/// The first visible sheet that has the table.
fn workbook(table: &table::Table<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let unreadable = |reason: &str| PageError::Retry(format!("the workbook cannot be read: {reason}"));
    let stream = ole2::stream(body, "Workbook").map_err(unreadable)?;
    let workbook = biff::Workbook::parse(stream).map_err(unreadable)?;
    for sheet in workbook.sheets() {
        let rows = workbook.rows(*sheet).map_err(unreadable)?;
        if let Some(parsed) = table.read(rows)? {
            return Ok(parsed);
        }
    }
    Err(PageError::Retry("no visible sheet of the workbook has a table of flows".to_owned()))
}

#[cfg(test)]
mod tests;
