//! Writers' schemas: from the declarations, or from the registry when one is configured.

use std::collections::HashMap;

use contract::{Dataset, Decoder, datasets};
use service::registry::{Registry, RegistryError};
use tokio::runtime::Handle;

/// Most schemas of one topic that are kept; a topic with more is not one of ours.
const MAX_SCHEMAS: usize = 1000;

/// Decoders of one dataset by the id on the wire.
#[derive(Debug)]
pub struct Schemas {
    dataset: &'static Dataset,
    registry: Option<Registry>,
    /// None: there is no such schema, or it does not fit; with the reason.
    known: HashMap<u32, Result<Decoder, String>>,
}

impl Schemas {
    /// For messages of that dataset.
    pub fn new(dataset: &'static Dataset, registry: Option<Registry>) -> Schemas {
        Schemas { dataset, registry, known: HashMap::new() }
    }

    /// The decoder for that id; the inner error says why such a message cannot be read.
    ///
    /// Must not be called on a thread of the runtime. An outer error means that the registry is not available.
    pub fn decoder(&mut self, id: u32, runtime: &Handle) -> Result<Result<&Decoder, &str>, RegistryError> {
        if !self.known.contains_key(&id) {
            let resolved = match &self.registry {
                None => self.declared(id),
                Some(registry) => match runtime.block_on(registry.schema(id)) {
                    Ok(schema) => Decoder::new(self.dataset, &schema).map_err(|error| error.to_string()),
                    Err(error @ RegistryError::UnknownId { .. }) => Err(error.to_string()),
                    Err(error) => return Err(error),
                },
            };
            if self.known.len() >= MAX_SCHEMAS {
                self.known.clear();
            }
            self.known.insert(id, resolved);
        }
        Ok(self.known[&id].as_ref().map_err(String::as_str))
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
