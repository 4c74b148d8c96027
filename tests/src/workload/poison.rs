//! Messages that must never reach a table, each with the class of its dead letter.

use super::avro::{HEADER, bytes, head, long, message, numbers, tail};
use super::{Bar, avro};

/// A kind of message that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Poison {
    BareTombstone,
    EmptyValue,
    WrongMagic,
    ShortHeader,
    UnknownSchema,
    IncompatibleSchema,
    Truncated,
    TrailingBytes,
    UnionIndexTooLarge,
    UnionIndexNegative,
    HugeBlockCount,
    NegativeBlockCount,
    HugeLength,
    NegativeLength,
    LengthBeyondEnd,
    LongOf80Bits,
    IntOverflow,
    InvalidUtf8,
    LoneSurrogate,
    NulInKey,
    NulInText,
    NotANumber,
    Infinity,
    MinusInfinity,
    DateOutOfRange,
    TimeOutOfRange,
    KnownInFarFuture,
    KnownInYear9999,
    KnownBefore1900,
    ObservedInFuture,
    KeyPartEmpty,
    KeyPartTooLong,
    LowAboveHigh,
    NegativeVolume,
    UnknownInterval,
    GiantValue,
    OddHeaderName,
}

use Poison::*;

/// All kinds, each with the class that the dead letter must have.
const CLASSES: [(Poison, &str); 37] = [
    (BareTombstone, "tombstone"),
    (EmptyValue, "empty"),
    (WrongMagic, "header"),
    (ShortHeader, "header"),
    (UnknownSchema, "unknown_schema"),
    (IncompatibleSchema, "unknown_schema"),
    (Truncated, "truncated"),
    (TrailingBytes, "trailing_bytes"),
    (UnionIndexTooLarge, "malformed"),
    (UnionIndexNegative, "malformed"),
    (HugeBlockCount, "malformed"),
    (NegativeBlockCount, "malformed"),
    (HugeLength, "malformed"),
    (NegativeLength, "malformed"),
    (LengthBeyondEnd, "truncated"),
    (LongOf80Bits, "malformed"),
    (IntOverflow, "malformed"),
    (InvalidUtf8, "malformed"),
    (LoneSurrogate, "malformed"),
    (NulInKey, "nul"),
    (NulInText, "nul"),
    (NotANumber, "not_finite"),
    (Infinity, "not_finite"),
    (MinusInfinity, "not_finite"),
    (DateOutOfRange, "date_range"),
    (TimeOutOfRange, "date_range"),
    (KnownInFarFuture, "version_bounds"),
    (KnownInYear9999, "date_range"),
    (KnownBefore1900, "version_bounds"),
    (ObservedInFuture, "version_bounds"),
    (KeyPartEmpty, "rule"),
    (KeyPartTooLong, "too_long"),
    (LowAboveHigh, "rule"),
    (NegativeVolume, "rule"),
    (UnknownInterval, "rule"),
    (GiantValue, "header"),
    (OddHeaderName, "header"),
];

/// How many of them, at the end of the list, are sent in the second half only.
pub(super) const LATE: usize = 2;

/// Length of a giant value: no dead letter holds it.
const GIANT: usize = 9_000_000;

/// All kinds.
pub(super) const ALL: [Poison; 37] = {
    let mut all = [BareTombstone; 37];
    let mut at = 0;
    while at < all.len() {
        all[at] = CLASSES[at].0;
        at += 1;
    }
    all
};

