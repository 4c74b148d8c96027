//! Lists quarantines, and turns parked records into dead letters.

use std::collections::BTreeMap;

use contract::{Rows, Text};

use crate::dialect::{Connection, Dialect};
use crate::line::Line;
use crate::outcome::StoreError;
use crate::partition::SinkPartition;
use crate::quarantine::{Parked, Quarantine, Trip, offsets};
use crate::session::Session;
use crate::statement::Statement;

impl<D: Dialect> Session<D> {
    pub(super) async fn all_quarantines(&mut self) -> Result<Vec<Quarantine>, StoreError> {
        let statements = &D::statements().quarantines;
        let begun = self.read(Statement::new(&statements.all)).await?;
        let parked = self.read(Statement::new(&statements.parked)).await?;
        let mut all: BTreeMap<(String, String), Quarantine> = begun.iter().map(quarantine).collect();
        for line in parked {
            let (sink, publisher) = (line.text(0), line.text(1));
            let entry = all.entry((sink.clone(), publisher.clone()));
            let released = || Quarantine { sink, publisher, trip: None, dead_letters: 0, parked: 0 };
            entry.or_insert_with(released).parked = line.int(2);
        }
        Ok(all.into_values().collect())
    }

    pub(super) async fn first_parked(
        &mut self,
        sink: &str,
        publisher: &str,
        limit: i64,
    ) -> Result<Vec<Parked>, StoreError> {
        let statement = Statement::new(&D::statements().quarantines.rows).bind(sink).bind(publisher).bind(limit);
        let parked = |line: &Line| {
            let (partition, text) = (line.partition(), line.text(5));
            let unreadable = || StoreError::Halt(format!("the parked offsets `{text}` of {partition} cannot be read"));
            let offsets = offsets(&text).ok_or_else(unreadable)?;
            Ok(Parked { partition, publisher: publisher.to_owned(), from_offset: line.int(4), offsets })
        };
        self.read(statement).await?.iter().map(parked).collect()
    }

    pub(super) async fn unpark_one(&mut self, parked: &Parked, letters: &Rows) -> Result<bool, StoreError> {
        let Parked { partition, publisher, from_offset, .. } = parked;
        let SinkPartition { sink, topic, incarnation, number } = partition;
        let mut lease = self.lease().await?;
        lease.run(D::syntax().begin).await?;
        let unpark = Statement::new(&D::statements().quarantines.unpark).bind(&**sink).bind(publisher.as_str());
        let unpark = unpark.bind(&**topic).bind(*incarnation).bind(*number).bind(*from_offset);
        let is_ours = lease.execute(unpark).await? == 1;
        if is_ours {
            self.write_letters(&mut lease, (sink, letters), |_| false).await?;
        }
        lease.run("COMMIT").await?;
        lease.give_back();
        Ok(is_ours)
    }

    pub(super) async fn end_one(&mut self, sink: &str, publisher: &str) -> Result<bool, StoreError> {
        let mut lease = self.lease().await?;
        let end = Statement::new(&D::statements().quarantines.end).bind(sink).bind(publisher);
        let ended = lease.execute(end).await? == 1;
        lease.give_back();
        Ok(ended)
    }
}

fn quarantine(line: &Line) -> ((String, String), Quarantine) {
    let (sink, publisher) = (line.text(0), line.text(1));
    let count = |at: usize| line.int(at).unsigned_abs() as usize;
    let trip =
        Trip { publisher: Text::from(publisher.as_str()), refused: count(3), seen: count(4), reason: line.text(5) };
    let trip = Some((line.text(2), trip));
    let quarantine =
        Quarantine { sink: sink.clone(), publisher: publisher.clone(), trip, dead_letters: line.int(6), parked: 0 };
    ((sink, publisher), quarantine)
}
