//! `tapedeck-bench poison`: what one bad record costs the good ones behind it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use contract::records::OhlcvBar;
use contract::{Record, topic};
use kafka::publish::Publisher;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde::Serialize;

use crate::bars::{DATASET, bar};
use crate::report::print;
use crate::setup::{Bench, on_bench};

/// The bad record's symbol; no good one has it.
const SYMBOL: &str = "POISON";
/// A header whose name is not UTF-8.
const BAD_HEADER: &[u8] = b"\xff=1";
/// Bytes of a value that no dead letter holds, and that compress below the limit of a topic.
const GIANT: usize = 9_000_000;
/// Number and bytes of the values of a batch that expands to 480 MB, more than librdkafka reads.
const BATCH: (usize, usize) = (60, 8_000_000);
/// How long Kafka may take to acknowledge what is bad.
const SEND_PATIENCE: Duration = Duration::from_secs(60);

/// Measure what a bad message among many good ones costs its partition
///
/// In turn a record that the consumer refuses, a record that only the database refuses, a header whose name is not UTF-8, a
/// value of 9 MB, and a batch that expands to 480 MB. The header needs `kcat`.
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
    print(&on_bench(DATASET, async |bench| bench.poison(arguments.rows).await).await?, arguments.json)
}

/// The results.
#[derive(Debug, Serialize)]
struct Report {
    rows: u64,
    refused_by_consumer: Cost,
    refused_by_database: Cost,
    bad_header: Cost,
    giant_value: Cost,
    huge_batch: Cost,
    database: String,
}

/// What is put among the good records.
#[derive(Debug, Clone, Copy)]
enum Poison {
    /// A bar that breaks a rule of the dataset.
    Rule,
    /// A bar that only the database refuses.
    Check,
    Header,
    Giant,
    Batch,
}

/// What became of the good records, and of the bad one among them.
#[derive(Debug, Serialize)]
struct Cost {
    dead_letters: u64,
    good_rows_lost: i64,
    /// From the previous commit to the commit of the last chunk that held some of it, in milliseconds.
    chunk_ms: f64,
    /// Median time between commits of the partition's other chunks, in milliseconds.
    median_chunk_ms: f64,
    /// How much the bad record delayed its partition: the first minus the second.
    delay_ms: f64,
}

impl Bench {
    async fn poison(&self, rows: u64) -> anyhow::Result<Report> {
        let mut publisher = Publisher::connect(&self.cluster, "bench", &[self.dataset]).await?;
        let refused_by_consumer = self.cost(&mut publisher, rows, 0, Poison::Rule).await?;
        self.execute(&format!("alter table {} add check (symbol <> '{SYMBOL}')", self.dataset.name)).await?;
        Ok(Report {
            rows,
            refused_by_consumer,
            refused_by_database: self.cost(&mut publisher, rows, 1, Poison::Check).await?,
            bad_header: self.cost(&mut publisher, rows, 2, Poison::Header).await?,
            giant_value: self.cost(&mut publisher, rows, 3, Poison::Giant).await?,
            huge_batch: self.cost(&mut publisher, rows, 4, Poison::Batch).await?,
            database: self.database.shown(),
        })
    }

    /// Publishes good records with a bad one in their midst and lets a consumer store them; other keys in each edition.
    async fn cost(&self, publisher: &mut Publisher, rows: u64, edition: u64, poison: Poison) -> anyhow::Result<Cost> {
        let (table, before) = (&self.dataset.name, edition * rows);
        let stored = self.number(&format!("select count(*) from {table}")).await?;
        let letters = self.number("select count(*) from dead_letter").await?;
        let chunks = self.number("select count(*) from sink_chunk").await?;
        let mut bad = 0;
        for at in 0..rows {
            publisher.publish(&bar(before + at, 0)).await?;
            if let (true, Record::OhlcvBar(bar)) = (at == rows / 2, bar(before + at, 0)) {
                publisher.flush().await?;
                bad = self.put(publisher, poison, bar).await?;
            }
        }
        publisher.flush().await?;
        self.consume(&format!("poison-{edition}"), &[], rows + bad).await?;
        let times = format!(
            "with chunk as (select kafka_partition, records_dead_lettered as dead, extract(epoch from committed_at \
             - lag(committed_at) over (partition by kafka_partition order by from_offset)) * 1000 as took \
             from (select * from sink_chunk order by committed_at offset {chunks}) as chunk), \
             struck as (select kafka_partition, sum(took) as took from chunk where dead > 0 group by kafka_partition) \
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

    /// Puts something bad on the topic; the number of its records.
    async fn put(&self, publisher: &mut Publisher, poison: Poison, mut bar: Box<OhlcvBar>) -> anyhow::Result<u64> {
        let topic = topic::topic(self.cluster.namespace(), self.dataset);
        match poison {
            Poison::Rule | Poison::Check => {
                bar.symbol = SYMBOL.into();
                if let Poison::Rule = poison {
                    bar.low = Some(bar.close + 9.0);
                }
                publisher.publish(&Record::OhlcvBar(bar)).await?;
                publisher.flush().await?;
                Ok(1)
            }
            Poison::Header => {
                let file = self.folder.join("no-record");
                std::fs::write(&file, b"no record")?;
                let mut kcat = Command::new("kcat");
                kcat.args(["-b", self.cluster.brokers(), "-P", "-t", &topic, "-p", "0", "-H"]);
                let sent = kcat.arg(OsStr::from_bytes(BAD_HEADER)).arg(&file).output();
                let sent = sent.context("cannot run `kcat`, which sends the bad header: install it")?;
                ensure!(sent.status.success(), "kcat: {}", String::from_utf8_lossy(&sent.stderr));
                Ok(1)
            }
            Poison::Giant => self.send(&topic, 1, GIANT),
            Poison::Batch => self.send(&topic, BATCH.0, BATCH.1),
        }
    }

    /// Sends values of that size as one batch.
    fn send(&self, topic: &str, count: usize, bytes: usize) -> anyhow::Result<u64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.brokers()).set("compression.codec", "zstd");
        config.set("linger.ms", "60000").set("batch.size", "2000000000").set("message.max.bytes", "1000000000");
        let producer: BaseProducer = config.set("queue.buffering.max.kbytes", "2000000").create()?;
        let value = vec![b'a'; bytes];
        for _ in 0..count {
            let record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic).partition(0).payload(&value);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(SEND_PATIENCE)?;
        Ok(count as u64)
    }

    async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        self.database.store("bench").rows(statement.to_owned(), &[]).await?;
        Ok(())
    }
}