impl Poison {
    /// All kinds.
    pub fn all() -> &'static [Poison] {
        &ALL
    }

    /// Class of its dead letter.
    pub fn class(self) -> &'static str {
        CLASSES.iter().find(|(poison, _)| *poison == self).unwrap().1
    }

    /// Whether its dead letter has the value.
    pub fn is_kept(self) -> bool {
        self != GiantValue
    }

    /// Key and value of such a message, made from a valid bar.
    pub(super) fn message(self, mut bar: Bar) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let key = Some(avro::key(&bar));
        let value = match self {
            BareTombstone => return (key, None),
            EmptyValue => Vec::new(),
            GiantValue => vec![b'a'; GIANT],
            OddHeaderName => b"no record".to_vec(),
            ShortHeader => HEADER[..3].to_vec(),
            _ => match self.damaged(&bar) {
                Some(value) => value,
                None => {
                    self.falsify(&mut bar);
                    message(&bar)
                }
            },
        };
        (key, Some(value))
    }

    /// Messages that cannot be decoded: a whole one with some bytes changed, or one that ends early.
    fn damaged(self, bar: &Bar) -> Option<Vec<u8>> {
        let mut whole = message(bar);
        match self {
            WrongMagic => whole[0] = 1,
            UnknownSchema => whole[1..5].copy_from_slice(&[0, 0, 1, 200]),
            // The schema of another dataset, which has no such fields.
            IncompatibleSchema => whole[1..5].copy_from_slice(&[0, 0, 0, 2]),
            Truncated => whole.truncate(whole.len() - 4),
            TrailingBytes => whole.push(0),
            InvalidUtf8 => whole[6] = 0xff,
            LoneSurrogate => whole[6..9].copy_from_slice(&[0xed, 0xa0, 0x80]),
            HugeBlockCount | NegativeBlockCount => {
                whole.pop();
                long(if self == HugeBlockCount { i64::MAX } else { i64::MIN }, &mut whole);
                long(1, &mut whole);
            }
            KeyPartTooLong => return Some(with_long_key(bar)),
            _ => return self.cut(bar),
        }
        Some(whole)
    }

    /// Messages that end at the value that is wrong.
    fn cut(self, bar: &Bar) -> Option<Vec<u8>> {
        let mut cut = HEADER.to_vec();
        head(bar, &mut cut);
        match self {
            IntOverflow => long(i64::from(i32::MAX) + 1, &mut cut),
            LongOf80Bits => cut.extend([0xff; 11]),
            UnionIndexTooLarge | UnionIndexNegative => {
                long(bar.trading_date.into(), &mut cut);
                long(if self == UnionIndexNegative { -1 } else { 2 }, &mut cut);
            }
            HugeLength | NegativeLength | LengthBeyondEnd => {
                long(bar.trading_date.into(), &mut cut);
                numbers(bar, &mut cut);
                cut.push(2);
                let length = match self {
                    HugeLength => 1 << 40,
                    NegativeLength => -5,
                    _ => 4096,
                };
                long(length, &mut cut);
            }
            _ => return None,
        }
        Some(cut)
    }

    /// Changes a bar so that it can be decoded but not stored.
    fn falsify(self, bar: &mut Bar) {
        match self {
            NulInKey => bar.symbol.push('\0'),
            NulInText => bar.currency = Some("U\0D".to_owned()),
            NotANumber => bar.close = f64::NAN,
            Infinity => bar.amounts[1] = Some(f64::INFINITY),
            MinusInfinity => bar.prices[2] = Some(f64::NEG_INFINITY),
            DateOutOfRange => bar.trading_date = 106_751,
            TimeOutOfRange => bar.ts_start = -106_752 * 86_400_000_000,
            // 2200-01-01, and the first day of the last year with four digits.
            KnownInFarFuture => bar.version[0] = 7_258_118_400_000_000,
            KnownInYear9999 => bar.version[0] = 253_370_764_800_000_000,
            KnownBefore1900 => bar.version[0] = -2_208_988_800_000_001,
            ObservedInFuture => bar.version[1] = 7_258_118_400_000_000,
            KeyPartEmpty => bar.symbol.clear(),
            LowAboveHigh => (bar.prices[1], bar.prices[2]) = (Some(1.0), Some(2.0)),
            NegativeVolume => bar.amounts[0] = Some(-1.0),
            UnknownInterval => bar.interval = "7d".to_owned(),
            _ => unreachable!("the other kinds cannot be decoded"),
        }
    }
}

/// A message whose symbol is longer than a part of a key may be.
fn with_long_key(bar: &Bar) -> Vec<u8> {
    let mut message = HEADER.to_vec();
    bytes(b"torture", &mut message);
    bytes(&[b'K'; 600], &mut message);
    bytes(b"1d", &mut message);
    long(bar.ts_start, &mut message);
    long(bar.trading_date.into(), &mut message);
    numbers(bar, &mut message);
    tail(bar, &mut message);
    message.push(0);
    message
}
