//! What tells whether an answer is still the one that was read: a provider that has nothing new then sends nothing.

use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

/// Longest validator that is kept.
const MAX_BYTES: usize = 256;

/// `ETag` and `Last-Modified` of an answer, each as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Those of an answer.
    pub(super) fn of(headers: &HeaderMap) -> Validators {
        let kept = |name: HeaderName| headers.get(name).filter(|value| value.len() <= MAX_BYTES).cloned();
        Validators { etag: kept(ETAG), last_modified: kept(LAST_MODIFIED) }
    }

    /// Those that were kept, as [`Validators::texts`] gave them.
    pub fn kept([etag, last_modified]: &[Option<String>; 2]) -> Validators {
        let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        Validators { etag: value(etag), last_modified: value(last_modified) }
    }

    /// `ETag` and `Last-Modified` to be kept; None of what is no text.
    pub fn texts(&self) -> [Option<&str>; 2] {
        [&self.etag, &self.last_modified].map(|value| value.as_ref().and_then(|value| value.to_str().ok()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Validators::default()
    }

    /// The headers that ask for what is newer.
    pub(super) fn headers(&self) -> HeaderMap {
        let etag = self.etag.clone().map(|value| (IF_NONE_MATCH, value));
        let last_modified = self.last_modified.clone().map(|value| (IF_MODIFIED_SINCE, value));
        HeaderMap::from_iter(etag.into_iter().chain(last_modified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_had_is_sent_back_as_it_was() {
        let value = HeaderValue::from_static;
        let answer = HeaderMap::from_iter([
            (ETAG, value("W/\"a b\"")),
            (LAST_MODIFIED, value("Wed, 30 Oct 2024 12:54:01 GMT")),
            (IF_NONE_MATCH, value("other")),
        ]);
        let expected = HeaderMap::from_iter([
            (IF_NONE_MATCH, value("W/\"a b\"")),
            (IF_MODIFIED_SINCE, value("Wed, 30 Oct 2024 12:54:01 GMT")),
        ]);
        let validators = Validators::of(&answer);
        assert_eq!(validators.headers(), expected);
        assert_eq!(Validators::kept(&validators.texts().map(|text| text.map(str::to_owned))), validators);
        let long = HeaderMap::from_iter([(ETAG, HeaderValue::from_str(&"x".repeat(MAX_BYTES + 1)).unwrap())]);
        assert!(Validators::of(&long).is_empty() && Validators::of(&long).headers().is_empty());
    }
}
