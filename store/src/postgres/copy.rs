//! Rows as a stream for `COPY`: the fastest way to write keys that are not in the table.
//!
//! `COPY` fails at the first key that the table already has. So it is tried only after chunks with only new keys, under
//! a savepoint; when it fails, the upsert follows.

use contract::rows::Folded;
use contract::{Column, Decimal};
use sqlx::postgres::PgArgumentBuffer;
use sqlx::{Encode, PgConnection, Postgres};

use super::sql;
use crate::chunk::Incoming;

/// Start of PostgreSQL's binary format: signature, flags, length of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of the format, in place of a row's number of fields.
const TRAILER: &[u8] = &(-1i16).to_be_bytes();
/// Bytes sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// PostgreSQL counts days and microseconds from 2000-01-01 on.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// PostgreSQL's object id of the type `text`.
const TEXT_OID: i32 = 25;

/// Fewest rows for which `COPY` or a faster upsert is tried: with fewer, the extra round trip costs more than it saves.
pub(super) const LEAST_ROWS: usize = 500;
/// Most chunks with only new keys that must precede the next `COPY`, however often it failed.
const MOST_NEEDED: u32 = 1024;

/// Decides whether `COPY` is worth trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coldness {
    /// Chunks in a row in which every key was new.
    new_chunks: u32,
    /// How many of them must precede a `COPY`. Each failure doubles this number, because the rows of a failed `COPY`
    /// waste space until the table is vacuumed.
    needed: u32,
}

impl Coldness {
    pub(super) const UNKNOWN: Coldness = Coldness { new_chunks: 0, needed: 1 };

    pub(super) fn is_copy_worthwhile(self, rows: usize) -> bool {
        self.new_chunks >= self.needed && rows >= LEAST_ROWS
    }

    /// Counts a written chunk.
    pub(super) fn note(&mut self, all_new: bool) {
        self.new_chunks = if all_new { self.new_chunks.saturating_add(1) } else { 0 };
    }

    /// Counts a `COPY` that met a key in the table.
    pub(super) fn note_conflict(&mut self) {
        *self = Coldness { new_chunks: 0, needed: (self.needed * 2).min(MOST_NEEDED) };
    }
}

/// Copies folded rows into a table; returns their number as PostgreSQL counted them.
pub(super) async fn copy(
    connection: &mut PgConnection,
    incoming: &Incoming<'_>,
    folded: &[Folded],
) -> sqlx::Result<u64> {
    let statement = sql::copy(incoming.dataset, incoming.table);
    let mut copy = connection.copy_in_raw(&statement).await?;
    let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
    piece.extend_from_slice(HEADER);
    for row in folded {
        encode(incoming, *row, &mut piece);
        if piece.len() >= PIECE_BYTES {
            copy.send(piece.as_slice()).await?;
            piece.clear();
        }
    }
    piece.extend_from_slice(TRAILER);
    copy.send(piece.as_slice()).await?;
    copy.finish().await
}

/// One row: the dataset's fields, the content hash, whether deleted, the place.
fn encode(incoming: &Incoming<'_>, folded: Folded, out: &mut Vec<u8>) {
    let (dataset, rows, row) = (incoming.dataset, incoming.rows, folded.row);
    let count = i16::try_from(dataset.fields.len() + 5).expect("PostgreSQL has at most 1,600 columns");
    out.extend_from_slice(&count.to_be_bytes());
    for position in 0..dataset.fields.len() {
        match rows.column(position) {
            Column::Text(values) => put(out, values[row].as_deref().map(str::as_bytes)),
            Column::Bytes(values) => put(out, values[row].as_deref()),
            Column::Json(values) => put_json(out, values[row].as_deref()),
            Column::Decimal(values) => put_decimal(out, values[row]),
            Column::Long(values) => put_array(out, values[row].map(i64::to_be_bytes)),
            Column::Double(values) => put_array(out, values[row].map(f64::to_be_bytes)),
            Column::Date(values) => put_array(out, values[row].map(|days| (days - EPOCH_DAYS).to_be_bytes())),
            Column::Timestamp(values) => {
                put_array(out, values[row].map(|micros| (micros - EPOCH_MICROS).to_be_bytes()));
            }
            Column::TextList(values) => put_list(out, &values[row]),
        }
    }
    put_array(out, Some(folded.version.2.to_be_bytes()));
    put_array(out, Some([u8::from(rows.deleted()[row])]));
    put_array(out, incoming.places.map(|places| places.incarnation.to_be_bytes()));
    put_array(out, incoming.places.map(|places| places.partition.to_be_bytes()));
    put_array(out, incoming.offset(row).map(i64::to_be_bytes));
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("a message has at most 2 GB"));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// `jsonb`: the version of its format, 1, and the text.
fn put_json(out: &mut Vec<u8>, text: Option<&str>) {
    put(out, text.map(|text| [b"\x01", text.as_bytes()].concat()).as_deref());
}

fn put_decimal(out: &mut Vec<u8>, value: Option<Decimal>) {
    let mut buffer = PgArgumentBuffer::default();
    let is_null =
        value.map(|value| Encode::<Postgres>::encode(value, &mut buffer).expect("every decimal is a numeric"));
    put(out, is_null.map(|_| buffer.as_slice()));
}

fn put_array<const N: usize>(out: &mut Vec<u8>, value: Option<[u8; N]>) {
    put(out, value.as_ref().map(<[u8; N]>::as_slice));
}

/// An array of texts: dimensions, no nulls, type, then for its one dimension length and lowest index, and the texts.
fn put_list(out: &mut Vec<u8>, texts: &[String]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let length = i32::try_from(texts.len()).expect("a message has at most 2 GB");
    let head: &[i32] = if texts.is_empty() { &[0, 0, TEXT_OID] } else { &[1, 0, TEXT_OID, length, 1] };
    head.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    texts.iter().for_each(|text| put(out, Some(text.as_bytes())));
    let bytes = i32::try_from(out.len() - start - 4).expect("a message has at most 2 GB");
    out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_is_tried_after_a_chunk_of_new_rows_and_less_often_after_each_failure() {
        let mut coldness = Coldness::UNKNOWN;
        assert!(!coldness.is_copy_worthwhile(10_000), "nothing is known yet");
        coldness.note(true);
        assert!(coldness.is_copy_worthwhile(10_000));
        assert!(!coldness.is_copy_worthwhile(LEAST_ROWS - 1));
        coldness.note(false);
        assert!(!coldness.is_copy_worthwhile(10_000), "the table has such keys");
        for failures in 1..20 {
            coldness.note_conflict();
            let mut chunks = 0;
            while !coldness.is_copy_worthwhile(10_000) {
                coldness.note(true);
                chunks += 1;
            }
            assert_eq!(chunks, MOST_NEEDED.min(1 << failures));
        }
    }

    #[test]
    fn a_list_is_an_array_of_one_dimension_and_an_empty_one_has_none() {
        let encoded = |texts: &[&str]| {
            let mut out = vec![7];
            put_list(&mut out, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            out
        };
        assert_eq!(encoded(&[]), [&[7u8][..], &[0, 0, 0, 12], &[0; 8], &[0, 0, 0, 25]].concat());
        let head = [&[7u8][..], &[0, 0, 0, 26], &[0, 0, 0, 1], &[0; 4], &[0, 0, 0, 25], &[0, 0, 0, 1], &[0, 0, 0, 1]];
        assert_eq!(encoded(&["ab"]), [&head.concat()[..], &[0, 0, 0, 2], b"ab"].concat());
    }
}
