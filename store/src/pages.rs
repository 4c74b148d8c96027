//! Reads a table page by page, without a transaction that lasts.

use std::sync::Arc;
use std::time::Duration;

use contract::{Dataset, Kind};
use futures::TryStreamExt as _;

use crate::database::Backend;
use crate::dialect::Connection;
use crate::line::Line;
use crate::outcome::StoreError;
use crate::rehash::key_of;
use crate::session::bounded;
use crate::sql::Layer;

/// Rows of a page: some 20 ms, so that a page's transaction keeps no vacuum waiting.
const PAGE_ROWS: usize = 10_000;
/// The same for a dataset with bytes, of which a dead letter can hold megabytes.
const PAGE_ROWS_WITH_BYTES: usize = 200;
/// How long a page may take. PostgreSQL cancels it after 30 s.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);
/// Attempts at a page: reading a large table takes hours, in which a connection can break.
const ATTEMPTS: u32 = 5;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The rows of a dataset's table, in the order of their keys.
///
/// Each page is a statement of its own. A row that is written meanwhile is read once, as it was or as it is.
#[expect(missing_debug_implementations, reason = "a connection has none")]
pub struct Pages<'a> {
    backend: Arc<dyn Backend>,
    dataset: &'a Dataset,
    layer: Layer,
    connection: Option<Box<dyn Connection>>,
    /// The last row that was read.
    last: Option<Line>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(backend: Arc<dyn Backend>, dataset: &'a Dataset, layer: Layer) -> Pages<'a> {
        Pages { backend, dataset, layer, connection: None, last: None }
    }

    /// Reads each row: its fields in order, the content hash, whether it is deleted, its place. Ends with the first error of
    /// `each`.
    ///
    /// # Errors
    ///
    /// Those of `each`, and of the database after several attempts at a page.
    pub async fn each_row<E: From<StoreError>>(
        mut self,
        mut each: impl FnMut(&Line) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut attempts = 0;
        loop {
            match bounded(Some(PAGE_PATIENCE), self.page(&mut each)).await {
                Ok(Ok(true)) => attempts = 0,
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(StoreError::Retry { .. }) if attempts < ATTEMPTS => {
                    attempts += 1;
                    self.connection = None;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the rows after the last one; returns whether there may be more.
    async fn page<E>(&mut self, each: &mut impl FnMut(&Line) -> Result<(), E>) -> Result<Result<bool, E>, StoreError> {
        let has_bytes = self.dataset.fields.iter().any(|field| field.kind == Kind::Bytes);
        let most = if has_bytes { PAGE_ROWS_WITH_BYTES } else { PAGE_ROWS };
        let after = self.last.as_ref().map(|line| key_of(self.dataset, self.layer, line));
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.backend.reader().await?),
        };
        let mut lines = connection.fetch(self.backend.page((self.dataset, self.layer), after.as_deref(), most));
        let mut rows = 0;
        while let Some(line) = lines.try_next().await? {
            if let Err(error) = each(&line) {
                return Ok(Err(error));
            }
            self.last = Some(line);
            rows += 1;
        }
        Ok(Ok(rows == most))
    }
}
