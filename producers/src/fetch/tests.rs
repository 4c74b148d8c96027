use std::time::SystemTime;

use sources::fixture::at;
use sources::response::Parsed;
use sources::source;
use sources::source::{Auth, Endpoint, History};

use super::*;
use crate::tests::stub::{Stub, response};

const SHORT: Limits = Limits {
    connect: Duration::from_millis(500),
    headers: Duration::from_millis(300),
    idle: Duration::from_millis(300),
    total: Duration::from_secs(2),
    body: 1 << 20,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn fetcher(name: &str, base: &str) -> Fetcher {
    Fetcher::new(source(name).unwrap(), base, Some(Secret::new(KEY.to_owned())), SHORT).unwrap()
}

#[tokio::test]
async fn a_response_has_its_status_its_times_and_its_body() {
    let headers = ["Last-Modified: Wed, 30 Oct 2024 12:54:01 GMT", "Retry-After: 7"];
    let stub = Stub::answering(&[response("503 Busy", &headers, b"later")]).await;
    let response = fetcher("cboe", &stub.base).get(None, "/a/b?c=d").await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (503, b"later".as_slice()));
    assert_eq!(response.last_modified, Some(at("2024-10-30T12:54:01Z")));
    assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(response.received_at.timestamp_subsec_nanos() % 1000, 0);
    assert!(stub.requests()[0].starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{}", stub.requests()[0]);
}

#[tokio::test]
async fn a_request_has_the_headers_of_its_source_and_no_others() {
    let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
    fetcher("yahoo", &stub.base).get(None, "/x").await.unwrap();
    let request = stub.requests()[0].to_lowercase();
    assert!(request.contains("user-agent: mozilla/5.0") && request.contains("accept-encoding: gzip"), "{request}");
    assert!(!request.contains("referer") && !request.contains(KEY), "{request}");
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
    let fetcher_with_key = fetcher("fred", &stub.base);
    fetcher_with_key.get(None, "/x?a=b").await.unwrap();
    assert!(stub.requests()[0].starts_with(&format!("GET /x?a=b&api_key={KEY} HTTP")));
    assert!(!format!("{fetcher_with_key:?}").contains(KEY));
    assert_eq!(fetcher_with_key.redacted(&format!("bad key {KEY}")), "bad key ***");
    let refused = fetcher("fred", "http://127.0.0.1:1").get(None, "/x").await.unwrap_err();
    assert!(matches!(&refused, PageError::Retry(text) if !text.contains(KEY) && !text.is_empty()), "{refused:?}");
}

const OTHER: Base = Base { url: "https://other.example", env: "TAPEDECK_TEST_OTHER_URL" };
const ENDPOINTS: &[Endpoint] = &[Endpoint {
    name: "elsewhere",
    doc: "",
    datasets: &["series"],
    item: "",
    known_at: "",
    schedule: sources::SOURCES[0].endpoints[0].schedule,
    history: History::ALL,
    base: Some(OTHER),
    path: |_, _| Ok(String::new()),
    parse: |_, _| Ok(Parsed::default()),
}];

fn known_by(auth: Auth, base: &str) -> anyhow::Result<Fetcher> {
    let source = Source {
        name: "made_up",
        doc: "",
        base_url: "https://example.org",
        base_url_env: "TAPEDECK_TEST_URL",
        auth,
        user_agent: "tapedeck/test",
        pause: Duration::ZERO,
        burst: 1,
        quota: None,
        endpoints: ENDPOINTS,
    };
    Fetcher::new(&source, base, Some(Secret::new(KEY.to_owned())), SHORT)
}

#[tokio::test]
async fn a_key_in_a_header_is_sent_and_never_shown() {
    let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
    let fetcher = known_by(Auth::Header { header: "x-api-key", env: "", doc: "" }, &stub.base).unwrap();
    fetcher.get(None, "/x").await.unwrap();
    let request = &stub.requests()[0];
    assert!(request.starts_with("GET /x HTTP") && request.contains(&format!("x-api-key: {KEY}\r\n")), "{request}");
    assert!(!format!("{fetcher:?}").contains(KEY));
    assert_eq!(fetcher.redacted(&format!("bad key {KEY}")), "bad key ***");
}

#[tokio::test]
async fn the_contact_follows_the_name_of_the_user_agent() {
    let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
    let fetcher = known_by(Auth::Contact { env: "", doc: "" }, &stub.base).unwrap();
    fetcher.get(None, "/x").await.unwrap();
    assert!(stub.requests()[0].contains(&format!("user-agent: tapedeck/test {KEY}\r\n")), "{}", stub.requests()[0]);
}

#[tokio::test]
async fn an_endpoint_on_another_host_is_fetched_there() {
    let (here, there) = (
        Stub::answering(&[response("200 OK", &[], b"here")]).await,
        Stub::answering(&[response("200 OK", &[], b"there")]).await,
    );
    let mut fetcher = known_by(Auth::None, &here.base).unwrap();
    fetcher.others[0].1.clone_from(&there.base);
    assert_eq!(fetcher.get(None, "/x").await.unwrap().body, b"here");
    assert_eq!(fetcher.get(Some(OTHER), "/x").await.unwrap().body, b"there");
}

#[tokio::test]
async fn a_body_is_measured_after_decompression() {
    let bomb = include_bytes!("../../fixtures/two_megabytes_of_zeros.gz");
    let stub = Stub::answering(&[response("200 OK", &["Content-Encoding: gzip"], bomb)]).await;
    let error = fetcher("cboe", &stub.base).get(None, "/x").await.unwrap_err();
    assert_eq!(error, PageError::GiveUp("the body has more than 1048576 bytes".to_owned()));
}

#[tokio::test]
async fn gzip_is_decompressed_and_gzip_in_gzip_is_refused() {
    let packed = include_bytes!("../../fixtures/two_megabytes_of_zeros.gz");
    let answer = |encoding: &str| response("200 OK", &[&format!("Content-Encoding: {encoding}")], packed);
    let stub = Stub::answering(&[answer("gzip"), answer("gzip, gzip")]).await;
    let limits = Limits { body: 4 << 20, ..SHORT };
    let fetcher = Fetcher::new(source("cboe").unwrap(), &stub.base, None, limits).unwrap();
    // It decompresses to more than 200 times its size.
    let error = fetcher.get(None, "/x").await.unwrap_err();
    assert!(matches!(&error, PageError::GiveUp(text) if text.contains("200 times")), "{error:?}");
    let error = fetcher.get(None, "/x").await.unwrap_err();
    assert!(matches!(&error, PageError::Retry(text) if text.contains("`gzip, gzip`")), "{error:?}");
}

#[tokio::test]
async fn the_circuit_breaker_opens_after_five_failures_of_any_kind() {
    let failing = [response("500 Oops", &[], b""), response("429 Slow", &[], b""), b"no HTTP at all\r\n\r\n".to_vec()];
    let stub = Stub::answering(&failing).await;
    let fetcher = fetcher("cboe", &stub.base);
    for _ in 0..4 {
        let _ = fetcher.get(None, "/x").await;
        assert_eq!(fetcher.paused(), None);
    }
    let _ = fetcher.get(None, "/x").await;
    let (left, why) = fetcher.paused().unwrap();
    assert!(
        left <= Duration::from_secs(10) && why.starts_with("the provider has failed 5 times in a row"),
        "{left:?} {why}"
    );
}

#[tokio::test]
async fn calls_are_reserved_before_they_are_made_and_an_exhausted_quota_pauses_the_class() {
    let folder = tempfile::TempDir::new().unwrap();
    let clock = Clock::by_hand("2026-11-20T12:00:00Z".parse().unwrap());
    let started = async || {
        let mut fetcher = fetcher("cboe", "http://127.0.0.1:1");
        fetcher.grant(3);
        fetcher.attach(Arc::new(State::open(folder.path(), "cboe").await.unwrap()), clock.clone());
        fetcher
    };
    let fetcher = started().await;
    for _ in 0..2 {
        fetcher.reserve(Class::Live, 1).await.unwrap();
    }
    assert!(fetcher.reserve(Class::Live, 2).await.is_err());
    // Another process shares the quota.
    let fetcher = started().await;
    fetcher.reserve(Class::Live, 1).await.unwrap();
    assert_eq!(fetcher.no_use_for(Class::Live), Duration::ZERO);
    let (wait, why) = fetcher.reserve(Class::Live, 1).await.unwrap_err();
    let until_midnight = Duration::from_secs(12 * 3600);
    assert!(wait == until_midnight && why.starts_with("the daily quota of 3 calls"), "{wait:?} {why}");
    // Only a class that was refused knows.
    assert_eq!([Class::Live, Class::Repair].map(|class| fetcher.no_use_for(class)), [until_midnight, Duration::ZERO]);
    fetcher.reserve(Class::Repair, 1).await.unwrap_err();
    assert_eq!(fetcher.no_use_for(Class::Repair), until_midnight);
    clock.sleep(wait).await;
    assert_eq!(fetcher.no_use_for(Class::Live), Duration::ZERO);
    fetcher.reserve(Class::Live, 3).await.unwrap();
}

#[test]
fn a_request_costs_the_calls_of_its_endpoint() {
    let quota = source("eodhd").unwrap().quota.unwrap();
    assert_eq!(["eod", "fundamentals", "bulk_eod"].map(|endpoint| quota.cost(endpoint)), [1, 10, 100]);
    for source in sources::SOURCES {
        for (endpoint, _) in source.quota.map_or(&[][..], |quota| quota.costs) {
            assert!(source.endpoint(endpoint).is_ok(), "{endpoint}");
        }
    }
}

#[tokio::test]
async fn an_error_about_an_item_says_nothing_about_the_provider() {
    for answer in [response("404 Not Found", &[], b""), response("401 Unauthorized", &[], b"")] {
        let stub = Stub::answering(&[answer]).await;
        let fetcher = fetcher("cboe", &stub.base);
        for _ in 0..8 {
            fetcher.get(None, "/x").await.unwrap();
        }
        assert_eq!(fetcher.paused(), None);
    }
}

#[tokio::test]
async fn a_providers_own_address_never_leads_to_this_machine() {
    let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
    let port = stub.base.rsplit_once(':').unwrap().1;
    let client = http::client(source("cboe").unwrap(), SHORT, true, &Authorities::default()).unwrap();
    let error = client.get(format!("https://localhost:{port}/x")).send().await.map_err(transport::failed).unwrap_err();
    let expected = "`localhost` has no address on the internet";
    assert!(matches!(&error, PageError::Retry(text) if text.contains(expected)), "{error:?}");
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let endless = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), vec![b'x'; 3 << 20]].concat();
    let stub = Stub::start(vec![endless], Duration::from_secs(5)).await;
    let error = fetcher("cboe", &stub.base).get(None, "/x").await.unwrap_err();
    assert!(matches!(error, PageError::GiveUp(_)), "{error:?}");
}

