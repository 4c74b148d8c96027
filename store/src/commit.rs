//! The commit path: a chunk's rows, dead letters, position and ledger in one transaction.

use chrono::Utc;
use contract::Rows;
use contract::rows::Versions;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::check;
use crate::chunk::{Chunk, Incoming};
use crate::dead_letter;
use crate::dialect::{Care, Connection, Dialect};
use crate::fault::{Fault, refused};
use crate::isolate::Isolation;
use crate::line::Line;
use crate::outcome::{Commit, Gap, Outcome, Position, StoreError, Total, Upserted};
use crate::park;
use crate::partition::{LastRecord, SinkPartition};
use crate::quarantine::Trip;
use crate::session::{Session, bounded};
use crate::statement::Statement;
use crate::store::{Store, Tables, Texts};
use crate::syntax::Syntax;

impl<D: Dialect> Session<D> {
    /// Retries with more care for the rows until the chunk is committed or fails for another reason.
    async fn commit_chunk(&mut self, chunk: &mut Chunk) -> Result<Commit, StoreError> {
        loop {
            // The server cancels slow statements, but cannot report it when the network is down. The connection is
            // dropped with the attempt, and the position shows whether the attempt was committed.
            let limit = D::ATTEMPT_TIMEOUT.map(|limit| limit * self.care.patience());
            let fault = match bounded(limit, self.attempt(chunk)).await {
                Ok(commit) => {
                    self.care = Care::NONE;
                    return Ok(commit);
                }
                Err(fault) => fault,
            };
            match fault {
                Fault::Record(_) if !self.care.isolate => self.care.isolate = true,
                Fault::Unpack(_) if !self.care.unpack => self.care.unpack = true,
                Fault::Slow(_) if self.care.statements < Care::MOST_STATEMENTS => {
                    self.care.statements *= 2;
                    return Err(fault.into());
                }
                Fault::Unpack(reason) => return Err(refused(&reason)),
                other => return Err(other.into()),
            }
        }
    }

    /// One attempt, in one transaction.
    async fn attempt(&mut self, chunk: &mut Chunk) -> Result<Commit, Fault> {
        // What needs no database comes first: SQLite has one connection for all sinks.
        check::versions(chunk)?;
        let versions = (!self.care.isolate).then(|| chunk.versions());
        if let Some(versions) = &versions {
            check::folded(chunk, &versions.highest)?;
        }
        let mut lease = self.lease().await?;
        let (statements, accounted) = (&D::statements().sinks, chunk.target.accounted);
        lease.run(D::syntax().begin).await?;
        if accounted && !move_position::<D>(&mut *lease, chunk).await? {
            lease.run("ROLLBACK").await?;
            // Either an earlier attempt committed this chunk, or another consumer has the partition.
            let committed = lease.lines(about(&statements.committed, chunk)).await?;
            lease.give_back();
            let outcome = committed.first().map(|line| outcome(line, 0));
            let fenced = || StoreError::Fenced { partition: chunk.partition.clone() };
            return Ok(Commit { outcome: outcome.ok_or_else(fenced)?, already: true, quarantined: Vec::new() });
        }
        let upserted = match self.write_rows(&mut lease, chunk, versions).await {
            // The next attempt uses the same connection: opening a new one would cost more time than the row.
            Err(Fault::Record(cause)) => {
                lease.run("ROLLBACK").await?;
                lease.give_back();
                return Err(Fault::Record(cause));
            }
            written => written?,
        };
        let (dead_letters, quarantined) = self.write_dead_letters(&mut lease, chunk).await?;
        let outcome = Outcome::of_upsert(chunk.records() as u64, chunk.dead_letters.len() as u64, upserted);
        check::outcome(chunk, &outcome, dead_letters)?;
        // The ledger is last before COMMIT: PostgreSQL answers the COMMIT of a failed transaction without an error, but
        // this statement would fail.
        if accounted {
            lease.execute(ledger_row(&statements.insert_ledger, chunk, &outcome)).await?;
        }
        lease.run("COMMIT").await?;
        lease.give_back();
        Ok(Commit { outcome, already: false, quarantined })
    }

