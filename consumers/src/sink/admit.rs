//! Turns a message into a row: decodes and validates it, or returns the reason for its refusal.

use contract::decode::split_header;
use contract::rule::Rule;
use contract::validate::{Refusal, validate_last};
use contract::{Dataset, Original, Rows, declarations, tombstone};
use tokio::runtime::Handle;

use kafka::schemas::{Missing, Schemas};
use store::dead_letter::{Cause, Refused};
use store::quarantine::publisher;

/// Decodes and validates messages of one dataset.
#[derive(Debug)]
pub struct Admission {
    dataset: &'static Dataset,
    schemas: Schemas,
    /// Position of the field `source`.
    source: Option<usize>,
    /// Rules on top of the declared ones, for trials with a replay.
    rules: Vec<Rule>,
}

impl Admission {
    /// Creates one for a dataset; `rules` apply on top of the declared ones.
    pub fn new(dataset: &'static Dataset, schemas: Schemas, rules: Vec<Rule>) -> Admission {
        Admission { dataset, schemas, source: dataset.position("source"), rules }
    }

    /// The dataset.
    pub fn dataset(&self) -> &'static Dataset {
        self.dataset
    }

    /// Appends the message's record to the rows, or returns why it is refused, and whose it is. The outer error means:
    /// retry later.
    ///
    /// `received_micros` is when Kafka appended the message, so that a replay gives the same answer; the present time where
    /// the message has only its writer's time.
    pub fn admit(
        &mut self,
        original: &Original<'_>,
        runtime: &Handle,
        rows: &mut Rows,
        received_micros: i64,
    ) -> Result<Option<Refused>, Missing> {
        let len = rows.len();
        if let Some(cause) = self.decode(original, runtime, rows)? {
            return Ok(Some(Refused { cause, publisher: publisher(None) }));
        }
        let refusal = match validate_last(self.dataset, rows, received_micros) {
            Err(refusal) => Some(refusal),
            Ok(()) => {
                let broken = self.rules.iter().find(|rule| rule.is_broken(rows, len));
                broken.map(|rule| Refusal::Rule(rule.text.clone()))
            }
        };
        Ok(refusal.map(|refusal| {
            let publisher = publisher(self.source(rows));
            rows.truncate(len);
            Refused { cause: cause("validate", refusal.class(), refusal.to_string()), publisher }
        }))
    }

    /// The last row's field `source`.
    pub fn source<'a>(&self, rows: &'a Rows) -> Option<&'a str> {
        rows.column(self.source?).text(rows.len().checked_sub(1)?)
    }

    /// Appends the message's record to the rows without validating it.
    pub fn decode(
        &mut self,
        original: &Original<'_>,
        runtime: &Handle,
        rows: &mut Rows,
    ) -> Result<Option<Cause>, Missing> {
        let Some(value) = original.value else {
            let read = tombstone::decode(self.dataset, original.key, |name| original.header(name), rows);
            return Ok(read.err().map(|error| cause("decode", error.class(), error.to_string())));
        };
        let (id, body) = match split_header(value) {
            Ok(parts) => parts,
            Err(error) => return Ok(Some(cause("decode", error.class(), error.to_string()))),
        };
        let id = declarations::declared_id(self.dataset, id, || original.header(declarations::SCHEMA_HEADER));
        Ok(match self.schemas.decoder(id, runtime)? {
            Ok(decoder) => {
                let read = decoder.decode(body, rows);
                read.err().map(|error| cause("decode", error.class(), error.to_string()))
            }
            Err(reason) => Some(cause("decode", "unknown_schema", reason.to_owned())),
        })
    }
}

/// Why a batch that cannot be read is refused.
pub(crate) fn unreadable(reason: &str) -> Refused {
    Refused { cause: cause("decode", "unreadable", reason.to_owned()), publisher: publisher(None) }
}

fn cause(stage: &'static str, class: &'static str, reason: String) -> Cause {
    Cause { stage, class, sqlstate: None, reason }
}
