//! A connection that is opened on first use and never used again after an error.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::dialect::{Care, Dialect};
use crate::outcome::{RetryClass, StoreError};

/// A slot that holds a connection between uses.
pub(crate) type Slot<C> = Arc<Mutex<Option<C>>>;

/// One user of a database's connection.
pub(crate) struct Session<D: Dialect> {
    pub(crate) dialect: D,
    pub(crate) care: Care,
    /// Whether the caller has removed the time limit of the session's statements.
    pub(crate) is_unlimited: bool,
    slot: Slot<D::Connection>,
}

/// The connection, taken out of its slot. When it is not put back, after an error or because the future was dropped, it
/// is closed: no statement can run in a lost transaction.
pub(crate) struct Lease<C> {
    slot: OwnedMutexGuard<Option<C>>,
    connection: C,
}

impl<D: Dialect> Session<D> {
    pub(crate) fn new(dialect: D, slot: Slot<D::Connection>) -> Session<D> {
        Session { dialect, care: Care::NONE, is_unlimited: false, slot }
    }

    /// Our time limit for a request: a little longer than the server's own.
    pub(crate) fn limit(&self) -> Option<Duration> {
        D::ATTEMPT_TIMEOUT.filter(|_| !self.is_unlimited)
    }

    /// Takes the connection out of its slot, or opens one.
    pub(crate) async fn lease(&self) -> Result<Lease<D::Connection>, StoreError> {
        let mut slot = self.slot.clone().lock_owned().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.dialect.connect().await?,
        };
        Ok(Lease { slot, connection })
    }
}

impl<C> Lease<C> {
    /// Puts the connection back for the next use.
    pub(crate) fn give_back(mut self) {
        *self.slot = Some(self.connection);
    }
}

impl<C> Deref for Lease<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

/// Ends a request that the database does not answer, because a broken network reports no error.
pub(crate) async fn bounded<T, E: From<StoreError>>(
    limit: Option<Duration>,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(limit) = limit else { return request.await };
    tokio::time::timeout(limit, request).await.unwrap_or_else(|_| {
        let reason = format!("the database has been silent for {} s", limit.as_secs());
        Err(StoreError::Retry { class: RetryClass::Timeout, reason }.into())
    })
}
