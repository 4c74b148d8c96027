//! Numbers that look random and are the same in every run.

/// SplitMix64: small, fast, and the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Numbers that depend on the seed and the name.
    pub(crate) fn new(seed: u64, name: &str) -> Random {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Random(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, but excluding, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits: all that a double holds.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Around 0, between -1 and 1, mostly small.
    pub(crate) fn swing(&mut self) -> f64 {
        (0..4).map(|_| self.unit()).sum::<f64>() / 2.0 - 1.0
    }

    /// From 0 up to, but excluding, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }
}
