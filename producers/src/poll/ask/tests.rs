use sources::source;
use tokio::time::Instant;

use super::*;
use crate::fetch::LIMITS;
use crate::tests::stub::{Stub, response};

const HASTY: Patience = Patience {
    attempts: 4,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
    total_wait: Duration::from_secs(10),
};

async fn ask_cboe(stub: &Stub) -> Result<Page, PageError> {
    let source = source("cboe").unwrap();
    let fetcher = Fetcher::new(source, &stub.base, None, LIMITS).unwrap();
    page(
        &fetcher,
        Question { source, endpoint: &source.endpoints[0], item: "SKEW", offset: 0, range: None, class: Class::Live },
        &Validators::default(),
        HASTY,
    )
    .await
}

const GOOD: &[u8] = b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,x\n";

#[tokio::test]
async fn a_failed_page_is_retried_until_it_comes() {
    let responses = [
        response("429 Too Many Requests", &["Retry-After: 1"], b"slow down"),
        response("200 OK", &[], b"<html>busy</html>"),
        response("200 OK", &[], GOOD),
    ];
    let stub = Stub::answering(&responses).await;
    let start = Instant::now();
    let page = ask_cboe(&stub).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "the provider asked for a second");
    assert_eq!((page.records.len(), page.dead_letters.len(), stub.requests().len()), (1, 1, 3));
    assert_eq!(page.dead_letters[0].reason, "line 3: `x` is not a number");
}

#[tokio::test]
async fn patience_has_an_end() {
    let stub = Stub::answering(&[response("500 Oops", &[], b"<html>oops</html>")]).await;
    let error = ask_cboe(&stub).await.unwrap_err();
    assert_eq!(error, PageError::Retry("HTTP 500: expected CSV, received markup: `<html>oops</html>`".to_owned()));
    assert_eq!(stub.requests().len(), HASTY.attempts);
}

#[tokio::test]
async fn a_long_retry_after_ends_the_attempts() {
    let stub = Stub::answering(&[response("503 Busy", &["Retry-After: 600"], b"")]).await;
    let start = Instant::now();
    assert!(matches!(ask_cboe(&stub).await, Err(PageError::Retry(_))));
    assert_eq!(stub.requests().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_retry_after_for_one_item_counts_for_all() {
    let stub = Stub::answering(&[response("503 Busy", &["Retry-After: 600"], b"")]).await;
    let source = source("cboe").unwrap();
    let fetcher = Fetcher::new(source, &stub.base, None, LIMITS).unwrap();
    for (endpoint, item) in [(0, "SKEW"), (0, "VIX"), (1, "AAPL")] {
        let question = Question {
            source,
            endpoint: &source.endpoints[endpoint],
            item,
            offset: 0,
            range: None,
            class: Class::Live,
        };
        let error = page(&fetcher, question, &Validators::default(), HASTY).await.unwrap_err();
        assert!(matches!(error, PageError::Retry(_)), "{error:?}");
    }
    assert_eq!(stub.requests().len(), 1);
}

#[tokio::test]
async fn an_item_that_the_provider_does_not_have_is_requested_once() {
    let body = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
    let stub = Stub::answering(&[response("403 Forbidden", &[], body)]).await;
    let error = ask_cboe(&stub).await.unwrap_err();
    assert!(matches!(&error, PageError::Skip(text) if text.starts_with("HTTP 403: unknown index `SKEW`")), "{error:?}");
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn the_status_decides_where_the_body_does_not() {
    let judged = |status| judge(status, Ok(Parsed::default()));
    assert!(judged(200).is_ok() && judged(204).is_ok());
    for (statuses, expected) in [
        ([408, 429, 500, 503], PageError::Retry as fn(String) -> PageError),
        ([400, 404, 410, 302], PageError::Skip),
        ([401, 403, 401, 403], PageError::Halt),
    ] {
        for status in statuses {
            assert_eq!(judged(status), Err(expected(format!("HTTP {status}"))));
        }
    }
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_is_not_shown() {
    let key = "0123456789abcdef0123456789abcdef";
    let body = format!(r#"{{"error_code":400,"error_message":"api_key {key} is not registered."}}"#);
    let stub = Stub::answering(&[response("400 Bad Request", &[], body.as_bytes())]).await;
    let source = source("fred").unwrap();
    let key = service::secret::Secret::new(key.to_owned());
    let fetcher = Fetcher::new(source, &stub.base, Some(key), LIMITS).unwrap();
    let question =
        Question { source, endpoint: &source.endpoints[0], item: "GDP", offset: 0, range: None, class: Class::Live };
    let error = page(&fetcher, question, &Validators::default(), HASTY).await.unwrap_err();
    assert!(matches!(&error, PageError::Halt(text) if text.contains("api_key *** is not registered")), "{error:?}");
}
