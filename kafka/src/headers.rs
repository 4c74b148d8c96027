//! The headers of a message. Their names need not be UTF-8: anybody can send such a message, and rdkafka's own iterator
//! panics at it.
#![expect(unsafe_code, reason = "rdkafka has no other way to a header whose name is not UTF-8")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings::{
    rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers, rd_kafka_resp_err_t as Code,
};
use rdkafka::message::BorrowedMessage;

/// A header: its name, and its value unless that is null.
pub(crate) type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of a message, in their order.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    /// Null when the message has none.
    list: *const rd_kafka_headers_t,
    next: usize,
    message: PhantomData<&'a ()>,
}

impl<'a> Headers<'a> {
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Headers<'a> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is valid while it is borrowed. The list belongs to it, and changes only when headers are added
        // or detached, which takes the same pointer and happens nowhere.
        let code = unsafe { rd_kafka_message_headers(message.ptr(), &raw mut list) };
        let list = if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { list } else { ptr::null_mut() };
        Headers { list, next: 0, message: PhantomData }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.list.is_null() {
            return None;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is valid for as long as the message is borrowed, and an index behind its end is an error code.
        let code =
            unsafe { rd_kafka_header_get_all(self.list, self.next, &raw mut name, &raw mut value, &raw mut size) };
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        self.next += 1;
        // SAFETY: librdkafka ends a name with a zero byte; a value that is not null has `size` bytes, which may be none. Both
        // live as long as the message.
        unsafe {
            let name = CStr::from_ptr(name).to_bytes();
            Some((name, (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size))))
        }
    }
}
