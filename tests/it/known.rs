//! `docs/known_at.md` says of each source and dataset what `known_at` means, and the fixtures bear it out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tests::root;

use crate::conformance::Promises;

/// Whether `known_at` is before the receipt, of each record.
type Earlier = Vec<bool>;
/// Source, endpoint, dataset.
type Place = (String, String, String);

/// The table of the page: what the basis of each place is.
fn documented() -> BTreeMap<Place, String> {
    let text = std::fs::read_to_string(root().join("docs/known_at.md")).expect("the page");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect());
    let mut table = BTreeMap::new();
    for row in cells.filter(|cells: &Vec<String>| cells.len() == 7) {
        let place = (row[1].clone(), row[2].clone(), row[3].clone());
        assert!(table.insert(place, row[5].clone()).is_none(), "{row:?} is there twice");
    }
    table
}

/// The records of the fixtures, by where they come from.
fn found() -> BTreeMap<Place, Earlier> {
    let mut found: BTreeMap<Place, Earlier> = BTreeMap::new();
    for (fixture, page) in Promises::ours().pages().into_iter().filter(|(fixture, _)| !fixture.source.is_local()) {
        for record in &page.records {
            let json = serde_json::to_value(record).expect("JSON");
            let time = |name: &str| json[name].as_str().expect("a time").parse::<DateTime<Utc>>().expect("a time");
            let place = (fixture.source.name, fixture.endpoint.name, record.dataset());
            let place = (place.0.to_owned(), place.1.to_owned(), place.2.to_owned());
            found.entry(place).or_default().push(time("known_at") < time("observed_at"));
        }
    }
    found
}

#[test]
fn the_page_about_known_at_has_a_row_for_every_dataset_of_every_endpoint_and_no_other() {
    let local = ("file".to_owned(), "each".to_owned(), "any".to_owned());
    let mut declared = BTreeSet::from([local]);
    for (source, endpoint) in Promises::ours().endpoints().filter(|(source, _)| !source.is_local()) {
        let place = |dataset: &&str| (source.name.to_owned(), endpoint.name.to_owned(), (*dataset).to_owned());
        declared.extend(endpoint.datasets.iter().map(place));
    }
    assert_eq!(documented().into_keys().collect::<BTreeSet<_>>(), declared);
}

#[test]
fn a_record_is_known_before_its_receipt_only_where_the_provider_states_when() {
    let documented = documented();
    for (place, earlier) in found() {
        match documented[&place].as_str() {
            "provider" => assert!(earlier.contains(&true), "{place:?} is never known before its receipt"),
            "receipt" => assert!(!earlier.contains(&true), "{place:?} is known before its receipt"),
            other => panic!("{place:?} has the basis `{other}`"),
        }
    }
}
