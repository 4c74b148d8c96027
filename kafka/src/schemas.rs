//! Writers' schemas, from the registry if one is configured, else from the declarations.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use contract::{Dataset, Decoder, datasets};
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
/// Each schema is fetched once. A missing schema is requested every [`RETRY_INTERVAL`], however many messages need it.
#[derive(Debug)]
pub struct Schemas {
    dataset: &'static Dataset,
    registry: Option<Registry>,
    /// An error is the reason why the schema does not fit the dataset.
    known: HashMap<u32, Result<Decoder, String>>,
    /// Ids that were missing at the last request; None stands for all ids while the registry is unavailable.
    missing: HashMap<Option<u32>, (Instant, Missing)>,
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
        if !self.known.contains_key(&id) {
            let resolved = match &self.registry {
                None => self.declared(id),
                Some(registry) => {
                    let registry = registry.clone();
                    self.fetched(id, &registry, runtime)?
                }
            };
            if self.known.len() >= MAX_SCHEMAS {
                self.known.clear();
            }
            self.known.insert(id, resolved);
        }
        Ok(self.known[&id].as_ref().map_err(String::as_str))
    }

    fn fetched(&mut self, id: u32, registry: &Registry, runtime: &Handle) -> Result<Result<Decoder, String>, Missing> {
        self.missing.retain(|_, (since, _)| since.elapsed() < RETRY_INTERVAL);
        if let Some((_, missing)) = self.missing.get(&None).or_else(|| self.missing.get(&Some(id))) {
            return Err(missing.clone());
        }
        let (about, missing) = match runtime.block_on(registry.schema(id)) {
            Ok(schema) => return Ok(Decoder::new(self.dataset, &schema).map_err(|error| error.to_string())),
            Err(error @ RegistryError::UnknownId { .. }) => (Some(id), Missing::Unknown(error.to_string())),
            Err(error) => (None, Missing::Away(error.to_string())),
        };
        self.missing.insert(about, (Instant::now(), missing.clone()));
        Err(missing)
    }

    fn declared(&self, id: u32) -> Result<Decoder, String> {
        let Some(writer) = datasets().iter().find(|dataset| dataset.schema_id == id) else {
            return Err(format!("schema id {id} is not declared, and no schema registry is configured"));
        };
        if writer.name != self.dataset.name {
            return Err(format!("schema id {id} is `{}`, not `{}`", writer.name, self.dataset.name));
        }
        Decoder::new(self.dataset, &writer.schema).map_err(|error| error.to_string())
    }
}
