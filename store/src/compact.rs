//! Compacts the ledger: neighbouring chunks that are old become one entry, with the sums of their counts.
//!
//! Entries of the last day stay as they are: one per chunk. Older ones are merged to one per day, and those of more than
//! a month ago to one per month. A merged entry looks like a large chunk, so that readers need not know of it.
//!
//! Only entries that follow each other without gap or overlap, and whose counts add up, are merged. So all sums and every
//! fault stay as they were, and where it begins and ends. Any number of processes can compact at once, beside
//! consumers: a transaction that does not find the entries that it has read changes nothing.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use crate::commit::{of_partition, outcome};
use crate::dialect::{Connection, Dialect};
use crate::fault::Fault;
use crate::line::Line;
use crate::outcome::{Outcome, StoreError};
use crate::partition::SinkPartition;
use crate::session::{Session, bounded};
use crate::statement::Statement;
use crate::text;

/// Entries younger than this are one per chunk. A commit whose answer was lost is recognised by its own entry.
pub const FINE: TimeDelta = TimeDelta::days(1);
/// Entries younger than this are at most one per day.
const DAILY: TimeDelta = TimeDelta::days(31);
/// Entries that are read and merged in one transaction: some 20 ms, in which other sinks of a SQLite file wait.
const PAGE_ENTRIES: usize = 2000;
/// Most offsets of a merged entry: PostgreSQL's counts have 31 bits.
const MAX_OFFSETS: i64 = i32::MAX as i64;

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    from: i64,
    to: i64,
    outcome: Outcome,
    committed_at: DateTime<Utc>,
    /// Whether it covers offsets of a recorded gap.
    is_in_gap: bool,
}

/// Entries that become one.
#[derive(Debug, Clone, PartialEq)]
struct Merge {
    /// The merged entry, committed when its last chunk was.
    entry: Entry,
    /// Where the last entry that it replaces begins.
    last_from: i64,
    /// How many entries it replaces.
    entries: u64,
}

impl Entry {
    /// Whether its counts add up. Another entry stays as it is, so that `verify` still finds it.
    fn is_sound(&self) -> bool {
        let Outcome { read, inserted, changed, unchanged, superseded, dead_lettered, .. } = self.outcome;
        let is_complete = read == inserted + changed + unchanged + superseded + dead_lettered;
        !self.is_in_gap && self.from < self.to && is_complete && read <= (self.to - self.from).cast_unsigned()
    }

    /// The first day of the period whose entries are merged.
    fn period(&self, now: DateTime<Utc>) -> NaiveDate {
        let day = self.committed_at.date_naive();
        if self.committed_at + DAILY < now { day.with_day(1).unwrap_or(day) } else { day }
    }

    /// Whether this entry and the next one can be one.
    fn joins(&self, next: &Entry, now: DateTime<Utc>) -> bool {
        let is_same_kind = self.is_sound() && next.is_sound() && self.period(now) == next.period(now);
        let is_same_kind = is_same_kind && self.outcome.kept.is_some() == next.outcome.kept.is_some();
        self.to == next.from && is_same_kind && next.to - self.from <= MAX_OFFSETS
    }
}

/// What to do with a page of entries, in the order of their offsets.
fn merges(entries: &[Entry], now: DateTime<Utc>) -> Vec<Merge> {
    let mut merges: Vec<Merge> = Vec::new();
    for entry in entries {
        match merges.last_mut() {
            Some(last) if last.entry.joins(entry, now) => {
                last.entry.to = entry.to;
                last.entry.outcome += entry.outcome;
                last.entry.committed_at = last.entry.committed_at.max(entry.committed_at);
                last.last_from = entry.from;
                last.entries += 1;
            }
            _ => merges.push(Merge { entry: entry.clone(), last_from: entry.from, entries: 1 }),
        }
    }
    merges
}

impl<D: Dialect> Session<D> {
    /// Compacts the ledger of all sinks; returns how many entries fewer it has.
    pub(crate) async fn compact(&mut self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let query = "select sink, kafka_topic, cast(kafka_incarnation as bigint), cast(kafka_partition as bigint) \
             from sink_position order by 1, 2, 3, 4";
        let partitions = bounded(D::ATTEMPT_TIMEOUT, self.read(Statement::new(query))).await?;
        let mut removed = 0;
        for partition in partitions.iter().map(Line::partition) {
            let mut next = Some(0);
            while let Some(from) = next {
                let page = self.compact_page(&partition, from, now);
                let (fewer, following) = bounded(D::ATTEMPT_TIMEOUT, page).await?;
                removed += fewer;
                next = following;
            }
        }
        Ok(removed)
    }

    /// Merges a page of a partition's entries. Returns how many fewer they are, and where the next page begins.
    async fn compact_page(
        &mut self,
        partition: &SinkPartition,
        from: i64,
        now: DateTime<Utc>,
    ) -> Result<(u64, Option<i64>), Fault> {
        let statements = &D::statements().sinks;
        let about = |text: &str| of_partition(text, partition, partition.incarnation);
        let mut lease = self.lease().await?;
        let lines = lease.lines(about(&statements.ledger_page).bind(from).bind(PAGE_ENTRIES as i64)).await?;
        let page: Vec<Entry> =
            lines.iter().map_while(entry).take_while(|entry| entry.committed_at + FINE < now).collect();
        let merges = merges(&page, now);
        let merged: Vec<&Merge> = merges.iter().filter(|merge| merge.entries > 1).collect();
        // The last one can go on in the next page.
        let next = merges.last().map(|last| last.entry.from).filter(|_| page.len() == PAGE_ENTRIES);
        if merged.is_empty() {
            lease.give_back();
            return Ok((0, next));
        }
        lease.run(D::syntax().begin).await?;
        let is_ours = match D::syntax().compact_alone {
            Some(lock) => lease.lines(Statement::new(lock)).await?.iter().any(|line| line.int(0) == 1),
            None => true,
        };
        let mut removed = 0;
        for Merge { entry, last_from, entries } in merged {
            let Entry { from, to, outcome, committed_at, .. } = entry;
            let found = match is_ours {
                true => lease.execute(about(&statements.delete_ledger).bind(*from).bind(*last_from)).await?,
                false => 0,
            };
            if found != *entries {
                // Another process compacts this partition.
                lease.run("ROLLBACK").await?;
                lease.give_back();
                return Ok((0, None));
            }
            let merged = about(&statements.merge_ledger).bind(*from).bind(*to);
            let merged =
                outcome.counts().into_iter().fold(merged, |merged, count| merged.bind(count.map(u64::cast_signed)));
            lease.execute(merged.bind(text::of_time(*committed_at))).await?;
            removed += entries - 1;
        }
        lease.run("COMMIT").await?;
        lease.give_back();
        Ok((removed, next))
    }
}

/// An entry of a page; None when its time was changed by hand to one that tapedeck never writes.
fn entry(line: &Line) -> Option<Entry> {
    let committed_at = text::read_time(&line.text(9))?;
    let (from, to, outcome) = (line.int(0), line.int(1), outcome(line, 2));
    Some(Entry { from, to, outcome, committed_at, is_in_gap: line.int(10) != 0 })
}

#[cfg(test)]
mod tests;
