//! Validators as HTTP headers.

use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

use crate::state::Validators;

/// The validators of a response; a header that is not text is ignored.
pub(super) fn of_response(headers: &HeaderMap) -> Validators {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Validators::new([text(ETAG), text(LAST_MODIFIED)])
}

/// The headers that ask for a newer response only.
pub(super) fn conditions(validators: &Validators) -> HeaderMap {
    let names = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
    let header = |(name, text): (HeaderName, Option<&str>)| Some((name, HeaderValue::from_str(text?).ok()?));
    HeaderMap::from_iter(names.into_iter().zip(validators.texts()).filter_map(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_sent_back_as_they_were() {
        let value = HeaderValue::from_static;
        let response = HeaderMap::from_iter([
            (ETAG, value("W/\"a b\"")),
            (LAST_MODIFIED, value("Wed, 30 Oct 2024 12:54:01 GMT")),
            (IF_NONE_MATCH, value("other")),
        ]);
        let expected = HeaderMap::from_iter([
            (IF_NONE_MATCH, value("W/\"a b\"")),
            (IF_MODIFIED_SINCE, value("Wed, 30 Oct 2024 12:54:01 GMT")),
        ]);
        let validators = of_response(&response);
        assert_eq!(conditions(&validators), expected);
        assert_eq!(Validators::new(validators.texts().map(|text| text.map(str::to_owned))), validators);
        let long = HeaderMap::from_iter([(ETAG, HeaderValue::from_str(&"x".repeat(257)).unwrap())]);
        assert!(of_response(&long).is_empty() && conditions(&of_response(&long)).is_empty());
    }
}
