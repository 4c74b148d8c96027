//! `tapedeck-bench poison`: what one bad record costs the good ones behind it.

use anyhow::Context as _;
use contract::Record;
use contract::records::OhlcvBar;
use kafka::publish::Publisher;
use serde::Serialize;

use crate::bars::bar;
use crate::report::print;
use crate::setup::{Bench, on_bench};

/// The bad record's symbol; no good one has it.
const SYMBOL: &str = "POISON";

/// Measure what one bad record among many costs its partition
///
/// Once with a record that the consumer refuses, once with a record that only the database refuses.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tapedeck-bench poison --rows 100000")]
pub(crate) struct Arguments {
    /// Good bars in the topic, each time
    #[arg(long, default_value_t = 500_000)]
    rows: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    print(&on_bench(async |bench| bench.poison(arguments.rows).await).await?, arguments.json)
}

/// The results, with a record that the consumer refuses and with a record that only the database refuses.
#[derive(Debug, Serialize)]
struct Report {
    rows: u64,
    refused_by_consumer: Cost,
    refused_by_database: Cost,
    database: String,
}

/// What became of one bad record among many good ones.
#[derive(Debug, Serialize)]
struct Cost {
    dead_letters: u64,
    good_rows_lost: i64,
    /// From the previous commit to the commit of the chunk that held it, in milliseconds.
    chunk_ms: f64,
    /// Median time between commits of the partition's other chunks, in milliseconds.
    median_chunk_ms: f64,
    /// How much the bad record delayed its partition: the first minus the second.
    delay_ms: f64,
}

impl Bench {
    async fn poison(&self, rows: u64) -> anyhow::Result<Report> {
        let mut publisher = Publisher::connect(&self.cluster, "bench", &[self.dataset]).await?;
        let refused_by_consumer = self.cost(&mut publisher, rows, 0, |bar| bar.low = Some(bar.close + 9.0)).await?;
        self.execute(&format!("alter table {} add check (symbol <> '{SYMBOL}')", self.dataset.name)).await?;
        let refused_by_database = self.cost(&mut publisher, rows, 1, |_| {}).await?;
        Ok(Report { rows, refused_by_consumer, refused_by_database, database: self.database.shown() })
    }

    /// Publishes good records with a bad one in their midst and lets a consumer store them; other keys in each edition.
    async fn cost(
        &self,
        publisher: &mut Publisher,
        rows: u64,
        edition: u64,
        spoil: impl Fn(&mut OhlcvBar),
    ) -> anyhow::Result<Cost> {
        let (table, before) = (&self.dataset.name, edition * rows);
        let stored = self.number(&format!("select count(*) from {table}")).await?;
        let letters = self.number("select count(*) from dead_letter").await?;
        let chunks = self.number("select count(*) from sink_chunk").await?;
        for at in 0..rows {
            publisher.publish(&bar(before + at, 0)).await?;
            if let (true, Record::OhlcvBar(mut bad)) = (at == rows / 2, bar(before + at, 0)) {
                bad.symbol = SYMBOL.into();
                spoil(&mut bad);
                publisher.publish(&Record::OhlcvBar(bad)).await?;
            }
        }
        publisher.flush().await?;
        self.consume(&format!("poison-{edition}"), &[], rows + 1).await?;
        let times = format!(
            "with chunk as (select kafka_partition, records_dead_lettered as dead, extract(epoch from committed_at \
             - lag(committed_at) over (partition by kafka_partition order by from_offset)) * 1000 as took \
             from (select * from sink_chunk order by committed_at offset {chunks}) as chunk), \
             struck as (select * from chunk where dead > 0) \
             select cast(struck.took as text), cast(percentile_cont(0.5) within group (order by chunk.took) as text) \
             from chunk join struck using (kafka_partition) where chunk.dead = 0 group by struck.took"
        );
        let times = self.database.store("bench").rows(times, &[]).await?;
        let time = |at: usize| -> anyhow::Result<f64> {
            let text = times.first().and_then(|row| row[at].as_deref());
            Ok(text.context("the chunk of the bad record was the first of its partition")?.parse()?)
        };
        let (chunk_ms, median_chunk_ms) = (time(0)?, time(1)?);
        let stored = self.number(&format!("select count(*) from {table}")).await? - stored;
        Ok(Cost {
            dead_letters: (self.number("select count(*) from dead_letter").await? - letters).cast_unsigned(),
            good_rows_lost: rows.cast_signed() - stored,
            chunk_ms,
            median_chunk_ms,
            delay_ms: chunk_ms - median_chunk_ms,
        })
    }

    async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        self.database.store("bench").rows(statement.to_owned(), &[]).await?;
        Ok(())
    }
}
