//! Bodies, decompressed piece by piece, within limits for their size and their compression ratio.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use sources::parse::body::excerpt;
use sources::response::PageError;

/// Highest compression ratio: JSON and CSV compress to a twentieth at best.
const MAX_RATIO: usize = 200;
/// A body up to this size may have any ratio, as small ones compress better.
const FREE_BYTES: usize = 1 << 20;

/// A body that arrives in pieces.
pub(super) struct Body {
    received: usize,
    packing: Packing,
}

/// How the body is compressed.
enum Packing {
    None(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Body {
    /// A body of at most so many bytes, compressed by gzip once or not at all.
    pub(super) fn of(headers: &HeaderMap, limit: usize) -> Result<Body, PageError> {
        let bounded = Bounded { bytes: Vec::new(), limit, allowed: 0 };
        let encodings: Vec<&[u8]> = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes()).collect();
        let packing = match encodings[..] {
            [] | [b"" | b"identity"] => Packing::None(bounded),
            [one] if one.eq_ignore_ascii_case(b"gzip") || one.eq_ignore_ascii_case(b"x-gzip") => {
                Packing::Gzip(Box::new(MultiGzDecoder::new(bounded)))
            }
            _ => {
                let shown = excerpt(&encodings.join(&b", "[..]));
                return Err(PageError::Retry(format!(
                    "the body has content encoding `{shown}`; expected gzip or none"
                )));
            }
        };
        Ok(Body { received: 0, packing })
    }

    /// Adds a received piece.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), PageError> {
        self.received += piece.len();
        let swollen = self.received.saturating_mul(MAX_RATIO).max(FREE_BYTES);
        let (written, bounded) = match &mut self.packing {
            Packing::None(bounded) => {
                bounded.allowed = usize::MAX;
                (bounded.write_all(piece), bounded)
            }
            Packing::Gzip(decoder) => {
                decoder.get_mut().allowed = swollen;
                (decoder.write_all(piece), decoder.get_mut())
            }
        };
        written.map_err(|_| bounded.refusal().unwrap_or_else(not_packed))
    }

    /// The body, after its last piece.
    pub(super) fn done(self) -> Result<Vec<u8>, PageError> {
        match self.packing {
            Packing::None(bounded) => Ok(bounded.bytes),
            // A response without a body may name an encoding.
            Packing::Gzip(_) if self.received == 0 => Ok(Vec::new()),
            Packing::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
                Err(_) => Err(decoder.get_ref().refusal().unwrap_or_else(not_packed)),
            },
        }
    }
}

fn not_packed() -> PageError {
    PageError::Retry("the body is not gzip as its header says, or is truncated".to_owned())
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    /// Most bytes.
    limit: usize,
    /// Most bytes for the pieces so far.
    allowed: usize,
}

impl Bounded {
    fn is_full(&self) -> bool {
        self.bytes.len() > self.limit.min(self.allowed)
    }

    /// Makes room for so many bytes: doubles the capacity, and from half of the limit on takes the limit. Doubling at
    /// the limit would need three times its memory.
    fn make_room(&mut self, more: usize) {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let wanted = length.saturating_add(more);
        if wanted > capacity {
            let doubled = capacity.saturating_mul(2).max(wanted);
            let room = if doubled > self.limit / 2 { self.limit.saturating_add(1) } else { doubled };
            self.bytes.reserve_exact(room - length);
        }
    }

    /// Which limit was exceeded, if any.
    fn refusal(&self) -> Option<PageError> {
        let reason = match self.is_full() {
            false => return None,
            true if self.bytes.len() > self.limit => format!("the body has more than {} bytes", self.limit),
            true => format!("the body decompresses to more than {MAX_RATIO} times its size"),
        };
        Some(PageError::GiveUp(reason))
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        // One byte more than the limit, to notice that there are more.
        let most = self.limit.min(self.allowed).saturating_add(1);
        let room = most.saturating_sub(self.bytes.len());
        let piece_taken = &piece[..piece.len().min(room)];
        self.make_room(piece_taken.len());
        self.bytes.extend_from_slice(piece_taken);
        if self.is_full() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(piece.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
