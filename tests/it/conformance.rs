//! What every endpoint of every source promises, checked with its fixtures. A new source inherits these tests, and so
//! do sources outside of `SOURCES` (`ninth`).

mod checks;

use std::collections::HashMap;
use std::path::PathBuf;

use contract::validate::validate_last;
use contract::{Record, Rows, dataset};
use proptest::prelude::*;
use serde_json::Value;
use sources::SOURCES;
use sources::response::{PageError, Parsed, Request};
use sources::source::{Endpoint, Source};
use tests::root;

pub(crate) use checks::assert_outcome;
use checks::{assert_page, column_value, for_many, key, mangled, round_trip, token, value};

/// A file under `<fixtures>/<source>/<endpoint>/`: `<item>[~what it shows].<extension>`.
pub(crate) struct Fixture {
    pub(crate) source: &'static Source,
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) item: String,
    pub(crate) path: PathBuf,
    pub(crate) body: Vec<u8>,
}

impl Fixture {
    pub(crate) fn parse(&self, body: &[u8]) -> Result<Parsed, PageError> {
        self.endpoint.read(&self.request(), body)
    }

    pub(crate) fn request(&self) -> Request<'_> {
        let received_at = "2026-11-20T12:00:00.123456Z".parse().expect("a time");
        let last_modified = Some("2026-11-19T21:00:00Z".parse().expect("a time"));
        Request { item: &self.item, offset: 0, received_at, last_modified }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.path.to_string_lossy().contains("~error")
    }
}

/// Sources and their fixtures, to check the promises with.
pub(crate) struct Promises {
    sources: &'static [Source],
    fixtures: PathBuf,
}

impl Promises {
    /// The promises of these sources, with fixtures in that folder.
    pub(crate) fn of(sources: &'static [Source], fixtures: PathBuf) -> Promises {
        Promises { sources, fixtures }
    }

    /// The promises of every source in `SOURCES`.
    pub(crate) fn ours() -> Promises {
        Promises::of(SOURCES, root().join("sources/fixtures"))
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&'static Source, &'static Endpoint)> {
        self.sources.iter().flat_map(|source| source.endpoints.iter().map(move |endpoint| (source, endpoint)))
    }

    fn fixtures_of(&self, source: &'static Source, endpoint: &'static Endpoint) -> Vec<Fixture> {
        let folder = self.fixtures.join(source.name).join(endpoint.name);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("entry").path())
            .collect();
        paths.sort();
        let fixture = |path: PathBuf| {
            let stem = path.file_stem().expect("name").to_string_lossy();
            let item = stem.split('~').next().expect("an item").to_owned();
            let body = std::fs::read(&path).expect("fixture");
            Fixture { source, endpoint, item, path, body }
        };
        paths.into_iter().map(fixture).collect()
    }

    pub(crate) fn fixtures(&self) -> Vec<Fixture> {
        self.endpoints().flat_map(|(source, endpoint)| self.fixtures_of(source, endpoint)).collect()
    }

    /// One fixture of each endpoint.
    pub(crate) fn first_fixtures(&self) -> Vec<Fixture> {
        self.endpoints().map(|(source, endpoint)| self.fixtures_of(source, endpoint).swap_remove(0)).collect()
    }

    /// Every fixture that is not an error, with its records.
    pub(crate) fn pages(&self) -> Vec<(Fixture, Parsed)> {
        let pages = self.fixtures().into_iter().filter(|fixture| !fixture.is_error());
        let parsed = |fixture: Fixture| {
            let parsed = fixture.parse(&fixture.body);
            let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", fixture.path.display()));
            (fixture, parsed)
        };
        pages.map(parsed).collect()
    }
}

impl Promises {
    fn every_endpoint_has_a_fixture_with_records_and_one_of_an_error(&self) {
        for (source, endpoint) in self.endpoints() {
            let fixtures = self.fixtures_of(source, endpoint);
            let place = format!("{}/{}", source.name, endpoint.name);
            let has_records =
                |fixture: &Fixture| fixture.parse(&fixture.body).is_ok_and(|page| !page.records.is_empty());
            assert!(fixtures.iter().any(has_records), "{place} has no fixture with records");
            assert!(fixtures.iter().any(Fixture::is_error), "{place} has no fixture of an error");
        }
    }

