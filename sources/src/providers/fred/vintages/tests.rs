use contract::Record;

use super::*;
use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects, request};
use crate::providers::fred::SOURCE;

fn vintages(parsed: &Parsed) -> Vec<&ObservationVintage> {
    only!(parsed, ObservationVintage)
}

/// Date, first and last day and value of each.
fn validities(file: &str) -> Vec<(NaiveDate, NaiveDate, Option<NaiveDate>, Option<f64>)> {
    let parsed = parse_file(&SOURCE, "vintages", file).unwrap();
    assert_eq!((parsed.rejects.len(), parsed.holes), (0, 0));
    let validity = |vintage: &&ObservationVintage| {
        (vintage.observation_date, vintage.realtime_start, vintage.realtime_end, vintage.value)
    };
    vintages(&parsed).iter().map(validity).collect()
}

fn numbers(parsed: &Parsed) -> Vec<(NaiveDate, i64)> {
    let number = |record: &Record| match record {
        Record::SeriesVintage(vintage) => (vintage.vintage_date, vintage.vintage_number),
        other => panic!("not a vintage: {other:?}"),
    };
    parsed.records.iter().map(number).collect()
}

#[test]
fn a_value_is_valid_from_its_publication_to_the_day_before_the_next() {
    let (first, second) = (date("2014-01-01"), date("2014-04-01"));
    let expected = [
        (date("1946-10-01"), date("1991-12-04"), None, None),
        (first, date("2014-04-30"), Some(date("2014-05-28")), Some(17149.6)),
        (first, date("2014-05-29"), Some(date("2014-06-24")), Some(17101.3)),
        (first, date("2014-06-25"), None, Some(17016.0)),
        (second, date("2014-07-30"), Some(date("2014-08-27")), Some(17294.7)),
        (second, date("2014-08-28"), None, None),
    ];
    assert_eq!(validities("GDP.json"), expected);
}

#[test]
fn that_a_value_was_replaced_is_known_at_the_end_of_the_day_after_its_last() {
    let parsed = parse_file(&SOURCE, "vintages", "GDP.json").unwrap();
    let known_at: Vec<_> = vintages(&parsed).iter().map(|vintage| vintage.known_at).collect();
    // Washington is five hours behind UTC in winter, four in summer.
    let expected =
        ["1991-12-05T05", "2014-05-30T04", "2014-06-26T04", "2014-06-26T04", "2014-08-29T04", "2014-08-29T04"];
    assert_eq!(known_at, expected.map(|hour| at(&format!("{hour}:00:00Z"))));
    let first = vintages(&parsed)[0];
    assert_eq!((first.source.as_str(), first.series_id.as_str()), ("fred", "GDP"));
    assert_eq!(first.observed_at, at(RECEIVED));
}

