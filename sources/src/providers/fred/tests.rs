use contract::Record;

use super::*;
use crate::fixture::{RECEIVED, at, date, parse as parse_file, rejects, request};

fn observations(parsed: &Parsed) -> Vec<(NaiveDate, Option<f64>)> {
    let value = |record: &Record| match record {
        Record::Observation(observation) => (observation.observation_date, observation.value),
        other => panic!("not an observation: {other:?}"),
    };
    parsed.records.iter().map(value).collect()
}

#[test]
fn a_dot_is_an_observation_without_a_value() {
    let parsed = parse_file(&SOURCE, "observations", "GDP.json").unwrap();
    let expected = [
        (date("1946-10-01"), None),
        (date("1947-01-01"), Some(243.164)),
        (date("1947-04-01"), Some(245.968)),
        (date("2024-07-01"), Some(29349.924)),
    ];
    assert_eq!(observations(&parsed), expected);
    assert_eq!((parsed.rejects.len(), parsed.holes, parsed.next_offset), (0, 0, None));
    let Record::Observation(first) = &parsed.records[0] else { panic!() };
    assert_eq!((first.source.as_str(), first.series_id.as_str()), ("fred", "GDP"));
}

#[test]
fn a_value_is_read_to_its_last_digit() {
    let parsed = parse_file(&SOURCE, "observations", "CPALTT01PTM659N~decimals.json").unwrap();
    let values: Vec<Option<f64>> = observations(&parsed).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [Some(2.0680099999999997), Some(-0.0), Some(-1.25)]);
}

#[test]
fn a_projection_lies_in_the_future() {
    let parsed = parse_file(&SOURCE, "observations", "FEDTARMD~future.json").unwrap();
    assert_eq!(observations(&parsed)[1], (date("2027-01-01"), Some(3.1)));
}

