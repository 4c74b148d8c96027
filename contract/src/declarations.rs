//! The declared datasets, by name.

use std::sync::LazyLock;

use crate::dataset::Dataset;
use crate::records::DECLARATIONS;

/// All datasets, in the order of their schema ids.
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

/// The dataset of that name.
pub fn dataset(name: &str) -> Option<&'static Dataset> {
    datasets().iter().find(|dataset| dataset.name == name)
}
