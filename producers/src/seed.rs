//! Reference data that no provider publishes: exchanges, sectors and industries, as records like any other.
//!
//! The files in `producers/seed/` hold facts alone. Their version is a time in the past, so that anybody's later record
//! of the same key corrects them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use contract::records::{Exchange, Industry, Sector};
use contract::text::Text;
use contract::{Dataset, Record, dataset, topic};
use kafka::publish::Publisher;
use kafka::reader::Topic;
use kafka::{Cluster, KafkaError};

#[cfg(test)]
mod tests;

/// The source of these records.
pub const SOURCE: &str = "reference";
/// When the records count as known and received, in seconds since 1970: 2025-01-01. Later than their latest fact.
const KNOWN_AT: i64 = 1_735_689_600;
/// Bytes before the body of a message: the schema's id, which a registry chooses.
const HEADER_BYTES: usize = 5;
/// Classification of the SEC's codes, the Standard Industrial Classification.
const SIC: &str = "sic";

/// How many records of a dataset were published.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// Records that its topic did not have.
    pub published: usize,
    /// All records.
    pub records: usize,
}

/// Publishes the records that the topics do not have yet, and waits until Kafka has acknowledged them.
///
/// # Errors
///
/// Kafka or the schema registry is not available, or refuses the records.
pub async fn publish(cluster: &Cluster) -> anyhow::Result<Vec<Seeded>> {
    let mut seeded = Vec::new();
    for (name, records) in [("exchange", exchanges()), ("sector", sectors()), ("industry", industries())] {
        let dataset = dataset(name).expect("it is declared");
        let mut publisher = Publisher::connect(cluster, "seed", &[dataset]).await?;
        let present = {
            let cluster = cluster.clone();
            tokio::task::spawn_blocking(move || present(&cluster, dataset)).await??
        };
        let (mut published, mut body) = (0, Vec::new());
        for record in &records {
            body.clear();
            record.encode(&mut body);
            if !present.contains(&body) {
                publisher.publish(record).await?;
                published += 1;
            }
        }
        publisher.flush().await?;
        seeded.push(Seeded { dataset, published, records: records.len() });
    }
    Ok(seeded)
}

/// The bodies of our records on a dataset's topic.
fn present(cluster: &Cluster, dataset: &'static Dataset) -> Result<HashSet<Vec<u8>>, KafkaError> {
    let (topic, key) = (topic::topic(cluster.namespace(), dataset), format!("{SOURCE}|"));
    let mut present = HashSet::new();
    Topic::open(cluster, &topic)?.each(|message| {
        if message.key().is_some_and(|theirs| theirs.starts_with(key.as_bytes())) {
            present.extend(message.value().and_then(|value| value.get(HEADER_BYTES..)).map(<[u8]>::to_vec));
        }
        Ok::<(), KafkaError>(())
    })?;
    Ok(present)
}

/// The lines of a file below its header, split into columns.
fn rows<const COLUMNS: usize>(file: &'static str) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    file.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        std::array::from_fn(|_| columns.next().unwrap_or_default())
    })
}

fn known_at() -> DateTime<Utc> {
    DateTime::from_timestamp(KNOWN_AT, 0).expect("it is a time")
}

fn optional(text: &str) -> Option<Text> {
    (!text.is_empty()).then(|| text.into())
}

fn exchanges() -> Vec<Record> {
    let exchange = |[mic, name, country, country_code, currency, time_zone, opens_at, closes_at]: [&str; 8]| Exchange {
        source: SOURCE.into(),
        exchange_code: mic.into(),
        name: optional(name),
        country: optional(country),
        country_code: optional(country_code),
        currency: optional(currency),
        time_zone: optional(time_zone),
        mic: optional(mic),
        opens_at: optional(opens_at),
        closes_at: optional(closes_at),
        known_at: known_at(),
        observed_at: known_at(),
        flags: Vec::new(),
    };
    rows(include_str!("../seed/exchange.tsv")).map(exchange).map(Record::from).collect()
}

/// The lines of the file of sectors: classification, code, name, first and last code of its industries.
fn sector_rows() -> impl Iterator<Item = [&'static str; 5]> {
    rows(include_str!("../seed/sector.tsv"))
}

fn sectors() -> Vec<Record> {
    let sector = |[classification, code, name, ..]: [&str; 5]| Sector {
        source: SOURCE.into(),
        classification: classification.into(),
        sector_code: code.into(),
        name: name.into(),
        known_at: known_at(),
        observed_at: known_at(),
        flags: Vec::new(),
    };
    sector_rows().map(sector).map(Record::from).collect()
}

fn industries() -> Vec<Record> {
    let sector_of = |code: &str| {
        let range = |[.., first, last]: &[&str; 5]| *first <= &code[..2] && &code[..2] <= *last;
        sector_rows().filter(|[classification, ..]| *classification == SIC).find(range).map(|[_, code, ..]| code.into())
    };
    let industry = |[code, name]: [&'static str; 2]| Industry {
        source: SOURCE.into(),
        classification: SIC.into(),
        industry_code: code.into(),
        name: name.into(),
        sector_code: sector_of(code),
        known_at: known_at(),
        observed_at: known_at(),
        flags: Vec::new(),
    };
    rows(include_str!("../seed/industry.tsv")).map(industry).map(Record::from).collect()
}
