//! What a database holds, at a glance.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{Dataset, datasets};

use crate::Database;
use crate::outcome::StoreError;

impl Database {
    /// Number of rows of each dataset's table. Reads whole tables, or an index of each.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the database cannot be reached, or a table is missing.
    pub async fn counts(&self) -> Result<Vec<(&'static Dataset, u64)>, StoreError> {
        let count = |dataset: &Dataset| format!("select '{0}' as name, count(*) as n from {0}", dataset.name);
        let counts: Vec<String> = datasets().iter().map(count).collect();
        let found = self.query(&counts.join(" union all ")).await?;
        let counted = |row: &Vec<Option<String>>| {
            let [Some(name), Some(count)] = row.as_slice() else { return None };
            Some((contract::dataset(name)?, count.parse().ok()?))
        };
        Ok(found.rows.iter().filter_map(counted).collect())
    }

    /// How far the database's clock is ahead of this machine's.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the database cannot be reached.
    pub async fn clock_ahead(&self) -> Result<TimeDelta, StoreError> {
        let found = self.query(&format!("select {} as now", self.backend.syntax().now)).await?;
        let text = found.rows.into_iter().flatten().flatten().next().unwrap_or_default();
        let time = DateTime::parse_from_rfc3339(&text);
        let time = time.map_err(|_| StoreError::Halt(format!("the database's clock says `{text}`")))?;
        Ok(time.to_utc() - Utc::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tables_are_counted_and_the_clock_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(&format!("sqlite:{}", folder.path().join("x.db").display())).unwrap();
        database.migrate().await.unwrap();
        let counts = database.counts().await.unwrap();
        assert_eq!(counts.len(), datasets().len());
        assert!(counts.iter().all(|(_, count)| *count == 0));
        let ahead = database.clock_ahead().await.unwrap();
        assert!(ahead.abs() < TimeDelta::minutes(1), "{ahead}");
    }
}