    fn every_error_of_a_provider_is_a_page_error(&self) {
        for fixture in self.fixtures().into_iter().filter(Fixture::is_error) {
            let outcome = fixture.parse(&fixture.body);
            assert!(outcome.is_err(), "{}: {outcome:?}", fixture.path.display());
            let message = outcome.expect_err("asserted").to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{}: {message}", fixture.path.display());
        }
    }

    fn every_record_is_of_a_dataset_that_its_endpoint_names(&self) {
        for (fixture, parsed) in self.pages() {
            for record in &parsed.records {
                assert!(fixture.endpoint.datasets.contains(&record.dataset()), "{}", fixture.path.display());
                let json = serde_json::to_value(record).expect("JSON");
                assert_eq!(json["source"], fixture.source.name);
                assert_eq!(json["flags"], Value::Array(Vec::new()), "flags are the consumer's to set");
            }
        }
    }

    fn every_record_passes_validation_and_comes_back_as_it_was(&self) {
        for (fixture, parsed) in self.pages() {
            for record in &parsed.records {
                let dataset = dataset(record.dataset()).expect("a dataset");
                let mut rows = Rows::new(dataset);
                round_trip(record, dataset, &mut rows);
                let json = serde_json::to_value(record).expect("JSON");
                for (position, field) in dataset.fields.iter().enumerate() {
                    let value = column_value(rows.column(position), 0);
                    assert_eq!(value, json[&field.name], "{}: {}", fixture.path.display(), field.name);
                }
                let now = fixture.request().received_at.timestamp_micros();
                let valid = validate_last(dataset, &mut rows, now);
                assert_eq!(valid, Ok(()), "{}: {record:?}", fixture.path.display());
            }
        }
    }

    fn every_record_is_what_its_values_make_and_nothing_is_made_of_fewer(&self) {
        for (_, parsed) in self.pages() {
            for record in &parsed.records {
                let dataset = dataset(record.dataset()).expect("a dataset");
                let mut rows = Rows::new(dataset);
                round_trip(record, dataset, &mut rows);
                let mut values: Vec<contract::Value> =
                    (0..dataset.fields.len()).map(|position| value(rows.column(position), 0)).collect();
                let made = Record::from_values(&dataset.name, &mut values.clone());
                assert_eq!(made.as_ref(), Some(record));
                values.pop();
                assert_eq!(Record::from_values(&dataset.name, &mut values), None);
            }
        }
        assert_eq!(Record::from_values("none", &mut []), None);
    }

    fn every_reject_becomes_a_dead_letter_that_passes_validation(&self) {
        let dataset = dataset("dead_letter").expect("a dataset");
        for (fixture, parsed) in self.pages() {
            let request = fixture.request();
            for reject in parsed.rejects {
                let fragment = reject.fragment.clone();
                let letter = reject.into_dead_letter(fixture.source, fixture.endpoint, &request);
                assert_eq!(letter.record_value.as_ref(), Some(&fragment));
                let mut rows = Rows::new(dataset);
                round_trip(&letter.into(), dataset, &mut rows);
                let valid = validate_last(dataset, &mut rows, request.received_at.timestamp_micros());
                assert_eq!(valid, Ok(()), "{}", fixture.path.display());
            }
        }
    }

    fn an_error_is_one_short_line_however_long_the_body(&self) {
        let long = "x\n".repeat(100_000);
        for fixture in self.first_fixtures() {
            for body in [
                long.clone(),
                format!("<html>{long}"),
                serde_json::json!({ "chart": { "result": long } }).to_string(),
                serde_json::json!({ "chart": { "result": null, "error": { "code": long, "description": long } } })
                    .to_string(),
                serde_json::json!({ "error_code": 400, "error_message": long }).to_string(),
                serde_json::json!({ "seriess": [{ "id": long }], "observations": long }).to_string(),
            ] {
                let outcome = fixture.parse(body.as_bytes());
                assert_outcome(&fixture.request(), &outcome);
            }
        }
    }

    fn keys_are_unique_within_a_page(&self) {
        for (fixture, parsed) in self.pages() {
            assert_page(&fixture.request(), &parsed);
        }
    }