#[test]
fn nothing_is_known_before_it_is_received() {
    let early = Request { received_at: at("2014-06-25T13:00:00Z"), ..request("GDP") };
    let rows = r#"{"realtime_start":"2014-05-29","realtime_end":"2014-06-24","date":"2014-01-01","value":"1"}"#;
    let body = format!(r#"{{"realtime_start":"1776-07-04","realtime_end":"9999-12-31","observations":[{rows}]}}"#);
    assert_eq!(vintages(&parse(&early, body.as_bytes()).unwrap())[0].known_at, early.received_at);
}

#[test]
fn a_validity_that_the_window_cuts_off_has_no_end() {
    let first = date("2014-01-01");
    let expected = [
        (first, date("2014-04-30"), Some(date("2014-05-28")), Some(17149.6)),
        (first, date("2014-05-29"), None, Some(17101.3)),
    ];
    assert_eq!(validities("GDP~window_end.json"), expected);
    // Older than what closes the row, so that it never opens it again.
    let parsed = parse_file(&SOURCE, "vintages", "GDP~window_end.json").unwrap();
    assert_eq!(vintages(&parsed)[1].known_at, at("2014-05-30T04:00:00Z"));
}

#[test]
fn an_initial_release_is_the_first_vintage() {
    let expected = [
        (date("2014-01-01"), date("2014-04-30"), Some(date("2014-05-28")), Some(17149.6)),
        (date("2014-04-01"), date("2014-07-30"), None, Some(17294.7)),
    ];
    assert_eq!(validities("GDP~initial_release.json"), expected);
}

#[test]
fn vintages_come_in_pages_and_in_xml() {
    let parsed = parse_file(&SOURCE, "vintages", "GDP~first_page.json").unwrap();
    assert_eq!((parsed.records.len(), parsed.next_offset), (1, Some(1)));
    let expected = [
        (date("2014-01-01"), date("2014-04-30"), Some(date("2014-05-28")), Some(17149.6)),
        (date("2014-01-01"), date("2014-05-29"), None, Some(17101.3)),
    ];
    assert_eq!(validities("GDP~xml.xml"), expected);
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "vintages", "GDP~odd_rows.json").unwrap();
    assert_eq!(parsed.records.len(), 1);
    let expected = [
        ("duplicate", "2014-01-01 as of 2014-04-30 is already in the page"),
        ("absent", "has no `realtime_start`"),
        ("date", "`realtime_end` `\"never\"` is not a date like `2024-12-31`"),
        ("number", "`value` `n/a` is neither a number nor `.`"),
        ("shape", "expected an object, found `\"2014-01-01\"`"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(parsed.rejects[1].fragment, br#"{"date":"2014-01-01","value":"17101.3"}"#);
}

#[test]
fn an_answer_to_another_question_is_not_taken_for_vintages() {
    let error = |file| parse_file(&SOURCE, "vintages", file).unwrap_err();
    let window = "requested `realtime_start` `1776-07-04`, the response is for `2024-10-30`";
    assert_eq!(error("GDP~error_default_window.json"), PageError::Skip(window.to_owned()));
    let form = "requested `output_type` `1` or `4`, the response is for `2`";
    assert_eq!(error("GDP~error_by_vintage.json"), PageError::Skip(form.to_owned()));
    let silent = parse(&request("GDP"), br#"{"observations":[]}"#);
    assert!(matches!(silent, Err(PageError::Retry(_))), "{silent:?}");
    let dates = |file| parse_file(&SOURCE, "vintage_dates", file).unwrap_err();
    assert!(matches!(dates("GDP~error_window.json"), PageError::Skip(_)));
    let order = "requested `sort_order` `asc`, the response is for `desc`";
    assert_eq!(dates("GDP~error_descending.json"), PageError::Skip(order.to_owned()));
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |file| parse_file(&SOURCE, "vintages", file).unwrap_err();
    let many = error("DGS10~error_too_many_vintages.json");
    assert!(matches!(&many, PageError::Skip(text) if text.contains("There are 5117 vintage dates")), "{many:?}");
    let absent = error("NOSUCH~error_not_in_alfred.json");
    assert!(matches!(&absent, PageError::Skip(text) if text.contains("does not exist in ALFRED")), "{absent:?}");
    assert!(matches!(error("GDP~error_api_key.json"), PageError::Halt(_)));
    assert!(matches!(error("GDP~error_rate_limit.json"), PageError::Retry(_)));
}

#[test]
fn a_vintage_date_has_its_number_in_the_whole_list() {
    let parsed = parse_file(&SOURCE, "vintage_dates", "GDP.json").unwrap();
    let expected = [(date("1991-12-04"), 1), (date("1991-12-20"), 2), (date("1992-01-29"), 3)];
    assert_eq!((numbers(&parsed).as_slice(), parsed.next_offset), (expected.as_slice(), None));
    let Record::SeriesVintage(first) = &parsed.records[0] else { panic!() };
    assert_eq!((first.source.as_str(), first.series_id.as_str()), ("fred", "GDP"));
    assert_eq!((first.known_at, first.observed_at), (at("1991-12-05T05:00:00Z"), at(RECEIVED)));
    let second = parse_file(&SOURCE, "vintage_dates", "DFF~second_page.json").unwrap();
    assert_eq!(numbers(&second), [(date("2023-05-16"), 10_001), (date("2023-05-17"), 10_002)]);
    assert_eq!(second.next_offset, Some(10_002));
    let xml = parse_file(&SOURCE, "vintage_dates", "GDP~xml.xml").unwrap();
    assert_eq!(numbers(&xml), expected[..2]);
}

#[test]
fn an_odd_vintage_date_keeps_its_number() {
    let parsed = parse_file(&SOURCE, "vintage_dates", "GDP~odd_rows.json").unwrap();
    assert_eq!(numbers(&parsed), [(date("1991-12-04"), 1), (date("1992-02-28"), 6)]);
    let expected = [
        ("date", "`1991-12-32` is not a date like `2024-12-31`"),
        ("date", "`null` is not a date like `2024-12-31`"),
        ("date", "`19920129` is not a date like `2024-12-31`"),
        ("duplicate", "1991-12-04 is already in the page"),
    ];
    assert_eq!(rejects(&parsed), expected);
}

#[test]
fn all_that_ever_was_published_is_asked_for() {
    assert_eq!(
        path("GDP", 100_000).unwrap(),
        "/fred/series/observations?series_id=GDP&file_type=json&sort_order=asc&realtime_start=1776-07-04\
             &realtime_end=9999-12-31&output_type=1&limit=100000&offset=100000"
    );
    assert_eq!(
        dates_path("GDP", 10_000).unwrap(),
        "/fred/series/vintagedates?series_id=GDP&file_type=json&sort_order=asc&realtime_start=1776-07-04\
             &realtime_end=9999-12-31&limit=10000&offset=10000"
    );
    assert!(matches!(path("a b", 0), Err(PageError::Skip(_))));
    assert!(matches!(dates_path("", 0), Err(PageError::Skip(_))));
}
