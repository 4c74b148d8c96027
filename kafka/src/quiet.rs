//! A client without callbacks.

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;

/// Context of clients that have no callbacks.
///
/// Unlike rdkafka's own it has no parser for statistics, which these clients never report. The compiler would build that
/// parser once more for every crate that creates a client.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Quiet {}
