//! ICI's fund flows: an `.xls` workbook per report, with months and weeks.

use chrono::{Datelike, NaiveDate, Weekday};

use crate::calendar::{END, day, days, months};
use crate::random::Random;
use crate::reply::Reply;

mod workbook;

use workbook::{Cell, Row};

/// The year of the files.
const YEAR: i32 = 2025;
const LAST_MODIFIED: &str = "Wed, 31 Dec 2025 15:00:21 GMT";
/// Years with monthly rows; the last also has the weeks.
const YEARS_OF_MONTHS: i32 = 3;
/// The week in which the columns of bonds and of the total repeat other columns, as on ICI's template page.
const REPEATED_WEEK: usize = 30;

/// A report: its name in a watchlist, and in the address.
struct Report {
    name: &'static str,
    file: &'static str,
    sheet: &'static str,
    sections: [&'static str; 2],
    columns: &'static [Column],
}

/// A column: the words above it in each row of the header, and what it holds.
struct Column {
    column: u16,
    heads: [&'static str; 3],
    value: Value,
}

#[derive(Clone, Copy)]
enum Value {
    Total,
    Equity,
    Domestic,
    /// A quarter of the domestic ones.
    LargeCap,
    World,
    Hybrid,
    Bond,
    Taxable,
    Municipal,
    Commodity,
}

const fn column(column: u16, heads: [&'static str; 3], value: Value) -> Column {
    Column { column, heads, value }
}

const FUNDS_AND_ETFS: &[Column] = &[
    column(1, ["Total LT MF and ETF flows", "", ""], Value::Total),
    column(3, ["Equity", "Total", ""], Value::Equity),
    column(5, ["", "Domestic", ""], Value::Domestic),
    column(7, ["", "World", ""], Value::World),
    column(9, ["Hybrid", "", ""], Value::Hybrid),
    column(11, ["Bond", "Total", ""], Value::Bond),
    column(13, ["", "Taxable", ""], Value::Taxable),
    column(15, ["", "Municipal", ""], Value::Municipal),
    column(17, ["Commodity", "", ""], Value::Commodity),
];
const FUNDS: &[Column] = &[
    column(1, ["Total long-term", "", ""], Value::Total),
    column(3, ["Equity", "", "Total equity"], Value::Equity),
    column(5, ["", "Domestic", "Total domestic"], Value::Domestic),
    column(7, ["", "", "Large cap"], Value::LargeCap),
    column(9, ["", "World", "Total world"], Value::World),
    column(11, ["Hybrid", "", ""], Value::Hybrid),
    column(13, ["Bond", "", "Total bond"], Value::Bond),
    column(15, ["", "Taxable", "Total taxable"], Value::Taxable),
    column(17, ["", "Municipal", ""], Value::Municipal),
];
const FUND_FLOWS: [&str; 2] = ["Monthly fund flows", "Estimated weekly fund flows"];

const REPORTS: &[Report] = &[
    Report {
        name: "combined",
        file: "combined_flows_data_",
        sheet: "Weekly MF & ETF Public Report",
        sections: FUND_FLOWS,
        columns: FUNDS_AND_ETFS,
    },
    Report {
        name: "etf",
        file: "etf_flows_data_",
        sheet: "Weekly ETF Public Report",
        sections: FUND_FLOWS,
        columns: FUNDS_AND_ETFS,
    },
    Report {
        name: "mutual_fund",
        file: "flows_data_",
        sheet: "Weekly MF Flow Estimates",
        sections: ["Monthly Net New Cash Flow", "Estimated Weekly Net New Cash Flow"],
        columns: FUNDS,
    },
];

/// Items for a watchlist.
pub(crate) fn items() -> impl Iterator<Item = String> {
    REPORTS.iter().map(|report| format!("{}@{YEAR}", report.name))
}

/// Answers for `{report}{year}.xls`.
pub(crate) fn flows(seed: u64, file: &str) -> Reply {
    let Some(report) = REPORTS.iter().find(|report| file == format!("{}{YEAR}.xls", report.file)) else {
        return not_found();
    };
    let body = workbook::workbook(report.sheet, &rows(seed, report));
    Reply::bytes("application/vnd.ms-excel", body).last_modified(LAST_MODIFIED)
}

fn not_found() -> Reply {
    let body = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Page not found | ICI</title></head>\
        <body><h1>Page not found</h1></body></html>\n";
    Reply::new(404, "text/html; charset=UTF-8", body.to_owned())
}

fn rows(seed: u64, report: &Report) -> Vec<Row> {
    let mut random = Random::new(seed, report.file);
    let alone = |text: &str| vec![(0, Cell::Text(text.to_owned()))];
    let mut rows = vec![
        alone("Investment Company Institute"),
        alone("Long-Term Mutual Fund and Exchange-Traded Fund (ETF) Flows"),
        alone("Millions, U.S. dollars"),
        Row::new(),
    ];
    for level in 0..3 {
        let heads = report.columns.iter().map(|column| (column.column, column.heads[level]));
        let first = [(0, if level == 0 { "Date" } else { "" })].into_iter();
        let cells = first.chain(heads).filter(|(_, head)| !head.is_empty());
        rows.push(cells.map(|(column, head)| (column, Cell::Text(head.to_owned()))).collect());
    }
    let month_ends = months(day(YEAR + 1 - YEARS_OF_MONTHS, 2, 1), 1).map(|first| first.pred_opt().unwrap_or(first));
    let wednesdays = days(day(YEAR, 1, 1)).filter(|date| date.weekday() == Weekday::Wed);
    rows.push(alone(report.sections[0]));
    // ICI writes a space after a month.
    rows.extend(month_ends.chain([END]).map(|date| row(&mut random, report, date, 4.0, " ", false)));
    rows.push(Row::new());
    rows.push(alone(report.sections[1]));
    for (week, date) in wednesdays.enumerate() {
        let is_repeated = report.name == "etf" && week == REPEATED_WEEK;
        rows.push(row(&mut random, report, date, 1.0, "", is_repeated));
    }
    rows.push(Row::new());
    rows.push(alone("Note: Weekly flows are estimates; actual monthly flows are collected and reported separately."));
    rows
}

/// A row that adds up except for rounding, with more digits than the sheet shows.
fn row(random: &mut Random, report: &Report, date: NaiveDate, weeks: f64, space: &str, is_repeated: bool) -> Row {
    let mut flow = |scale: f64| weeks * scale * random.swing();
    let [domestic, world, hybrid, taxable, municipal] = [9000.0, 6000.0, 900.0, 8000.0, 1500.0].map(&mut flow);
    let has_commodity = report.columns.iter().any(|column| matches!(column.value, Value::Commodity));
    let commodity = if has_commodity { flow(700.0) } else { 0.0 };
    let (equity, bond) = (domestic + world, taxable + municipal);
    let total = equity + hybrid + bond + commodity;
    let value = |value| match value {
        Value::Total if is_repeated => hybrid,
        Value::Total => total,
        Value::Equity => equity,
        Value::Domestic => domestic,
        Value::LargeCap => domestic / 4.0,
        Value::World => world,
        Value::Hybrid => hybrid,
        Value::Bond if is_repeated => equity,
        Value::Bond => bond,
        Value::Taxable => taxable,
        Value::Municipal => municipal,
        Value::Commodity => commodity,
    };
    let date = (0, Cell::Text(format!("{}{space}", date.format("%m/%d/%Y"))));
    let flows = report.columns.iter().map(|column| (column.column, Cell::Number(value(column.value))));
    std::iter::once(date).chain(flows).collect()
}
