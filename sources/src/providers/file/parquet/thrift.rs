//! The part of Thrift's compact protocol that is needed to check a Parquet file's metadata before the library reads it.

/// Deepest nesting that is skipped.
const MAX_DEPTH: usize = 32;
/// Types of fields; 1 and 2 are the booleans true and false.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
/// A struct within a struct.
pub(super) const STRUCT: u8 = 12;

/// The bytes left to read. Every method returns None if they are cut off or malformed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thrift<'a>(pub(super) &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// An unsigned number of at most 64 bits.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Id and type of a struct's next field; `last` is the previous id. The inner None marks the end of the struct.
    pub(super) fn field(&mut self, last: &mut i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *last = match byte >> 4 {
            0 => self.zigzag()?,
            delta => last.checked_add(delta.into())?,
        };
        Some(Some((*last, byte & 0x0f)))
    }

    /// A number or a boolean of that type.
    pub(super) fn number(&mut self, of: u8) -> Option<i64> {
        match of {
            TRUE => Some(1),
            FALSE => Some(0),
            BYTE => self.byte().map(i64::from),
            4..=6 => self.zigzag(),
            _ => None,
        }
    }

    /// Number and type of a list's items.
    pub(super) fn list(&mut self) -> Option<(u64, u8)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => count.into(),
        };
        // Each item has a byte.
        (count <= self.0.len() as u64).then_some((count, byte & 0x0f))
    }

    pub(super) fn skip(&mut self, of: u8) -> Option<()> {
        self.skip_nested(of, MAX_DEPTH)
    }

    fn skip_nested(&mut self, of: u8, depth: usize) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match of {
            DOUBLE => self.bytes(8),
            BINARY => {
                let length = self.varint()?;
                self.bytes(usize::try_from(length).ok()?)
            }
            LIST | SET => {
                let (count, of) = self.list()?;
                (0..count).try_for_each(|_| self.skip_item(of, deeper))
            }
            MAP => {
                let count = self.varint()?;
                let of = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip_item(of >> 4, deeper)?;
                    self.skip_item(of & 0x0f, deeper)
                })
            }
            STRUCT => {
                let mut last = 0;
                while let Some((_, of)) = self.field(&mut last)? {
                    self.skip_nested(of, deeper)?;
                }
                Some(())
            }
            _ => self.number(of).map(|_| ()),
        }
    }

    /// Outside of a struct, a boolean has a byte.
    fn skip_item(&mut self, of: u8, depth: usize) -> Option<()> {
        match of {
            TRUE | FALSE => self.bytes(1),
            _ => self.skip_nested(of, depth),
        }
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

/// The numbers of a struct by the ids of their fields, up to 8.
pub(super) fn numbers(thrift: &mut Thrift<'_>) -> Option<[Option<i64>; 9]> {
    let (mut found, mut last) = ([None; 9], 0);
    while let Some((id, of)) = thrift.field(&mut last)? {
        match usize::try_from(id).ok().and_then(|id| found.get_mut(id)) {
            Some(place) if of < DOUBLE => *place = thrift.number(of),
            _ => thrift.skip(of)?,
        }
    }
    Some(found)
}

/// Whether no column of a file is nested deeper than `most`, by its metadata.
///
/// The library builds the tree of columns recursively, without a limit.
pub(super) fn is_shallow(metadata: &[u8], most: usize) -> Option<bool> {
    const SCHEMA: i64 = 2;
    const CHILDREN: usize = 5;
    let (mut thrift, mut last) = (Thrift(metadata), 0);
    let (count, of) = loop {
        match thrift.field(&mut last)? {
            Some((SCHEMA, LIST)) => break thrift.list()?,
            Some((_, of)) => thrift.skip(of)?,
            None => return None,
        }
    };
    // The number of children still to come, for each ancestor of the current element.
    let mut missing: Vec<u64> = Vec::new();
    for _ in 0..count {
        let numbers = if of == STRUCT { numbers(&mut thrift)? } else { return None };
        if let Some(last) = missing.last_mut() {
            *last -= 1;
        }
        let children = u64::try_from(numbers[CHILDREN].unwrap_or(0)).ok().filter(|children| *children <= count)?;
        missing.push(children);
        if missing.len() > most + 1 {
            return Some(false);
        }
        while missing.last() == Some(&0) {
            missing.pop();
        }
    }
    Some(missing.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata whose schema has elements with these numbers of children.
    fn schema(children: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xf0 | STRUCT, children.len() as u8];
        for children in children {
            // A name, then the number of children.
            bytes.extend([0x48, 1, b'x', 0x15, children * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn how_deep_columns_are_nested_is_seen_before_anything_is_built() {
        assert_eq!(is_shallow(&schema(&[2, 0, 0]), 1), Some(true));
        assert_eq!(is_shallow(&schema(&[2, 1, 0, 0]), 1), Some(false));
        assert_eq!(is_shallow(&schema(&[2, 1, 0, 0]), 2), Some(true));
        assert_eq!(is_shallow(&schema(&[1; 100]), 16), Some(false));
        // One is missing.
        assert_eq!(is_shallow(&schema(&[2, 0]), 1), Some(false));
        assert_eq!(is_shallow(&schema(&[1, 0])[..9], 1), None);
    }

    #[test]
    fn what_is_not_wanted_is_skipped_however_it_is_nested() {
        // 1: a list of structs; 2: a map; 3: a double; 4: a number.
        let bytes = [0x19, 0x1c, 0x11, 0, 0x1b, 1, 0x85, 1, b'k', 2, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0x15, 7, 0];
        let mut thrift = Thrift(&bytes);
        assert_eq!(numbers(&mut thrift).unwrap()[4], Some(-4));
        assert!(thrift.0.is_empty());
        assert_eq!(Thrift(&[0x1c; 1000]).skip(STRUCT), None);
        assert_eq!(Thrift(&[0xf9, 0xff, 0xff, 0xff, 0xff, 0x0f]).skip(LIST), None);
    }
}
