//! Hypertables: which tables TimescaleDB divides into chunks, and by what, as the declarations say.
//!
//! A dataset with a time is divided by it. Revisions are divided by `known_at`: a read as of a moment searches them
//! backward from there, and leaves out the chunks after it.

use contract::dataset::KNOWN_AT;
use contract::{Dataset, Kind, datasets};

use crate::Database;
use crate::outcome::StoreError;
use crate::sql::{CONTENT_HASH, Layer};
use crate::store::Texts;

const SECONDS_PER_DAY: u64 = 86_400;
/// An empty table has a few pages of 8192 bytes: of its indexes, and of long values.
const MAX_EMPTY_BYTES: u64 = 5 * 8192;

/// TimescaleDB, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timescale {
    /// Its version.
    pub version: String,
    /// Its licence: `apache` or `timescale`.
    pub license: String,
}

impl Timescale {
    /// Whether it compresses chunks and removes old ones by itself.
    pub fn has_policies(&self) -> bool {
        self.license != "apache"
    }
}

/// A table that is declared to be a hypertable, and how the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub table: String,
    /// The declared column that divides it.
    pub column: String,
    /// The declared days of a chunk.
    pub chunk_days: u32,
    /// Bytes on disk, with its indexes.
    pub bytes: u64,
    /// Whether this user may change it.
    pub is_owned: bool,
    /// Its chunks; None: it is a plain table.
    pub chunks: Option<Chunks>,
}

/// The chunks of a hypertable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    /// Seconds of the next chunk that is made.
    pub seconds: u64,
    /// How many there are.
    pub number: u64,
    /// How many of them are compressed.
    pub compressed: u64,
    /// Whether chunks can be compressed.
    pub is_compressible: bool,
    /// The age at which the database compresses a chunk, such as `90 days`; None: it does not.
    pub compress_after: Option<String>,
    /// The age at which the database removes a chunk; None: it does not.
    pub drop_after: Option<String>,
    /// Rows whose time is before are removed, in microseconds since 1970.
    pub removed_before: Option<i64>,
}

impl Layout {
    /// Whether nothing has to be moved when it is converted.
    pub fn is_empty(&self) -> bool {
        self.bytes <= MAX_EMPTY_BYTES
    }

    /// Whether the database has it as declared.
    pub fn is_as_declared(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.seconds == u64::from(self.chunk_days) * SECONDS_PER_DAY)
    }
}

/// A table that is declared to be a hypertable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) dataset: &'static Dataset,
    layer: Layer,
    position: usize,
    days: u32,
}

/// All tables that are declared to be hypertables.
pub(crate) fn declared() -> impl Iterator<Item = Declared> {
    datasets().iter().flat_map(|dataset| {
        let [known_at, _] = dataset.version_fields;
        let current = dataset.time.zip(dataset.chunk_days).map(|(time, days)| (Layer::Current, time, days));
        let revisions = dataset.revision_chunk_days.map(|days| (Layer::Revisions, known_at, days));
        let both = current.into_iter().chain(revisions);
        both.map(move |(layer, position, days)| Declared { dataset, layer, position, days })
    })
}

impl Declared {
    pub(crate) fn table(&self) -> String {
        self.layer.table(self.dataset)
    }

    pub(crate) fn layer(&self) -> Layer {
        self.layer
    }

