//! Deletions of records on a dataset's topic, with the time at which the deletion became known.
//!
//! No database is asked. A deletion is a version like any other: it loses against a later version, and an earlier one
//! cannot bring the key back.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Error, anyhow, bail};
use chrono::{DateTime, NaiveDate, Utc};
use contract::decode::split_header;
use contract::rows::DELETED_HASH;
use contract::validate::validate_last;
use contract::{Column, Dataset, Kind, Rows, declarations, tombstone, topic};
use kafka::publish::Publisher;
use kafka::reader::Topic;
use kafka::registry::Registry;
use kafka::schemas::{Missing, Schemas};
use kafka::{Cluster, Message};
use service::arguments;
use tokio::runtime::Handle;

use super::kept::{self, hash_of_key};

/// Most keys of one deletion. It bounds the memory: some 300 bytes per key.
const MAX_KEYS: usize = 1_000_000;
/// Message keys that are shown.
const MAX_SHOWN: usize = 20;

/// What to delete.
#[derive(Debug)]
pub(super) struct Deletion {
    dataset: &'static Dataset,
    /// Field, and the text that it must equal.
    conditions: Vec<(usize, String)>,
    /// The range of times, in the unit of the field: first, and the first one behind it.
    times: (Option<i64>, Option<i64>),
    /// Hashes of keys that stay.
    kept: HashSet<u128>,
    known_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// A key with a record that meets the conditions.
#[derive(Debug)]
struct Candidate {
    /// Message key.
    key: String,
    /// Header with the time.
    time: Option<String>,
    version: (i64, i64, i64),
    /// Whether the highest version of its record is to be deleted.
    matches: bool,
}

/// The records to delete, as found on the topic.
#[derive(Debug)]
pub(super) struct Found {
    /// Of each record to delete, its message key and the header with its time.
    keys: Vec<(String, Option<String>)>,
    /// How many of them have a later version than the deletion, and so stay.
    newer: usize,
    /// Messages that are not records of the dataset.
    unreadable: u64,
}

impl Deletion {
    /// A deletion of the records of a dataset that meet all conditions `field=value` and whose time lies in [from, to).
    pub(super) fn new(
        dataset: &str,
        conditions: &[String],
        (from, to): (Option<&str>, Option<&str>),
        known_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Deletion> {
        let dataset = declarations::named(dataset).map_err(Error::msg)?;
        if conditions.is_empty() {
            bail!("name at least one field with `--where field=value`");
        }
        let conditions = conditions.iter().map(|text| condition(dataset, text)).collect::<anyhow::Result<_>>()?;
        let times = (time(dataset, "--from", from)?, time(dataset, "--to", to)?);
        Ok(Deletion { dataset, conditions, times, kept: HashSet::new(), known_at: known_at.unwrap_or(now), now })
    }

    /// The same without the records that are in these files: endpoint, item, endpoint, item..
    pub(super) fn without(mut self, files: &[String]) -> anyhow::Result<Deletion> {
        if !files.is_empty() {
            let pairs = files.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            self.kept = kept::keys(self.dataset, pairs, self.now)?;
        }
        Ok(self)
    }

    /// Reads the topic and finds the records to delete. Blocks, so it must not run on a thread of the runtime.
    pub(super) fn find(&self, cluster: &Cluster, runtime: &Handle) -> anyhow::Result<Found> {
        let topic = Topic::open(cluster, &topic::topic(cluster.namespace(), self.dataset))?;
        let schemas = Schemas::new(self.dataset, Registry::from_settings()?, None);
        let mut reading = Reading { dataset: self.dataset, schemas };
        let mut candidates: HashMap<u128, Candidate> = HashMap::new();
        let unreadable = self.pass(&topic, (&mut reading, runtime), &mut candidates, true)?;
        // A field outside the key can change from version to version. The first pass found the keys; the second one
        // reads all their versions, including versions that do not meet the conditions.
        if self.conditions.iter().any(|(field, _)| !self.dataset.key.contains(field)) {
            self.pass(&topic, (&mut reading, runtime), &mut candidates, false)?;
        }
        let deletion = (self.known_at.timestamp_micros(), self.now.timestamp_micros(), DELETED_HASH);
        candidates.retain(|_, candidate| candidate.matches);
        let newer = candidates.values().filter(|candidate| candidate.version >= deletion).count();
        let mut keys: Vec<_> = candidates.into_values().map(|candidate| (candidate.key, candidate.time)).collect();
        keys.sort_unstable();
        Ok(Found { keys, newer, unreadable })
    }

    /// Reads the topic once: adds new candidates, or (`first` is false) only looks for later versions of the known
    /// ones.
    fn pass(
        &self,
        topic: &Topic,
        (reading, runtime): (&mut Reading, &Handle),
        candidates: &mut HashMap<u128, Candidate>,
        first: bool,
    ) -> anyhow::Result<u64> {
        let (mut rows, mut unreadable) = (Rows::new(self.dataset), 0);
        topic.each(|message| {
            rows.truncate(0);
            if !reading.decode(message, runtime, &mut rows)?
                || validate_last(self.dataset, &mut rows, self.now.timestamp_micros()).is_err()
            {
                unreadable += 1;
                return Ok(());
            }
            let (key, version) = (hash_of_key(self.dataset, &rows), rows.version(self.dataset, 0));
            let holds = self.holds(&rows) && !self.kept.contains(&key);
            let matches = holds && !rows.deleted()[0];
            match candidates.get_mut(&key) {
                Some(candidate) if version > candidate.version => {
                    (candidate.version, candidate.matches) = (version, matches);
                }
                // Also a deletion: the record may come later on the topic.
                None if first && holds => {
                    if candidates.len() == MAX_KEYS {
                        bail!("more than {MAX_KEYS} keys meet the conditions: narrow `--where`, `--from` and `--to`");
                    }
                    let (key_text, headers) = tombstone::encode(self.dataset, &rows, 0, self.known_at, self.now);
                    let time = headers.into_iter().find(|(name, _)| *name == tombstone::TIME).map(|(_, time)| time);
                    candidates.insert(key, Candidate { key: key_text, time, version, matches });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(unreadable)
    }

    /// Whether the row meets the conditions.
    fn holds(&self, rows: &Rows) -> bool {
        let holds = |(field, text): &(usize, String)| tombstone::shown(rows.column(*field), 0) == *text;
        let time = self.dataset.time.and_then(|time| match rows.column(time) {
            Column::Timestamp(values) => values[0],
            Column::Date(values) => values[0].map(i64::from),
            _ => None,
        });
        let (from, to) = self.times;
        self.conditions.iter().all(holds)
            && from.is_none_or(|from| time.is_some_and(|time| time >= from))
            && to.is_none_or(|to| time.is_some_and(|time| time < to))
    }

    /// Text: what would be deleted.
    pub(super) fn preview(&self, found: &Found) -> String {
        if found.keys.is_empty() {
            return self.nothing(found);
        }
        let mut of_keys: Vec<&[(String, Option<String>)]> =
            found.keys.chunk_by(|left, right| left.0 == right.0).collect();
        let (keys, name) = (of_keys.len(), &self.dataset.name);
        of_keys.sort_by_key(|of_key| std::cmp::Reverse(of_key.len()));
        let mut text = String::new();
        for of_key in of_keys.iter().take(MAX_SHOWN) {
            text += &format!("{:>9}  {}{}\n", of_key.len(), of_key[0].0, shown_times(of_key));
        }
        if keys > MAX_SHOWN {
            text += &format!("           and {} more message keys\n", keys - MAX_SHOWN);
        }
        let records = records(found.keys.len());
        text += &format!("{records} of `{name}` would be deleted, known at {}", shown(self.known_at));
        text + &self.remarks(found) + "\nnothing is published yet: add `--yes` to publish the deletions\n"
    }

    /// Publishes the deletions, waits until Kafka has acknowledged all of them, and returns a text on the outcome.
    pub(super) async fn publish(&self, found: &Found, cluster: &Cluster) -> anyhow::Result<String> {
        if found.keys.is_empty() {
            return Ok(self.nothing(found));
        }
        let mut publisher = Publisher::connect(cluster, "delete", &[self.dataset]).await?;
        let mut headers = vec![(tombstone::KNOWN_AT, shown(self.known_at)), (tombstone::OBSERVED_AT, shown(self.now))];
        for (key, time) in &found.keys {
            headers.truncate(2);
            headers.extend(time.iter().map(|time| (tombstone::TIME, time.clone())));
            publisher.publish_deletion(self.dataset, key, &headers).await?;
        }
        publisher.flush().await?;
        let (records, name) = (records(found.keys.len()), &self.dataset.name);
        Ok(format!("{records} of `{name}` deleted, known at {}{}\n", shown(self.known_at), self.remarks(found)))
    }

    fn nothing(&self, found: &Found) -> String {
        format!("no record of `{}` meets the conditions{}\n", self.dataset.name, self.remarks(found))
    }

    fn remarks(&self, found: &Found) -> String {
        let mut text = String::new();
        if found.newer > 0 {
            text += &format!("; {} of them stay as they are: the topic has later versions", found.newer);
        }
        if found.unreadable > 0 {
            text += &format!("; skipped {} messages that are not valid records", found.unreadable);
        }
        text
    }
}

/// The times of a key's records, which are in order: the first and the last one.
fn shown_times(of_key: &[(String, Option<String>)]) -> String {
    match (of_key.first(), of_key.last()) {
        (Some((_, Some(first))), Some((_, Some(last)))) if first == last => format!("  {first}"),
        (Some((_, Some(first))), Some((_, Some(last)))) => format!("  {first} to {last}"),
        _ => String::new(),
    }
}

fn records(count: usize) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// Reads messages as the consumers do.
struct Reading {
    dataset: &'static Dataset,
    schemas: Schemas,
}

impl Reading {
    /// Appends the message's record to the rows; false if it is not a record of the dataset.
    fn decode(&mut self, message: &Message<'_>, runtime: &Handle, rows: &mut Rows) -> anyhow::Result<bool> {
        let Some(value) = message.value() else {
            return Ok(tombstone::decode(self.dataset, message.key(), |name| message.header(name), rows).is_ok());
        };
        let Ok((id, body)) = split_header(value) else { return Ok(false) };
        let id = declarations::declared_id(self.dataset, id, || message.header(declarations::SCHEMA_HEADER));
        match self.schemas.decoder(id, runtime) {
            Ok(decoder) => Ok(decoder.is_ok_and(|decoder| decoder.decode(body, rows).is_ok())),
            Err(Missing::Unknown(_)) => Ok(false),
            Err(Missing::Away(reason)) => bail!(reason),
        }
    }
}

/// `field=value`, the value as such a field is shown.
fn condition(dataset: &Dataset, text: &str) -> anyhow::Result<(usize, String)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("invalid condition `{text}`: expected `field=value`");
    };
    let Some(position) = dataset.position(name) else {
        let fields: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
        bail!("`{}` has no field `{name}`; it has: {}", dataset.name, fields.join(", "));
    };
    let kind = dataset.fields[position].kind;
    let unreadable = || format!("`{value}` is not a value of `{name}`");
    let value = match kind {
        Kind::Bytes | Kind::TextList | Kind::Json => bail!("`{name}` cannot be used in a condition"),
        // Null.
        _ if value.is_empty() => String::new(),
        Kind::Double => value.parse::<f64>().with_context(unreadable)?.to_string(),
        Kind::Timestamp => shown(arguments::time(value).map_err(Error::msg).with_context(unreadable)?),
        Kind::Date => value.parse::<NaiveDate>().with_context(unreadable)?.to_string(),
        Kind::Long => value.parse::<i64>().with_context(unreadable)?.to_string(),
        Kind::Decimal => contract::decimal::parse(value).with_context(unreadable)?.to_string(),
        Kind::Text => value.to_owned(),
    };
    Ok((position, value))
}

/// A bound of the time, in the unit of the dataset's field.
fn time(dataset: &Dataset, option: &str, text: Option<&str>) -> anyhow::Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    let Some(position) = dataset.time else {
        bail!("`{option}` does not apply to `{}`: its records have no time", dataset.name);
    };
    let time = arguments::time(text).map_err(|error| anyhow!("invalid `{option}`: `{text}`; {error}"))?;
    Ok(Some(match dataset.fields[position].kind {
        Kind::Date => time.date_naive().signed_duration_since(NaiveDate::default()).num_days(),
        _ => time.timestamp_micros(),
    }))
}

fn shown(time: DateTime<Utc>) -> String {
    tombstone::shown(&Column::Timestamp(vec![Some(time.timestamp_micros())]), 0)
}
