//! Finds duplicate rows of a page by their keys.

use std::collections::{HashMap, HashSet, hash_map::RandomState};
use std::hash::{BuildHasher, Hash, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A set of keys. Most pages are sorted by key; as long as one is, no key is hashed.
#[derive(Debug)]
pub struct Keys<K> {
    /// The keys, while they are in ascending or descending order; empty once they are not.
    sorted: Vec<K>,
    is_falling: bool,
    others: HashSet<K, Hashing>,
}

impl<K: Ord + Hash> Keys<K> {
    /// An empty set with room for the keys of that many rows.
    pub fn with_capacity(rows: usize) -> Keys<K> {
        Keys { sorted: Vec::with_capacity(rows), is_falling: false, others: HashSet::default() }
    }

    /// Adds a key; returns false for a duplicate.
    pub fn insert(&mut self, key: K) -> bool {
        if self.others.is_empty() {
            let Some(last) = self.sorted.last() else {
                self.sorted.push(key);
                return true;
            };
            if *last == key {
                return false;
            }
            let falls = key < *last;
            if self.sorted.len() == 1 || falls == self.is_falling {
                self.is_falling = falls;
                self.sorted.push(key);
                return true;
            }
            self.others.reserve(self.sorted.capacity());
            self.others.extend(std::mem::take(&mut self.sorted));
        }
        self.others.insert(key)
    }
}

impl<K: Ord + Hash> Default for Keys<K> {
    fn default() -> Keys<K> {
        Keys::with_capacity(0)
    }
}

/// A map with the same hash function.
pub type KeyMap<K, V> = HashMap<K, V, Hashing>;

/// Hashes short keys in a few nanoseconds; seeded, as an attacker may choose the keys.
#[derive(Debug, Clone)]
pub struct Hashing(u64);

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Hashing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The state of the hash function.
#[derive(Debug)]
pub struct Mixer(u64);

impl Mixer {
    /// Multiplies to twice the width and folds, so that every bit of a number affects every bit of the hash.
    fn mix(&mut self, number: u64) {
        // The fraction of the golden ratio: an odd number without a pattern in its bits.
        let wide = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_i32(&mut self, number: i32) {
        self.mix(number.cast_unsigned().into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_i64(&mut self, number: i64) {
        self.mix(number.cast_unsigned());
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_new_once_whatever_the_order() {
        for keys in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [2, 1, 3, 4]] {
            let mut found = Keys::with_capacity(4);
            assert!(keys.iter().all(|key| found.insert(*key)), "{keys:?}");
            assert!(!keys.iter().any(|key| found.insert(*key)), "{keys:?}");
        }
    }

    #[test]
    fn hashes_of_near_numbers_are_far_apart() {
        let hashing = Hashing::default();
        let tops: HashSet<u64> = (0..128_i32).map(|number| hashing.hash_one(number) >> 57).collect();
        let ends: HashSet<u64> = (0..128_i32).map(|number| hashing.hash_one(number) & 127).collect();
        assert!(tops.len() > 50 && ends.len() > 50, "{} {}", tops.len(), ends.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn a_key_is_new_as_a_set_says(keys in prop::collection::vec((0_u8..6, "[ab]{0,2}"), 0..12)) {
            let (mut found, mut set) = (Keys::default(), HashSet::new());
            for key in keys {
                prop_assert_eq!(found.insert(key.clone()), set.insert(key));
            }
        }
    }
}