#[tokio::test]
async fn a_stalled_response_times_out() {
    for partial in ["", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"] {
        let stub = Stub::start(vec![partial.as_bytes().to_vec()], Duration::from_secs(10)).await;
        let start = Instant::now();
        let error = fetcher("cboe", &stub.base).get(None, "/x").await.unwrap_err();
        assert!(matches!(error, PageError::Retry(_)), "{partial}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{partial}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    let stub = Stub::answering(&[b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()]).await;
    let error = fetcher("cboe", &stub.base).get(None, "/x").await.unwrap_err();
    assert!(matches!(error, PageError::Retry(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Stub::answering(&[response("200 OK", &[], b"")]).await;
    let location = format!("Location: {}/y", elsewhere.base);
    let stub = Stub::answering(&[response("302 Found", &[&location], b"")]).await;
    assert_eq!(fetcher("fred", &stub.base).get(None, "/x").await.unwrap().status, 302);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn retry_after_is_respected_within_bounds() {
    let now = SystemTime::from(at("2026-11-20T12:00:00Z"));
    let seconds = |text| http::retry_after(text, now).map(|wait| wait.as_secs());
    assert_eq!(seconds("30"), Some(30));
    assert_eq!(seconds("Fri, 20 Nov 2026 12:00:45 GMT"), Some(45));
    assert_eq!((seconds("0"), seconds("Fri, 20 Nov 2020 12:00:00 GMT")), (Some(1), Some(1)));
    assert_eq!((seconds("315360000"), seconds("99999999999999999999")), (Some(3600), Some(3600)));
    assert_eq!(seconds("Thu, 20 Nov 2036 12:00:00 GMT"), Some(3600));
    assert_eq!((seconds("-5"), seconds("soon"), seconds("")), (None, None, None));
}

#[tokio::test]
async fn a_file_is_answered_as_a_provider_would() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
    let source = source("file").unwrap();
    let fetcher = Fetcher::new(source, &format!("file:{}/", folder.path().display()), None, SHORT).unwrap();
    let response = fetcher.get(None, "/a.csv").await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"x\n1\n".as_slice()));
    assert!(response.last_modified.unwrap() <= response.received_at);
    assert!(matches!(fetcher.get(None, "/b.csv").await, Err(PageError::GiveUp(_))));
    let error = Fetcher::new(source, "https://example.org", None, SHORT).unwrap_err().to_string();
    assert!(error.starts_with("`TAPEDECK_FILE_URL` is `https://example.org`"), "{error}");
}

#[test]
fn an_address_is_https_or_set_explicitly() {
    let yahoo = source("yahoo").unwrap();
    let fetcher = |base: &str| Fetcher::new(yahoo, base, None, SHORT);
    assert_eq!(fetcher(yahoo.base_url).unwrap().pause, yahoo.pause);
    assert_eq!(fetcher("http://127.0.0.1:8000/yahoo/").unwrap().pause, Duration::ZERO);
    assert_eq!(fetcher("http://proxy.internal").unwrap().pause, yahoo.pause);
    for base in ["", "yahoo", "ftp://yahoo", "file:///etc/passwd"] {
        let error = fetcher(base).unwrap_err().to_string();
        assert!(error.starts_with("`TAPEDECK_YAHOO_URL` is `"), "{error}");
    }
    let error = fetcher("ftp://me:hunter2@yahoo").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_source_without_its_key_is_refused_with_the_name_of_the_variable() {
    let fred = source("fred").unwrap();
    let error = Fetcher::new(fred, fred.base_url, None, SHORT).unwrap_err().to_string();
    assert!(error.starts_with("source `fred` needs `FRED_API_KEY`: "), "{error}");
}
