//! The views that the migrations create, and refreshing those that PostgreSQL materializes.

use std::time::{Duration, Instant};

use crate::Database;
use crate::migrations;
use crate::outcome::StoreError;

/// A view that was brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// Its name.
    pub view: String,
    /// How long it took.
    pub duration: Duration,
}

impl Database {
    /// The names of the views that the migrations create, in their order.
    #[must_use]
    pub fn views(&self) -> Vec<String> {
        migrations::views_of(&self.migrations).into_iter().map(|view| view.name).collect()
    }

    /// Brings the materialized views up to date, the named ones or all. Their readers do not wait.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when there is no such view, or the database refuses it.
    pub async fn refresh(&self, names: &[String]) -> Result<Vec<Refreshed>, StoreError> {
        let views = migrations::views_of(&self.migrations).into_iter();
        let known: Vec<String> = views.filter(|view| view.is_materialized).map(|view| view.name).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name) && !self.views().contains(name)) {
            let all = self.views().join(", ");
            return Err(StoreError::Halt(format!("there is no view `{unknown}`: choose one of {all}")));
        }
        let mut store = self.store("refresh");
        // A large table takes minutes to read.
        if let Some(no_time_limit) = store.syntax().no_time_limit {
            store.rows(no_time_limit.to_owned(), &[]).await?;
        }
        let mut refreshed = Vec::new();
        for view in known.into_iter().filter(|view| names.is_empty() || names.contains(view)) {
            let start = Instant::now();
            let statement = format!("refresh materialized view concurrently {view}");
            store.rows(statement, &[]).await.map_err(|error| match error {
                StoreError::Halt(reason) => StoreError::Halt(format!("view `{view}` is not refreshed: {reason}")),
                other => other,
            })?;
            refreshed.push(Refreshed { view, duration: start.elapsed() });
        }
        Ok(refreshed)
    }
}
