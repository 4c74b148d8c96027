//! The validators of a response: with them a provider that has nothing new sends no body.

/// Longest validator that is saved.
const MAX_BYTES: usize = 256;

/// `ETag` and `Last-Modified` of a response, each as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Validators {
    /// `ETag` and `Last-Modified`; values that are too long are dropped.
    pub fn new(texts: [Option<String>; 2]) -> Validators {
        let [etag, last_modified] = texts.map(|text| text.filter(|text| text.len() <= MAX_BYTES));
        Validators { etag, last_modified }
    }

    /// `ETag` and `Last-Modified`.
    pub fn texts(&self) -> [Option<&str>; 2] {
        [self.etag.as_deref(), self.last_modified.as_deref()]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Validators::default()
    }
}
