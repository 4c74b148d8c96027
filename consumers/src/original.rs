//! Messages as they came: what a dead letter must keep of them.

use rdkafka::Message;
use rdkafka::message::Headers as _;
use xxhash_rust::xxh3::Xxh3;

/// A message's bytes and coordinate.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Kafka's timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Key; None when it has none.
    pub key: Option<&'a [u8]>,
    /// Value; None when it has none.
    pub value: Option<&'a [u8]>,
    /// Headers, each as name length, name, value length, value (4-byte big-endian lengths, -1 for a null value); None
    /// when it has none.
    pub headers: Option<&'a [u8]>,
}

impl<'a> Original<'a> {
    /// Of a message; `buffer` is where its headers are written.
    pub fn of<M: Message>(message: &'a M, buffer: &'a mut Vec<u8>) -> Original<'a> {
        buffer.clear();
        put_headers(message, buffer);
        Original {
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            value: message.payload(),
            headers: (!buffer.is_empty()).then_some(buffer),
        }
    }

    /// Bytes of key, value and headers.
    pub fn len(&self) -> usize {
        [self.key, self.value, self.headers].into_iter().flatten().map(<[u8]>::len).sum()
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A hash of key, value and timestamp: two records at the same coordinate with different hashes are from
    /// different incarnations of a topic.
    pub fn hash(&self) -> i64 {
        let mut state = Xxh3::new();
        for part in [self.key, self.value] {
            state.update(&(part.map_or(-1, |part| part.len() as i64)).to_le_bytes());
            state.update(part.unwrap_or_default());
        }
        state.update(&self.timestamp_ms.unwrap_or(-1).to_le_bytes());
        state.digest().cast_signed()
    }

    /// Value of the first header of that name; None when there is none or it is null.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.headers?;
        while !rest.is_empty() {
            let key = take_part(&mut rest)?;
            let value = take_part(&mut rest)?;
            if key == Some(name.as_bytes()) {
                return value;
            }
        }
        None
    }
}

/// The headers as they are kept: names and values; None is null. What cannot be read is left out.
pub fn parts(mut headers: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
    let mut all = Vec::new();
    while let (Some(name), Some(value)) = (take_part(&mut headers), take_part(&mut headers)) {
        all.push((name.unwrap_or_default(), value));
    }
    all
}

/// One part of the headers; the outer None: there is none.
#[expect(clippy::option_option, reason = "a null value is not the same as no more bytes")]
fn take_part<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Some(None);
    };
    let (part, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(Some(part))
}

fn put_headers<M: Message>(message: &M, bytes: &mut Vec<u8>) {
    let mut put = |part: Option<&[u8]>| {
        let length = part.map_or(-1, |part| i32::try_from(part.len()).unwrap_or(i32::MAX));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default());
    };
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        put(Some(header.key.as_bytes()));
        put(header.value);
    }
}

/// Messages in one piece of memory.
#[derive(Debug, Default)]
pub struct Originals {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    offset: i64,
    timestamp_ms: Option<i64>,
    lengths: [Option<u32>; 3],
}

impl Originals {
    /// Keeps a message.
    pub fn push(&mut self, original: &Original<'_>) {
        let parts = [original.key, original.value, original.headers];
        self.entries.push(Entry {
            start: self.bytes.len(),
            offset: original.offset,
            timestamp_ms: original.timestamp_ms,
            lengths: parts.map(|part| part.map(|part| part.len() as u32)),
        });
        parts.into_iter().flatten().for_each(|part| self.bytes.extend_from_slice(part));
    }

    /// The message that was kept at that place.
    pub fn get(&self, at: usize) -> Original<'_> {
        let entry = &self.entries[at];
        let mut rest = &self.bytes[entry.start..];
        let [key, value, headers] = entry.lengths.map(|length| {
            length.map(|length| {
                let (part, after) = rest.split_at(length as usize);
                rest = after;
                part
            })
        });
        Original { offset: entry.offset, timestamp_ms: entry.timestamp_ms, key, value, headers }
    }
}
