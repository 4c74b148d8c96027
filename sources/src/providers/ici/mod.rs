//! Investment Company Institute (ICI): weekly and monthly flows of money into US funds, as `.xls` workbooks.
//!
//! One file per report and year, overwritten in place every week. Weeks are estimates and are revised; the months are
//! actual, and the weeks of a month never add up to it. What ICI rounds need not add up either: such rows are records,
//! for the consumer to flag, and so are those of the template page, whose columns duplicate others.

use std::time::Duration;

use chrono_tz::America;
use contract::Text;

use crate::parse::body::{excerpt, is_markup};
use crate::response::{PageError, Parsed, Request};
use crate::schedule::{Frequency, Kind, Schedule, days, hours};
use crate::source::{Auth, Endpoint, History, Source};

mod biff;
mod ole2;
mod table;
mod text;

/// ICI.
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

/// Its name, in records.
const NAME: Text = Text::literal(SOURCE.name);

/// First bytes of an OLE2 container, which an `.xls` is.
const OLE2: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// First bytes of a zip file, which an `.xlsx` is.
const ZIP: &[u8] = b"PK\x03\x04";

/// A report and how its files are named: `<file><year>.xls`.
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
        return Err(PageError::Retry(format!("expected a workbook, received a page: `{}`", excerpt(body))));
    }
    if body.trim_ascii().is_empty() {
        return Err(PageError::Retry("the body is empty".to_owned()));
    }
    if body.starts_with(ZIP) {
        let reason = "the file is a zip file (an `.xlsx`?), which is not read: ICI's workbooks are `.xls`";
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
mod tests {
    use contract::Record;
    use contract::records::EtfFlow;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};

    fn flow(record: &Record) -> &EtfFlow {
        match record {
            Record::EtfFlow(flow) => flow,
            other => panic!("not a flow: {other:?}"),
        }
    }

    fn flows_of(file: &str) -> Parsed {
        parse_file(&SOURCE, "flows", file).unwrap()
    }

    /// Category, flow and deviation of a period's records.
    fn period<'a>(parsed: &'a Parsed, frequency: &str, period_end: &str) -> Vec<(&'a str, i64, Option<i64>)> {
        let flows = parsed.records.iter().map(flow);
        let own = flows.filter(|flow| flow.frequency == frequency && flow.period_end == date(period_end));
        own.map(|flow| (flow.category.as_str(), flow.net_flow_millions, flow.parts_deviation_millions)).collect()
    }

    #[test]
    fn a_row_of_a_workbook_is_one_record_for_each_category() {
        let parsed = flows_of("combined@2026.xls");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (45, 0, 0));
        let first = flow(&parsed.records[0]);
        assert_eq!(
            (first.source.as_str(), first.report.as_str(), first.frequency.as_str()),
            ("ici", "combined", "monthly")
        );
        assert_eq!(
            (first.period_end, first.source_file.as_str()),
            (date("2026-08-31"), "combined_flows_data_2026.xls")
        );
        let expected = [
            ("total", 25404, Some(0)),
            ("equity", 9810, Some(0)),
            ("equity_domestic", -3888, None),
            ("equity_world", 13698, None),
            ("hybrid", 4137, None),
            ("bond", 10270, Some(0)),
            ("bond_taxable", 8595, None),
            ("bond_municipal", 1675, None),
            ("commodity", 1187, None),
        ];
        assert_eq!(period(&parsed, "monthly", "2026-08-31"), expected);
    }

    #[test]
    fn a_date_of_a_workbook_is_a_text_or_a_number_of_days() {
        let parsed = flows_of("combined@2026.xls");
        assert_eq!(period(&parsed, "weekly", "2026-11-04")[0], ("total", 15857, Some(0)));
        assert_eq!(period(&parsed, "weekly", "2026-11-10")[0], ("total", 3488, Some(0)));
    }

    #[test]
    fn a_flow_is_the_whole_number_that_the_sheet_shows() {
        let parsed = flows_of("combined@2026.xls");
        let month = period(&parsed, "monthly", "2026-09-30");
        assert_eq!(month[0], ("total", -6323, Some(0)));
        // Rounded each on its own, the parts are one off.
        assert_eq!(
            month[5..8],
            [("bond", -21197, Some(1)), ("bond_taxable", -24541, None), ("bond_municipal", 3343, None)]
        );
    }

    #[test]
    fn columns_that_duplicate_others_are_seen_by_their_parts() {
        let week = flows_of("etf@2026~duplicated_columns.csv");
        let week = period(&week, "weekly", "2026-11-11");
        assert_eq!(
            [week[0], week[1], week[5]],
            [("total", 28, Some(35012)), ("equity", 17492, Some(0)), ("bond", 17492, Some(12116))]
        );
    }

    #[test]
    fn the_same_table_is_read_from_text() {
        let parsed = flows_of("combined@2017~text.tsv");
        assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (27, 0, 0));
        assert_eq!(period(&parsed, "monthly", "2016-11-30")[0], ("total", -2784, Some(1)));
        assert_eq!(period(&parsed, "weekly", "2017-01-04")[7], ("bond_municipal", -1590, None));
        let commas = flows_of("etf@2026~duplicated_columns.csv");
        assert_eq!(period(&commas, "monthly", "2026-10-31")[8], ("commodity", -411, None));
    }

    #[test]
    fn a_header_of_three_rows_with_finer_columns_and_without_commodity_is_read_by_its_words() {
        let parsed = flows_of("mutual_fund@2026.xls");
        let expected = [
            ("total", -5545, Some(0)),
            ("equity", -3730, Some(0)),
            ("equity_domestic", -2730, None),
            ("equity_world", -1000, None),
            ("hybrid", -110, None),
            ("bond", -1705, Some(0)),
            ("bond_taxable", -705, None),
            ("bond_municipal", -1000, None),
        ];
        assert_eq!(period(&parsed, "weekly", "2026-11-18"), expected);
        assert_eq!((parsed.records.len(), flow(&parsed.records[0]).report.as_str()), (16, "mutual_fund"));
    }

    #[test]
    fn each_odd_row_of_a_workbook_is_refused_and_the_rest_goes_on() {
        let parsed = flows_of("combined@2025~odd_rows.xls");
        assert_eq!((parsed.records.len(), parsed.holes), (9 + 8, 1));
        assert_eq!(
            rejects(&parsed),
            [
                ("date", "row 10: `13/31/2026` is not a date like `12/31/2024`"),
                ("number", "row 11: `equity_world` `x` is not a flow in millions"),
                ("duplicate", "row 12: 2026-08-31 is in the monthly section already"),
                ("date", "row 14: `1234` is not a date like `12/31/2024`"),
                ("number", "row 18: `total` `2000000000` is not a flow in millions"),
                ("section", "row 21: 2026-11-18 is in no section of months or weeks"),
            ]
        );
        let fragment = "09/30/2026\tn.a.\t14124\t(2,025)\tx\t2026\t-21197\t-24540\t3343\t-1276";
        assert_eq!(String::from_utf8_lossy(&parsed.rejects[1].fragment), fragment);
        // A part that is not there says nothing of the whole.
        let week = period(&parsed, "weekly", "2026-11-04");
        assert_eq!((week.len(), week[0]), (8, ("total", 15856, None)));
    }

    #[test]
    fn each_odd_row_of_a_text_is_refused_with_its_line() {
        let parsed = flows_of("combined@2016~odd_rows.tsv");
        assert_eq!(parsed.records.len(), 18);
        assert_eq!(
            rejects(&parsed),
            [
                ("date", "row 10: `11/31/2016` is not a date like `12/31/2024`"),
                ("date", "row 11: `` is not a date like `12/31/2024`"),
                ("number", "row 12: `total` `3,79` is not a flow in millions"),
                ("duplicate", "row 16: 2017-01-04 is in the weekly section already"),
                ("date", "row 17: `13/45/2017` is not a date like `12/31/2024`"),
                ("section", "row 21: 2017-01-11 is in no section of months or weeks"),
            ]
        );
        assert_eq!(parsed.rejects[5].fragment, b"01/11/2017\t\"15,856\"\r\n");
    }

    #[test]
    fn a_last_line_without_its_line_feed_is_rejected() {
        let parsed = flows_of("combined@2017~cut_off.tsv");
        assert_eq!((parsed.records.len(), rejects(&parsed).len()), (18, 1));
        assert_eq!(parsed.rejects[0].class, "cut_off");
    }

    #[test]
    fn known_at_is_when_the_file_was_modified_but_never_after_its_receipt() {
        let body = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ici/flows/combined@2026.xls")).unwrap();
        let known_at = |last_modified: Option<&str>| {
            let request = Request { last_modified: last_modified.map(at), ..request("combined@2026") };
            flow(&parse(&request, &body).unwrap().records[0]).known_at
        };
        assert_eq!(known_at(Some("2026-11-18T22:15:03Z")), at("2026-11-18T22:15:03Z"));
        assert_eq!(known_at(Some("2030-01-01T00:00:00Z")), at(RECEIVED));
        assert_eq!(known_at(None), at(RECEIVED));
    }

    #[test]
    fn what_is_not_the_file_is_asked_for_again() {
        for (file, words) in [
            ("combined@2026~error_page.html", "Page not found"),
            ("combined@2026~error_zip.xlsx", "is a zip file"),
            ("combined@2026~error_cut_off.xls", "the workbook cannot be read"),
            ("combined@2026~error_empty.xls", "the body is empty"),
            ("etf@2026~error_no_table.xls", "no visible sheet"),
        ] {
            let outcome = parse_file(&SOURCE, "flows", file);
            assert!(matches!(&outcome, Err(PageError::Retry(text)) if text.contains(words)), "{file}: {outcome:?}");
        }
    }

    #[test]
    fn an_item_is_a_report_and_a_year() {
        assert_eq!(path("combined@2026", 0).unwrap(), "/combined_flows_data_2026.xls");
        assert_eq!(path("etf@2025", 0).unwrap(), "/etf_flows_data_2025.xls");
        assert_eq!(path("mutual_fund@2026", 0).unwrap(), "/flows_data_2026.xls");
        for item in ["", "combined", "combined@", "combined@26", "combined@2O26", "bond@2026", "combined@2026@1"] {
            assert!(matches!(path(item, 0), Err(PageError::Skip(_))), "{item}");
        }
    }
}
