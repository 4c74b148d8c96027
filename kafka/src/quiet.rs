//! A client without callbacks, but for a refusal.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::metadata::Metadata;

use crate::error::{KafkaError, retry};
use crate::refusal::Refusal;

/// Polls within which a client finds what librdkafka has reported.
const MAX_REPORTS: usize = 64;

/// How long each part of a request for metadata waits. While librdkafka fails to log in, the request gets no answer: after
/// each part the client looks for a refused login.
const METADATA_PATIENCE: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(2000), Duration::from_millis(7500)];

/// Context of clients that have no callbacks of their own.
///
/// Unlike rdkafka's own it has no parser for statistics, which these clients never report. The compiler would build that
/// parser once more for every crate that creates a client.
#[derive(Default)]
pub(crate) struct Quiet {
    pub(crate) refusal: Refusal,
}

impl ClientContext for Quiet {
    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: ClientError, reason: &str) {
        self.refusal.note(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// Why a request failed: for a refusal, if Kafka has refused this client.
pub(crate) fn failed(client: &BaseConsumer<Quiet>, what: &str, error: &ClientError) -> KafkaError {
    let halt = |refusal| KafkaError::Halt(format!("{what}: {refusal}"));
    refused(client).map_or_else(|| retry(what, error), halt)
}

fn refused(client: &BaseConsumer<Quiet>) -> Option<String> {
    // Nobody else polls a client that only asks, so what librdkafka reports is still in its queue.
    (0..MAX_REPORTS).find_map(|_| {
        client.poll(Duration::ZERO);
        client.context().refusal.take()
    })
}

/// The metadata of a topic, or of all; waits [`REQUEST_TIMEOUT`](crate::cluster::REQUEST_TIMEOUT), unless Kafka refuses
/// this client.
pub(crate) fn metadata(client: &BaseConsumer<Quiet>, topic: Option<&str>, what: &str) -> Result<Metadata, KafkaError> {
    let ask = |patience: Duration| {
        let answer = client.fetch_metadata(topic, patience);
        answer.map_err(|error| failed(client, what, &error))
    };
    let [first @ .., last] = METADATA_PATIENCE;
    for patience in first {
        match ask(patience) {
            Err(KafkaError::Retry(_)) => {}
            answer => return answer,
        }
    }
    ask(last)
}
