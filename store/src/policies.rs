//! What TimescaleDB does with old chunks by itself: it compresses them, or removes them with their rows. Only its
//! community edition does. Nothing of it happens unless an operator asks for it.

use contract::Dataset;

use crate::Database;
use crate::hypertables::{Declared, Layout, declared};
use crate::outcome::StoreError;
use crate::sql::Layer;

/// From which age on something is done with a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// So many days after its end.
    Days(u32),
    /// Never.
    Off,
}

/// What to change; None leaves it as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policies {
    /// When chunks of rows and revisions are compressed.
    pub compress_after: Option<Age>,
    /// When chunks of rows are removed. Revisions never are.
    pub retain: Option<Age>,
}

/// A change of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStep {
    /// What it does, for a person.
    pub shown: String,
    /// Whether rows go.
    pub removes_rows: bool,
    statements: Vec<String>,
}

impl Database {
    /// The changes that give datasets these policies. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Halt`] when the database cannot do it, or a dataset has no rows that get old.
    pub async fn policy_steps(
        &self,
        datasets: &[&'static Dataset],
        policies: Policies,
    ) -> Result<Vec<PolicyStep>, StoreError> {
        let halt = |reason: String| Err(StoreError::Halt(reason));
        match self.timescale().await? {
            None => return halt("compression and retention need TimescaleDB, which this database has not".to_owned()),
            Some(timescale) if !timescale.has_policies() => {
                return halt(format!(
                    "compression and retention need the community edition of TimescaleDB, and {} here is the Apache \
                     edition",
                    timescale.version
                ));
            }
            Some(_) => {}
        }
        let is_timeless = |dataset: &&&Dataset| policies.retain.is_some() && dataset.time.is_none();
        if let Some(dataset) = datasets.iter().find(is_timeless) {
            return halt(format!("`{}` has no time, so its rows do not get old: leave it out", dataset.name));
        }
        let layouts = self.layouts().await?;
        let mut steps = Vec::new();
        for one in declared().filter(|one| datasets.iter().any(|dataset| dataset.name == one.dataset.name)) {
            let table = one.table();
            let Some(layout) = layouts.iter().find(|layout| layout.table == table && layout.chunks.is_some()) else {
                return halt(format!("`{table}` is not a hypertable: call `migrate up` first"));
            };
            steps.extend(policies.compress_after.map(|age| compression(&one, layout, age)));
            if let Some(age) = policies.retain.filter(|_| one.layer() == Layer::Current) {
                steps.push(self.retention(&table, age).await?);
            }
        }
        Ok(steps)
    }

    /// Does one of [`Database::policy_steps`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] or [`StoreError::Halt`] when the database does not do it; then nothing has changed.
    pub async fn apply_policy(&self, step: &PolicyStep) -> Result<(), StoreError> {
        let mut store = self.store("migrate");
        let statements = step.statements.iter().map(String::as_str);
        for statement in ["begin"].into_iter().chain(statements).chain(["commit"]) {
            store.rows(statement.to_owned(), &[]).await?;
        }
        Ok(())
    }

    async fn retention(&self, table: &str, age: Age) -> Result<PolicyStep, StoreError> {
        let remove = format!("select remove_retention_policy('{table}', if_exists => true)::text");
        let Age::Days(days) = age else {
            let shown = format!("`{table}`: keep all rows");
            return Ok(PolicyStep { shown, removes_rows: false, statements: vec![remove] });
        };
        let query = format!(
            "select concat(count(*) filter (where range_end <= now() - interval '{days} days'), ' of ', count(*)) \
             from timescaledb_information.chunks where hypertable_name = $1 and hypertable_schema = current_schema()"
        );
        let rows = self.store("migrate").rows(query, &[table]).await?;
        let now = rows.into_iter().flatten().flatten().next().unwrap_or_default();
        let add = format!("select add_retention_policy('{table}', drop_after => interval '{days} days')::text");
        let shown = format!(
            "`{table}`: remove chunks that ended {days} days ago or earlier, with their rows; now {now} chunks"
        );
        Ok(PolicyStep { shown, removes_rows: true, statements: vec![remove, add] })
    }
}

fn compression(one: &Declared, layout: &Layout, age: Age) -> PolicyStep {
    let table = one.table();
    let remove = format!("select remove_compression_policy('{table}', if_exists => true)::text");
    let Age::Days(days) = age else {
        let shown = format!("`{table}`: compress no more chunks; those that are compressed stay so");
        return PolicyStep { shown, removes_rows: false, statements: vec![remove] };
    };
    let (segment, order) = one.compression();
    let enable = format!(
        "alter table {table} set (timescaledb.compress, timescaledb.compress_segmentby = '{segment}', \
         timescaledb.compress_orderby = '{order}')"
    );
    let add = format!("select add_compression_policy('{table}', compress_after => interval '{days} days')::text");
    let is_enabled = layout.chunks.as_ref().is_some_and(|chunks| chunks.is_compressible);
    let statements = (!is_enabled).then_some(enable).into_iter().chain([remove, add]).collect();
    let shown = format!("`{table}`: compress chunks that ended {days} days ago or earlier, in segments by {segment}");
    PolicyStep { shown, removes_rows: false, statements }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypertables::Chunks;

    fn statements(age: Age, is_compressible: bool) -> Vec<String> {
        let one = declared().find(|one| one.table() == "ohlcv_bar_revision").unwrap();
        let (compress_after, drop_after, removed_before) = (None, None, None);
        let (seconds, number, compressed) = (1, 1, 0);
        let chunks =
            Chunks { seconds, number, compressed, is_compressible, compress_after, drop_after, removed_before };
        let (table, column) = (one.table(), "known_at".to_owned());
        let layout = Layout { table, column, chunk_days: 1, bytes: 0, is_owned: true, chunks: Some(chunks) };
        compression(&one, &layout, age).statements
    }

    #[test]
    fn compression_is_set_up_once_and_a_policy_replaces_the_one_before() {
        let enable = "alter table ohlcv_bar_revision set (timescaledb.compress, \
            timescaledb.compress_segmentby = 'source, symbol, bar_interval', \
            timescaledb.compress_orderby = 'ts_start desc, known_at desc, observed_at desc, content_hash desc')";
        let remove = "select remove_compression_policy('ohlcv_bar_revision', if_exists => true)::text";
        let add = "select add_compression_policy('ohlcv_bar_revision', compress_after => interval '30 days')::text";
        assert_eq!(statements(Age::Days(30), false), [enable, remove, add]);
        assert_eq!(statements(Age::Days(30), true), [remove, add]);
        assert_eq!(statements(Age::Off, true), [remove]);
    }
}
