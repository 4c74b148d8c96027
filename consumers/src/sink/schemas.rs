//! The schemas of a dataset's writers, kept in the database that the records go to.

use contract::Dataset;
use kafka::registry::Registry;
use kafka::schemas::{Keeper, Schemas};
use store::{Database, writer_schemas};
use tokio::runtime::Handle;

/// Finds the schemas of a dataset's messages for a process that fills the database.
pub(crate) fn kept_in(database: &Database, dataset: &'static Dataset, registry: Option<Registry>) -> Schemas {
    let keeper = InDatabase { database: database.clone(), writes: true };
    Schemas::new(dataset, registry, Some(Box::new(keeper)))
}

/// The same for a command that only reads: it keeps nothing.
pub(crate) fn read_from(database: &Database, dataset: &'static Dataset, registry: Option<Registry>) -> Schemas {
    let keeper = InDatabase { database: database.clone(), writes: false };
    Schemas::new(dataset, registry, Some(Box::new(keeper)))
}

/// The table `writer_schema`.
#[derive(Debug)]
struct InDatabase {
    database: Database,
    writes: bool,
}

impl Keeper for InDatabase {
    fn kept(&self, runtime: &Handle) -> Result<Vec<(u32, String)>, String> {
        let mut store = self.database.store("schemas");
        runtime.block_on(writer_schemas::all(&mut *store)).map_err(|error| error.to_string())
    }

    fn keep(&self, id: u32, schema: &str, runtime: &Handle) -> Result<(), String> {
        if !self.writes {
            return Ok(());
        }
        let mut store = self.database.store("schemas");
        runtime.block_on(writer_schemas::keep(&mut *store, id, schema)).map_err(|error| error.to_string())
    }
}
