use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use contract::declarations::{self, FIRST_SCHEMA_ID};
use contract::records::Observation;
use contract::{DecodeError, Record, Rows};
use tokio::runtime::Runtime;

use super::*;

/// A registry that knows these schemas, and the number of its answers.
fn registry(schemas: &[(u32, &str)]) -> (Registry, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let schemas: Vec<(String, String)> = schemas
        .iter()
        .map(|(id, schema)| (format!("GET /schemas/ids/{id} "), serde_json::json!({ "schema": schema }).to_string()))
        .collect();
    let answers = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answers);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), Vec::new());
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            counter.fetch_add(1, Ordering::SeqCst);
            let found = schemas.iter().find(|(line, _)| request.starts_with(line.as_bytes()));
            let (status, body) = found.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", body.as_str()));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    (Registry::new(&address).unwrap(), answers)
}

fn observation() -> &'static Dataset {
    contract::dataset("observation").unwrap()
}

fn body() -> Vec<u8> {
    let time = chrono::DateTime::from_timestamp(1_704_067_200, 0).unwrap();
    let record = Record::from(Observation {
        source: "fred".into(),
        series_id: "GDP".into(),
        observation_date: time.date_naive(),
        value: Some(2.5),
        known_at: time,
        observed_at: time,
        flags: Vec::new(),
    });
    let mut body = Vec::new();
    record.encode(&mut body);
    body
}

/// The value of the record, or why it is refused or missing.
fn read(schemas: &mut Schemas, id: u32, body: &[u8], runtime: &Runtime) -> Result<Option<f64>, String> {
    let mut rows = Rows::new(observation());
    let decoder = schemas.decoder(id, runtime.handle()).map_err(|missing| format!("missing: {missing}"))?;
    decoder.map_err(str::to_owned)?.decode(body, &mut rows).map_err(|error| error.class().to_owned())?;
    Ok(rows.column(observation().position("value").unwrap()).number(0))
}

#[test]
fn a_declared_id_never_asks_the_registry_and_is_read_with_and_without_one() {
    let runtime = Runtime::new().unwrap();
    let (registry, answers) = registry(&[]);
    for registry in [None, Some(registry)] {
        let mut schemas = Schemas::new(observation(), registry, None);
        assert_eq!(read(&mut schemas, observation().schema_id, &body(), &runtime), Ok(Some(2.5)));
        let other = contract::dataset("ohlcv_bar").unwrap().schema_id;
        let refused = read(&mut schemas, other, &body(), &runtime).unwrap_err();
        assert_eq!(refused, format!("schema id {other} is `ohlcv_bar`, not `observation`"));
        let later = read(&mut schemas, u32::MAX, &body(), &runtime).unwrap_err();
        assert!(later.ends_with("is not declared in this version: upgrade tapedeck and redrive"), "{later}");
    }
    assert_eq!(answers.load(Ordering::SeqCst), 0);
}

#[test]
fn an_id_of_before_the_range_is_read_without_a_registry_and_beside_one_that_uses_it_for_something_else() {
    let runtime = Runtime::new().unwrap();
    let bars = contract::dataset("ohlcv_bar").unwrap();
    let unrelated = r#"{"type":"record","name":"x","fields":[{"name":"a","type":"long"}]}"#;
    for schema in [bars.schema.as_str(), observation().schema.as_str(), unrelated] {
        let (registry, answers) = registry(&[(2, schema)]);
        let mut schemas = Schemas::new(observation(), Some(registry), None);
        assert_eq!(read(&mut schemas, 2, &body(), &runtime), Ok(Some(2.5)));
        assert_eq!(read(&mut schemas, 2, &body(), &runtime), Ok(Some(2.5)));
        assert_eq!(answers.load(Ordering::SeqCst), 1);
    }
    assert_eq!(read(&mut Schemas::new(observation(), None, None), 2, &body(), &runtime), Ok(Some(2.5)));
    let (registry, _) = registry(&[]);
    assert_eq!(read(&mut Schemas::new(observation(), Some(registry), None), 2, &body(), &runtime), Ok(Some(2.5)));
}

#[test]
fn a_record_that_the_registrys_schema_and_an_old_declaration_read_differently_is_refused_and_never_misread() {
    let runtime = Runtime::new().unwrap();
    // Each record is one of the declaration too, with source and series exchanged.
    let exchanged = observation().schema.replace("\"source\"", "\"?\"").replace("\"series_id\"", "\"source\"");
    let (registry, _) = registry(&[(2, &exchanged.replace("\"?\"", "\"series_id\"")), (3, &exchanged)]);
    let mut schemas = Schemas::new(observation(), Some(registry), None);
    assert_eq!(read(&mut schemas, 2, &body(), &runtime), Err(DecodeError::Ambiguous.class().to_owned()));
}

#[test]
fn a_registrys_id_is_read_with_its_schema_and_without_a_registry_the_reason_says_what_to_set() {
    let runtime = Runtime::new().unwrap();
    let (registry, _) = registry(&[(57, observation().schema.as_str())]);
    let mut schemas = Schemas::new(observation(), Some(registry), None);
    assert_eq!(read(&mut schemas, 57, &body(), &runtime), Ok(Some(2.5)));
    let missing = read(&mut schemas, 58, &body(), &runtime).unwrap_err();
    assert!(missing.starts_with("missing: ") && missing.ends_with("knows no schema of id 58"), "{missing}");
    let refused = read(&mut Schemas::new(observation(), None, None), 57, &body(), &runtime).unwrap_err();
    assert_eq!(
        refused,
        "schema id 57 is a registry's, is not kept, and no schema registry is configured: set TAPEDECK_SCHEMA_REGISTRY_URL and redrive"
    );
}

