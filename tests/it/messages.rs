//! Whole messages, random and made from valid ones, through the sink's own entry point: each is a row or one dead letter with
//! its original bytes.

use std::time::Instant;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use consumers::sink::admit::Admission;
use contract::column::Column;
use contract::original::encode_headers;
use contract::{Dataset, Original, datasets};
use kafka::schemas::Schemas;
use store::chunk::{Chunk, ChunkBuilder, SinkPartition, Target};
use store::dead_letter;
use tests::workload::Random;
use tokio::runtime::Runtime;

/// The seed of the messages.
const SEED: u64 = 18;
/// Messages of each dataset.
const MESSAGES: u32 = 6_000;
/// Longest reason of a dead letter, without what it says about parts that are left out.
const MAX_REASON_BYTES: usize = 2048;
/// Microseconds since 1970 at which the sink believes to be: 2026-11-20.
const NOW: i64 = 1_795_176_000_000_000;

/// A message: key, value, encoded headers, timestamp.
struct Message {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    timestamp_ms: Option<i64>,
}

/// Bodies of valid records of a dataset, by their schema id.
fn valid_bodies(dataset: &Dataset) -> Vec<(u32, Vec<u8>)> {
    let golden = include_str!("../../schemas/past/golden.tsv").lines().skip(1);
    let bodies = golden.filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let mut version = columns[0].split('.');
        let (name, id) = (version.next()?, version.next()?.parse().ok()?);
        let hex = |at: usize| u8::from_str_radix(&columns[2][at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..columns[2].len()).step_by(2).map(hex).collect();
        (name == dataset.name).then_some((id, body))
    });
    // Rules want names in ASCII. As many bytes as before.
    let written_plainly = |(id, mut body): (u32, Vec<u8>)| {
        for at in 1..body.len() {
            if body[at - 1..=at] == *"é".as_bytes() {
                body[at - 1..=at].copy_from_slice(b"ab");
            }
        }
        (id, body)
    };
    bodies.map(written_plainly).collect()
}

fn bytes(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most + 1)).map(|_| random.number() as u8).collect()
}

/// Changes some bytes: other values, insertions, deletions, a shorter message, a part of another one.
fn mutate(random: &mut Random, message: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..random.below(4) {
        let at = random.below(message.len().max(1));
        match random.below(7) {
            0 if !message.is_empty() => message[at] = random.number() as u8,
            1 if !message.is_empty() => message[at] ^= 1 << random.below(8),
            2 => message.insert(at.min(message.len()), random.number() as u8),
            3 if !message.is_empty() => drop(message.remove(at)),
            4 => message.truncate(at),
            5 => message.truncate(at + other.len() / 2),
            _ => message.extend_from_slice(&other[random.below(other.len() + 1)..]),
        }
    }
}

fn message(random: &mut Random, dataset: &Dataset, bodies: &[(u32, Vec<u8>)]) -> Message {
    let (id, body) = &bodies[random.below(bodies.len())];
    let id = match random.below(20) {
        0 => random.number() as u32,
        1 => 0,
        2 => dataset.schema_id,
        _ => *id,
    };
    let mut value = [&[0], id.to_be_bytes().as_slice(), body].concat();
    let (_, other) = &bodies[random.below(bodies.len())];
    mutate(random, &mut value, other);
    let value = match random.below(20) {
        0 => None,
        1 => Some(bytes(random, 200)),
        _ => Some(value),
    };
    let key = match random.below(4) {
        0 => None,
        1 => Some(bytes(random, 40)),
        _ => Some(vec!["a|b|2024-01-01", "|||", "test|X|1d|1704067200000000"][random.below(3)].into()),
    };
    let names: [&[u8]; 6] = [b"known_at", b"observed_at", b"key", b"", b"\xff\xfe", b"a"];
    let headers: Vec<(&[u8], Option<Vec<u8>>)> = (0..random.below(6))
        .map(|_| {
            let value = match random.below(3) {
                0 => None,
                1 => Some(b"2024-01-01T00:00:00Z".to_vec()),
                _ => Some(bytes(random, 20)),
            };
            (names[random.below(names.len())], value)
        })
        .collect();
    let mut encoded = Vec::new();
    encode_headers(headers.iter().map(|(name, value)| (*name, value.as_deref())), &mut encoded);
    let times = [None, Some(-1), Some(0), Some(i64::MAX), Some(i64::MIN), Some(1_704_067_200_000)];
    let headers = (!encoded.is_empty()).then_some(encoded);
    Message { key, value, headers, timestamp_ms: times[random.below(times.len())] }
}

