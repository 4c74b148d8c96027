//! The report of a verification, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

/// Most violations of one kind that are listed for a dataset; further ones are only counted.
pub(super) const MAX_NAMED: usize = 20;

/// The outcomes of one partition's records.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionLine {
    /// The dataset.
    pub dataset: String,
    /// The consumer group.
    pub sink: String,
    /// The topic.
    pub topic: String,
    /// How often the topic had been recreated.
    pub incarnation: i32,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to read.
    pub position: i64,
    /// Records published up to the position.
    pub published: i64,
    /// Records that the consumer upserted: inserted, changed or unchanged.
    pub applied: i64,
    /// Records with a lower version than the row, or than another record of their chunk.
    pub superseded: i64,
    /// Refused records.
    pub dead_lettered: i64,
    /// Offsets in gaps.
    pub gaps: i64,
    /// Offsets from the position to the end of the topic. Not an error.
    pub not_consumed: i64,
}

/// The result of comparing a table with its topic.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TableLine {
    /// The dataset.
    pub dataset: String,
    /// Records read from the topic.
    pub records: u64,
    /// Distinct keys of these records.
    pub keys: u64,
    /// Rows in the table.
    pub rows: u64,
    /// Revisions: the other versions of these rows.
    pub revisions: u64,
    /// Rows that could not be compared, because the topic no longer holds all its records.
    pub cannot_be_checked: u64,
    /// Dead letters that consumers wrote directly into the table: checked by their coordinates.
    pub by_coordinate: u64,
}

/// A violated rule.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// Kind of the violation, a short token.
    pub kind: &'static str,
    /// The dataset.
    pub dataset: String,
    /// One line for a person, with the coordinates or the key.
    pub what: String,
}

/// Collects violations, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    violations: Vec<Violation>,
    counts: BTreeMap<(String, &'static str), u64>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    /// Adds a violation. Calls `what` only while fewer than [`MAX_NAMED`] are listed.
    pub(super) fn add(&mut self, kind: &'static str, dataset: &str, what: impl FnOnce() -> String) {
        let count = self.counts.entry((dataset.to_owned(), kind)).or_default();
        *count += 1;
        if *count <= MAX_NAMED as u64 {
            self.violations.push(Violation { kind, dataset: dataset.to_owned(), what: what() });
        }
    }
}

/// The outcome of a verification.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether there is no violation.
    pub verified: bool,
    /// By partition.
    pub partitions: Vec<PartitionLine>,
    /// By dataset; empty unless the tables were compared.
    pub tables: Vec<TableLine>,
    /// The violations; at most 20 of a kind.
    pub violations: Vec<Violation>,
    /// How many there are of each kind, by dataset.
    pub totals: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// What an operator should know, and what could not be verified and why.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn new(partitions: Vec<PartitionLine>, tables: Vec<TableLine>, findings: Findings) -> Report {
        let mut totals: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for ((dataset, kind), count) in findings.counts {
            totals.entry(dataset).or_default().insert(kind, count);
        }
        let Findings { violations, notes, .. } = findings;
        Report { verified: totals.is_empty(), partitions, tables, violations, totals, notes }
    }

    /// Number of violations.
    pub fn count(&self) -> u64 {
        self.totals.values().flat_map(BTreeMap::values).sum()
    }

    /// An error when there is a violation.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.verified, "the database does not hold what the topics say: {} violations", self.count());
        Ok(())
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is JSON")
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.put_partitions(&mut out);
        for table in &self.tables {
            let TableLine { dataset, records, keys, rows, revisions, cannot_be_checked, by_coordinate } = table;
            let mut line = format!(
                "{dataset}: {records} records of {keys} keys compared with {rows} rows and {revisions} revisions"
            );
            for (count, what) in
                [(cannot_be_checked, "cannot be checked"), (by_coordinate, "dead letters checked by their coordinates")]
            {
                if *count > 0 {
                    write!(line, ", {count} {what}").expect("writing to a string cannot fail");
                }
            }
            out += &format!("{line}\n");
        }
        for note in &self.notes {
            out += &format!("note: {note}\n");
        }
        for violation in &self.violations {
            out += &format!("{}: {}: {}\n", violation.kind, violation.dataset, violation.what);
        }
        for (dataset, kinds) in &self.totals {
            for (kind, count) in kinds.iter().filter(|(_, count)| **count > MAX_NAMED as u64) {
                out += &format!("{kind}: {dataset}: {count} in all, the first {MAX_NAMED} are named\n");
            }
        }
        if self.verified {
            out += "verified\n";
        }
        out
    }

    fn put_partitions(&self, out: &mut String) {
        const HEAD: [&str; 8] =
            ["dataset", "partition", "published", "applied", "superseded", "dead-lettered", "gaps", "not consumed yet"];
        let mut lines = vec![HEAD.map(str::to_owned)];
        let mut sinks: Vec<&str> = self.partitions.iter().map(|line| line.sink.as_str()).collect();
        sinks.dedup();
        for line in &self.partitions {
            let several = sinks.iter().filter(|sink| sink.starts_with(&sink_start(line))).count() > 1;
            let dataset = if several { &line.sink } else { &line.dataset };
            let partition = match line.incarnation {
                0 => line.partition.to_string(),
                number => format!("{} (incarnation {number})", line.partition),
            };
            let numbers =
                [line.published, line.applied, line.superseded, line.dead_lettered, line.gaps, line.not_consumed];
            let mut cells = vec![dataset.clone(), partition];
            cells.extend(numbers.map(|number| number.to_string()));
            lines.push(std::array::from_fn(|at| cells[at].clone()));
        }
        let widths: [usize; 8] =
            std::array::from_fn(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or_default());
        for line in lines {
            let cell = |(at, cell): (usize, &String)| match at {
                0 => format!("{cell:<width$}", width = widths[at]),
                _ => format!("{cell:>width$}", width = widths[at]),
            };
            *out += &format!("{}\n", line.iter().enumerate().map(cell).collect::<Vec<_>>().join("  "));
        }
    }
}

/// The common prefix of the names of this dataset's sinks.
fn sink_start(line: &PartitionLine) -> String {
    let end = line.sink.find(&format!(".{}.", line.dataset)).map_or(0, |at| at + line.dataset.len() + 2);
    line.sink[..end].to_owned()
}
