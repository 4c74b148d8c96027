//! Bodies, unpacked piece by piece: neither their size nor how far they swell is the provider's to choose.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use sources::parse::body::excerpt;
use sources::response::PageError;

/// How many times as large as what was received a body may be: JSON and CSV shrink to a twentieth at best.
const MAX_RATIO: usize = 200;
/// Bytes that a body may have in any case, as small ones may shrink more.
const FREE_BYTES: usize = 1 << 20;

/// A body in the making.
pub(super) struct Body {
    received: usize,
    packing: Packing,
}

/// How the body was packed.
enum Packing {
    None(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Body {
    /// Of at most so many bytes. Packed it may be once, and as it was asked for.
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
                return Err(PageError::Retry(format!("the body is packed as `{shown}`, which was not asked for")));
            }
        };
        Ok(Body { received: 0, packing })
    }

    /// Adds a piece as it was received.
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

    /// The body, when all of it was received.
    pub(super) fn done(self) -> Result<Vec<u8>, PageError> {
        match self.packing {
            Packing::None(bounded) => Ok(bounded.bytes),
            // An answer without a body may say how it would have been packed.
            Packing::Gzip(_) if self.received == 0 => Ok(Vec::new()),
            Packing::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
                Err(_) => Err(decoder.get_ref().refusal().unwrap_or_else(not_packed)),
            },
        }
    }
}

fn not_packed() -> PageError {
    PageError::Retry("the body is not the gzip that it is said to be, or ends too early".to_owned())
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    /// Most bytes.
    limit: usize,
    /// Most bytes for what was received so far; zero while nothing was.
    allowed: usize,
}

impl Bounded {
    fn is_full(&self) -> bool {
        self.bytes.len() > self.limit.min(self.allowed)
    }

    /// Makes room for so many bytes: twice as much as there was, and from half of the limit on for all that there may be. To
    /// double at the limit would take three times its memory.
    fn make_room(&mut self, more: usize) {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let wanted = length.saturating_add(more);
        if wanted > capacity {
            let doubled = capacity.saturating_mul(2).max(wanted);
            let room = if doubled > self.limit / 2 { self.limit.saturating_add(1) } else { doubled };
            self.bytes.reserve_exact(room - length);
        }
    }

    /// Why no more was taken; None when it was not for its size.
    fn refusal(&self) -> Option<PageError> {
        let reason = match self.is_full() {
            false => return None,
            true if self.bytes.len() > self.limit => format!("the body has more than {} bytes", self.limit),
            true => format!("the body is more than {MAX_RATIO} times as large as what was received"),
        };
        Some(PageError::GiveUp(reason))
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        // One byte more than may be, to know that there are more.
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
