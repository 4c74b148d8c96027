//! Original messages from Kafka, as a dead letter stores them.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::decode::MAX_BYTES;

/// A message as it came: its bytes, offset and timestamp.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Kafka's timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Key; None when the message has none.
    pub key: Option<&'a [u8]>,
    /// Value; None when the message has none.
    pub value: Option<&'a [u8]>,
    /// Headers, each as name length, name, value length, value (4-byte big-endian lengths, -1 for a null value); None
    /// when the message has none. See [`encode_headers`].
    pub headers: Option<&'a [u8]>,
}

impl<'a> Original<'a> {
    /// Number of bytes in key, value and headers.
    pub fn len(&self) -> usize {
        [self.key, self.value, self.headers].into_iter().flatten().map(<[u8]>::len).sum()
    }

    /// Whether key, value and headers are all empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a dead letter keeps of it: the parts of at most [`MAX_BYTES`].
    pub fn kept(&self) -> Original<'a> {
        let kept = |part: Option<&'a [u8]>| part.filter(|part| part.len() <= MAX_BYTES);
        let value = kept(self.value);
        // Headers without their value could be taken for those of a deletion.
        let headers = kept(self.headers).filter(|_| value.is_some() == self.value.is_some());
        Original { key: kept(self.key), value, headers, ..*self }
    }

    /// Name and bytes of the parts that are larger than a dead letter holds.
    pub fn too_large(&self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        let parts = [("key", self.key), ("value", self.value), ("headers", self.headers)];
        let parts = parts.into_iter().filter_map(|(name, part)| Some((name, part?)));
        parts.filter(|(_, part)| part.len() > MAX_BYTES)
    }

    /// A hash of key, value and timestamp. Two records at the same coordinate with different hashes are from
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

    /// Value of the first header with this name; None when there is none or it is null.
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

/// A hash by which bytes that are not kept can be recognised: XXH3-128 in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// Encodes headers as [`Original::headers`] holds them and appends them to `bytes`.
pub fn encode_headers<'a>(headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>, bytes: &mut Vec<u8>) {
    let mut put = |part: Option<&[u8]>| {
        let length = part.map_or(-1, |part| i32::try_from(part.len()).unwrap_or(i32::MAX));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default());
    };
    for (name, value) in headers {
        put(Some(name));
        put(value);
    }
}

/// Decodes headers into names and values (None: null). Stops at the first header that is malformed.
pub fn decode_headers(mut headers: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
    let mut all = Vec::new();
    while let (Some(name), Some(value)) = (take_part(&mut headers), take_part(&mut headers)) {
        all.push((name.unwrap_or_default(), value));
    }
    all
}

/// Takes one name or value from the encoded headers; the outer None means that no part is left.
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
