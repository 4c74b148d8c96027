//! Every way in which a provider can do harm, against the code that fetches pages.

use std::time::Duration;

use kafka::Cluster;
use simulator::hostile::{GoAway, Hostile, Kind, SYMBOL, Target};
use sources::providers::yahoo;
use sources::response::PageError;
use sources::source::Source;
use tokio::time::Instant;

use crate::answer::Page;
use crate::fetch::{Authorities, Fetcher, Limits};
use crate::poll::ask::{Patience, Question, page};
use crate::poll::{Open, run};
use crate::run::{Ending, Mode, Run};
use crate::state::{Class, Validators};
use crate::tests::{kafka, published};
use crate::watchlist::Watchlist;

const SHORT: Limits = Limits {
    connect: Duration::from_millis(500),
    headers: Duration::from_millis(300),
    idle: Duration::from_millis(200),
    total: Duration::from_millis(700),
    body: 1 << 20,
};

const HASTY: Patience = Patience {
    attempts: 2,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
    total_wait: Duration::from_secs(1),
};

/// Longest that a page may take, at two attempts.
const LONGEST: Duration = Duration::from_secs(3);
/// Most bytes that the buffers of a connection hold unread.
const BUFFERS: u64 = 16 << 20;

/// A way to do harm, the class of its error, and a part of the message.
type Case = (Kind, fn(String) -> PageError, &'static str);

const CASES: &[Case] = &[
    (Kind::GzipBomb, PageError::GiveUp, "the body has more than 1048576 bytes"),
    (Kind::NestedEncoding, PageError::Retry, "the body has content encoding `gzip, gzip`; expected gzip or none"),
    (Kind::Endless, PageError::GiveUp, "the body has more than 1048576 bytes"),
    (Kind::EndlessChunked, PageError::GiveUp, "the body has more than 1048576 bytes"),
    (Kind::WrongLength, PageError::Retry, "end of file before message length reached"),
    (Kind::ShortLength, PageError::Retry, "not the JSON that Yahoo sends: EOF"),
    (Kind::SlowDrip(Duration::from_secs(1)), PageError::Retry, "the body stalled"),
    (Kind::SlowDrip(Duration::from_millis(20)), PageError::Retry, "timed out"),
    (Kind::NeverEndingHeaders, PageError::Retry, "message head is too large"),
    (Kind::Truncated, PageError::Retry, "not the JSON that Yahoo sends: EOF"),
    (Kind::HtmlOk, PageError::Retry, "received an HTML page (consent or error)"),
    (Kind::Empty, PageError::Retry, "not the JSON that Yahoo sends: EOF"),
    (Kind::RedirectPrivate(Target::Neighbour), PageError::Retry, "HTTP 302"),
    (Kind::RedirectPrivate(Target::Metadata), PageError::Retry, "HTTP 302"),
    (Kind::RedirectPrivate(Target::File), PageError::Retry, "HTTP 302"),
    (Kind::RedirectLoop, PageError::Retry, "HTTP 302"),
    (Kind::Silent, PageError::Retry, "no response within"),
    (Kind::Reset, PageError::Retry, "onnection"),
    (Kind::ExpiredCertificate, PageError::Retry, "invalid peer certificate"),
    (Kind::SelfSigned, PageError::Retry, "invalid peer certificate"),
    (Kind::WrongHost, PageError::Retry, "invalid peer certificate"),
    (Kind::GoAway(GoAway::Unheard), PageError::Retry, "GOAWAY, NO_ERROR"),
    (Kind::GoAway(GoAway::Midway), PageError::Retry, "error reading a body from connection"),
];

#[test]
fn every_way_of_doing_harm_is_a_case() {
    let pause = Duration::from_secs(1);
    let cases: Vec<Kind> = CASES.iter().map(|(kind, ..)| *kind).collect();
    let missing: Vec<Kind> = Kind::harmful(pause).into_iter().filter(|kind| !cases.contains(kind)).collect();
    assert_eq!(missing, []);
}

/// Yahoo under another name, with this address as its own or as a replacement.
fn source(name: &str, base_url: &str) -> Source {
    let [name, base_url] = [name, base_url].map(|text| &*String::leak(text.to_owned()));
    Source { name, base_url, ..yahoo::SOURCE }
}

async fn ask(fetcher: &Fetcher, source: &'static Source) -> Result<Page, PageError> {
    let (endpoint, class) = (&source.endpoints[0], Class::Live);
    let question = Question { source, endpoint, item: SYMBOL, offset: 0, range: None, class };
    page(fetcher, question, &Validators::default(), HASTY).await
}

/// Its authority, if it has one.
fn authorities_of(hostile: &Hostile) -> Authorities {
    match hostile.ca_pem() {
        "" => Authorities::default(),
        pem => Authorities::of(pem.as_bytes()).unwrap(),
    }
}

/// A fetcher for it, which trusts its authority.
fn trusting(source: &Source, hostile: &Hostile) -> Fetcher {
    Fetcher::trusting(source, &hostile.url(), None, SHORT, &authorities_of(hostile)).unwrap()
}

/// A source with another address of its own.
fn away() -> &'static Source {
    Box::leak(Box::new(source("away", "https://provider.example")))
}

