//! Every version that was ever on a topic can be read by the current declaration.

use super::{FIRST_SCHEMA_ID, datasets, declared_id, first_schema_id, of_schema_id, past, schema_header, writers};
use crate::dataset::Dataset;
use crate::decode::Decoder;

/// What keeps a dataset from reading the records of an earlier version on the same topic.
fn incompatibilities(current: &Dataset, earlier: &Dataset) -> Vec<String> {
    let mut found: Vec<String> = Decoder::new(current, &earlier.schema).err().iter().map(ToString::to_string).collect();
    let names = |dataset: &Dataset, positions: &[usize]| -> Vec<String> {
        positions.iter().map(|at| dataset.fields[*at].name.clone()).collect()
    };
    let time = |dataset: &Dataset| names(dataset, dataset.time.as_slice());
    if names(current, &current.key) != names(earlier, &earlier.key) || time(current) != time(earlier) {
        found.push("the key is another".to_owned());
    }
    for field in current.fields.iter().filter(|field| !field.nullable) {
        let is_it = |name: &str| *name == field.name || field.aliases.iter().any(|alias| alias == name);
        if earlier.fields.iter().any(|other| other.nullable && is_it(&other.name)) {
            found.push(format!("`{}` was nullable", field.name));
        }
    }
    found
}

fn parsed(schema: &str) -> Dataset {
    Dataset::parse(schema).unwrap()
}

#[test]
fn every_declaration_reads_all_its_earlier_versions() {
    for version in past() {
        let Some(current) = datasets().iter().find(|dataset| dataset.name == version.dataset) else { continue };
        let earlier = parsed(version.schema);
        // Another version is another topic.
        if earlier.version == current.version {
            let found = incompatibilities(current, &earlier);
            let (name, id) = (&version.dataset, version.schema_id);
            assert!(found.is_empty(), "`{name}` cannot read its records of schema id {id}: {found:?}");
        }
    }
}

#[test]
fn a_change_that_earlier_records_do_not_survive_is_found() {
    let earlier = datasets().iter().find(|dataset| dataset.name == "observation").unwrap();
    let with = |from: &str, to: &str| {
        assert!(earlier.schema.contains(from), "{from}");
        incompatibilities(&parsed(&earlier.schema.replace(from, to)), earlier).join(", ")
    };
    let added = |field: &str| with(r#"{ "name": "flags""#, &format!(r#"{field}, {{ "name": "flags""#));
    assert_eq!(with("Provider", "The provider"), "");
    assert!(added(r#"{ "name": "new", "type": "long", "doc": "." }"#).contains("field `new` is absent"));
    assert_eq!(added(r#"{ "name": "new", "type": "long", "default": 7, "doc": "." }"#), "");
    assert_eq!(added(r#"{ "name": "new", "type": ["null", "long"], "default": null, "doc": "." }"#), "");
    let value = r#"{ "name": "value", "type": ["null", "double"], "default": null"#;
    assert!(with(value, r#"{ "name": "value", "type": ["null", "long"]"#).contains("`value` is of another type"));
    assert_eq!(with(value, r#"{ "name": "value", "type": "double""#), "`value` was nullable");
    let renamed = r#"{ "name": "amount", "aliases": ["value"], "type": ["null", "double"], "default": null"#;
    assert_eq!(with(value, renamed), "");
    assert!(with(r#"["source", "series_id", "observation_date"]"#, r#"["source", "series_id"]"#).contains("key"));
}

#[test]
fn no_declared_id_can_be_a_registrys_but_the_old_ones_and_none_is_used_twice() {
    let old: Vec<u32> = past().iter().map(|version| version.schema_id).filter(|id| *id < FIRST_SCHEMA_ID).collect();
    // The two versions of `fetch_log` under one id.
    assert_eq!(old.len(), 23);
    assert!(old.iter().all(|id| *id <= 22), "{old:?}");
    let new = past().iter().map(|version| version.schema_id).filter(|id| *id >= FIRST_SCHEMA_ID);
    let mut new: Vec<u32> = new.chain(datasets().iter().map(|dataset| dataset.schema_id)).collect();
    let count = new.len();
    new.sort_unstable();
    new.dedup();
    assert_eq!(new.len(), count, "two declarations have one schema id");
    for dataset in datasets() {
        let name = &dataset.name;
        assert!(dataset.schema_id >= FIRST_SCHEMA_ID, "`{name}`: `schema_id` begins at {FIRST_SCHEMA_ID}");
        let earlier = past().iter().filter(|version| version.dataset == *name);
        assert!(earlier.clone().all(|version| version.schema_id < dataset.schema_id), "`{name}`: an id only grows");
        // What the producers' states hold depends on it.
        let first = earlier.map(|version| version.schema_id).min().unwrap_or(dataset.schema_id);
        assert_eq!(first_schema_id(dataset), first);
        assert_eq!(of_schema_id(dataset.schema_id), Some(name.as_str()));
        assert_eq!(writers(dataset, dataset.schema_id), [dataset.schema.as_str()]);
    }
    let bars = datasets().iter().find(|dataset| dataset.name == "ohlcv_bar").unwrap();
    assert_eq!((first_schema_id(bars), bars.schema_id), (1, FIRST_SCHEMA_ID + 1));
}

#[test]
fn a_header_names_the_declaration_of_a_registrys_id_and_of_no_other() {
    let dataset = crate::dataset("ohlcv_bar").unwrap();
    assert_eq!(schema_header(dataset, dataset.schema_id), None);
    let header = schema_header(dataset, 57).unwrap();
    assert_eq!(declared_id(dataset, 57, || Some(header.as_bytes())), dataset.schema_id);
    // Copied by a program that writes with a schema of its own.
    assert_eq!(declared_id(dataset, 58, || Some(header.as_bytes())), 58);
    assert_eq!(declared_id(dataset, FIRST_SCHEMA_ID, || Some(header.as_bytes())), FIRST_SCHEMA_ID);
    let other = crate::dataset("observation").unwrap().schema_id;
    let of_other = format!("57={other}");
    // A lower id than the first declared one can be a registry's.
    let bad: [&[u8]; 8] = [b"", b"57", b"57=", b"=", b"57=1", b"57=4294967295", b"57=\xff", of_other.as_bytes()];
    for header in bad {
        assert_eq!(declared_id(dataset, 57, || Some(header)), 57, "{}", header.escape_ascii());
    }
    assert_eq!(declared_id(dataset, 57, || None), 57);
}

#[test]
fn chunks_last_a_day_to_a_hundred_years_and_only_a_dataset_with_a_time_has_any() {
    let with_time = &datasets().iter().find(|dataset| dataset.name == "observation").unwrap().schema;
    let error = |schema: &str| Dataset::parse(schema).map(|_| ()).unwrap_err().to_string();
    for wrong in ["0", "36501", "-1", "1.5", "\"10 years\"", "null"] {
        for attribute in ["chunk_days", "revision_chunk_days"] {
            let declared = format!("\"{attribute}\": 3600,");
            assert!(with_time.contains(&declared));
            let schema = with_time.replacen(&declared, &format!("\"{attribute}\": {wrong},"), 1);
            assert_eq!(error(&schema), format!("`{attribute}` is missing or malformed"), "{wrong}");
        }
    }
    let without_time = with_time.replacen("\"time\": \"observation_date\"", "\"time\": null", 1);
    assert_eq!(error(&without_time), "`chunk_days` is missing or malformed");
    let plain = parsed(&with_time.replacen("\"chunk_days\": 3600,", "", 1));
    assert_eq!((plain.chunk_days, plain.revision_chunk_days), (None, Some(3600)));
}
