//! Connects a source to Kafka.

use contract::{Dataset, dataset};
use kafka::KafkaError;
use kafka::publish::Publisher;
use service::telemetry;
use sources::source::Source;

use crate::events::Events;
use crate::run::{KAFKA_WAITS, Mode, Run, Stop};

/// Datasets of every source.
const COMMON_DATASETS: [&str; 2] = ["dead_letter", "fetch_log"];

/// Connects to Kafka; a daemon waits for it, without limit, unless Kafka refuses it.
pub(crate) async fn connect(source: &Source, run: &Run, events: &Events) -> Result<Publisher, Stop> {
    let datasets = datasets(source);
    let role = format!("producer-{}", source.name);
    let mut wait = KAFKA_WAITS[0];
    loop {
        let error = match Publisher::connect(&run.cluster, &role, &datasets).await {
            Ok(publisher) => return Ok(publisher),
            Err(error) => error,
        };
        let is_final = run.mode == Mode::Once || matches!(error, KafkaError::Halt(_));
        let reason = telemetry::one_line(&error.into());
        events.kafka_unreachable(&reason, (!is_final).then_some(wait));
        if is_final {
            return Err(Stop::Kafka(reason));
        }
        wait = run.pause(wait).await?;
    }
}

/// The datasets that a source publishes.
fn datasets(source: &Source) -> Vec<&'static Dataset> {
    let names = source.endpoints.iter().flat_map(|endpoint| endpoint.datasets).chain(&COMMON_DATASETS);
    let mut datasets: Vec<&'static Dataset> = names.filter_map(|name| dataset(name)).collect();
    datasets.sort_by_key(|dataset| dataset.schema_id);
    datasets.dedup_by_key(|dataset| dataset.schema_id);
    datasets
}
