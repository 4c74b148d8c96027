//! Writes `contract/src/records.rs` from the declarations.

use std::fmt::Write as _;

use contract::{Dataset, Field, Kind};

/// Rust source of the record types of these datasets. With each dataset stands the name of its declaration; `past` names
/// the declarations of earlier versions.
pub fn records(datasets: &[(String, Dataset)], past: &[String]) -> String {
    let mut out = String::from(HEAD);
    out.push_str("/// The declarations, as in `schemas/`.\npub(crate) const DECLARATIONS: &[&str] = &[\n");
    for (file, _) in datasets {
        writeln!(out, "    include_str!(\"../../schemas/{file}\"),").expect("string");
    }
    out.push_str("];\n\n");
    out.push_str("/// Their earlier versions, as in `schemas/past/`.\npub(crate) const PAST: &[&str] = &[\n");
    for file in past {
        writeln!(out, "    include_str!(\"../../schemas/past/{file}\"),").expect("string");
    }
    out.push_str("];\n\n");
    enumeration(datasets, &mut out);
    for (_, dataset) in datasets {
        structure(dataset, &mut out);
    }
    out
}

const HEAD: &str = "\
// Generated from schemas/*.avsc: `UPDATE=1 cargo test --release` writes it anew. Do not edit.

//! The record type of each dataset.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::encode::{put_bytes, put_decimal, put_double, put_long, put_optional, put_texts};
use crate::text::Text;
use crate::topic::put_key_part;
use crate::value::{Value, next};

/// Day 0 of Avro's dates.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect(\"a date\");

fn put_date(date: NaiveDate, out: &mut Vec<u8>) {
    put_long(date.signed_duration_since(EPOCH).num_days(), out);
}

fn put_timestamp(timestamp: DateTime<Utc>, out: &mut Vec<u8>) {
    put_long(timestamp.timestamp_micros(), out);
}

";

/// What stands before the variants of `Record`.
const ENUMERATION: &str = "\
/// A record of any dataset; boxed, because otherwise each would be as wide as the widest.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
";

