//! The sources, one folder a provider. To add one, see the front page of the crate.

pub mod cboe;
pub mod eodhd;
pub mod file;
pub mod fmp;
pub mod fred;
pub mod ici;
pub mod newsapi;
pub mod sec_edgar;
pub mod yahoo;

use contract::settings::Variable;

use crate::source::{Source, list};

/// All sources, by name.
pub const SOURCES: &[Source] = &[
    cboe::SOURCE,
    eodhd::SOURCE,
    file::SOURCE,
    fmp::SOURCE,
    fred::SOURCE,
    ici::SOURCE,
    newsapi::SOURCE,
    sec_edgar::SOURCE,
    yahoo::SOURCE,
];

/// Finds a source by its name; the error lists the names of all sources.
pub fn source(name: &str) -> Result<&'static Source, String> {
    source_among(SOURCES, name)
}

/// Finds a source in a list; the error lists their names. For tests with a source of their own.
pub fn source_among(sources: &'static [Source], name: &str) -> Result<&'static Source, String> {
    sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
        format!("unknown source `{name}`; the sources are {}", list(&names))
    })
}

/// The environment variables of all sources: addresses, keys, quotas.
pub fn variables() -> Vec<Variable> {
    let of_source = |source: &'static Source| {
        let others = source.other_bases().into_iter().map(|base| base.variable());
        let quota = source.quota.map(|quota| quota.variable());
        std::iter::once(source.base_url_variable()).chain(others).chain(source.key_variable()).chain(quota)
    };
    SOURCES.iter().flat_map(of_source).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        let error = source("freddy").unwrap_err();
        let names = SOURCES.iter().map(|source| format!("`{}`", source.name)).collect::<Vec<_>>().join(", ");
        assert_eq!(error, format!("unknown source `freddy`; the sources are {names}"));
        let error = source("fred").unwrap().endpoint("x").unwrap_err();
        assert_eq!(
            error,
            "unknown endpoint `x` of source `fred`; its endpoints are `observations`, `series`, `vintages`, `vintage_dates`"
        );
    }

    #[test]
    fn every_variable_of_the_sources_is_listed_and_keys_are_secret() {
        let variables = variables();
        let secret = |name| variables.iter().find(|variable| variable.name == name).map(|variable| variable.secret);
        for source in SOURCES {
            assert_eq!(secret(source.base_url_env), Some(false), "{}", source.name);
            for base in source.other_bases() {
                assert_eq!(secret(base.env), Some(false), "{}", source.name);
            }
            if let Some(key) = source.key_variable() {
                assert_eq!(secret(key.name), Some(key.secret), "{}", source.name);
            }
        }
        assert_eq!(secret("FRED_API_KEY"), Some(true));
        let names: HashSet<&str> = variables.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), variables.len(), "a variable is listed twice");
    }

    #[test]
    fn every_endpoint_names_datasets_that_exist() {
        for endpoint in SOURCES.iter().flat_map(|source| source.endpoints) {
            assert!(!endpoint.datasets.is_empty(), "{}", endpoint.name);
            assert!(endpoint.datasets.iter().all(|name| contract::dataset(name).is_some()), "{}", endpoint.name);
        }
    }
}
