//! Connects a source to Kafka.

use contract::{Dataset, dataset};
use kafka::publish::Publisher;
use service::telemetry;
use sources::source::Source;

use crate::events::Events;
use crate::run::{KAFKA_WAITS, Mode, Run, Stop};

/// Datasets of every source.
const COMMON_DATASETS: [&str; 2] = ["dead_letter", "fetch_log"];

/// Connects to Kafka; a daemon waits for it, without limit.
pub(crate) async fn connect(source: &Source, run: &Run, events: &Events) -> Result<Publisher, Stop> {
    let datasets = datasets(source);
    let role = format!("producer-{}", source.name);
    let mut wait = KAFKA_WAITS[0];
    loop {
        let reason = match Publisher::connect(&run.cluster, &role, &datasets).await {
            Ok(publisher) => return Ok(publisher),
            Err(error) => telemetry::one_line(&error.into()),
        };
        let is_once = run.mode == Mode::Once;
        events.kafka_unreachable(&reason, (!is_once).then_some(wait));
        if is_once {
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