/// What stands before the datasets of `Record::from_values`.
const FROM_VALUES: &str = "\
    /// The record of that dataset with these values, one for each field in order. It takes texts and lists out of `values`.
    ///
    /// None when there is no such dataset, or a value is missing or of another kind.
    pub fn from_values(dataset: &str, values: &mut [Value]) -> Option<Record> {
        Some(match dataset {
";

fn enumeration(datasets: &[(String, Dataset)], out: &mut String) {
    out.push_str(ENUMERATION);
    for (_, dataset) in datasets {
        let name = type_name(dataset);
        writeln!(out, "    /// A record of `{}`.\n    {name}(Box<{name}>),", dataset.name).expect("string");
    }
    out.push_str("}\n\nimpl Record {\n");
    method(datasets, out, "Name of the record's dataset.", "dataset(&self) -> &'static str", |dataset| {
        format!("(_) => \"{}\"", dataset.name)
    });
    method(datasets, out, "Appends the Avro body of its message.", "encode(&self, out: &mut Vec<u8>)", |_| {
        "(record) => record.encode(out)".to_owned()
    });
    let doc = "Key of its message: the natural key without the time.";
    method(datasets, out, doc, "message_key(&self) -> String", |_| "(record) => record.message_key()".to_owned());
    out.push_str(FROM_VALUES);
    for (_, dataset) in datasets {
        let (name, type_name) = (&dataset.name, type_name(dataset));
        writeln!(out, "            \"{name}\" => {type_name}::from_values(values)?.into(),").expect("string");
    }
    out.push_str("            _ => return None,\n        })\n    }\n}\n\n");
}

/// A method of `Record` with one arm per dataset.
fn method(
    datasets: &[(String, Dataset)],
    out: &mut String,
    doc: &str,
    signature: &str,
    arm: impl Fn(&Dataset) -> String,
) {
    writeln!(out, "    /// {doc}\n    pub fn {signature} {{\n        match self {{").expect("string");
    for (_, dataset) in datasets {
        writeln!(out, "            Record::{}{},", type_name(dataset), arm(dataset)).expect("string");
    }
    out.push_str("        }\n    }\n\n");
}

fn structure(dataset: &Dataset, out: &mut String) {
    let name = type_name(dataset);
    writeln!(out, "/// {}\n#[derive(Debug, Clone, PartialEq, Serialize)]\npub struct {name} {{", dataset.doc)
        .expect("string");
    for field in &dataset.fields {
        writeln!(out, "    /// {}\n    pub {}: {},", field.doc, field.name, rust_type(field)).expect("string");
    }
    writeln!(out, "}}\n\nimpl From<{name}> for Record {{").expect("string");
    writeln!(out, "    fn from(record: {name}) -> Record {{\n        Record::{name}(Box::new(record))\n    }}\n}}\n")
        .expect("string");
    writeln!(out, "impl {name} {{").expect("string");
    encode(dataset, out);
    message_key(dataset, out);
    from_values(dataset, out);
    out.push_str("}\n\n");
}

fn encode(dataset: &Dataset, out: &mut String) {
    out.push_str("    /// Appends its Avro body.\n    pub fn encode(&self, out: &mut Vec<u8>) {\n");
    for field in &dataset.fields {
        writeln!(out, "        {};", put(field)).expect("string");
    }
    out.push_str("    }\n\n");
}

fn message_key(dataset: &Dataset, out: &mut String) {
    out.push_str("    /// Key of its message: the natural key without the time.\n");
    out.push_str("    pub fn message_key(&self) -> String {\n        let mut key = String::new();\n");
    for position in dataset.message_key() {
        let field = &dataset.fields[position];
        let borrow = if field.kind == Kind::Text { "&" } else { "" };
        writeln!(out, "        put_key_part({borrow}self.{}, &mut key);", field.name).expect("string");
    }
    out.push_str("        key\n    }\n\n");
}

fn from_values(dataset: &Dataset, out: &mut String) {
    let name = type_name(dataset);
    writeln!(out, "    fn from_values(values: &mut [Value]) -> Option<{name}> {{").expect("string");
    writeln!(out, "        let values = &mut values.iter_mut();\n        Some({name} {{").expect("string");
    for field in &dataset.fields {
        writeln!(out, "            {}: next(values)?,", field.name).expect("string");
    }
    out.push_str("        })\n    }\n");
}

/// Name of the record type: `OhlcvBar` for `ohlcv_bar`.
fn type_name(dataset: &Dataset) -> String {
    dataset.name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn rust_type(field: &Field) -> String {
    let plain = match field.kind {
        Kind::Text => "Text",
        Kind::Long => "i64",
        Kind::Double => "f64",
        Kind::Date => "NaiveDate",
        Kind::Timestamp => "DateTime<Utc>",
        Kind::Decimal => "Decimal",
        Kind::Json => "String",
        Kind::Bytes => "Vec<u8>",
        Kind::TextList => "Vec<String>",
    };
    if field.nullable { format!("Option<{plain}>") } else { plain.to_owned() }
}

fn put(field: &Field) -> String {
    let name = &field.name;
    match (field.kind, field.nullable) {
        (Kind::Text | Kind::Json, false) => format!("put_bytes(self.{name}.as_bytes(), out)"),
        (Kind::Text | Kind::Json, true) => {
            format!("put_optional(self.{name}.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out))")
        }
        (Kind::Bytes, false) => format!("put_bytes(&self.{name}, out)"),
        (Kind::Bytes, true) => format!("put_optional(self.{name}.as_deref(), out, put_bytes)"),
        (Kind::TextList, _) => format!("put_texts(&self.{name}, out)"),
        (kind, nullable) => {
            let function = match kind {
                Kind::Long => "put_long",
                Kind::Double => "put_double",
                Kind::Decimal => "put_decimal",
                Kind::Date => "put_date",
                _ => "put_timestamp",
            };
            if nullable {
                format!("put_optional(self.{name}, out, {function})")
            } else {
                format!("{function}(self.{name}, out)")
            }
        }
    }
}

/// The source as rustfmt writes it.
pub fn formatted(source: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path", root])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rustfmt, which comes with Rust, runs");
    rustfmt.stdin.take().expect("piped").write_all(source.as_bytes()).expect("rustfmt reads");
    let output = rustfmt.wait_with_output().expect("rustfmt ends");
    assert!(output.status.success(), "rustfmt refused the generated source");
    String::from_utf8(output.stdout).expect("UTF-8")
}