#[test]
fn an_old_id_that_the_registry_learns_later_is_asked_for_again() {
    let runtime = Runtime::new().unwrap();
    let (registry, answers) = registry(&[]);
    let mut schemas = Schemas::new(observation(), Some(registry), None);
    read(&mut schemas, 2, &body(), &runtime).unwrap();
    read(&mut schemas, 2, &body(), &runtime).unwrap();
    assert_eq!(answers.load(Ordering::SeqCst), 1);
    schemas.known.get_mut(&2).unwrap().until = Some(Instant::now());
    schemas.missing.clear();
    read(&mut schemas, 2, &body(), &runtime).unwrap();
    assert_eq!(answers.load(Ordering::SeqCst), 2);
}

#[test]
fn every_declared_id_is_above_every_id_that_a_registry_gives() {
    let highest = u32::try_from(i32::MAX).unwrap();
    assert!(highest < FIRST_SCHEMA_ID);
    assert!(contract::datasets().iter().all(|dataset| dataset.schema_id > highest));
    assert!(declarations::past().iter().all(|version| version.schema_id > highest || version.schema_id <= 22));
}

type Pairs = Vec<(u32, String)>;

/// Keeps in memory; `None` is a database that is unavailable.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Option<Pairs>>>);

impl Memory {
    fn of(kept: &[(u32, &str)]) -> Memory {
        let kept = kept.iter().map(|(id, schema)| (*id, (*schema).to_owned())).collect();
        Memory(Arc::new(Mutex::new(Some(kept))))
    }

    fn schemas(&self, registry: Option<Registry>) -> Schemas {
        Schemas::new(observation(), registry, Some(Box::new(self.clone())))
    }

    fn ids(&self) -> Vec<u32> {
        self.0.lock().unwrap().iter().flatten().map(|(id, _)| *id).collect()
    }
}

impl Keeper for Memory {
    fn kept(&self, _: &Handle) -> Result<Pairs, String> {
        self.0.lock().unwrap().clone().ok_or_else(|| "no database".to_owned())
    }

    fn keep(&self, id: u32, schema: &str, _: &Handle) -> Result<(), String> {
        self.0.lock().unwrap().as_mut().ok_or_else(|| "no database".to_owned())?.push((id, schema.to_owned()));
        Ok(())
    }
}

/// A database that can be read, and not written.
#[derive(Debug)]
struct Full;

impl Keeper for Full {
    fn kept(&self, _: &Handle) -> Result<Pairs, String> {
        Ok(Vec::new())
    }

    fn keep(&self, _: u32, _: &str, _: &Handle) -> Result<(), String> {
        Err("the disk is full".to_owned())
    }
}

#[test]
fn what_a_registry_gave_is_kept_and_read_without_it_and_while_it_does_not_know_the_id() {
    let runtime = Runtime::new().unwrap();
    let unrelated = r#"{"type":"record","name":"x","fields":[{"name":"a","type":"long"}]}"#;
    let (known, _) = registry(&[(57, observation().schema.as_str()), (58, unrelated)]);
    let memory = Memory::of(&[]);
    let mut schemas = memory.schemas(Some(known));
    assert_eq!(read(&mut schemas, 57, &body(), &runtime), Ok(Some(2.5)));
    assert!(read(&mut schemas, 58, &body(), &runtime).unwrap_err().contains("does not fit dataset `observation`"));
    assert_eq!(memory.ids(), [57], "what can read no record is not kept");
    let (empty, _) = registry(&[]);
    for other in [None, Some(empty)] {
        assert_eq!(read(&mut memory.schemas(other), 57, &body(), &runtime), Ok(Some(2.5)));
    }
}

#[test]
fn nothing_is_read_with_a_schema_that_could_not_be_kept() {
    let runtime = Runtime::new().unwrap();
    let (known, _) = registry(&[(57, observation().schema.as_str())]);
    let mut full = Schemas::new(observation(), Some(known.clone()), Some(Box::new(Full)));
    assert_eq!(read(&mut full, 57, &body(), &runtime), Err("missing: the disk is full".to_owned()));
    let memory = Memory::default();
    let mut schemas = memory.schemas(Some(known));
    assert_eq!(read(&mut schemas, 57, &body(), &runtime), Err("missing: no database".to_owned()));
    *memory.0.lock().unwrap() = Some(Vec::new());
    assert_eq!(read(&mut schemas, 57, &body(), &runtime), Ok(Some(2.5)));
}

#[test]
fn of_an_id_with_two_schemas_the_bytes_decide_and_the_same_json_in_another_form_is_one_schema() {
    let runtime = Runtime::new().unwrap();
    let own = observation().schema.as_str();
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(own).unwrap()).unwrap();
    let bars = contract::dataset("ohlcv_bar").unwrap().schema.as_str();
    let exchanged = own.replace("\"source\"", "\"?\"").replace("\"series_id\"", "\"source\"");
    let exchanged = exchanged.replace("\"?\"", "\"series_id\"");
    let ambiguous = Err(DecodeError::Ambiguous.class().to_owned());
    let cases =
        [(own, pretty.as_str(), Ok(Some(2.5)), 1), (own, bars, Ok(Some(2.5)), 1), (own, &exchanged, ambiguous, 2)];
    for (before, now, expected, kept) in cases {
        let (registry, _) = registry(&[(57, now)]);
        let memory = Memory::of(&[(57, before)]);
        assert_eq!(read(&mut memory.schemas(Some(registry)), 57, &body(), &runtime), expected);
        assert_eq!(memory.ids().len(), kept);
        assert_eq!(read(&mut memory.schemas(None), 57, &body(), &runtime), expected);
    }
}
