//! Writers' schemas, from the registry if one is configured, else from the declarations.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use contract::{Dataset, Decoder, declarations};
use service::settings;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::registry::{Registry, RegistryError};

/// Most cached schemas per topic; no topic of ours has as many.
const MAX_SCHEMAS: usize = 1000;
/// Time between two requests to the registry for a missing schema.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Why a schema is missing. Until it is found, its messages must be neither stored nor refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The registry does not answer.
    #[error("{0}")]
    Away(String),
    /// The registry does not know the id: its writer may not have registered it yet.
    #[error("{0}")]
    Unknown(String),
}

/// The decoders of one dataset, by the schema id in a message.
///
/// A declared id never asks the registry. Any other id is the registry's, or of before declared ids had a range of their
/// own. Each schema is fetched once. A missing schema is requested every [`RETRY_INTERVAL`], however many messages need
/// it.
#[derive(Debug)]
pub struct Schemas {
    dataset: &'static Dataset,
    registry: Option<Registry>,
    known: HashMap<u32, Known>,
    /// Ids that were missing at the last request; None stands for all ids while the registry is unavailable.
    missing: HashMap<Option<u32>, (Instant, Missing)>,
}

/// What is known of a schema id.
#[derive(Debug)]
struct Known {
    /// An error is the reason why the schema does not fit the dataset.
    decoder: Result<Decoder, String>,
    /// When to ask the registry again: it does not know the id, but an old declaration does.
    until: Option<Instant>,
}

impl Schemas {
    /// Creates the decoders of a dataset.
    pub fn new(dataset: &'static Dataset, registry: Option<Registry>) -> Schemas {
        Schemas { dataset, registry, known: HashMap::new(), missing: HashMap::new() }
    }

    /// The decoder for a schema id. The inner error is the reason why such a message can never be read.
    ///
    /// Blocks during a request to the registry: do not call it on a thread of the runtime. Without a registry it knows
    /// the declared schemas, and any other id is an inner error.
    ///
    /// # Errors
    ///
    /// [`Missing`]: retry later.
    pub fn decoder(&mut self, id: u32, runtime: &Handle) -> Result<Result<&Decoder, &str>, Missing> {
        let is_current = |known: &Known| known.until.is_none_or(|until| Instant::now() < until);
        if !self.known.get(&id).is_some_and(is_current) {
            let known = self.resolve(id, runtime)?;
            if self.known.len() >= MAX_SCHEMAS {
                self.known.clear();
            }
            self.known.insert(id, known);
        }
        Ok(self.known[&id].decoder.as_ref().map_err(String::as_str))
    }

    fn resolve(&mut self, id: u32, runtime: &Handle) -> Result<Known, Missing> {
        let registry = self.registry.as_ref().filter(|_| id < declarations::FIRST_SCHEMA_ID).cloned();
        let Some(registry) = registry else { return Ok(Known { decoder: self.declared(id), until: None }) };
        match self.fetched(id, &registry, runtime) {
            Ok(schema) => Ok(Known { decoder: self.either(&schema, id), until: None }),
            Err(Missing::Unknown(_)) if !declarations::writers(self.dataset, id).is_empty() => {
                Ok(Known { decoder: self.declared(id), until: Some(Instant::now() + RETRY_INTERVAL) })
            }
            Err(missing) => Err(missing),
        }
    }

    fn fetched(&mut self, id: u32, registry: &Registry, runtime: &Handle) -> Result<String, Missing> {
        self.missing.retain(|_, (since, _)| since.elapsed() < RETRY_INTERVAL);
        if let Some((_, missing)) = self.missing.get(&None).or_else(|| self.missing.get(&Some(id))) {
            return Err(missing.clone());
        }
        let (about, missing) = match runtime.block_on(registry.schema(id)) {
            Ok(schema) => return Ok(schema),
            Err(error @ RegistryError::UnknownId { .. }) => (Some(id), Missing::Unknown(error.to_string())),
            Err(error) => (None, Missing::Away(error.to_string())),
        };
        self.missing.insert(about, (Instant::now(), missing.clone()));
        Err(missing)
    }

    /// For the registry's schema, and for the old declaration that had the same id: the bytes say which one it was.
    fn either(&self, schema: &str, id: u32) -> Result<Decoder, String> {
        let declared = declarations::writers(self.dataset, id);
        let decoder = Decoder::of_any(self.dataset, std::iter::once(schema).chain(declared));
        decoder.map_err(|error| error.to_string())
    }

    fn declared(&self, id: u32) -> Result<Decoder, String> {
        let writers = declarations::writers(self.dataset, id);
        if !writers.is_empty() {
            return Decoder::of_any(self.dataset, writers).map_err(|error| error.to_string());
        }
        Err(match declarations::of_schema_id(id) {
            Some(other) => format!("schema id {id} is `{other}`, not `{}`", self.dataset.name),
            None if id < declarations::FIRST_SCHEMA_ID => format!(
                "schema id {id} is a registry's, and no schema registry is configured: set {} and redrive",
                settings::SCHEMA_REGISTRY_URL.name
            ),
            None => format!("schema id {id} is not declared in this version: upgrade tapedeck and redrive"),
        })
    }
}

#[cfg(test)]
mod tests;
