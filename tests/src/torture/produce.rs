//! Sends a message as it is: the name of a header need not be UTF-8.
#![expect(unsafe_code, reason = "rdkafka takes only header names that are UTF-8")]

use std::ffi::{CString, c_void};
use std::ptr;

use rdkafka::bindings::rd_kafka_vtype_t::*;
use rdkafka::bindings::{
    RD_KAFKA_MSG_F_COPY, rd_kafka_header_add, rd_kafka_headers_destroy, rd_kafka_headers_new, rd_kafka_headers_t,
    rd_kafka_producev, rd_kafka_resp_err_t as Code,
};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::util::IntoOpaque as _;

/// A message without its topic.
#[derive(Debug)]
pub(super) struct Produced<'a> {
    pub(super) partition: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<(&'a [u8], &'a [u8])>,
}

/// Puts a message into the producer's queue, with its number for the delivery report.
pub(super) fn produce<C: ProducerContext<DeliveryOpaque = Box<u32>>>(
    producer: &BaseProducer<C>,
    topic: &str,
    message: &Produced<'_>,
    number: u32,
) -> Result<(), Code> {
    let topic = CString::new(topic).unwrap();
    let (value, value_size) = parts(message.value);
    let (key, key_size) = parts(message.key);
    let headers = list(&message.headers);
    let opaque = Box::new(number).into_ptr();
    // SAFETY: every pointer is valid during the call, which copies topic, key and value. It takes the headers and the number
    // if it succeeds; the producer gives the number back with its delivery report.
    let code = unsafe {
        rd_kafka_producev(
            producer.client().native_ptr(),
            RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            RD_KAFKA_VTYPE_PARTITION,
            message.partition,
            RD_KAFKA_VTYPE_MSGFLAGS,
            RD_KAFKA_MSG_F_COPY,
            RD_KAFKA_VTYPE_VALUE,
            value,
            value_size,
            RD_KAFKA_VTYPE_KEY,
            key,
            key_size,
            RD_KAFKA_VTYPE_OPAQUE,
            opaque,
            RD_KAFKA_VTYPE_HEADERS,
            headers,
            RD_KAFKA_VTYPE_END,
        )
    };
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    // SAFETY: the call failed, so both are still ours.
    unsafe {
        drop(<Box<u32>>::from_ptr(opaque));
        rd_kafka_headers_destroy(headers);
    }
    Err(code)
}

fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

/// A new list of headers, which the caller owns.
fn list(headers: &[(&[u8], &[u8])]) -> *mut rd_kafka_headers_t {
    // SAFETY: the list is new, and it copies names and values.
    unsafe {
        let list = rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let length = |bytes: &[u8]| isize::try_from(bytes.len()).unwrap();
            let code =
                rd_kafka_header_add(list, name.as_ptr().cast(), length(name), value.as_ptr().cast(), length(value));
            assert_eq!(code, Code::RD_KAFKA_RESP_ERR_NO_ERROR);
        }
        list
    }
}
