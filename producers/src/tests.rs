//! What the tests of this crate share: Kafka as a mock cluster, runs against it, and what it holds after them.

use std::time::Duration;

use contract::{Decoder, Rows, dataset, decode, topic};
use kafka::Cluster;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use service::secret::Secret;
use simulator::Simulator;
use sources::source;
use sources::source::Source;

use crate::fetch::{Fetcher, LIMITS};
use crate::poll::Open;
use crate::run::{Mode, Run};
use crate::watchlist::Watchlist;

mod hostile;
pub(crate) mod log;
pub(crate) mod stub;

pub(crate) type Mock = MockCluster<'static, DefaultProducerContext>;

pub(crate) fn kafka() -> Mock {
    let mock = MockCluster::new(1).unwrap();
    for dataset in contract::datasets() {
        mock.create_topic(&topic::topic("test", dataset), 2, 1).unwrap();
    }
    mock
}

/// Number of messages on a dataset's topic.
pub(crate) fn messages(mock: &Mock, name: &str) -> i64 {
    let consumer: BaseConsumer =
        Cluster::new(&mock.bootstrap_servers(), "test").client_config("reader").create().unwrap();
    let topic = topic::topic("test", dataset(name).unwrap());
    let end = |partition| consumer.fetch_watermarks(&topic, partition, Duration::from_secs(10)).unwrap().1;
    (0..2).map(end).sum()
}

pub(crate) fn once(mock: &Mock, watchlist: &str) -> Run {
    let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
    Run::new(Watchlist::parse(watchlist).unwrap(), cluster, Mode::Once)
}

pub(crate) fn asking(name: &str, base: &str) -> (&'static Source, Open) {
    let (source, base) = (source(name).unwrap(), base.to_owned());
    let key = source.key_variable().map(|_| Secret::new(Simulator::key(name).to_owned()));
    (source, Box::new(move || Fetcher::new(source, &base, key.clone(), LIMITS)))
}

/// These fields of the messages on a dataset's topic, sorted.
pub(crate) fn published(mock: &Mock, name: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut config = Cluster::new(&mock.bootstrap_servers(), "test").client_config("reader");
    let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
    let dataset = dataset(name).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..2 {
        partitions.add_partition_offset(&topic::topic("test", dataset), partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let (decoder, mut rows) = (Decoder::new(dataset, &dataset.schema).unwrap(), Rows::new(dataset));
    for _ in 0..messages(mock, name) {
        let message = consumer.poll(Duration::from_secs(10)).unwrap().unwrap();
        decoder.decode(decode::split_header(message.payload().unwrap()).unwrap().1, &mut rows).unwrap();
    }
    let value = |row: usize, field: &str| {
        let column = rows.column(dataset.position(field).unwrap());
        let number = || column.number(row).map_or("null".to_owned(), |number| number.to_string());
        column.text(row).map_or_else(number, str::to_owned)
    };
    let row = |row: usize| fields.iter().map(|field| value(row, field)).collect();
    let mut all: Vec<Vec<String>> = (0..rows.len()).map(row).collect();
    all.sort();
    all
}
