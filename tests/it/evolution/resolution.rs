//! A writer's schema is resolved as Avro specifies: compared with apache-avro over random changes of a declaration.
//!
//! apache-avro 0.22 deviates from the specification, and the random changes avoid these points: it ignores aliases, takes
//! a fixed value for a string, a string for the double that it names (`NaN`), and any int or long for a time. It refuses a
//! decimal with fewer bytes than its precision can need. It reads a record that is cut off as nulls, and ignores bytes
//! that follow it.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use contract::decode::SchemaError;
use contract::{Column, Dataset, DecodeError, Decoder, Kind, Rows, datasets};
use serde_json::{Value as Json, json};

use crate::codec::{as_avro, same};

const CASES: u64 = 6000;
/// A dataset with a field of every kind that has a default.
const FIELDS_WITH_DEFAULTS: &str = r#"
    { "name": "text", "type": "string", "default": "unknown", "doc": "." },
    { "name": "count", "type": "long", "default": 7, "doc": "." },
    { "name": "price", "type": "double", "default": 1.5, "doc": "." },
    { "name": "raw", "type": "bytes", "default": "ab", "doc": "." },
    { "name": "day", "type": { "type": "int", "logicalType": "date" }, "default": 3, "doc": "." },
    { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" }, "default": 4, "doc": "." },
    { "name": "tags", "type": { "type": "array", "items": "string" }, "default": ["x", "y"], "doc": "." },
    { "name": "flags""#;

fn with_defaults() -> Dataset {
    let schema = &contract::dataset("observation").unwrap().schema;
    Dataset::parse(&schema.replace(r#"{ "name": "flags""#, FIELDS_WITH_DEFAULTS.trim())).unwrap()
}

/// Numbers that a seed determines (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).unwrap()
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64)].clone()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(5)).map(|_| self.next() as u8 & if self.one_in(100) { 0xff } else { 0x7f }).collect()
    }
}

/// The type that an earlier or later version of a field could have: one that Avro promotes, in a union or not.
fn evolved(kind: Kind, reader: &Json, random: &mut Random) -> Json {
    let plain = reader.get(1).unwrap_or(reader).clone();
    let narrower: &[Json] = match kind {
        Kind::Text | Kind::Json => &[json!("bytes"), json!({ "type": "string", "avro.java.string": "String" })],
        Kind::Bytes => &[json!("string")],
        Kind::Long => &[json!("int")],
        Kind::Double => &[json!("float"), json!("long"), json!("int"), json!({ "type": "float" })],
        Kind::TextList => &[
            json!({ "type": "array", "items": "bytes" }),
            json!({ "type": "array", "items": ["null", "string", "bytes"] }),
        ],
        Kind::Date | Kind::Timestamp | Kind::Decimal => &[],
    };
    let branch = if !narrower.is_empty() && random.one_in(2) { random.pick(narrower) } else { plain };
    // A null in a field that has none is an error of the record.
    if !reader.is_array() && !random.one_in(10) {
        return branch;
    }
    match random.below(6) {
        0 => reader.clone(),
        1 => json!(["null", branch]),
        2 => json!([branch, "null"]),
        3 if random.one_in(4) => json!(["boolean", branch, { "type": "map", "values": "long" }]),
        _ => branch,
    }
}