#[test]
fn known_at_is_the_last_data_update_and_never_the_realtime_start() {
    let known_at = |last_modified: Option<&str>| {
        let request = Request { last_modified: last_modified.map(at), ..request("GDP") };
        let body = br#"{"observations":[{"realtime_start":"1999-01-01","date":"1947-01-01","value":"1"}]}"#;
        let Record::Observation(observation) = &parse_observations(&request, body).unwrap().records[0] else {
            panic!()
        };
        (observation.known_at, observation.observed_at)
    };
    assert_eq!(known_at(Some("2026-10-30T12:56:24Z")), (at("2026-10-30T12:56:24Z"), at(RECEIVED)));
    assert_eq!(known_at(None), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn a_page_that_is_not_the_last_names_the_next() {
    let parsed = parse_file(&SOURCE, "observations", "DGS10~first_page.json").unwrap();
    assert_eq!(parsed.next_offset, Some(2));
    let last = br#"{"count":5,"offset":4,"observations":[{"date":"1962-01-09","value":"4.1"}]}"#;
    assert_eq!(parse_observations(&request("DGS10"), last).unwrap().next_offset, None);
    let empty = br#"{"count":5,"offset":4,"observations":[]}"#;
    assert_eq!(parse_observations(&request("DGS10"), empty).unwrap().next_offset, None);
}

#[test]
fn each_odd_row_is_refused_and_the_rest_goes_on() {
    let parsed = parse_file(&SOURCE, "observations", "DGS10~odd_rows.json").unwrap();
    assert_eq!(observations(&parsed), [(date("1962-01-02"), Some(4.06))]);
    let classes: Vec<&str> = rejects(&parsed).iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, ["date", "number", "not_finite", "number", "shape", "duplicate", "number", "absent"]);
    assert_eq!(rejects(&parsed)[0].1, "`date` `\"1962-02-30\"` is not a date like `2024-12-31`");
    let fragment = std::str::from_utf8(&parsed.rejects[3].fragment).unwrap();
    assert_eq!(fragment, r#"{"date":"1962-01-08","value":[4.02]}"#);
}

#[test]
fn vintages_are_not_taken_for_current_values() {
    let parsed = parse_file(&SOURCE, "observations", "GDP~vintages.json").unwrap();
    assert_eq!((parsed.records.len(), parsed.rejects.len()), (1, 2));
    assert!(rejects(&parsed).iter().all(|(class, _)| *class == "duplicate"));
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |file| parse_file(&SOURCE, "observations", file).unwrap_err();
    let unknown = error("NOSUCH~error_does_not_exist.json");
    assert!(matches!(&unknown, PageError::Skip(text) if text.contains("The series does not exist.")), "{unknown:?}");
    let key = error("GDP~error_api_key.json");
    assert!(matches!(&key, PageError::Halt(text) if text.contains("api_key is not registered")), "{key:?}");
    let limit = error("GDP~error_rate_limit.json");
    assert!(matches!(&limit, PageError::Retry(text) if text.contains("Exceeded Rate Limit")), "{limit:?}");
    let page = error("GDP~error_page.html");
    assert!(matches!(&page, PageError::Retry(text) if text.contains("received markup")), "{page:?}");
    let xml = error("NOSUCH~error_xml.xml");
    assert!(matches!(&xml, PageError::Skip(text) if text.contains("The series does not exist.")), "{xml:?}");
}

#[test]
fn values_in_other_units_than_asked_for_are_not_taken() {
    let error = parse_file(&SOURCE, "observations", "GDP~error_units.json").unwrap_err();
    let expected = "requested `units` `lin`, the response is for `pch`";
    assert_eq!(error, PageError::Skip(expected.to_owned()));
}

#[test]
fn xml_says_the_same_as_json() {
    let parsed = parse_file(&SOURCE, "observations", "DGS1MO~xml.xml").unwrap();
    let expected = [(date("2022-03-16"), Some(0.24)), (date("2022-03-17"), None), (date("2022-03-18"), Some(0.19))];
    assert_eq!(observations(&parsed), expected);
    assert_eq!((parsed.rejects.len(), parsed.next_offset), (0, Some(3)));
    let series = series_of("GNPCA~xml.xml");
    assert_eq!((series.title.as_str(), series.frequency.as_str()), ("Real Gross <National> Product", "Annual"));
    assert_eq!(series.notes.as_deref(), Some("Account: \"A001RX\"\n\nIn two paragraphs."));
    assert_eq!((series.popularity, series.known_at), (Some(11), at(RECEIVED)));
    assert_eq!(series.first_observation_date, date("1929-01-01"));
}

#[test]
fn each_odd_row_of_xml_is_refused_as_it_was_sent() {
    let parsed = parse_file(&SOURCE, "observations", "DGS10~odd_rows.xml").unwrap();
    assert_eq!(observations(&parsed), [(date("2022-01-03"), Some(1.63)), (date("2022-01-06"), Some(1.73))]);
    let classes: Vec<&str> = rejects(&parsed).iter().map(|(class, _)| *class).collect();
    assert_eq!(classes, ["number", "absent", "shape"]);
    let fragments: Vec<&str> =
        parsed.rejects.iter().map(|reject| std::str::from_utf8(&reject.fragment).unwrap()).collect();
    let expected =
        [r#"<observation date="2022-01-04" value="n/a"/>"#, r#"<observation date="2022-01-05"/>"#, "<observation/>"];
    assert_eq!(fragments, expected);
}

#[test]
fn xml_that_is_not_whole_is_asked_for_again() {
    for text in [
        "<",
        "<?xml version=\"1.0\"?>",
        "<observations>",
        "<observations><observation date=\"2022-01-03\" value=\"1\"/>",
        "<observations><observation date=\"2022-01-03\"></observations>",
        "<observations count=1></observations>",
        "<observations count=\"&what;\"></observations>",
        "<seriess></seriess>",
        "<html>",
    ] {
        let outcome = parse_observations(&request("GDP"), text.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
    }
    assert_eq!(parse_observations(&request("GDP"), b"<observations/>"), Ok(Parsed::default()));
}

#[test]
fn what_is_not_json_is_asked_for_again() {
    for text in ["", "{", "[]", "null", "{}", "Too Many Requests", "{\"observations\":null}", "{\"observations\":{}}"] {
        let outcome = parse_observations(&request("GDP"), text.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
    }
}

fn series_of(file: &str) -> Series {
    let parsed = parse_file(&SOURCE, "series", file).unwrap();
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    match parsed.records.into_iter().next() {
        Some(Record::Series(series)) => *series,
        other => panic!("not a series: {other:?}"),
    }
}

#[test]
fn a_series_is_described_in_the_words_of_the_provider() {
    let series = series_of("GDP.json");
    assert_eq!((series.source.as_str(), series.series_id.as_str()), ("fred", "GDP"));
    assert_eq!((series.title.as_str(), series.frequency.as_str()), ("Gross Domestic Product", "Quarterly"));
    assert_eq!(series.units, "Billions of Dollars");
    assert_eq!(series.seasonal_adjustment, "Seasonally Adjusted Annual Rate");
    assert_eq!((series.first_observation_date, series.last_observation_date), (date("1947-01-01"), date("2024-07-01")));
    assert_eq!(series.popularity, Some(93));
    assert_eq!(series.notes.as_deref(), Some("Account: \"A191RC\"\n\nThe value of what is produced."));
    // `last_updated` is that of the data, not of the description.
    assert_eq!((series.known_at, series.observed_at), (at(RECEIVED), at(RECEIVED)));
}

#[test]
fn notes_and_popularity_may_be_absent() {
    let series = series_of("ECBESTRNUMTRANS~no_notes.json");
    assert_eq!((series.notes, series.popularity), (None, None));
}

#[test]
fn a_series_that_cannot_be_read_is_refused() {
    let parsed = parse_file(&SOURCE, "series", "GDP~odd.json").unwrap();
    assert_eq!(rejects(&parsed), [("date", "`observation_start` `\"yesterday\"` is not a date like `2024-12-31`")]);
    let parsed = parse_series(&request("GDP"), br#"{"seriess":[{"id":"GDP"}]}"#).unwrap();
    assert_eq!(rejects(&parsed), [("absent", "has no `title`")]);
}

#[test]
fn the_answer_for_another_series_is_skipped() {
    let error = parse_file(&SOURCE, "series", "gdp~error_other_id.json").unwrap_err();
    let expected = "requested series `gdp`, the response is for `GDP`: write the id like that";
    assert_eq!(error, PageError::Skip(expected.to_owned()));
    assert!(matches!(parse_series(&request("GDP"), br#"{"seriess":[]}"#), Err(PageError::Skip(_))));
}

#[test]
fn what_cannot_be_a_series_is_not_asked_for() {
    let path = observations_path("GDP", 100_000).unwrap();
    assert_eq!(
        path,
        "/fred/series/observations?series_id=GDP&file_type=json&sort_order=asc&limit=100000&offset=100000"
    );
    for item in ["", "GDP&api_key=x", "a b", "é"] {
        assert!(matches!(series_path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}
