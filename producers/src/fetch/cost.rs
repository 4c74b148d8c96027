//! What fetching costs.

/// The cost of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests, including those for cookies and failed ones.
    pub calls: u64,
    /// Bytes of the bodies, decompressed.
    pub bytes: u64,
}

impl Cost {
    /// The difference to an earlier cost.
    pub fn since(self, before: Cost) -> Cost {
        Cost { calls: self.calls - before.calls, bytes: self.bytes - before.bytes }
    }
}
