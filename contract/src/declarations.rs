//! The declared datasets, by name, and the schemas that their records were written with, by id.

use std::sync::LazyLock;

use serde_json::Value;

use crate::dataset::Dataset;
use crate::records::{DECLARATIONS, PAST};

/// Declared schema ids begin here. A registry numbers its schemas with positive 32-bit integers, so that none of its ids
/// is as high.
///
/// Only the declarations of before this rule have lower ids. They are all in `schemas/past/`.
pub const FIRST_SCHEMA_ID: u32 = 1 << 31;

/// All datasets, in the order of their schema ids.
///
/// The first call reads the declarations that are compiled in; every later call returns the same slice.
pub fn datasets() -> &'static [Dataset] {
    static DATASETS: LazyLock<Vec<Dataset>> = LazyLock::new(|| {
        let mut all: Vec<Dataset> = DECLARATIONS
            .iter()
            .map(|text| Dataset::parse(text).expect("the test `declared` holds every declaration well-formed"))
            .collect();
        all.sort_by_key(|dataset| dataset.schema_id);
        all
    });
    &DATASETS
}

/// An earlier version of a declaration. Records of it can be on a topic.
#[derive(Debug)]
pub struct Version {
    /// The name of its dataset.
    pub dataset: String,
    /// Its id on the wire. Two versions of `fetch_log` have the same, by mistake.
    pub schema_id: u32,
    /// The declaration as written.
    pub schema: &'static str,
}

/// All earlier versions, as in `schemas/past/`.
pub fn past() -> &'static [Version] {
    static VERSIONS: LazyLock<Vec<Version>> =
        LazyLock::new(|| PAST.iter().filter_map(|schema| version(schema)).collect());
    &VERSIONS
}

fn version(schema: &'static str) -> Option<Version> {
    let json: Value = serde_json::from_str(schema).ok()?;
    let schema_id = u32::try_from(json.get("schema_id")?.as_u64()?).ok()?;
    Some(Version { dataset: json.get("name")?.as_str()?.to_owned(), schema_id, schema })
}

/// The schemas that the id stands for on the topic of a dataset, when no registry gave the id: none, one, or several of
/// which [`Decoder::of_any`](crate::Decoder::of_any) finds the writer's.
pub fn writers(dataset: &Dataset, schema_id: u32) -> Vec<&str> {
    let current = (dataset.schema_id == schema_id).then_some(dataset.schema.as_str());
    let is_it = |version: &&Version| version.dataset == dataset.name && version.schema_id == schema_id;
    current.into_iter().chain(past().iter().filter(is_it).map(|version| version.schema)).collect()
}

/// Header of a message with a registry's id: that id, and the declared id of the same schema, as `7=2147483692`.
///
/// The message is so readable without the registry. The registry's id is in it because programs that copy headers to
/// records of their own write these with another id.
pub const SCHEMA_HEADER: &str = "tapedeck-schema";

/// The value of [`SCHEMA_HEADER`] in a dataset's messages; None where their id is the declared one.
pub fn schema_header(dataset: &Dataset, schema_id: u32) -> Option<String> {
    (schema_id != dataset.schema_id).then(|| format!("{schema_id}={}", dataset.schema_id))
}

/// The declared id that [`SCHEMA_HEADER`] names for a message's schema id; else the id itself.
pub fn declared_id<'a>(dataset: &Dataset, schema_id: u32, header: impl FnOnce() -> Option<&'a [u8]>) -> u32 {
    if schema_id >= FIRST_SCHEMA_ID {
        return schema_id;
    }
    let named = || {
        let (of_registry, declared) = std::str::from_utf8(header()?).ok()?.split_once('=')?;
        let declared = declared.parse().ok().filter(|declared| *declared >= FIRST_SCHEMA_ID)?;
        let is_of_message = of_registry.parse() == Ok(schema_id);
        // One of a later version is not known here.
        (is_of_message && !writers(dataset, declared).is_empty()).then_some(declared)
    };
    named().unwrap_or(schema_id)
}

/// The name of the dataset that has or had the schema id.
pub fn of_schema_id(schema_id: u32) -> Option<&'static str> {
    let current = datasets().iter().find(|dataset| dataset.schema_id == schema_id).map(|dataset| dataset.name.as_str());
    current.or_else(|| past().iter().find(|past| past.schema_id == schema_id).map(|past| past.dataset.as_str()))
}

/// The id of the first version of a dataset, which no later version changes.
pub fn first_schema_id(dataset: &Dataset) -> u32 {
    let of_past = past().iter().filter(|past| past.dataset == dataset.name).map(|past| past.schema_id);
    of_past.chain([dataset.schema_id]).min().unwrap_or(dataset.schema_id)
}

/// The dataset of that name, e.g. `ohlcv_bar`; None when no declaration has the name.
pub fn dataset(name: &str) -> Option<&'static Dataset> {
    datasets().iter().find(|dataset| dataset.name == name)
}

/// The dataset of a name that somebody typed.
///
/// # Errors
///
/// One line with the names of all datasets, when no declaration has this one.
pub fn named(name: &str) -> Result<&'static Dataset, String> {
    let known = || datasets().iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", ");
    dataset(name).ok_or_else(|| format!("there is no dataset `{name}`; there are: {}", known()))
}

#[cfg(test)]
mod tests;
