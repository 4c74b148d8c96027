//! Reads the topic's records, decoded and validated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use contract::{Dataset, Original, Rows};
use kafka::Message;
use kafka::reader::{Reader, Topic};
use kafka::schemas::RETRY_INTERVAL;
use tokio::runtime::Handle;

use super::{Subject, key_text};
use crate::sink::admit::Admission;
use crate::sink::schemas;

/// How long a poll waits.
const POLL_PATIENCE: Duration = Duration::from_millis(200);
/// The command fails when Kafka sends nothing for this long.
const MAX_SILENCE: Duration = Duration::from_secs(120);
/// How long the command retries a schema that is missing from the registry.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(60);
/// How long reading one record again may take, when it only serves to name the key.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// Reads records of one topic.
pub(super) struct Records<'a> {
    subject: &'a Subject<'a>,
    admission: Admission,
    /// Holds the current record alone.
    rows: Rows,
    headers: Vec<u8>,
}

impl<'a> Records<'a> {
    pub(super) fn new(subject: &'a Subject<'a>) -> Records<'a> {
        let Subject { dataset, verification, .. } = subject;
        let schemas = schemas::read_from(&verification.database, dataset, verification.registry.clone());
        let admission = Admission::new(dataset, schemas, Vec::new());
        Records { subject, admission, rows: Rows::new(dataset), headers: Vec::new() }
    }

    /// Calls `each` with every message of a partition's range, and its record or the reason for its refusal.
    pub(super) fn each(
        &mut self,
        partition: i32,
        range: (i64, i64),
        mut each: impl FnMut(&Original<'_>, Result<&Rows, String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Subject { verification, topic, .. } = self.subject;
        let range = BTreeMap::from([(partition, range)]);
        let topic = Topic::of(&verification.cluster, topic, range).max_silence(MAX_SILENCE);
        topic.each(|message: &Message<'_>| {
            let original = message.original(&mut self.headers);
            self.rows.truncate(0);
            let received = message.appended_micros();
            let refused = match message.unreadable() {
                Some(reason) => Some(reason.to_owned()),
                None => admit(&mut self.admission, (&original, received), self.subject.runtime, &mut self.rows)?,
            };
            each(&original, refused.map_or(Ok(&self.rows), Err))
        })
    }

    /// The key of the record at a coordinate; None when the record cannot be read.
    pub(super) fn key_at(&mut self, partition: i32, offset: i64) -> anyhow::Result<Option<String>> {
        let Subject { verification, topic, dataset, runtime, .. } = self.subject;
        let reader = Reader::assign(&verification.cluster, topic, &[(partition, offset)])?;
        let deadline = Instant::now() + LOOK_PATIENCE;
        while Instant::now() < deadline {
            let Some(message) = reader.poll(POLL_PATIENCE)? else { continue };
            self.rows.truncate(0);
            let original = message.original(&mut self.headers);
            let received = message.appended_micros();
            let refused = admit(&mut self.admission, (&original, received), runtime, &mut self.rows)?;
            return Ok(key_of(dataset, &self.rows).filter(|_| refused.is_none() && message.offset() == offset));
        }
        Ok(None)
    }
}

fn key_of(dataset: &Dataset, rows: &Rows) -> Option<String> {
    (rows.len() == 1).then(|| key_text(dataset, rows))
}

/// Appends the message's record to the rows, or returns why it is refused.
fn admit(
    admission: &mut Admission,
    (original, received): (&Original<'_>, Option<i64>),
    runtime: &Handle,
    rows: &mut Rows,
) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + SCHEMA_PATIENCE;
    loop {
        let received = received.unwrap_or_else(|| Utc::now().timestamp_micros());
        match admission.admit(original, runtime, rows, received) {
            Ok(refused) => return Ok(refused.map(|refused| refused.cause.reason)),
            Err(missing) if Instant::now() > deadline => return Err(missing.into()),
            Err(_) => std::thread::sleep(RETRY_INTERVAL),
        }
    }
}