/// A field that the reader does not have, of any type.
fn unknown(at: usize, random: &mut Random) -> Json {
    let name = |prefix: &str| format!("{prefix}_{at}");
    let node = json!({ "type": "record", "name": name("node"), "fields": [
        { "name": "label", "type": "string" },
        { "name": "next", "type": ["null", name("node")] },
        { "name": "children", "type": { "type": "array", "items": name("node") } },
    ] });
    let side = json!({ "type": "enum", "name": name("side"), "symbols": ["BUY", "SELL"], "default": "BUY" });
    let hash = json!({ "type": "fixed", "name": name("hash"), "size": 5 });
    let both = json!({ "type": "record", "name": name("both"), "namespace": "elsewhere", "fields": [
        { "name": "first", "type": side },
        { "name": "second", "type": name("side") },
        { "name": "third", "type": ["null", format!("elsewhere.side_{at}"), "long"] },
    ] });
    let types = [
        json!("null"),
        json!("boolean"),
        json!("int"),
        json!("float"),
        json!("bytes"),
        json!({ "type": "int", "logicalType": "time-millis" }),
        json!({ "type": "long", "logicalType": "timestamp-millis" }),
        json!({ "type": "long", "logicalType": "of-our-own" }),
        json!({ "type": { "type": "array", "items": { "type": "map", "values": ["null", "double"] } } }),
        node,
        both.clone(),
        json!({ "type": "map", "values": hash }),
        json!({ "type": "array", "items": ["string", both] }),
    ];
    json!({ "name": name("unknown"), "type": random.pick(&types) })
}

/// A schema that a writer of the dataset's records could have had.
fn writer(dataset: &Dataset, random: &mut Random) -> Json {
    let reader: Json = serde_json::from_str(&dataset.schema).unwrap();
    let mut fields = Vec::new();
    for (field, declared) in dataset.fields.iter().zip(reader["fields"].as_array().unwrap()) {
        let is_needed = !field.nullable && declared.get("default").is_none();
        if random.one_in(if is_needed { 300 } else { 4 }) {
            continue;
        }
        let is_same = random.one_in(2);
        let avro = if is_same { declared["type"].clone() } else { evolved(field.kind, &declared["type"], random) };
        fields.push(json!({ "name": field.name, "type": avro }));
    }
    for at in 0..random.below(4) {
        fields.push(unknown(at, random));
    }
    for at in (1..fields.len()).rev() {
        fields.swap(at, random.below(at as u64 + 1));
    }
    json!({ "type": "record", "name": dataset.name, "namespace": "tapedeck", "fields": fields })
}

/// Finds the types with a name.
fn find_named(schema: &Schema, named: &mut HashMap<String, Schema>) {
    match schema {
        Schema::Enum(of) => drop(named.insert(of.name.name().to_owned(), schema.clone())),
        Schema::Fixed(of) => drop(named.insert(of.name.name().to_owned(), schema.clone())),
        Schema::Record(of) => {
            named.insert(of.name.name().to_owned(), schema.clone());
            of.fields.iter().for_each(|field| find_named(&field.schema, named));
        }
        Schema::Union(of) => of.variants().iter().for_each(|branch| find_named(branch, named)),
        Schema::Array(of) => find_named(&of.items, named),
        Schema::Map(of) => find_named(&of.types, named),
        _ => {}
    }
}

