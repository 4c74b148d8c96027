//! PostgreSQL's protocol as far as a trap needs it.

use std::collections::HashMap;

use super::{Control, Point, Trap};
use std::sync::Arc;

/// Requests for TLS and for GSSAPI encryption: the response is one byte.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// The statement that marks a transaction as a chunk's.
const MOVES_POSITION: &str = "update sink_position";

/// State shared by both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    is_started: bool,
    one_byte_answers: usize,
    statements: HashMap<Vec<u8>, String>,
    is_chunk: bool,
    commits: usize,
}

impl Postgres {
    /// Length of the first whole message from the client.
    pub(super) fn request_length(&self, bytes: &[u8]) -> Option<usize> {
        if self.is_started { typed_length(bytes) } else { be_u32(bytes, 0) }
    }

    /// Length of the first whole message from the server.
    pub(super) fn answer_length(&self, bytes: &[u8]) -> Option<usize> {
        if self.one_byte_answers > 0 { Some(1) } else { typed_length(bytes) }
    }

    /// Reads a message from the client.
    pub(super) fn request(&mut self, message: &[u8], control: &Control) -> Option<Arc<Trap>> {
        if !self.is_started {
            match be_u32(message, 4) {
                Some(code) if ENCRYPTION_REQUESTS.contains(&(code as u32)) => self.one_byte_answers += 1,
                _ => self.is_started = true,
            }
            return None;
        }
        let body = &message[5..];
        match message[0] {
            b'P' => {
                let (name, rest) = text(body)?;
                let (sql, _) = text(rest)?;
                self.statements.insert(name.to_vec(), String::from_utf8_lossy(sql).into_owned());
                None
            }
            b'B' => {
                let (_portal, rest) = text(body)?;
                let (name, _) = text(rest)?;
                let sql = self.statements.get(name)?.clone();
                self.executes(&sql, control)
            }
            b'Q' => {
                let (sql, _) = text(body)?;
                self.executes(&String::from_utf8_lossy(sql), control)
            }
            _ => None,
        }
    }

    /// Records that a statement is about to run.
    fn executes(&mut self, sql: &str, control: &Control) -> Option<Arc<Trap>> {
        let start = sql.trim_start();
        // A rollback to a savepoint does not end a chunk's transaction.
        let rolls_back = start.starts_with("ROLLBACK") && !start.starts_with("ROLLBACK TO");
        if start.starts_with("BEGIN") || rolls_back {
            self.is_chunk = false;
        }
        self.is_chunk |= sql.contains(MOVES_POSITION);
        if !self.is_chunk {
            return None;
        }
        if start.starts_with("COMMIT") {
            self.is_chunk = false;
            self.commits += 1;
        }
        control.sprung(|point| matches!(point, Point::Statement(part) if sql.contains(part)))
    }

    /// Reads a message from the server.
    pub(super) fn answer(&mut self, message: &[u8], control: &Control) -> Option<Arc<Trap>> {
        if self.one_byte_answers > 0 {
            self.one_byte_answers -= 1;
            return None;
        }
        if self.commits == 0 || !message.starts_with(b"C") || message.get(5..) != Some(b"COMMIT\0") {
            return None;
        }
        self.commits -= 1;
        control.sprung(|point| *point == Point::CommitAnswered)
    }
}

/// Length of a message. It begins with its type, which the length does not count.
fn typed_length(bytes: &[u8]) -> Option<usize> {
    be_u32(bytes, 1).map(|length| length + 1)
}

fn be_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) as usize)
}

/// A text that ends with a zero byte, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
