//! Lists dead letters: counts by cause, and the newest ones.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use store::{Count, StoredDeadLetter};

use super::plain;

/// Longest reason in a list, in characters; `show` prints all of it.
const MAX_LISTED_REASON: usize = 100;

/// The list as text.
pub(crate) fn listed(counts: &[Count], letters: &[StoredDeadLetter], all: bool) -> String {
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
    out
}

/// The list as JSON.
pub(crate) fn listed_json(counts: &[Count], letters: &[StoredDeadLetter]) -> String {
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
    format!("{}\n", json!({ "causes": causes, "letters": letters }))
}