    fn column(&self) -> &'static str {
        &self.dataset.fields[self.position].name
    }

    /// The statement that makes the table as declared, with all its rows. Can run twice; does nothing without TimescaleDB.
    pub(crate) fn arrange(&self) -> String {
        let (table, column, days) = (self.table(), self.column(), self.days);
        // The migrations make the tables of datasets with an index by time. A search of revisions always has the key.
        let has_index = self.layer == Layer::Current;
        format!(
            "do $$ begin if exists (select from pg_extension where extname = 'timescaledb') then \
             perform set_config('client_min_messages', 'warning', true); \
             if exists (select from timescaledb_information.hypertables where hypertable_schema = current_schema() \
             and hypertable_name = '{table}') then \
             perform set_chunk_time_interval('{table}', interval '{days} days'); \
             else perform create_hypertable('{table}', '{column}', chunk_time_interval => interval '{days} days', \
             create_default_indexes => {has_index}, migrate_data => true); end if; end if; end $$"
        )
    }

    /// How its chunks are compressed: the columns that divide a chunk into segments, and the order within a segment.
    ///
    /// A segment is what a reader asks for: the part of the key before its first date or time, and the source.
    pub(crate) fn compression(&self) -> (String, String) {
        let Dataset { fields, key, .. } = self.dataset;
        let is_time = |at: &usize| matches!(fields[*at].kind, Kind::Date | Kind::Timestamp);
        let source = self.dataset.position(contract::dataset::SOURCE);
        let before = key.iter().take_while(|at| !is_time(at));
        let segment: Vec<usize> = source.into_iter().chain(before.copied().filter(|at| Some(*at) != source)).collect();
        let rest = key.iter().filter(|at| !segment.contains(at)).map(|at| fields[*at].name.as_str());
        let version: &[&str] = match self.layer {
            Layer::Current => &[],
            Layer::Revisions => &[KNOWN_AT, contract::dataset::OBSERVED_AT, CONTENT_HASH],
        };
        let order: Vec<String> = rest.chain(version.iter().copied()).map(|name| format!("{name} desc")).collect();
        let segment: Vec<&str> = segment.into_iter().map(|at| fields[at].name.as_str()).collect();
        (segment.join(", "), order.join(", "))
    }
}

/// The query for the layouts of all tables that are declared to be hypertables, in a database with TimescaleDB.
pub(crate) fn layouts_query() -> String {
    let wanted = declared().map(|one| format!("('{}', '{}', {})", one.table(), one.column(), one.days));
    let policy = |name: &str, key: &str| {
        format!(
            "(select max(config ->> '{key}') from timescaledb_information.jobs as job where proc_name = '{name}' \
             and job.hypertable_schema = h.hypertable_schema and job.hypertable_name = h.hypertable_name)"
        )
    };
    format!(
        "select name, column_name, days::text, size::text, is_owned::text, seconds::text, chunks::text, \
         compressed::text, is_compressible::text, compress_after, drop_after, \
         (extract(epoch from now() - drop_after::interval) * 1000000)::bigint::text from (\
         select wanted.*, coalesce((select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = c.oid), \
         0) + pg_total_relation_size(c.oid) as size, pg_has_role(c.relowner, 'usage') as is_owned, \
         extract(epoch from d.time_interval)::bigint as seconds, \
         coalesce(h.num_chunks, 0) as chunks, (select count(*) from timescaledb_information.chunks as chunk \
         where is_compressed and chunk.hypertable_schema = h.hypertable_schema \
         and chunk.hypertable_name = h.hypertable_name) as compressed, \
         coalesce(h.compression_enabled, false) as is_compressible, \
         {compress_after} as compress_after, {drop_after} as drop_after \
         from (values {wanted}) as wanted(name, column_name, days) join pg_class as c on c.oid = to_regclass(name) \
         left join timescaledb_information.hypertables as h on h.hypertable_name = c.relname \
         and h.hypertable_schema = c.relnamespace::regnamespace::text \
         left join timescaledb_information.dimensions as d on d.hypertable_name = h.hypertable_name \
         and d.hypertable_schema = h.hypertable_schema and d.dimension_number = 1) as found order by name",
        compress_after = policy("policy_compression", "compress_after"),
        drop_after = policy("policy_retention", "drop_after"),
        wanted = wanted.collect::<Vec<_>>().join(", "),
    )
}

