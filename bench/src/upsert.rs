//! `tapedeck-bench upsert`: the consumer from a filled topic, compared with the database's limit and with a plain
//! client.

use anyhow::Context as _;
use kafka::publish::Publisher;
use serde::Serialize;
use service::settings;

use crate::bars::{DATASET, generated, publish};
use crate::limits::{copy_rate, values_rate};
use crate::memory::resident_mb;
use crate::report::print;
use crate::setup::{Bench, on_bench};

/// Most rows written by `COPY` and by 500-row upserts; more rows take longer and give the same rate.
const MOST_COMPARED: u64 = 500_000;

/// Measure the consumer from a filled topic
///
/// Compares it with plain `COPY` and with 500-row upserts of the same rows, against the same database in the same run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench upsert --rows 200000 --json")]
pub(crate) struct Arguments {
    /// Bars in the topic
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    print(&on_bench(DATASET, async |bench| bench.upsert(arguments.rows).await).await?, arguments.json)
}

/// What was measured; all in one run against the same database.
#[derive(Debug, Serialize)]
struct Report {
    rows: u64,
    /// (a) Plain `COPY` into the same keyed table, one connection: the database's limit.
    copy_rows_per_second: Option<f64>,
    /// (b) `insert .. values .. on conflict` of 500 rows, one connection: what a plain client does.
    values_rows_per_second: Option<f64>,
    /// (c) The consumer, with new rows.
    fresh_rows_per_second: f64,
    /// (c) The consumer, with other values of the same keys under a later version.
    overwrite_rows_per_second: f64,
    /// (c) The consumer under another name, with everything again: nothing changes.
    replay_rows_per_second: f64,
    /// Fresh divided by `COPY`.
    fresh_to_copy: Option<f64>,
    /// Fresh divided by 500-row upserts.
    fresh_to_values: Option<f64>,
    /// Peak resident memory of a consumer.
    peak_rss_mb: f64,
    database: String,
}

impl Bench {
    async fn upsert(&self, rows: u64) -> anyhow::Result<Report> {
        let mut publisher = Publisher::connect(&self.cluster, "bench", &[self.dataset]).await?;
        publish(&mut publisher, rows, 0).await?;
        let (fresh_rows_per_second, fresh_mb) = self.consume("fresh", &[], rows).await?;
        publish(&mut publisher, rows, 1).await?;
        let (overwrite_rows_per_second, overwrite_mb) = self.consume("overwrite", &[], rows).await?;
        let (replay_rows_per_second, replay_mb) =
            self.consume("replay", &[(settings::SINK.name, "replay")], 2 * rows).await?;
        drop(publisher);
        let compared = generated(rows.min(MOST_COMPARED));
        let copy_rows_per_second = copy_rate(&self.database, self.dataset, &compared).await?;
        let values_rows_per_second = values_rate(&self.database, self.dataset, &compared).await?;
        Ok(Report {
            rows,
            copy_rows_per_second,
            values_rows_per_second,
            fresh_rows_per_second,
            overwrite_rows_per_second,
            replay_rows_per_second,
            fresh_to_copy: copy_rows_per_second.map(|copy| fresh_rows_per_second / copy),
            fresh_to_values: values_rows_per_second.map(|values| fresh_rows_per_second / values),
            peak_rss_mb: fresh_mb.max(overwrite_mb).max(replay_mb),
            database: self.database.shown(),
        })
    }

    /// Runs a consumer until it has read `rows` more rows; returns its speed from its first commit to its last, and its
    /// memory.
    pub(crate) async fn consume(
        &self,
        name: &str,
        environment: &[(&str, &str)],
        rows: u64,
    ) -> anyhow::Result<(f64, f64)> {
        let before = self.read().await?;
        let mut store = self.database.store("bench");
        let clock = store.rows("select cast(clock_timestamp() as text)".to_owned(), &[]).await?;
        let since = clock.into_iter().flatten().flatten().next().context("the database tells no time")?;
        let consumer = self.consumer(name, environment)?;
        self.await_rows(before + rows).await?;
        let memory = resident_mb(consumer.id())?;
        consumer.stop().await?;
        // Joining the group takes seconds that are not part of the speed, so the first commit starts the clock.
        let query = "with chunk as (select records_read, committed_at from sink_chunk \
            where committed_at > cast($1 as timestamptz)) \
            select cast((select sum(records_read) from chunk where committed_at > (select min(committed_at) from chunk)) \
            / extract(epoch from max(committed_at) - min(committed_at)) as text) from chunk";
        let rate = store.rows(query.to_owned(), &[&since]).await?;
        let rate = rate.into_iter().flatten().flatten().next().context("too few chunks to tell a speed")?;
        Ok((rate.parse()?, memory))
    }
}
