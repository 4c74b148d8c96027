//! Records of every version of a declaration stay readable, forever.
//!
//! `schemas/past/golden.tsv` has records of every version that was ever on a topic, with their bytes as apache-avro wrote
//! them. A line is added with each version, and never changed.

#![expect(deprecated, reason = "the plain functions are shorter, and the readers behind them are the same")]

mod resolution;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use contract::{Column, Dataset, Decoder, Rows, datasets, declarations};
use serde_json::{Value as Json, json};
use tests::root;
use xxhash_rust::xxh3::xxh3_64;

const GOLDEN: &str = "schemas/past/golden.tsv";
/// The first line of that file.
const HEADER: &str = "version\tlayout\tbody\tvalues\n";

/// A version of a declaration: the name of its file in `schemas/past/` once it is past, and its text.
struct Version {
    name: String,
    dataset: String,
    schema_id: u32,
    schema: String,
}

impl Version {
    fn new(name: Option<&str>, schema: String) -> Version {
        let json: Json = serde_json::from_str(&schema).unwrap();
        let dataset = json["name"].as_str().unwrap().to_owned();
        let schema_id = u32::try_from(json["schema_id"].as_u64().unwrap()).unwrap();
        let name = name.map_or_else(|| format!("{dataset}.{schema_id}"), str::to_owned);
        Version { name, dataset, schema_id, schema }
    }

    /// Changes with everything that changes the bytes of a record, and with nothing else.
    fn layout(&self) -> String {
        let json: Json = serde_json::from_str(&self.schema).unwrap();
        let fields = json["fields"].as_array().unwrap().iter().map(|field| json!([field["name"], field["type"]]));
        format!("{:016x}", xxh3_64(json!([json["version"], fields.collect::<Vec<_>>()]).to_string().as_bytes()))
    }
}

fn current() -> Vec<Version> {
    datasets().iter().map(|dataset| Version::new(None, dataset.schema.clone())).collect()
}

fn past() -> Vec<Version> {
    let entries = std::fs::read_dir(root().join("schemas/past")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "avsc")).collect();
    files.sort();
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| Version::new(Some(&stem(path)), std::fs::read_to_string(path).unwrap())).collect()
}

/// A line of the golden file.
struct Golden {
    version: String,
    layout: String,
    body: Vec<u8>,
    values: Json,
}

fn golden() -> Vec<Golden> {
    let text = std::fs::read_to_string(root().join(GOLDEN)).unwrap_or_default();
    let read = |line: &str| {
        let columns: Vec<&str> = line.splitn(4, '\t').collect();
        let [version, layout, body, values] = columns[..] else { panic!("{line}") };
        let byte = |at: usize| u8::from_str_radix(&body[at..at + 2], 16).unwrap();
        Golden {
            version: version.to_owned(),
            layout: layout.to_owned(),
            body: (0..body.len()).step_by(2).map(byte).collect(),
            values: serde_json::from_str(values).unwrap(),
        }
    };
    text.lines().skip(1).map(read).collect()
}

/// A value of a field, and how the golden file shows it. Of an optional one there are two.
fn value(schema: &Schema, at: usize, is_full: bool) -> (Value, Json) {
    let number = i64::try_from(at).unwrap();
    match schema {
        Schema::String => (Value::String(format!("é{at}")), json!(format!("é{at}"))),
        Schema::Long => (Value::Long(number * 1_000_003), json!(number * 1_000_003)),
        Schema::Double => (Value::Double(number as f64 + 0.25), json!(number as f64 + 0.25)),
        Schema::Bytes => (Value::Bytes(vec![0, 255, 7]), json!([0, 255, 7])),
        // 0.000000000001 of the unit is 1.
        Schema::Decimal(_) => (Value::Decimal(vec![1, 2, 3].into()), json!("0.000000066051")),
        Schema::Date => (Value::Date(19_723), json!(19_723)),
        Schema::TimestampMicros => {
            let micros = 1_704_067_200_000_000 + number;
            (Value::TimestampMicros(micros), json!(micros))
        }
        Schema::Array(_) if is_full => {
            (Value::Array(vec![Value::String("x".into()), Value::String(String::new())]), json!(["x", ""]))
        }
        Schema::Array(_) => (Value::Array(Vec::new()), json!([])),
        Schema::Union(_) if !is_full => (Value::Union(0, Box::new(Value::Null)), Json::Null),
        Schema::Union(union) => {
            let (inner, shown) = value(&union.variants()[1], at, is_full);
            (Value::Union(1, Box::new(inner)), shown)
        }
        other => panic!("no golden value for {other:?}"),
    }
}

