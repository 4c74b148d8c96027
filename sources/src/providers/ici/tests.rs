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
    assert_eq!((first.period_end, first.source_file.as_str()), (date("2026-08-31"), "combined_flows_data_2026.xls"));
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
    // Each part is rounded on its own, so the sum is one off.
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
            ("duplicate", "row 12: 2026-08-31 is already in the monthly section"),
            ("date", "row 14: `1234` is not a date like `12/31/2024`"),
            ("number", "row 18: `total` `2000000000` is not a flow in millions"),
            ("section", "row 21: 2026-11-18 is in no section of months or weeks"),
        ]
    );
    let fragment = "09/30/2026\tn.a.\t14124\t(2,025)\tx\t2026\t-21197\t-24540\t3343\t-1276";
    assert_eq!(String::from_utf8_lossy(&parsed.rejects[1].fragment), fragment);
    // A missing part tells nothing about the whole.
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
            ("duplicate", "row 16: 2017-01-04 is already in the weekly section"),
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
