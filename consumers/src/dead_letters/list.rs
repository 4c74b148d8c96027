//! Lists dead letters: counts by cause, and the newest ones.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use store::quarantine::{Quarantine, Trip};
use store::{Count, StoredDeadLetter};

use super::plain;
use super::release::dataset_of;

/// Longest reason in a list, in characters; `show` prints all of it.
const MAX_LISTED_REASON: usize = 100;

/// What is listed.
#[derive(Debug)]
pub(crate) struct Found {
    /// Numbers of dead letters by cause.
    pub(crate) counts: Vec<Count>,
    /// The newest ones.
    pub(crate) letters: Vec<StoredDeadLetter>,
    /// Quarantined publishers.
    pub(crate) quarantines: Vec<Quarantine>,
    /// Number of dead letters that Kafka refuses.
    pub(crate) unpublished: i64,
}

/// The list as text.
pub(crate) fn listed(Found { counts, letters, quarantines, unpublished }: &Found, all: bool) -> String {
    let mut out = String::new();
    let total: i64 = counts.iter().map(|count| count.count).sum();
    let noun = if total == 1 { "dead letter" } else { "dead letters" };
    let _ = writeln!(out, "{total} {noun}{}", if all { "" } else { ", open" });
    for Count { dataset, stage, class, sqlstate, count, oldest, newest } in counts {
        let cause = [Some(dataset), Some(stage), Some(class), sqlstate.as_ref()];
        let cause: Vec<String> = cause.into_iter().flatten().map(|text| plain(text)).collect();
        let _ = writeln!(out, "{count:>8}  {}  {oldest} to {newest}", cause.join(" "));
    }
    for StoredDeadLetter { record, resolution, .. } in letters {
        let when = record.known_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let class = record.sqlstate.as_ref().map_or_else(
            || plain(&record.error_class),
            |sqlstate| format!("{} {}", plain(&record.error_class), plain(sqlstate)),
        );
        let resolution = resolution.as_ref().map_or_else(String::new, |resolution| format!("[{resolution}] "));
        let reason: String = plain(&record.reason).chars().take(MAX_LISTED_REASON).collect();
        let _ = writeln!(out, "{}  {when}  {class}  {resolution}{reason}", plain(&record.dead_letter_id));
    }
    if *unpublished > 0 {
        let _ =
            writeln!(out, "{unpublished} never published on the topic: see `refused` in table `dead_letter_outbox`");
    }
    for quarantine in quarantines {
        let _ = writeln!(out, "{}", quarantined(quarantine));
    }
    out
}

/// A quarantine, and how to release it.
fn quarantined(Quarantine { sink, publisher, trip, dead_letters, parked }: &Quarantine) -> String {
    let dataset = dataset_of(sink).map_or(sink.as_str(), |dataset| &dataset.name);
    let release = format!("`dead-letters release '{publisher}' --dataset {dataset} --yes`");
    match trip {
        Some((since, Trip { refused, seen, reason, .. })) => {
            let reason: String = plain(reason).chars().take(MAX_LISTED_REASON).collect();
            format!(
                "quarantine of `{publisher}` in {dataset} since {since}: {refused} of {seen} records refused, the last \
                 one because: {reason}; since then {dead_letters} dead letters and {parked} parked records; {release}"
            )
        }
        None => format!("`{publisher}` in {dataset}: {parked} parked records of a released quarantine; {release}"),
    }
}

/// The list as JSON.
pub(crate) fn listed_json(Found { counts, letters, quarantines, unpublished }: &Found) -> String {
    let count = |count: &Count| {
        let Count { dataset, stage, class, sqlstate, count, oldest, newest } = count;
        json!({ "dataset": dataset, "stage": stage, "class": class, "sqlstate": sqlstate, "count": count,
            "oldest": oldest, "newest": newest })
    };
    let letter = |letter: &StoredDeadLetter| {
        let record = &letter.record;
        json!({ "source": record.source, "id": record.dead_letter_id, "when": record.known_at, "dataset": record.dataset,
            "stage": record.stage, "class": record.error_class, "sqlstate": record.sqlstate, "reason": record.reason,
            "resolution": letter.resolution, "resolved_at": letter.resolved_at })
    };
    let causes: Vec<Value> = counts.iter().map(count).collect();
    let letters: Vec<Value> = letters.iter().map(letter).collect();
    let quarantine = |Quarantine { sink, publisher, trip, dead_letters, parked }: &Quarantine| {
        let (since, trip) = (trip.as_ref().map(|(since, _)| since), trip.as_ref().map(|(_, trip)| trip));
        json!({ "sink": sink, "publisher": publisher, "since": since, "refused": trip.map(|trip| trip.refused),
            "seen": trip.map(|trip| trip.seen), "reason": trip.map(|trip| &trip.reason), "dead_letters": dead_letters,
            "parked": parked })
    };
    let quarantines: Vec<Value> = quarantines.iter().map(quarantine).collect();
    format!(
        "{}\n",
        json!({ "causes": causes, "letters": letters, "quarantines": quarantines,
        "unpublished": unpublished })
    )
}
