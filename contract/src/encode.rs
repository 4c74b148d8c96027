//! Writing the wire format, which is Confluent's: a zero byte, the schema's id in 4 bytes (big-endian), an Avro body.
//!
//! Every function appends to `out` and cannot fail. A [`Record`](crate::Record) encodes itself with them: an optional
//! field is a union of null and its type.

use rust_decimal::Decimal;

use crate::decimal;

/// First byte of a message.
pub(crate) const MAGIC: u8 = 0;

/// Begins a message: a zero byte and the schema's id.
pub fn put_header(schema_id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&schema_id.to_be_bytes());
}

/// Appends an Avro int or long.
pub fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends an Avro double.
pub fn put_double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an Avro decimal with [`decimal::SCALE`] digits after the point.
pub fn put_decimal(value: Decimal, out: &mut Vec<u8>) {
    put_bytes(decimal::shortest(&decimal::unscaled_bytes(value)), out);
}

/// Appends Avro bytes or an Avro string.
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put_long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// Appends an Avro array of strings.
pub fn put_texts(values: &[String], out: &mut Vec<u8>) {
    if !values.is_empty() {
        put_long(values.len() as i64, out);
        values.iter().for_each(|value| put_bytes(value.as_bytes(), out));
    }
    put_long(0, out);
}

/// Appends a union of null and another type, whose value `put` appends.
pub fn put_optional<T>(value: Option<T>, out: &mut Vec<u8>, put: impl FnOnce(T, &mut Vec<u8>)) {
    match value {
        None => put_long(0, out),
        Some(value) => {
            put_long(1, out);
            put(value, out);
        }
    }
}