    /// Upserts the highest version of each key, and keeps the others as revisions. In careful attempts, which have not
    /// sorted them, rows that the database refuses become dead letters.
    async fn write_rows(
        &mut self,
        connection: &mut D::Connection,
        chunk: &mut Chunk,
        versions: Option<Versions>,
    ) -> Result<Upserted, Fault> {
        if let (true, Some(unpack)) = (self.care.unpack, D::syntax().unpack) {
            connection.run(unpack).await?;
        }
        let mut upserted = Upserted::default();
        if let Some(Versions { highest, others }) = versions {
            upserted += self.dialect.write_chunk(connection, chunk.incoming(), highest, self.care).await?;
            for part in others.chunks(others.len().div_ceil(self.care.statements).max(1)) {
                upserted.kept += self.dialect.keep(connection, chunk.incoming(), part).await?;
            }
            return Ok(upserted);
        }
        let mut isolation = Isolation::default();
        while let Some(part) = isolation.next(chunk) {
            connection.begin_part().await?;
            let written = match isolation.are_highest {
                true => self.dialect.write(connection, chunk.incoming(), &part).await,
                false => {
                    let kept = self.dialect.keep(connection, chunk.incoming(), &part).await;
                    kept.map(|kept| Upserted { kept, ..Upserted::default() })
                }
            };
            match written {
                Ok(done) => {
                    connection.keep_part().await?;
                    upserted += done;
                }
                Err(Fault::Record(cause)) => {
                    connection.take_back_part().await?;
                    isolation.refuse(&part, cause, chunk, Utc::now());
                }
                Err(other) => return Err(other),
            }
        }
        Ok(upserted)
    }

    /// Stores the chunk's refused records as dead letters or, in quarantine, as parked; returns their number and the
    /// quarantines that begin.
    async fn write_dead_letters(
        &mut self,
        connection: &mut D::Connection,
        chunk: &Chunk,
    ) -> Result<(usize, Vec<Trip>), Fault> {
        // Without a name to store them under, they are only counted.
        let refused = chunk.dead_letters.len();
        let Some(source) = chunk.target.dead_letters.clone().filter(|_| refused > 0) else {
            return Ok((refused, Vec::new()));
        };
        let sorted = park::sort::<D>(connection, chunk, &source).await?;
        let written =
            self.write_letters(connection, (&source, &chunk.dead_letters), |row| sorted.is_parked(row)).await?;
        Ok((written + sorted.parked(), sorted.begun))
    }

    /// Upserts a sink's dead letters and puts their ids into the outbox; returns their number.
    pub(crate) async fn write_letters(
        &mut self,
        connection: &mut D::Connection,
        (source, letters): (&str, &Rows),
        is_left_out: impl Fn(usize) -> bool,
    ) -> Result<usize, Fault> {
        let dataset = dead_letter::dataset();
        let Versions { highest: folded, others } = letters.versions(dataset, is_left_out);
        if folded.is_empty() {
            return Ok(0);
        }
        let incoming = Incoming { dataset, table: &dataset.name, rows: letters, places: None };
        self.dialect.write(connection, incoming, &folded).await?;
        if !others.is_empty() {
            self.dialect.keep(connection, incoming, &others).await?;
        }
        let position = dataset.position("dead_letter_id").expect("it is declared");
        let ids: Vec<&str> = folded.iter().filter_map(|row| letters.column(position).text(row.row)).collect();
        let outbox = Statement::new(&D::statements().sinks.outbox).bind(source);
        connection.execute(outbox.bind(serde_json::Value::from(ids).to_string())).await?;
        Ok(folded.len())
    }

    async fn write_gap(&mut self, gap: &Gap) -> Result<(), Fault> {
        let statements = &D::statements().sinks;
        let mut lease = self.lease().await?;
        lease.run(D::syntax().begin).await?;
        let incarnation = gap.partition.incarnation;
        lease.execute(about_gap(&statements.insert_gap, gap, incarnation).bind(gap.reason)).await?;
        let moving = if gap.next.0 == incarnation { &statements.pass_gap } else { &statements.new_incarnation };
        lease.execute(about_gap(moving, gap, gap.next.0)).await?;
        lease.run("COMMIT").await?;
        lease.give_back();
        Ok(())
    }

    /// All rows of a statement.
    pub(crate) async fn read(&mut self, statement: Statement) -> Result<Vec<Line>, StoreError> {
        let mut lease = self.lease().await?;
        let lines = lease.lines(statement).await?;
        lease.give_back();
        Ok(lines)
    }
}

impl Care {
    /// The attempt's time limit as a multiple of a statement's: one per statement for the rows, or enough to find the
    /// refused rows.
    fn patience(self) -> u32 {
        if self.isolate { 4 } else { self.statements as u32 }
    }
}

