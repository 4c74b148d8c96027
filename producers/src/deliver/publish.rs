//! Publishes a batch of pages.

use contract::Record;
use kafka::publish::{Delivered, PublishError, Publisher};
use sources::response::{Reject, Request};
use sources::source::Source;

use crate::answer::Answer;
use crate::deliver::prepared::Prepared;
use crate::published::filter::Filtered;
use crate::published::index::Change;
use crate::tally::ItemTally;

/// Publishes pages, and for each item that has ended its `fetch_log`, and waits for Kafka. `item` is the tally of the
/// item at hand.
pub(super) async fn batch(
    publisher: &mut Publisher,
    source: &'static Source,
    batch: &mut [Prepared],
    item: &mut ItemTally,
) -> Result<Delivered, PublishError> {
    for prepared in batch {
        let Prepared { answer, filtered, counts, finished, .. } = prepared;
        *counts = page(publisher, source, answer, filtered).await?;
        item.add(answer, filtered, *counts);
        *finished = answer.spent.map(|_| std::mem::take(item));
        if let (Some(tally), Some(spent)) = (finished, answer.spent) {
            publisher.publish(&tally.log(source, answer, spent)).await?;
        }
    }
    publisher.flush().await
}

/// Publishes a page; a record that is too large for Kafka becomes a dead letter. Returns the numbers of records and
/// rejects.
async fn page(
    publisher: &mut Publisher,
    source: &'static Source,
    answer: &Answer,
    filtered: &Filtered,
) -> Result<[u64; 2], PublishError> {
    let mut oversized_records = 0;
    for (at, (record, change)) in filtered.records.iter().enumerate() {
        if filtered.published.contains(&at) {
            continue;
        }
        let published = match change {
            Change::Correction => publisher.publish_correction(record).await,
            Change::Insert | Change::Unchanged => publisher.publish(record).await,
        };
        match published {
            Err(PublishError::Record(reason)) => {
                oversized_records += 1;
                publisher.publish(&oversized(source, answer, record, reason)).await?;
            }
            outcome => outcome?,
        }
    }
    for dead_letter in &filtered.dead_letters {
        publisher.publish(&Record::from(dead_letter.clone())).await?;
    }
    let rejected = filtered.dead_letters.len() as u64 + oversized_records;
    Ok([filtered.records.len() as u64 - oversized_records, rejected])
}

/// The dead letter of a record that does not fit into a message. Its payload is the record's key.
fn oversized(source: &'static Source, answer: &Answer, record: &Record, reason: String) -> Record {
    let request = Request { item: &answer.item, offset: answer.offset, received_at: answer.at, last_modified: None };
    let reject = Reject::new("too_large", reason, record.message_key().as_bytes());
    reject.into_dead_letter(source, answer.endpoint, &request).into()
}