/// The last bytes in a column of dead letters.
fn last_bytes(chunk: &Chunk, name: &str) -> Option<Vec<u8>> {
    let at = dead_letter::dataset().fields.iter().position(|field| field.name == name).unwrap();
    let Column::Bytes(values) = chunk.dead_letters.column(at) else { panic!("`{name}` holds no bytes") };
    values.last().unwrap().clone()
}

fn last_text(chunk: &Chunk, name: &str) -> String {
    let at = dead_letter::dataset().fields.iter().position(|field| field.name == name).unwrap();
    chunk.dead_letters.column(at).text(chunk.dead_letters.len() - 1).unwrap().to_owned()
}

fn assert_dead(chunk: &Chunk, sent: &Message, reason: &str) {
    assert_eq!(last_bytes(chunk, "record_key"), sent.key, "{reason}");
    assert_eq!(last_bytes(chunk, "record_value"), sent.value, "{reason}");
    assert_eq!(last_bytes(chunk, "record_headers"), sent.headers, "{reason}");
    let kept = last_text(chunk, "reason");
    assert!(kept.len() <= MAX_REASON_BYTES && !kept.contains(['\n', '\0']) && !kept.is_empty(), "{kept:?}");
}

#[test]
fn any_message_is_a_row_that_another_decoder_reads_or_one_dead_letter_with_its_bytes() {
    let runtime = Runtime::new().unwrap();
    let (mut stored, mut refused) = (0, 0);
    for dataset in datasets() {
        let mut random = Random::new(SEED ^ u64::from(dataset.schema_id));
        let bodies = valid_bodies(dataset);
        assert!(!bodies.is_empty(), "{} has golden records", dataset.name);
        let schema = Schema::parse_str(&dataset.schema).unwrap();
        let mut admission = Admission::new(dataset, Schemas::new(dataset, None, None), Vec::new());
        let partition = SinkPartition { sink: "test".into(), topic: "test".into(), incarnation: 0, number: 0 };
        let mut builder = ChunkBuilder::new(partition, Target::live(dataset, "test".into()), 0);
        for offset in 0..i64::from(MESSAGES) {
            let sent = message(&mut random, dataset, &bodies);
            let Message { key, value, headers, timestamp_ms } = &sent;
            let original = Original {
                offset,
                timestamp_ms: *timestamp_ms,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: headers.as_deref(),
            };
            let cause = admission.admit(&original, runtime.handle(), builder.rows(), NOW).unwrap();
            let reason = cause.as_ref().map(|refused| refused.cause.reason.clone());
            builder.took(&original, cause, Instant::now());
            let chunk = builder.take();
            let place = format!("message {offset} of {}, {value:02x?}", dataset.name);
            assert_eq!((chunk.from_offset, chunk.to_offset), (offset, offset + 1), "{place}");
            let rows = (chunk.rows.len(), chunk.dead_letters.len());
            if let Some(reason) = reason {
                assert_eq!(rows, (0, 1), "{place}");
                assert_dead(&chunk, &sent, &reason);
                refused += 1;
                continue;
            }
            assert_eq!(rows, (1, 0), "{place}");
            stored += 1;
            let Some(value) = value else { continue };
            if value[1..5] == dataset.schema_id.to_be_bytes() {
                let mut body = &value[5..];
                GenericDatumReader::builder(&schema)
                    .build()
                    .unwrap()
                    .read_value(&mut body)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert!(body.is_empty(), "{place}: bytes follow the record");
            }
        }
    }
    assert!(stored > 1_000 && refused > 10_000, "{stored} stored, {refused} refused: too few of a kind");
}