/// Fetches as from a provider at its own address.
async fn ask_at_home(hostile: &Hostile, is_trusted: bool) -> Result<Page, PageError> {
    let source = Box::leak(Box::new(source("home", &hostile.url())));
    let fetcher = match is_trusted {
        true => trusting(source, hostile),
        false => Fetcher::new(source, &hostile.url(), None, SHORT).unwrap(),
    };
    ask(&fetcher, source).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_harmful_response_ends_soon_costs_little_and_gives_a_reason_on_one_line() {
    for (kind, error, words) in CASES {
        let hostile = Hostile::start(*kind).await.unwrap();
        let source = away();
        let fetcher = trusting(source, &hostile);
        let start = Instant::now();
        let refused = ask(&fetcher, source).await.unwrap_err();
        let took = start.elapsed();
        assert!(took < LONGEST, "{kind:?} took {took:?}");
        let text = refused.to_string();
        assert_eq!(refused, error(text.clone()), "{kind:?}");
        assert!(text.contains(words) && !text.contains('\n') && text.len() < 500, "{kind:?}: {text}");
        assert!(!text.contains(&hostile.url()), "{kind:?}: {text}");
        let is_small = hostile.bytes_sent() < SHORT.body as u64 + BUFFERS;
        assert!(is_small, "{kind:?}: {} bytes were sent", hostile.bytes_sent());
        assert_eq!(hostile.lured(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_good_answer_is_read() {
    let hostile = Hostile::start(Kind::Harmless).await.unwrap();
    let source = away();
    assert_eq!(ask(&trusting(source, &hostile), source).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_connection_that_ends_after_its_response_costs_only_a_new_one() {
    let (hostile, source) = (Hostile::start(Kind::GoAway(GoAway::Answered)).await.unwrap(), away());
    let fetcher = trusting(source, &hostile);
    for requests in 1..=5 {
        assert_eq!(ask(&fetcher, source).await.unwrap().records.len(), 2);
        assert_eq!([hostile.connections(), hostile.requests(), fetcher.cost().calls], [requests; 3]);
    }
}

/// By default the client would repeat the request at once, past pace and quota.
#[tokio::test]
async fn a_request_that_was_not_processed_is_retried_only_in_its_turn() {
    for when in [GoAway::Unheard, GoAway::Midway] {
        let (hostile, source) = (Hostile::start(Kind::GoAway(when)).await.unwrap(), away());
        let fetcher = trusting(source, &hostile);
        ask(&fetcher, source).await.unwrap_err();
        assert_eq!([hostile.requests(), fetcher.cost().calls], [HASTY.attempts as u64; 2], "{when:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_accepted_from_an_authority_that_is_trusted_and_from_no_other() {
    let hostile = Hostile::start_encrypted(Kind::Harmless).await.unwrap();
    assert_eq!(ask_at_home(&hostile, true).await.unwrap().records.len(), 2);
    assert_eq!(hostile.requests(), 1);
    let error = ask_at_home(&hostile, false).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert_eq!(hostile.requests(), 1);
}

#[tokio::test]
async fn an_invalid_certificate_of_a_trusted_authority_is_refused() {
    for (kind, words) in [
        (Kind::ExpiredCertificate, "certificate expired"),
        (Kind::SelfSigned, "UnknownIssuer"),
        (Kind::WrongHost, "not valid for name"),
    ] {
        let hostile = Hostile::start(kind).await.unwrap();
        let error = ask_at_home(&hostile, true).await.unwrap_err();
        assert!(matches!(&error, PageError::Retry(text) if text.contains(words)), "{kind:?}: {error:?}");
        // No request was sent there.
        assert_eq!((hostile.connections(), hostile.requests()), (HASTY.attempts as u64, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn redirects_of_the_providers_own_host_stay_there_and_are_limited() {
    for target in [Target::Neighbour, Target::Metadata, Target::File] {
        let hostile = Hostile::start_encrypted(Kind::RedirectPrivate(target)).await.unwrap();
        let error = ask_at_home(&hostile, true).await.unwrap_err();
        assert!(matches!(&error, PageError::Retry(text) if text.starts_with("HTTP 302")), "{target:?}: {error:?}");
        assert_eq!((hostile.requests(), hostile.lured()), (HASTY.attempts as u64, 0), "{target:?}");
    }
    let hostile = Hostile::start_encrypted(Kind::RedirectLoop).await.unwrap();
    let error = ask_at_home(&hostile, true).await.unwrap_err();
    assert!(matches!(&error, PageError::Retry(text) if text.starts_with("HTTP 302")), "{error:?}");
    // Three redirects after each request.
    assert_eq!(hostile.requests(), 4 * HASTY.attempts as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmful_provider_is_recorded_once_and_does_not_stop_the_others() {
    let mock = kafka();
    let mut hosts = Vec::new();
    for kind in CASES.iter().map(|(kind, ..)| *kind).chain([Kind::Harmless]) {
        hosts.push(Hostile::start(kind).await.unwrap());
    }
    let name = |place: usize| format!("hostile_{place:02}");
    let sources = (0..hosts.len()).map(|place| source(&name(place), "https://provider.example"));
    let sources: &'static [Source] = Vec::leak(sources.collect());
    let watchlist: String = sources.iter().map(|one| format!("[{}]\nchart = [\"{SYMBOL}\"]\n", one.name)).collect();
    let watchlist = Watchlist::parse_among(sources, &watchlist).unwrap();
    let run_once = Run::new(watchlist, Cluster::new(&mock.bootstrap_servers(), "test"), Mode::Once);
    let openers = hosts.iter().map(|host| -> Open {
        let (url, authorities) = (host.url(), authorities_of(host));
        Box::new(move || Fetcher::trusting(&sources[0], &url, None, SHORT, &authorities))
    });
    assert_eq!(run(sources.iter().zip(openers).collect(), run_once).await, Ending::Incomplete);
    // Only the last provider sent a good page.
    assert_eq!(published(&mock, "ohlcv_bar", &["source", "close"]), [["yahoo", "11"]]);
    let logs = published(&mock, "fetch_log", &["source", "outcome", "records", "error"]);
    assert_eq!(logs.len(), hosts.len());
    for (place, (kind, _, words)) in CASES.iter().enumerate() {
        assert_eq!(logs[place][..3], [name(place).as_str(), "given_up", "0"], "{kind:?}");
        let text = &logs[place][3];
        assert!(text.contains(words) && !text.contains('\n'), "{kind:?}: {text}");
    }
    assert_eq!(logs[CASES.len()], [name(CASES.len()).as_str(), "answered", "2", "null"]);
    assert!(hosts.iter().all(|host| host.lured() == 0));
}
