//! Redrives dead letters: upserts each record and its resolution together, or neither.

use contract::Coordinate;
use contract::rows::Folded;

use super::{Batch, Fate, Name};
use crate::chunk::{Incoming, Places};
use crate::dialect::{Care, Connection, Dialect};
use crate::fault::Fault;
use crate::outcome::{StoreError, Upserted};
use crate::session::Session;
use crate::statement::Statement;

impl<D: Dialect> Session<D> {
    pub(super) async fn redrive_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Fate>, StoreError> {
        let fates = match self.redrive_once(batch).await {
            Err(Fault::Unpack(_)) => {
                self.care.unpack = true;
                self.redrive_once(batch).await
            }
            fates => fates,
        };
        self.care = Care::NONE;
        Ok(fates?)
    }

    /// One attempt to apply a batch.
    async fn redrive_once(&mut self, batch: &Batch<'_>) -> Result<Vec<Fate>, Fault> {
        let mut lease = self.lease().await?;
        lease.run(D::syntax().begin).await?;
        if let Some(judge_at_once) = D::syntax().judge_at_once {
            lease.run(judge_at_once).await?;
        }
        if let (true, Some(unpack)) = (self.care.unpack, D::syntax().unpack) {
            lease.run(unpack).await?;
        }
        let mut fates = vec![Fate::Resolved; batch.names.len()];
        let offset = |name: &Name| Coordinate::parse(&name.id).map_or(0, |at| at.offset);
        let offsets: Vec<i64> = batch.names.iter().map(offset).collect();
        for row in in_order(batch) {
            fates[row.row] = self.redrive_row(&mut lease, (batch, &offsets), row).await?;
        }
        lease.run(if batch.dry_run { "ROLLBACK" } else { "COMMIT" }).await?;
        lease.give_back();
        Ok(fates)
    }

    /// Upserts a row and records the resolution of its dead letter, or does neither.
    async fn redrive_row(
        &mut self,
        connection: &mut D::Connection,
        (batch, offsets): (&Batch<'_>, &[i64]),
        row: Folded,
    ) -> Result<Fate, Fault> {
        let (dataset, table) = (batch.target.dataset, &*batch.target.table);
        let at = |Coordinate { incarnation, partition, .. }| Places { incarnation, partition, offsets };
        let places = Coordinate::parse(&batch.names[row.row].id).map(at);
        let incoming = Incoming { dataset, table, rows: batch.rows, places };
        connection.begin_part().await?;
        let fate = match self.dialect.write(connection, incoming, &[row]).await {
            Ok(upserted) => Fate::of_upsert(upserted),
            Err(Fault::Record(cause)) => Fate::Refused(cause),
            Err(other) => return Err(other),
        };
        if let Fate::Applied(resolution) = fate {
            if resolve::<D>(connection, &batch.names[row.row], resolution).await? {
                connection.keep_part().await?;
                return Ok(fate);
            }
            connection.take_back_part().await?;
            return Ok(Fate::Resolved);
        }
        connection.take_back_part().await?;
        Ok(fate)
    }
}

impl Fate {
    /// The fate of a single upserted row.
    fn of_upsert(upserted: Upserted) -> Fate {
        Fate::Applied(match upserted {
            Upserted { written: 0, .. } => "superseded",
            Upserted { seen: [1, ..], .. } => "inserted",
            Upserted { seen: [_, 1, _], .. } => "changed",
            Upserted { .. } => "unchanged",
        })
    }
}

/// Records the resolution of a dead letter; false when it was already resolved.
async fn resolve<D: Dialect>(
    connection: &mut D::Connection,
    name: &Name,
    resolution: &'static str,
) -> Result<bool, Fault> {
    let statement = Statement::new(&D::statements().dead_letters.resolve);
    let statement = statement.bind(&*name.source).bind(&*name.id).bind(resolution);
    Ok(connection.execute(statement).await? == 1)
}

/// The rows in the order that every writer uses, so that writers cannot deadlock; of one key the highest version first.
fn in_order(batch: &Batch<'_>) -> Vec<Folded> {
    let (rows, dataset) = (batch.rows, batch.target.dataset);
    let mut all: Vec<Folded> = (0..rows.len()).map(|row| Folded { row, version: rows.version(dataset, row) }).collect();
    all.sort_by(|left, right| {
        rows.compare_keys(dataset, left.row, right.row).then_with(|| right.version.cmp(&left.version))
    });
    all
}
