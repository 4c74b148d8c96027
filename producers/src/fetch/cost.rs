//! What asking costs.

/// What asking has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests made, those for cookies and those that failed among them.
    pub calls: u64,
    /// Bytes of the bodies, unpacked.
    pub bytes: u64,
}

impl Cost {
    /// What was added since.
    pub fn since(self, before: Cost) -> Cost {
        Cost { calls: self.calls - before.calls, bytes: self.bytes - before.bytes }
    }
}