/// Two lines of the golden file: a record with all values, and one with only those it needs.
fn lines(version: &Version) -> String {
    let schema = Schema::parse_str(&version.schema).unwrap();
    let Schema::Record(record) = &schema else { panic!("not a record") };
    let mut out = String::new();
    for is_full in [true, false] {
        let values = record.fields.iter().enumerate().map(|(at, field)| {
            let (value, shown) = value(&field.schema, at, is_full);
            ((field.name.clone(), value), (field.name.clone(), shown))
        });
        let (values, shown): (Vec<_>, serde_json::Map<String, Json>) = values.unzip();
        let body = to_avro_datum(&schema, Value::Record(values)).unwrap();
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{}\t{}\t{hex}\t{}", version.name, version.layout(), Json::Object(shown)).unwrap();
    }
    out
}

/// The value of the only row, as the golden file shows it.
fn shown(column: &Column) -> Json {
    match column {
        Column::Text(values) | Column::Json(values) => json!(values[0]),
        Column::Decimal(values) => json!(values[0].map(|value| value.to_string())),
        Column::Long(values) | Column::Timestamp(values) => json!(values[0]),
        Column::Double(values) => json!(values[0]),
        Column::Date(values) => json!(values[0]),
        Column::Bytes(values) => json!(values[0]),
        Column::TextList(values) => json!(values[0]),
    }
}

/// The field that a name is or was; a field must not be dropped while records have values for it.
fn position(dataset: &Dataset, name: &str) -> usize {
    let is_it = |field: &contract::Field| field.name == name || field.aliases.iter().any(|alias| alias == name);
    let found = dataset.fields.iter().position(is_it);
    found.unwrap_or_else(|| {
        panic!("`{}` has records with `{name}`: keep the field, or name it as an alias", dataset.name)
    })
}

#[test]
fn every_version_that_was_ever_on_a_topic_is_read_with_its_values() {
    let (golden, versions) = (golden(), past().into_iter().chain(current()).collect::<Vec<_>>());
    for line in &golden {
        let version = versions.iter().find(|version| version.name == line.version);
        let Some(version) = version else { continue };
        let dataset = contract::dataset(&version.dataset).unwrap();
        // As a consumer does: by the id alone.
        let writers = declarations::writers(dataset, version.schema_id);
        let mut rows = Rows::new(dataset);
        let decoder = Decoder::of_any(dataset, writers).unwrap();
        decoder.decode(&line.body, &mut rows).unwrap_or_else(|error| panic!("{}: {error}", line.version));
        for (name, expected) in line.values.as_object().unwrap() {
            let found = shown(rows.column(position(dataset, name)));
            let is_same = found == *expected || found.as_f64().is_some_and(|number| Some(number) == expected.as_f64());
            assert!(is_same, "{}: `{name}` was written as {expected} and is read as {found}", line.version);
        }
    }
    assert!(golden.len() >= 90, "{} lines", golden.len());
}

