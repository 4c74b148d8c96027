//! Reads dead letters, the same way in both databases.

use contract::records::DeadLetter;
use contract::{Rows, Text};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{
    Batch, Count, DeadLetters, Fate, Filter, Forward, MAX_BYTES, MAX_DEAD_LETTERS, Name, Relayed, StoredDeadLetter,
};
use crate::dialect::{Connection, Dialect};
use crate::line::Line;
use crate::outcome::StoreError;
use crate::quarantine::{Parked, Quarantine};
use crate::session::{Session, bounded};
use crate::statement::Statement;
use crate::text;

impl<D: Dialect> DeadLetters for Session<D> {
    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, StoreError>> {
        let statement = filtered(&D::statements().dead_letters.counts, filter);
        async move { Ok(bounded(self.limit(), self.read(statement)).await?.iter().map(count).collect()) }.boxed()
    }

    fn newest<'a>(
        &'a mut self,
        filter: &'a Filter,
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<StoredDeadLetter>, StoreError>> {
        let statement = filtered(&D::statements().dead_letters.newest, filter).bind(limit);
        async move { bounded(self.limit(), self.read(statement)).await?.iter().map(letter).collect() }.boxed()
    }

    fn next<'a>(
        &'a mut self,
        filter: &'a Filter,
        after: &'a Name,
    ) -> BoxFuture<'a, Result<Vec<StoredDeadLetter>, StoreError>> {
        let statement = filtered(&D::statements().dead_letters.next, filter);
        let statement = statement.bind(&*after.source).bind(&*after.id).bind(MAX_DEAD_LETTERS as i64);
        bounded(self.limit(), async move {
            let mut lease = self.lease().await?;
            let names = first(lease.lines(statement).await?.iter().map(sized).collect());
            let letters = read::<D>(&mut lease, &names).await?;
            lease.give_back();
            Ok(letters)
        })
        .boxed()
    }

    fn redrive<'a>(&'a mut self, batch: &'a Batch<'a>) -> BoxFuture<'a, Result<Vec<Fate>, StoreError>> {
        // A statement for each row, and enough time for all of them.
        bounded(self.limit().map(|limit| 4 * limit), self.redrive_batch(batch)).boxed()
    }

    fn unpublished(&mut self) -> BoxFuture<'_, Result<i64, StoreError>> {
        let statement = Statement::new(D::statements().dead_letters.unpublished);
        async move { Ok(bounded(self.limit(), self.read(statement)).await?.first().map_or(0, |line| line.int(0))) }
            .boxed()
    }

    fn waiting(&mut self, most: i64) -> BoxFuture<'_, Result<i64, StoreError>> {
        let statement = Statement::new(&D::statements().dead_letters.waiting).bind(most);
        async move { Ok(bounded(self.limit(), self.read(statement)).await?.first().map_or(0, |line| line.int(0))) }
            .boxed()
    }

    fn relay<'a>(&'a mut self, forward: &'a mut dyn Forward) -> BoxFuture<'a, Result<Relayed, StoreError>> {
        self.relay_some(forward).boxed()
    }

    fn quarantines(&mut self) -> BoxFuture<'_, Result<Vec<Quarantine>, StoreError>> {
        bounded(self.limit(), self.all_quarantines()).boxed()
    }

    fn end_quarantine<'a>(&'a mut self, sink: &'a str, publisher: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        bounded(self.limit(), self.end_one(sink, publisher)).boxed()
    }

    fn parked<'a>(
        &'a mut self,
        sink: &'a str,
        publisher: &'a str,
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<Parked>, StoreError>> {
        bounded(self.limit(), self.first_parked(sink, publisher, limit)).boxed()
    }

    fn unpark<'a>(&'a mut self, parked: &'a Parked, letters: &'a Rows) -> BoxFuture<'a, Result<bool, StoreError>> {
        bounded(self.limit(), self.unpark_one(parked, letters)).boxed()
    }
}

/// The dead letters with these names.
pub(super) async fn read<D: Dialect>(
    connection: &mut D::Connection,
    names: &[Name],
) -> Result<Vec<StoredDeadLetter>, StoreError> {
    let statement = Statement::new(&D::statements().dead_letters.letters).bind(list(names));
    connection.lines(statement).await?.iter().map(letter).collect()
}

/// A statement with a filter's parameters.
fn filtered(statement: &str, filter: &Filter) -> Statement {
    let ids = (!filter.ids.is_empty()).then(|| serde_json::Value::from(filter.ids.clone()).to_string());
    Statement::new(statement)
        .bind(filter.dataset.clone())
        .bind(filter.class.clone())
        .bind(filter.stage.clone())
        .bind(filter.source.clone())
        .bind(filter.from.map(text::of_time))
        .bind(filter.to.map(text::of_time))
        .bind(ids)
        .bind(i64::from(filter.all))
        .bind(i64::from(filter.of_messages))
}

/// The counts in a row.
fn count(line: &Line) -> Count {
    Count {
        dataset: line.text(0),
        stage: line.text(1),
        class: line.text(2),
        sqlstate: line.optional_text(3),
        count: line.int(4),
        oldest: line.text(5),
        newest: line.text(6),
    }
}

/// Name and size in a row.
pub(super) fn sized(line: &Line) -> (Name, i64) {
    (Name { source: line.text(0), id: line.text(1) }, line.int(2))
}

/// The first of these names, as many as may be in memory at once.
pub(super) fn first(sized: Vec<(Name, i64)>) -> Vec<Name> {
    let mut bytes = 0;
    let mut fits = |at: usize, size: i64| {
        bytes += size;
        at == 0 || bytes <= MAX_BYTES
    };
    sized.into_iter().enumerate().take_while(|(at, (_, size))| fits(*at, *size)).map(|(_, (name, _))| name).collect()
}

/// Names as a parameter of the statements.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let names = names.into_iter().map(|name| serde_json::json!([name.source, name.id]));
    serde_json::Value::Array(names.collect()).to_string()
}

/// The dead letter in a row.
fn letter(line: &Line) -> Result<StoredDeadLetter, StoreError> {
    let text = |column: usize| Text::from(line.text(column));
    let optional = |column: usize| line.optional_text(column).map(Text::from);
    let bytes = |column: usize| line.bytes(column).map(<[u8]>::to_vec);
    let time = |column: usize| {
        let text = line.text(column);
        text::read_time(&text).ok_or_else(|| StoreError::Halt(format!("`{text}` in `dead_letter` is not a time")))
    };
    let record = DeadLetter {
        source: text(0),
        dead_letter_id: text(1),
        stage: text(2),
        error_class: text(3),
        sqlstate: optional(4),
        reason: text(5),
        dataset: text(6),
        kafka_topic: optional(7),
        kafka_incarnation: line.optional_int(8),
        kafka_partition: line.optional_int(9),
        kafka_offset: line.optional_int(10),
        record_timestamp_ms: line.optional_int(11),
        record_key: bytes(12),
        record_value: bytes(13),
        record_headers: bytes(14),
        known_at: time(15)?,
        observed_at: time(16)?,
        flags: text::read_list(&line.text(17)).unwrap_or_default(),
    };
    Ok(StoredDeadLetter { record, resolution: line.optional_text(18), resolved_at: line.optional_text(19) })
}
