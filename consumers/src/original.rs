//! Messages from Kafka's client as [`contract::Original`].

use contract::Original;
use contract::original::encode_headers;
use rdkafka::Message;
use rdkafka::message::Headers as _;

/// The message as it came; its headers are encoded into `buffer`.
pub fn original_of<'a, M: Message>(message: &'a M, buffer: &'a mut Vec<u8>) -> Original<'a> {
    buffer.clear();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    encode_headers(headers.map(|header| (header.key, header.value)), buffer);
    Original {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key(),
        value: message.payload(),
        headers: (!buffer.is_empty()).then_some(buffer),
    }
}