/// Any value of a type; `named` has the types that are used by name.
fn value(schema: &Schema, random: &mut Random, named: &HashMap<String, Schema>, depth: usize) -> Value {
    let is_deep = depth > 6;
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(random.one_in(2)),
        Schema::Int => Value::Int(random.next() as i32 >> random.below(32)),
        Schema::Long => Value::Long(random.next() as i64 >> random.below(64)),
        Schema::Float => Value::Float(f32::from_bits(random.next() as u32)),
        Schema::Double => Value::Double(f64::from_bits(random.next())),
        Schema::Bytes => Value::Bytes(random.bytes()),
        Schema::String => Value::String(String::from_utf8_lossy(&random.bytes()).into_owned()),
        Schema::Date => Value::Date(random.next() as i32),
        Schema::TimeMillis => Value::TimeMillis(random.next() as i32),
        Schema::TimestampMillis => Value::TimestampMillis(random.next() as i64),
        Schema::TimestampMicros => Value::TimestampMicros(random.next() as i64),
        Schema::Decimal(_) => {
            let number = i128::from(random.next() as i64 >> random.below(64));
            Value::Decimal(number.to_be_bytes().as_slice().into())
        }
        Schema::Enum(of) => {
            let at = random.below(of.symbols.len() as u64);
            Value::Enum(at as u32, of.symbols[at].clone())
        }
        Schema::Fixed(of) => Value::Fixed(of.size, (0..of.size).map(|_| random.next() as u8).collect()),
        Schema::Record(of) => {
            let fields = of.fields.iter();
            Value::Record(
                fields.map(|field| (field.name.clone(), value(&field.schema, random, named, depth + 1))).collect(),
            )
        }
        Schema::Ref { name } => value(&named[name.name()], random, named, depth + 1),
        Schema::Union(of) => {
            let at = if is_deep { 0 } else { random.below(of.variants().len() as u64) };
            Value::Union(at as u32, Box::new(value(&of.variants()[at], random, named, depth + 1)))
        }
        Schema::Array(of) => {
            let count = if is_deep { 0 } else { random.below(4) };
            Value::Array((0..count).map(|_| value(&of.items, random, named, depth + 1)).collect())
        }
        Schema::Map(of) => {
            let count = if is_deep { 0 } else { random.below(3) };
            Value::Map((0..count).map(|at| (at.to_string(), value(&of.types, random, named, depth + 1))).collect())
        }
        other => panic!("no value of {other:?}"),
    }
}

/// A record, its decimals with as few bytes as they need.
fn shortened(value: Value) -> Value {
    match value {
        Value::Record(fields) => {
            Value::Record(fields.into_iter().map(|(name, value)| (name, shortened(value))).collect())
        }
        Value::Union(at, inner) => Value::Union(at, Box::new(shortened(*inner))),
        Value::Decimal(decimal) => {
            let bytes = Vec::<u8>::try_from(&decimal).unwrap();
            let is_needless = |pair: &&[u8]| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff]);
            Value::Decimal(bytes[bytes.windows(2).take_while(is_needless).count()..].into())
        }
        other => other,
    }
}

fn read(dataset: &Dataset, writer: &str, body: &[u8]) -> Result<Rows, String> {
    let mut rows = Rows::new(dataset);
    let decoder = Decoder::new(dataset, writer).map_err(|error| error.to_string())?;
    decoder.decode(body, &mut rows).map_err(|error| error.to_string())?;
    Ok(rows)
}

#[test]
fn what_any_older_or_newer_writer_wrote_is_read_as_apache_avro_resolves_it() {
    let with_defaults = with_defaults();
    let readers: Vec<&Dataset> = datasets().iter().chain([&with_defaults]).collect();
    let (mut agreed, mut refused) = (0, 0);
    for seed in 0..CASES {
        let random = &mut Random(seed);
        let dataset = if random.one_in(3) { &with_defaults } else { random.pick(&readers) };
        let writer = writer(dataset, random).to_string();
        let schemas = [writer.as_str(), dataset.schema.as_str()].map(|text| Schema::parse_str(text).unwrap());
        let mut named = HashMap::new();
        find_named(&schemas[0], &mut named);
        let value = value(&schemas[0], random, &named, 0);
        let body =
            to_avro_datum(&schemas[0], value.clone()).unwrap_or_else(|error| panic!("{seed}: {writer}: {error}"));
        let theirs = from_avro_datum(&schemas[0], &mut body.as_slice(), Some(&schemas[1]));
        match (read(dataset, &writer, &body), theirs) {
            (Ok(ours), Ok(theirs)) => {
                let (ours, theirs) = (as_avro(dataset, &ours), shortened(theirs));
                assert!(same(&ours, &theirs), "seed {seed}: {writer}\n{value:?}\nours {ours:?}\ntheirs {theirs:?}");
                agreed += 1;
            }
            (Err(_), Err(_)) => refused += 1,
            (ours, theirs) => panic!("seed {seed}: {writer}\n{value:?}\nours {ours:?}\ntheirs {theirs:?}"),
        }
        let cut = random.below(body.len().max(1) as u64);
        assert!(read(dataset, &writer, &body[..cut]).is_err(), "seed {seed}: cut off at {cut}");
    }
    assert!(agreed > 2000 && refused > 500, "{agreed} agreed, {refused} refused");
}

