//! How requests identify this installation, and how its key stays secret.

use anyhow::bail;
use memchr::memmem;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use service::secret::Secret;
use sources::parse::percent::percent_encoded;
use sources::response::PageError;
use sources::source::{Auth, Source};

/// Replaces a secret in a text.
pub(super) const REDACTED: &str = "***";
/// Length of the shortest secret that is searched for in bodies.
pub(super) const MIN_SECRET_BYTES: usize = 8;

/// How requests identify this installation.
#[derive(Debug)]
pub(super) enum Identity {
    /// Not at all.
    None,
    /// By a key in the query string, under this name.
    Query(&'static str, Secret),
    /// By a key in a header.
    Header(&'static str, Secret),
    /// By a user agent with a contact.
    UserAgent(Secret),
}

impl Identity {
    /// As the source requires it.
    pub(super) fn of(source: &Source, key: Option<Secret>) -> anyhow::Result<Identity> {
        Ok(match (source.auth, key) {
            (Auth::None | Auth::Crumb { .. }, _) => Identity::None,
            (Auth::Query { param, .. }, Some(key)) => Identity::Query(param, key),
            (Auth::Header { header, .. }, Some(key)) => Identity::Header(header, key),
            (Auth::Contact { .. }, Some(contact)) => {
                Identity::UserAgent(Secret::new(format!("{} {}", source.user_agent, contact.expose())))
            }
            (Auth::Query { env, doc, .. } | Auth::Header { env, doc, .. } | Auth::Contact { env, doc }, None) => {
                bail!("source `{}` needs `{env}`: {doc}", source.name)
            }
        })
    }

    pub(super) fn headers(&self) -> Result<HeaderMap, PageError> {
        let (name, value) = match self {
            Identity::None | Identity::Query(..) => return Ok(HeaderMap::new()),
            Identity::Header(name, key) => (HeaderName::from_static(name), key),
            Identity::UserAgent(agent) => (USER_AGENT, agent),
        };
        let unfit =
            |_| PageError::Halt(format!("the value of header `{name}` has characters that a header cannot have"));
        let mut value = HeaderValue::from_str(value.expose()).map_err(unfit)?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(name, value)]))
    }

    /// The secrets, in every form in which they may be written. The contact is not a secret.
    pub(super) fn secrets(&self) -> Vec<String> {
        let (Identity::Query(_, key) | Identity::Header(_, key)) = self else { return Vec::new() };
        written(key.expose())
    }
}

/// A secret as it is, in a URL, and in JSON that escapes slashes.
pub(super) fn written(secret: &str) -> Vec<String> {
    let as_sent = Url::parse_with_params("http://localhost/", [("", secret)]).ok();
    let as_sent = as_sent.and_then(|url| url.query().map(|query| query[1..].to_owned()));
    let mut all = vec![secret.to_owned(), percent_encoded(secret), secret.replace('/', "\\/")];
    all.extend(as_sent);
    // The longest first, as a shorter form may be a part of it.
    all.sort_by_key(|text| (std::cmp::Reverse(text.len()), text.clone()));
    all.dedup();
    all
}

/// A body with a secret replaced.
pub(super) fn replaced(body: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut from = 0;
    for at in memmem::find_iter(body, secret) {
        out.extend_from_slice(&body[from..at]);
        out.extend_from_slice(REDACTED.as_bytes());
        from = at + secret.len();
    }
    out.extend_from_slice(&body[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        assert_eq!(written("a+b/c d"), ["a%2Bb%2Fc%20d", "a%2Bb%2Fc+d", "a+b\\/c d", "a+b/c d"]);
        assert_eq!(written("0123456789abcdef"), ["0123456789abcdef"]);
    }

    #[test]
    fn every_place_of_a_body_is_cleaned_and_nothing_else() {
        let clean = |body: &str| String::from_utf8(replaced(body.as_bytes(), b"abc")).unwrap();
        assert_eq!(clean("abc ab abcabc ababc"), "*** ab ****** ab***");
        assert_eq!(clean("ab"), "ab");
    }
}
