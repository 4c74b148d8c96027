//! Forwards the outbox: sends dead letters from the database to their topic.

use contract::records::DeadLetter;

use super::read::{first, list, read, sized};
use super::{Forward, Forwarded, MAX_RELAYED, Name, Relayed};
use crate::dialect::{Connection, Dialect};
use crate::outcome::StoreError;
use crate::session::{Lease, Session, bounded};
use crate::statement::Statement;

impl<D: Dialect> Session<D> {
    pub(super) async fn relay_some(&mut self, forward: &mut dyn Forward) -> Result<Relayed, StoreError> {
        // A shared connection is returned while this waits for Kafka, so that no sink waits.
        let holds = !D::SHARES_CONNECTION;
        let limit = self.limit();
        let (mut lease, taken, letters) = bounded(limit, self.take(holds)).await?;
        let held = if holds {
            Some(lease)
        } else {
            lease.give_back();
            None
        };
        let fates = forward.forward(&letters).await;
        let settled = settled(&taken, &letters, &fates);
        lease = match held {
            Some(lease) => lease,
            None => bounded(limit, self.lease()).await?,
        };
        let statements = &D::statements().dead_letters;
        let forget = Statement::new(&statements.forget).bind(list(settled.iter().copied()));
        let forgotten: Result<(), StoreError> = bounded(limit, async {
            lease.execute(forget).await?;
            for (letter, fate) in letters.iter().zip(&fates) {
                if let Forwarded::Refused(reason) = fate {
                    let refuse = Statement::new(statements.refuse).bind(&*letter.source).bind(&*letter.dead_letter_id);
                    lease.execute(refuse.bind(&**reason)).await?;
                }
            }
            if holds {
                lease.run("COMMIT").await?;
            }
            Ok(())
        })
        .await;
        forgotten?;
        lease.give_back();
        Ok(Relayed { taken: taken.len(), forwarded: settled.len() })
    }

    /// Reads the first dead letters of the outbox, and holds them in a transaction.
    async fn take(&self, holds: bool) -> Result<(Lease<D::Connection>, Vec<Name>, Vec<DeadLetter>), StoreError> {
        let mut lease = self.lease().await?;
        if holds {
            lease.run(D::syntax().begin).await?;
            if let Some(hold) = D::syntax().hold_outbox {
                lease.run(hold).await?;
            }
        }
        let taken = lease.lines(Statement::new(&D::statements().dead_letters.outbox).bind(MAX_RELAYED)).await?;
        let taken = first(taken.iter().map(sized).collect());
        let letters = read::<D>(&mut lease, &taken).await?;
        Ok((lease, taken, letters.into_iter().map(|letter| letter.record).collect()))
    }
}

/// The names to remove from the outbox: dead letters that were forwarded or no longer exist.
fn settled<'a>(taken: &'a [Name], letters: &'a [DeadLetter], fates: &[Forwarded]) -> Vec<&'a Name> {
    let is = |letter: &DeadLetter, name: &Name| letter.source == name.source && letter.dead_letter_id == name.id;
    let is_settled = |name: &&Name| match letters.iter().position(|letter| is(letter, name)) {
        Some(at) => fates.get(at) == Some(&Forwarded::Arrived),
        // An operator has deleted it.
        None => true,
    };
    taken.iter().filter(is_settled).collect()
}
