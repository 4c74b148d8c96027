//! The declared datasets, by name.

use std::sync::LazyLock;

use crate::dataset::Dataset;
use crate::records::DECLARATIONS;

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