impl<D: Dialect> Store for Session<D> {
    fn positions<'a>(&'a mut self, sink: &'a str, topic: &'a str) -> BoxFuture<'a, Result<Vec<Position>, StoreError>> {
        let statement = Statement::new(&D::statements().sinks.positions).bind(sink).bind(topic);
        async move {
            let lines = bounded(D::POSITIONS_TIMEOUT, self.read(statement)).await?;
            Ok(lines.iter().map(position).collect())
        }
        .boxed()
    }

    fn commit<'a>(&'a mut self, chunk: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.commit_chunk(chunk).boxed()
    }

    fn record_gap<'a>(&'a mut self, gap: &'a Gap) -> BoxFuture<'a, Result<(), StoreError>> {
        async move { bounded(D::ATTEMPT_TIMEOUT, async { Ok(self.write_gap(gap).await?) }).await }.boxed()
    }

    fn rows<'a>(
        &'a mut self,
        statement: String,
        parameters: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Texts, StoreError>> {
        self.is_unlimited |= D::syntax().no_time_limit.is_some_and(|no_limit| no_limit == statement);
        let statement = parameters.iter().fold(Statement::once(statement), |statement, text| statement.bind(*text));
        async move {
            let lines = bounded(self.limit(), self.read(statement)).await?;
            Ok(lines.into_iter().map(Line::into_texts).collect())
        }
        .boxed()
    }

    fn execute(&mut self, statement: String) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            let mut lease = self.lease().await?;
            let written = lease.execute(Statement::once(statement)).await?;
            lease.give_back();
            Ok(written)
        }
        .boxed()
    }

    fn totals(&mut self) -> BoxFuture<'_, Result<Vec<Total>, StoreError>> {
        let statement = Statement::new(&D::statements().sinks.totals);
        let total = |line: &Line| Total { sink: line.text(0), outcome: outcome(line, 1) };
        async move { Ok(bounded(self.limit(), self.read(statement)).await?.iter().map(total).collect()) }.boxed()
    }

    fn syntax(&self) -> &'static Syntax {
        D::syntax()
    }

    fn tables(&self) -> &'static dyn Tables {
        D::tables()
    }
}

/// Moves the position from the chunk's beginning to its end; false when the position is not at the beginning.
async fn move_position<D: Dialect>(connection: &mut D::Connection, chunk: &Chunk) -> Result<bool, Fault> {
    let statements = &D::statements().sinks;
    let moving = |text| {
        let last = chunk.last;
        about(text, chunk).bind(last.map(|last| last.offset)).bind(last.map(|last| last.hash))
    };
    if connection.execute(moving(&statements.move_position)).await? == 1 {
        return Ok(true);
    }
    Ok(connection.execute(moving(&statements.first_position)).await? == 1)
}

/// A statement about a partition, with its first four parameters.
pub(crate) fn of_partition(text: &str, partition: &SinkPartition, incarnation: i32) -> Statement {
    Statement::new(text).bind(&*partition.sink).bind(&*partition.topic).bind(incarnation).bind(partition.number)
}

/// A statement about a chunk, with its first six parameters.
fn about(text: &str, chunk: &Chunk) -> Statement {
    let partition = &chunk.partition;
    of_partition(text, partition, partition.incarnation).bind(chunk.from_offset).bind(chunk.to_offset)
}

/// A statement about a gap, with its first six parameters.
fn about_gap(text: &str, gap: &Gap, incarnation: i32) -> Statement {
    let partition = &gap.partition;
    // Offsets of two incarnations are not comparable: such a gap has no end.
    let end = if gap.next.0 == partition.incarnation { gap.next.1 } else { gap.from_offset };
    let end = if incarnation == partition.incarnation { end } else { gap.next.1 };
    of_partition(text, partition, incarnation).bind(gap.from_offset).bind(end)
}

/// A chunk's row of the ledger.
fn ledger_row(text: &str, chunk: &Chunk, outcome: &Outcome) -> Statement {
    let counts = outcome.counts().into_iter();
    counts.fold(about(text, chunk), |statement, count| statement.bind(count.map(u64::cast_signed)))
}

/// The counts in a row, starting at a column.
pub(crate) fn outcome(line: &Line, first: usize) -> Outcome {
    let [read, inserted, changed, unchanged, superseded, dead_lettered] =
        std::array::from_fn(|at| line.int(first + at).cast_unsigned());
    let kept = line.optional_int(first + 6).map(i64::cast_unsigned);
    Outcome { read, inserted, changed, unchanged, superseded, kept, dead_lettered }
}

/// The position in a row.
fn position(line: &Line) -> Position {
    let last = line.optional_int(3).zip(line.optional_int(4)).map(|(offset, hash)| LastRecord { offset, hash });
    Position {
        incarnation: line.int(0) as i32,
        partition: line.int(1) as i32,
        next_offset: line.int(2),
        last,
        topic_id: line.optional_text(5),
    }
}