/// The layouts in the answer to [`layouts_query`].
pub(crate) fn layouts(rows: Texts) -> Vec<Layout> {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
    let layout = |row: Vec<Option<String>>| {
        let [name, column, days, bytes, owned, seconds, chunks, compressed, compressible, compress, drop, before] =
            <[Option<String>; 12]>::try_from(row).ok()?;
        let is_true = |text: &Option<String>| text.as_deref() == Some("true");
        let chunks = number(&seconds).map(|seconds| Chunks {
            seconds,
            number: number(&chunks).unwrap_or(0),
            compressed: number(&compressed).unwrap_or(0),
            is_compressible: is_true(&compressible),
            compress_after: compress,
            drop_after: drop,
            removed_before: before.and_then(|text| text.parse().ok()),
        });
        Some(Layout {
            table: name?,
            column: column?,
            chunk_days: u32::try_from(number(&days)?).ok()?,
            bytes: number(&bytes).unwrap_or(0),
            is_owned: is_true(&owned),
            chunks,
        })
    };
    rows.into_iter().filter_map(layout).collect()
}

impl Database {
    /// TimescaleDB, if the database has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] or [`StoreError::Halt`] when the database cannot be read.
    pub async fn timescale(&self) -> Result<Option<Timescale>, StoreError> {
        let Some(query) = self.backend.syntax().timescale else { return Ok(None) };
        let rows = self.store("migrate").rows(query.to_owned(), &[]).await?;
        let timescale = |row: Vec<Option<String>>| match row.as_slice() {
            [Some(version), license] => Some(Timescale {
                version: version.clone(),
                license: license.clone().unwrap_or_else(|| "apache".to_owned()),
            }),
            _ => None,
        };
        Ok(rows.into_iter().find_map(timescale))
    }

    /// How the database has the tables that are declared to be hypertables; empty without TimescaleDB.
    ///
    /// # Errors
    ///
    /// As [`Database::timescale`].
    pub async fn layouts(&self) -> Result<Vec<Layout>, StoreError> {
        match self.timescale().await? {
            Some(_) => Ok(layouts(self.store("migrate").rows(layouts_query(), &[]).await?)),
            None => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(table: &str) -> Declared {
        declared().find(|one| one.table() == table).unwrap()
    }

    #[test]
    fn a_chunk_is_segmented_by_what_a_reader_asks_for_and_ordered_by_the_rest_of_the_key() {
        let parts = |table: &str| of(table).compression();
        let both = |segment: &str, order: &str| (segment.to_owned(), order.to_owned());
        assert_eq!(parts("ohlcv_bar"), both("source, symbol, bar_interval", "ts_start desc"));
        let vintages = "observation_date desc, realtime_start desc";
        assert_eq!(parts("observation_vintage"), both("source, series_id", vintages));
        let version = "known_at desc, observed_at desc, content_hash desc";
        assert_eq!(parts("company_revision"), both("source, symbol", version));
        for one in declared() {
            let (segment, order) = one.compression();
            let named = format!("{segment}, {}", order.replace(" desc", ""));
            for column in one.layer.key(one.dataset) {
                assert!(named.split(", ").any(|name| name == column), "{column} of {}: {named}", one.table());
            }
        }
    }

    #[test]
    fn every_dataset_declares_the_chunks_of_its_rows_and_of_its_revisions() {
        for dataset in datasets() {
            assert_eq!(dataset.chunk_days.is_some(), dataset.time.is_some(), "{}", dataset.name);
            assert!(dataset.revision_chunk_days.is_some(), "{}", dataset.name);
        }
    }

    #[test]
    fn rows_are_divided_by_their_own_time_and_revisions_by_when_they_were_known() {
        assert_eq!((of("ohlcv_bar").column(), of("ohlcv_bar").days), ("ts_start", 360));
        assert_eq!((of("ohlcv_bar_revision").column(), of("ohlcv_bar_revision").days), ("known_at", 3600));
        assert_eq!(of("company_revision").column(), "known_at");
        assert!(declared().all(|one| one.table() != "company"), "a company has no time");
    }
}