    /// Two endpoints with different fields for one key would take turns: the last response would remove the fields of
    /// the other.
    fn what_one_endpoint_says_is_not_taken_back_by_another(&self) {
        let mut said: HashMap<[String; 3], (&str, Vec<String>, PathBuf)> = HashMap::new();
        for (fixture, parsed) in self.pages() {
            for record in &parsed.records {
                let dataset = dataset(record.dataset()).expect("a dataset");
                let json = serde_json::to_value(record).expect("JSON");
                let values = json.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null());
                let names: Vec<String> = values.map(|(name, _)| name.clone()).collect();
                let key = [fixture.source.name.to_owned(), dataset.name.clone(), key(dataset, record)];
                let here = (fixture.endpoint.name, names, fixture.path.clone());
                let (endpoint, names, path) = said.entry(key).or_insert_with(|| here.clone());
                assert!(
                    *endpoint == here.0 || *names == here.1,
                    "{} and {}: {names:?}, {:?}",
                    path.display(),
                    here.2.display(),
                    here.1
                );
            }
        }
    }

    fn the_same_bytes_give_the_same_page(&self) {
        for fixture in self.fixtures() {
            assert_eq!(fixture.parse(&fixture.body), fixture.parse(&fixture.body), "{}", fixture.path.display());
        }
    }

    fn a_page_cut_off_anywhere_gives_no_record_that_the_whole_has_not(&self) {
        for fixture in self.fixtures() {
            let whole = fixture.parse(&fixture.body).unwrap_or_default().records;
            for end in 0..fixture.body.len() {
                if let Ok(part) = fixture.parse(&fixture.body[..end]) {
                    assert_page(&fixture.request(), &part);
                    let strange = part.records.iter().find(|record| !whole.contains(record));
                    assert_eq!(strange, None, "{} cut off at byte {end}", fixture.path.display());
                }
            }
        }
    }

    fn nesting_without_end_is_refused(&self) {
        for fixture in self.first_fixtures() {
            for head in ["[", "{\"a\":", "{\"chart\":{\"result\":[", "{\"observations\":[", "{\"seriess\":["] {
                let body = [head.as_bytes(), "[".repeat(200_000).as_bytes()].concat();
                let outcome = fixture.parse(&body);
                assert!(matches!(outcome, Err(PageError::Retry(_))), "{}: {outcome:?}", fixture.path.display());
            }
        }
    }

    fn any_bytes_give_a_page_or_an_error(&self) {
        let fixtures = self.first_fixtures();
        for_many(&prop::collection::vec(any::<u8>(), 0..2000), |bytes| {
            for fixture in &fixtures {
                assert_outcome(&fixture.request(), &fixture.parse(&bytes));
            }
        });
    }

    fn a_mangled_page_gives_a_page_or_an_error(&self) {
        let fixtures = self.fixtures();
        for_many(&prop::collection::vec((any::<usize>(), 0u8..12, token()), 1..6), |edits| {
            for fixture in &fixtures {
                assert_outcome(&fixture.request(), &fixture.parse(&mangled(&fixture.body, &edits)));
            }
        });
    }
}

/// One test per promise for `SOURCES`, and one call of all promises for other sources.
macro_rules! promises {
    ($($promise:ident,)*) => {
        $(
            #[test]
            fn $promise() {
                Promises::ours().$promise();
            }
        )*

        impl Promises {
            /// Checks every promise.
            pub(crate) fn hold(&self) {
                $(self.$promise();)*
            }
        }
    };
}

promises! {
    every_endpoint_has_a_fixture_with_records_and_one_of_an_error,
    every_error_of_a_provider_is_a_page_error,
    every_record_is_of_a_dataset_that_its_endpoint_names,
    every_record_passes_validation_and_comes_back_as_it_was,
    every_record_is_what_its_values_make_and_nothing_is_made_of_fewer,
    every_reject_becomes_a_dead_letter_that_passes_validation,
    an_error_is_one_short_line_however_long_the_body,
    keys_are_unique_within_a_page,
    what_one_endpoint_says_is_not_taken_back_by_another,
    the_same_bytes_give_the_same_page,
    a_page_cut_off_anywhere_gives_no_record_that_the_whole_has_not,
    nesting_without_end_is_refused,
    any_bytes_give_a_page_or_an_error,
    a_mangled_page_gives_a_page_or_an_error,
}
