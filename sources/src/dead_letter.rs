//! The dead letter that a reject becomes.

use contract::records::DeadLetter;
use xxhash_rust::xxh3::xxh3_64;

use crate::response::{Reject, Request};
use crate::source::{Endpoint, Source};

impl Reject {
    /// The dead letter that holds this reject. The same row of the same item always has the same id, so it is stored
    /// once.
    pub fn into_dead_letter(self, source: &Source, endpoint: &Endpoint, request: &Request<'_>) -> DeadLetter {
        let hash = xxh3_64(&self.fragment);
        DeadLetter {
            source: source.name.into(),
            dead_letter_id: format!("{}/{}/{hash:016x}", endpoint.name, request.item).into(),
            stage: "parse".into(),
            error_class: self.class.into(),
            sqlstate: None,
            reason: self.reason.into(),
            dataset: self.dataset.unwrap_or(endpoint.datasets[0]).into(),
            kafka_topic: None,
            kafka_incarnation: None,
            kafka_partition: None,
            kafka_offset: None,
            record_timestamp_ms: None,
            record_key: None,
            record_value: Some(self.fragment),
            record_headers: None,
            known_at: request.received_at,
            observed_at: request.received_at,
            flags: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::source;
    use crate::response::MAX_FRAGMENT_BYTES;

    #[test]
    fn the_same_reject_has_the_same_dead_letter_however_long_its_row() {
        let source = source("cboe").unwrap();
        let request = crate::fixture::request("VIX");
        let letter =
            |row: &[u8]| Reject::new("date", "x", row).into_dead_letter(source, &source.endpoints[0], &request);
        let long = letter(&[b'x'; 2 * MAX_FRAGMENT_BYTES]);
        assert_eq!(long.record_value.as_ref().unwrap().len(), MAX_FRAGMENT_BYTES);
        assert_eq!(long, letter(&[b'x'; 3 * MAX_FRAGMENT_BYTES]));
        assert_ne!(long.dead_letter_id, letter(b"y").dead_letter_id);
        assert!(long.dead_letter_id.starts_with("index_history/VIX/"), "{}", long.dead_letter_id);
        assert_eq!((long.source.as_str(), long.stage.as_str(), long.dataset.as_str()), ("cboe", "parse", "ohlcv_bar"));
        assert_eq!(long.known_at, request.received_at);
    }
}
