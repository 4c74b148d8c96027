//! News articles: their ids, and since when they are known.
//!
//! An id is the normalised address, without scheme variants, fragments and campaign parameters.

use std::borrow::Cow;

use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use xxhash_rust::xxh3::xxh3_128;

use crate::parse::percent::printable;
use crate::response::Request;
use crate::time::end_of_day_anywhere;

/// Longest address that is used as an id; a key holds 512 bytes.
const MAX_ADDRESS_BYTES: usize = 500;
/// Prefixes of campaign parameters.
const CAMPAIGN_PREFIX: &str = "utm_";
/// Parameters that name the referrer, never the article.
const TRACKING: &[&str] = &[
    "_ga",
    "_gl",
    "dclid",
    "fbclid",
    "gbraid",
    "gclid",
    "gclsrc",
    "guccounter",
    "guce_referrer",
    "guce_referrer_sig",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "ncid",
    "ocid",
    "soc_src",
    "soc_trk",
    "tsrc",
    "twclid",
    "wbraid",
    "yclid",
    "yptr",
];

/// Id of an article: its normalised address. Without one, or with one that is too long, a hash of the article.
pub fn article_id(
    url: Option<&str>,
    publisher: Option<&str>,
    title: &str,
    published_at: Option<DateTime<Utc>>,
) -> String {
    let address = url.and_then(normalised).filter(|address| address.len() <= MAX_ADDRESS_BYTES);
    address.unwrap_or_else(|| {
        let time = published_at.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default();
        let description = format!("{}|{title}|{time}", publisher.unwrap_or_default());
        format!("xxh3:{:032x}", xxh3_128(description.as_bytes()))
    })
}

/// The normalised address; None if it is not a web address.
fn normalised(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let default_port = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else if scheme.eq_ignore_ascii_case("http") {
        ":80"
    } else {
        return None;
    };
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    if host.is_empty() {
        return None;
    }
    let mut address = format!("https://{host}{}", path.trim_end_matches('/'));
    let mut separator = '?';
    for parameter in without_entities(query).split('&').filter(|parameter| is_kept(parameter)) {
        address.push(separator);
        address.push_str(parameter);
        separator = '&';
    }
    Some(printable(&address))
}

/// Addresses copied out of HTML have `&amp;` for `&`.
fn without_entities(query: &str) -> Cow<'_, str> {
    if query.contains("&amp;") { Cow::Owned(query.replace("&amp;", "&")) } else { Cow::Borrowed(query) }
}

fn is_kept(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    let is_campaign = name.get(..CAMPAIGN_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(CAMPAIGN_PREFIX));
    !parameter.is_empty() && !is_campaign && !TRACKING.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// When an article was known: when it was published, else when it was received.
///
/// At midnight, the publisher gives a date without a time, in an unknown zone: the article was public at the end of that
/// date.
pub fn known_at(request: &Request<'_>, published_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let Some(published_at) = published_at else { return request.received_at };
    let is_date = published_at.time() == NaiveTime::MIN;
    let public_at = if is_date { end_of_day_anywhere(published_at.date_naive()) } else { Some(published_at) };
    request.not_after_receipt(public_at.unwrap_or(request.received_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;

    fn id(url: &str) -> String {
        article_id(Some(url), Some("The Paper"), "A title", Some(at("2024-05-01T12:00:00Z")))
    }

    #[test]
    fn all_forms_of_an_address_are_one_article() {
        for url in [
            "https://www.example.com/News/a-story",
            "http://www.example.com/News/a-story/",
            " HTTPS://WWW.Example.com:443/News/a-story#comments ",
            "http://www.example.com:80/News/a-story?utm_source=feed&utm_medium=rss",
            "https://www.example.com/News/a-story/?UTM_Campaign=x&amp;fbclid=y&gclid=z&",
        ] {
            assert_eq!(id(url), "https://www.example.com/News/a-story", "{url}");
        }
    }

    #[test]
    fn what_names_the_article_stays() {
        assert_eq!(id("https://example.com/?id=7&utm_source=x&page=2"), "https://example.com?id=7&page=2");
        assert_eq!(id("https://example.com/a?b=1&amp;c=2"), "https://example.com/a?b=1&c=2");
        assert_eq!(id("https://example.com:8443/A"), "https://example.com:8443/A");
        assert_eq!(id("https://example.com/caf\u{e9} 1"), "https://example.com/caf%C3%A9%201");
        assert_eq!(id("https://example.com?ut\u{e9}=1"), "https://example.com?ut%C3%A9=1");
    }

    #[test]
    fn without_an_address_the_id_is_a_hash_of_what_is_said() {
        let long = format!("https://example.com/{}", "a".repeat(MAX_ADDRESS_BYTES));
        let hash = id(&long);
        assert!(hash.starts_with("xxh3:") && hash.len() == 37, "{hash}");
        for url in ["", "ftp://example.com/a", "//example.com/a", "https://", "https:///a", "https://:443/", "example"]
        {
            assert_eq!(id(url), hash, "{url}");
        }
        assert_eq!(article_id(None, Some("The Paper"), "A title", Some(at("2024-05-01T12:00:00Z"))), hash);
        assert_ne!(article_id(None, Some("The Paper"), "A title", None), hash);
        assert_ne!(article_id(None, None, "A title", Some(at("2024-05-01T12:00:00Z"))), hash);
    }

    #[test]
    fn an_id_is_never_longer_than_a_key() {
        let exact = format!("https://example.com/{}", "a".repeat(MAX_ADDRESS_BYTES - 20));
        assert_eq!(id(&exact), exact);
        // Percent-encoding may take a short address over the limit.
        assert!(id(&format!("https://example.com/{}", "é".repeat(100))).starts_with("xxh3:"));
    }

    #[test]
    fn an_article_of_a_date_without_a_time_is_known_at_the_end_of_the_date_anywhere() {
        let known_at = |text: &str| known_at(&crate::fixture::request("x"), Some(crate::fixture::at(text)));
        assert_eq!(known_at("2024-05-01T00:00:01Z"), crate::fixture::at("2024-05-01T00:00:01Z"));
        assert_eq!(known_at("2024-05-01T00:00:00Z"), crate::fixture::at("2024-05-02T12:00:00Z"));
        assert_eq!(known_at("2099-05-01T00:00:00Z"), crate::fixture::at(crate::fixture::RECEIVED));
    }
}
