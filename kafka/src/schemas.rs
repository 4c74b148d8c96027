//! Writers' schemas: from the declarations, from the registry if one is configured, and from what a registry gave before.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use contract::{Dataset, Decoder, declarations};
use serde_json::Value;
use service::settings;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::registry::{Registry, RegistryError};

/// Most cached schemas per topic; no topic of ours has as many.
const MAX_SCHEMAS: usize = 1000;
/// Time between two requests to the registry for a missing schema.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// The same while a kept schema stands in for it: a request can take 5 seconds, and no record waits for its answer.
const KEPT_INTERVAL: Duration = Duration::from_mins(1);
/// Most schemas that are kept for one id: each registry in turn gave another.
const MAX_KEPT: usize = 8;

/// Keeps what a registry gave, so that records stay readable when it is switched off, gone or replaced.
pub trait Keeper: Debug + Send {
    /// All schemas that are kept, each with its id. An id has several if registries gave different ones.
    ///
    /// # Errors
    ///
    /// One line: what is not available.
    fn kept(&self, runtime: &Handle) -> Result<Vec<(u32, String)>, String>;

    /// Keeps a schema; idempotent.
    ///
    /// # Errors
    ///
    /// As [`Keeper::kept`].
    fn keep(&self, id: u32, schema: &str, runtime: &Handle) -> Result<(), String>;
}

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
///
/// A schema that the registry gives is kept before a record is read with it. A kept schema stands in for the registry.
/// If the registry gives another one for its id, the bytes of each record decide between the two ([`Decoder::of_any`]).
#[derive(Debug)]
pub struct Schemas {
    dataset: &'static Dataset,
    registry: Option<Registry>,
    keeper: Option<Box<dyn Keeper>>,
    /// What the keeper had, and when.
    kept: Option<(Instant, HashMap<u32, Vec<String>>)>,
    known: HashMap<u32, Known>,
    /// Ids that were missing at the last request; None stands for all ids while the registry is unavailable.
    missing: HashMap<Option<u32>, (Instant, Missing)>,
}

/// What is known of a schema id.
#[derive(Debug)]
struct Known {
    /// An error is the reason why the schema does not fit the dataset.
    decoder: Result<Decoder, String>,
    /// When to ask again: the id is not the registry's, or the registry did not answer.
    until: Option<Instant>,
}

impl Schemas {
    /// Creates the decoders of a dataset.
    pub fn new(dataset: &'static Dataset, registry: Option<Registry>, keeper: Option<Box<dyn Keeper>>) -> Schemas {
        Schemas { dataset, registry, keeper, kept: None, known: HashMap::new(), missing: HashMap::new() }
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
        if id >= declarations::FIRST_SCHEMA_ID {
            return Ok(Known { decoder: self.any(id, &[]), until: None });
        }
        let kept = self.kept(id, runtime).map_err(Missing::Away)?;
        let until = |interval| Some(Instant::now() + interval);
        let Some(registry) = self.registry.clone() else {
            // A process that has the registry can keep it meanwhile.
            return Ok(Known { decoder: self.any(id, &kept), until: until(RETRY_INTERVAL) });
        };
        match self.fetched(id, &registry, runtime) {
            Ok(schema) => Ok(Known { decoder: self.given(id, schema, kept, runtime)?, until: None }),
            Err(_) if !kept.is_empty() => Ok(Known { decoder: self.any(id, &kept), until: until(KEPT_INTERVAL) }),
            Err(Missing::Unknown(_)) if !declarations::writers(self.dataset, id).is_empty() => {
                Ok(Known { decoder: self.any(id, &[]), until: until(RETRY_INTERVAL) })
            }
            Err(missing) => Err(missing),
        }
    }

    /// The schemas that are kept for an id.
    fn kept(&mut self, id: u32, runtime: &Handle) -> Result<Vec<String>, String> {
        let Some(keeper) = &self.keeper else { return Ok(Vec::new()) };
        let is_fresh = |(since, _): &(Instant, _)| since.elapsed() < RETRY_INTERVAL;
        if !self.kept.as_ref().is_some_and(is_fresh) {
            let mut by_id = HashMap::<u32, Vec<String>>::new();
            for (id, schema) in keeper.kept(runtime)? {
                by_id.entry(id).or_default().push(schema);
            }
            self.kept = Some((Instant::now(), by_id));
        }
        Ok(self.kept.as_ref().and_then(|(_, by_id)| by_id.get(&id)).cloned().unwrap_or_default())
    }

    /// For the registry's schema, which is kept if records can be read with it.
    fn given(
        &mut self,
        id: u32,
        schema: String,
        mut kept: Vec<String>,
        runtime: &Handle,
    ) -> Result<Result<Decoder, String>, Missing> {
        if !kept.iter().any(|kept| is_same(kept, &schema)) {
            if !kept.is_empty() {
                tracing::warn!(
                    schema_id = id,
                    dataset = self.dataset.name,
                    "the schema registry gives another schema than before for this id; each record is read with the one \
                     that fits its bytes: check the address of the registry, or whether it was replaced"
                );
            }
            let is_readable = Decoder::new(self.dataset, &schema).is_ok();
            if let Some(keeper) = self.keeper.as_ref().filter(|_| is_readable && kept.len() < MAX_KEPT) {
                keeper.keep(id, &schema, runtime).map_err(Missing::Away)?;
                self.kept = None;
            }
            kept.insert(0, schema);
        }
        Ok(self.any(id, &kept))
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

    /// For all schemas that the id stands for, the declared ones among them: the bytes say which one it was.
    fn any(&self, id: u32, others: &[String]) -> Result<Decoder, String> {
        let declared = declarations::writers(self.dataset, id);
        if !declared.is_empty() || !others.is_empty() {
            let all = others.iter().map(String::as_str).chain(declared);
            return Decoder::of_any(self.dataset, all).map_err(|error| error.to_string());
        }
        Err(match declarations::of_schema_id(id) {
            Some(other) => format!("schema id {id} is `{other}`, not `{}`", self.dataset.name),
            None if id < declarations::FIRST_SCHEMA_ID => format!(
                "schema id {id} is a registry's, is not kept, and no schema registry is configured: set {} and redrive",
                settings::SCHEMA_REGISTRY_URL.name
            ),
            None => format!("schema id {id} is not declared in this version: upgrade tapedeck and redrive"),
        })
    }
}

/// Whether two texts are one schema: registries write the same JSON in different ways.
fn is_same(left: &str, right: &str) -> bool {
    let json = |text| serde_json::from_str::<Value>(text).ok();
    left == right || json(left).is_some_and(|left| Some(left) == json(right))
}

#[cfg(test)]
mod tests;