/// `observation` with other text in its declaration.
fn changed(from: &str, to: &str) -> Dataset {
    let schema = &contract::dataset("observation").unwrap().schema;
    assert!(schema.contains(from), "{from}");
    Dataset::parse(&schema.replace(from, to)).unwrap_or_else(|error| panic!("{error}"))
}

/// The body of an observation with these bytes as its first field.
fn body(first: &[u8]) -> Vec<u8> {
    // fred, GDP, day 1, 2.0, 3, 4, no flags
    [first, b"\x08fred\x06GDP\x02\x02", &2.0f64.to_le_bytes(), b"\x06\x08\x00"].concat()
}

/// The schema of `observation` with another field before the others.
fn preceded(field: &str) -> String {
    let schema = &contract::dataset("observation").unwrap().schema;
    schema.replace(r#"{ "name": "source""#, &format!(r#"{field}, {{ "name": "source""#))
}

#[test]
fn a_renamed_field_is_found_by_its_alias_unless_the_writer_has_its_name() {
    let value = r#"{ "name": "value","#;
    let dataset = changed(value, r#"{ "name": "amount", "aliases": ["worth", "value"],"#);
    let amount = |rows: &Rows| rows.column(dataset.position("amount").unwrap()).number(0);
    let writer = &contract::dataset("observation").unwrap().schema;
    assert_eq!(amount(&read(&dataset, writer, &body(&[])).unwrap()), Some(2.0));
    // The first alias of the reader counts; the other field is skipped.
    let both = preceded(r#"{ "name": "worth", "type": "double" }"#);
    assert_eq!(amount(&read(&dataset, &both, &body(&7.0f64.to_le_bytes())).unwrap()), Some(7.0));
    let both = preceded(r#"{ "name": "amount", "type": "int" }"#);
    assert_eq!(amount(&read(&dataset, &both, &body(&[10])).unwrap()), Some(5.0));
    let schema = &dataset.schema.replace("worth", "source");
    assert_eq!(Dataset::parse(schema).unwrap_err().to_string(), "alias `source` belongs to two fields");
}

#[test]
fn a_field_that_the_writer_does_not_have_gets_its_default() {
    let decimal = r#"{ "type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12 }"#;
    let field = |default: &str| {
        format!(r#"{{ "name": "new", "type": {decimal}, "default": {default}, "doc": "." }}, {{ "name": "flags""#)
    };
    let dataset = changed(r#"{ "name": "flags""#, &field(r#""\u00ff\u0001""#));
    let rows = read(&dataset, &contract::dataset("observation").unwrap().schema, &body(&[])).unwrap();
    let Column::Decimal(values) = rows.column(dataset.position("new").unwrap()) else { panic!("a decimal") };
    assert_eq!(values[0].unwrap().to_string(), "-0.000000000255");
    for default in [r#""""#, r#""\u0100""#, "1", "null"] {
        let schema = dataset.schema.replace(r#""\u00ff\u0001""#, default);
        let error = Dataset::parse(&schema).unwrap_err().to_string();
        assert_eq!(error, "field `new` has a default that is not its value", "{default}");
    }
}

#[test]
fn a_value_of_a_branch_that_does_not_fit_is_an_error_of_its_record_alone() {
    let dataset = contract::dataset("observation").unwrap();
    let schema =
        dataset.schema.replace(r#""source", "type": "string""#, r#""source", "type": ["null", "string", "int"]"#);
    let with = |branch: &[u8]| [branch, &body(&[])[5..]].concat();
    assert!(read(dataset, &schema, &with(b"\x02\x08fred")).is_ok());
    for misfit in [b"\x00".as_slice(), b"\x04\x02"] {
        let mut rows = Rows::new(dataset);
        let error = Decoder::new(dataset, &schema).unwrap().decode(&with(misfit), &mut rows).unwrap_err();
        let what = "a value is of a type that the dataset does not have";
        assert_eq!(error, DecodeError::Malformed { field: "source".to_owned(), what });
        assert!(rows.is_empty());
    }
}

#[test]
fn a_unit_that_is_not_the_fields_is_refused_and_can_be_skipped() {
    let dataset = contract::dataset("observation").unwrap();
    for unit in [r#"{ "type": "long", "logicalType": "timestamp-millis" }"#, r#""long""#] {
        let schema = dataset.schema.replace(r#"{ "type": "long", "logicalType": "timestamp-micros" }"#, unit);
        let error = Decoder::new(dataset, &schema).unwrap_err();
        assert!(matches!(error, SchemaError::Incompatible { field, .. } if field == "known_at"), "{unit}");
        let schema = preceded(&format!(r#"{{ "name": "other", "type": {unit} }}"#));
        assert_eq!(read(dataset, &schema, &body(&[2])), read(dataset, &dataset.schema, &body(&[])), "{unit}");
    }
}

#[test]
fn a_decimal_of_fixed_size_and_of_another_scale_is_the_same_number() {
    let decimal = r#"{ "type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12 }"#;
    let dataset = changed(r#"["null", "double"]"#, &format!(r#"["null", {decimal}]"#));
    let fixed = r#"{ "type": "fixed", "name": "f", "size": 3, "logicalType": "decimal", "precision": 5, "scale": 2 }"#;
    let schema = dataset.schema.replace(decimal, fixed);
    let body = b"\x08fred\x06GDP\x02\x02\x00\x04\xd3\x06\x08\x00";
    let rows = read(&dataset, &schema, body).unwrap();
    let Column::Decimal(values) = rows.column(dataset.position("value").unwrap()) else { panic!("a decimal") };
    assert_eq!(values[0].unwrap().to_string(), "12.35");
}

#[test]
fn a_schema_or_a_body_that_grows_without_end_is_refused_in_little_time() {
    let dataset = contract::dataset("observation").unwrap();
    // Each type holds the next one twice: 2^36 values without a byte.
    let mut last = r#"{"type":"record","name":"t0","fields":[]}"#.to_owned();
    for at in 1..36 {
        let other = at - 1;
        last = format!(
            r#"{{"type":"record","name":"t{at}","fields":[{{"name":"a","type":{last}}},{{"name":"b","type":"t{other}"}}]}}"#
        );
    }
    let laughs = preceded(&format!(r#"{{ "name": "x", "type": {last} }}"#));
    assert!(read(dataset, &laughs, &body(&[])).unwrap_err().contains("more than 16,777,216 values"));
    let endless =
        r#"{ "name": "x", "type": { "type": "record", "name": "r", "fields": [{ "name": "r", "type": "r" }] } }"#;
    assert!(read(dataset, &preceded(endless), &body(&[])).unwrap_err().contains("nested too deeply"));
    let nulls = preceded(r#"{ "name": "x", "type": { "type": "array", "items": "null" } }"#);
    assert!(read(dataset, &nulls, &body(&[0xfe, 0xff, 0xff, 0xff, 0x7f])).is_err());
    let many = preceded(r#"{ "name": "x", "type": { "type": "array", "items": "boolean" } }"#);
    let items = [&[0xc0, 0x9a, 0x0c][..], &vec![1; 100_000], &[0]].concat();
    assert!(read(dataset, &many, &body(&items)).is_ok(), "a long list that is only skipped costs nothing");
    let twice = preceded(r#"{ "name": "source", "type": "string" }"#);
    assert!(read(dataset, &twice, &body(b"\x02x")).unwrap_err().contains("it has two fields `source`"));
}