/// What is wrong with the versions, one line each: what to do.
fn faults(current: &[Version], past: &[Version], golden: &[Golden]) -> Vec<String> {
    let mut faults = Vec::new();
    let lines_of = |version: &Version| golden.iter().filter(|line| line.version == version.name).collect::<Vec<_>>();
    let ids = current.iter().chain(past).map(|version| version.schema_id);
    let free = ids.max().unwrap_or_default() + 1;
    for version in current {
        let Version { name, dataset, schema_id, .. } = version;
        if lines_of(version).iter().any(|line| line.layout != version.layout()) {
            faults.push(format!(
                "schemas/{dataset}.avsc changed and has the schema id of the version before, whose records would be \
                 misread: `git show HEAD:schemas/{dataset}.avsc > schemas/past/{name}.avsc`, and give it \"schema_id\": \
                 {free}"
            ));
        } else if past.iter().any(|other| other.schema_id == *schema_id) {
            faults.push(format!("schemas/past/ has schema id {schema_id} too: give schemas/{dataset}.avsc {free}"));
        }
    }
    for version in past.iter().filter(|version| lines_of(version).iter().any(|line| line.layout != version.layout())) {
        faults.push(format!("schemas/past/{}.avsc never changes: restore it", version.name));
    }
    let is_there = |line: &&Golden| current.iter().chain(past).any(|version| version.name == line.version);
    let mut lost: Vec<&str> = golden.iter().filter(|line| !is_there(line)).map(|line| line.version.as_str()).collect();
    lost.dedup();
    for name in lost {
        let dataset = name.split('.').next().unwrap_or_default();
        faults.push(format!(
            "records of {name} can be on a topic: `git show HEAD:schemas/{dataset}.avsc > schemas/past/{name}.avsc`"
        ));
    }
    for version in current.iter().chain(past).filter(|version| lines_of(version).is_empty()) {
        faults.push(format!("{GOLDEN} has no record of {}: run `UPDATE=1 ./test evolution`", version.name));
    }
    faults
}

#[test]
fn a_declaration_changes_only_with_a_new_schema_id_and_leaves_its_old_version_in_past() {
    let (current, past) = (current(), past());
    if std::env::var_os("UPDATE").is_some() {
        let path = root().join(GOLDEN);
        let mut text = std::fs::read_to_string(&path).unwrap_or_else(|_| HEADER.to_owned());
        let known: Vec<String> = golden().into_iter().map(|line| line.version).collect();
        for version in past.iter().chain(&current).filter(|version| !known.contains(&version.name)) {
            text += &lines(version);
        }
        std::fs::write(path, text).unwrap();
    }
    let faults = faults(&current, &past, &golden());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for version in &past {
        let stem = format!("{}.{}", version.dataset, version.schema_id);
        let is_named = version.name == stem || version.name == "fetch_log.21.first";
        assert!(is_named, "schemas/past/{}.avsc: name it {stem}.avsc", version.name);
    }
}

#[test]
fn the_guard_says_what_to_do_when_a_step_is_forgotten() {
    let with = |schema: &str, change: fn(&str) -> String| Version::new(None, change(schema));
    let schema = contract::dataset("observation").unwrap().schema.clone();
    let id = contract::dataset("observation").unwrap().schema_id;
    let before = || Version::new(None, schema.clone());
    let line = || {
        let (version, layout) = (before().name, before().layout());
        vec![Golden { version, layout, body: Vec::new(), values: Json::Null }]
    };
    let doc = with(&schema, |schema| schema.replace("Provider", "The provider"));
    assert_eq!(faults(&[doc], &[], &line()), Vec::<String>::new());
    // As it happened to `fetch_log`.
    let added: fn(&str) -> String = |schema| {
        let field = r#"{ "name": "new", "type": ["null", "long"], "default": null, "doc": "." }, { "name": "known_at""#;
        schema.replace(r#"{ "name": "known_at""#, field)
    };
    let said = faults(&[with(&schema, added)], &[], &line());
    let [said] = said.as_slice() else { panic!("{said:?}") };
    assert!(said.contains(&format!("git show HEAD:schemas/observation.avsc > schemas/past/observation.{id}.avsc")));
    assert!(said.ends_with(&format!("\"schema_id\": {}", id + 1)), "{said}");
    // A new id without a copy.
    let renumbered: fn(&str) -> String = |schema| {
        let id = contract::dataset("observation").unwrap().schema_id;
        schema.replace(&id.to_string(), &(id + 1).to_string())
    };
    let next = || with(&renumbered(&schema), added);
    let said = faults(&[next()], &[], &line());
    assert!(said[0].starts_with(&format!("records of observation.{id} can be on a topic: ")), "{said:?}");
    assert!(said[1].ends_with("run `UPDATE=1 ./test evolution`"), "{said:?}");
    // A copy without a new id.
    let said = faults(&[before()], &[before()], &line());
    assert!(said[0].starts_with(&format!("schemas/past/ has schema id {id} too")), "{said:?}");
    // A copy of the new text.
    let said = faults(&[next()], &[with(&schema, added)], &line());
    assert!(said[0].ends_with("never changes: restore it"), "{said:?}");
}
