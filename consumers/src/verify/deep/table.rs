//! Second step: reads the table's rows, page by page in the order of their keys.
//!
//! A page is a statement of its own, so that no transaction lasts. A key never changes and no row is removed: a row
//! that is written meanwhile is read as it was before or as it is afterwards.

use contract::{Rows, Value};
use store::Line;

use super::super::fingerprint;
use super::super::progress::Progress;
use super::super::report::Findings;
use super::spill::{Entries, Key, Spill};
use super::{Subject, key_text};

/// A row of the table.
pub(super) struct Row {
    pub(super) version: (i64, i64, i64),
    pub(super) content: u64,
    /// Whether it holds a value that is never stored, which was reported.
    pub(super) is_odd: bool,
    /// Whether it is a revision: not the highest version of its key.
    pub(super) is_revision: bool,
    /// Its lowest place on the topic, as stored: (incarnation, partition, offset).
    pub(super) place: Option<(i32, i32, i64)>,
    /// Its key, formatted like a message key.
    pub(super) key: String,
}

/// The table, read.
pub(super) struct Table {
    rows: Spill,
    /// Number of rows.
    pub(super) count: u64,
    /// Number of revisions.
    pub(super) revisions: u64,
}

impl Table {
    /// Reads the table.
    pub(super) fn read(subject: &Subject<'_>, findings: &mut Findings) -> anyhow::Result<Table> {
        let Subject { dataset, verification, runtime, .. } = subject;
        let mut table = Table { rows: Spill::new(&verification.temp_dir), count: 0, revisions: 0 };
        let mut rows = Rows::new(dataset);
        let mut progress = Progress::new(&dataset.name, "rows read", None);
        // A row that becomes a revision meanwhile is read twice, and none is missed.
        for is_revision in [false, true] {
            let each = |line: &Line| {
                progress.count();
                rows.truncate(0);
                table.row(subject, (line, is_revision), &mut rows, findings)
            };
            let database = &verification.database;
            let pages = if is_revision { database.revisions(dataset) } else { database.pages(dataset) };
            runtime.block_on(pages.each_row(each))?;
        }
        Ok(table)
    }

    fn row(
        &mut self,
        subject: &Subject<'_>,
        (line, is_revision): (&Line, bool),
        rows: &mut Rows,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let dataset = subject.dataset;
        *(if is_revision { &mut self.revisions } else { &mut self.count }) += 1;
        let width = dataset.fields.len();
        let values: Vec<_> = dataset.fields.iter().enumerate().map(|(at, field)| line.value(at, field.kind)).collect();
        let odd = values.iter().position(Option::is_none);
        rows.push_row(values.into_iter().map(|value| value.unwrap_or(Value::Null)), line.int(width + 1) != 0);
        let key = key_text(dataset, rows);
        if let Some(odd) = odd {
            let field = &dataset.fields[odd].name;
            findings.add("different", &dataset.name, || format!("`{key}`: `{field}` holds what is never stored"));
        }
        let (known_at, observed_at, _) = rows.version(dataset, 0);
        let content = fingerprint::of_content(dataset, rows, 0).cast_signed();
        let place = |at: usize| line.optional_int(width + 2 + at).unwrap_or(-1);
        let flags = i64::from(odd.is_some()) | i64::from(is_revision) << 1;
        let numbers = [known_at, observed_at, line.int(width), content, flags, place(0), place(1), place(2)];
        self.rows.push(fingerprint::of_key(dataset, rows, 0), &numbers, &key)
    }

    /// Takes the rows of a part out.
    pub(super) fn take(&mut self, part: usize) -> anyhow::Result<TablePart> {
        Ok(TablePart(self.rows.take(part)?))
    }
}

/// The rows of a part.
pub(super) struct TablePart(Entries);

impl TablePart {
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(Key, Row)>> {
        let Some((fingerprint, numbers, key)) = self.0.next::<8>()? else { return Ok(None) };
        let [known_at, observed_at, hash, content, flags, incarnation, partition, offset] = numbers;
        let (version, content) = ((known_at, observed_at, hash), content.cast_unsigned());
        let place = (offset >= 0).then_some((incarnation as i32, partition as i32, offset));
        let row = Row { version, content, is_odd: flags & 1 != 0, is_revision: flags & 2 != 0, place, key };
        Ok(Some((fingerprint, row)))
    }
}
