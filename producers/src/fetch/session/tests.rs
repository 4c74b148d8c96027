use sources::source;

use super::*;
use crate::fetch::{Fetcher, LIMITS};
use crate::tests::stub::{Stub, response};

const OPTIONS: &str = "/v7/finance/options/AAPL?date=1";
const REFUSAL: &[u8] = br#"{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}"#;

fn cookie(value: &str) -> Vec<u8> {
    let header = format!("Set-Cookie: A3=d={value}; Max-Age=31557600; Path=/; SameSite=None; HttpOnly");
    // Yahoo responds with 404 there.
    response("404 Not Found", &[&header], b"")
}

fn ok(body: &[u8]) -> Vec<u8> {
    response("200 OK", &[], body)
}

fn yahoo(base: &str) -> Fetcher {
    Fetcher::new(source("yahoo").unwrap(), base, None, LIMITS).unwrap()
}

/// First line of each request, and its cookie.
fn asked(stub: &Stub) -> Vec<(String, Option<String>)> {
    let asked = |request: String| {
        let cookie = request.lines().find_map(|line| line.strip_prefix("cookie: ").map(str::to_owned));
        (request.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned(), cookie)
    };
    stub.requests().into_iter().map(asked).collect()
}

#[tokio::test]
async fn options_are_fetched_with_one_cookie_and_crumb() {
    let stub = Stub::answering(&[cookie("1"), ok(b"a/crumb.1\n"), ok(b"{}")]).await;
    let fetcher = yahoo(&stub.base);
    for _ in 0..2 {
        assert_eq!(fetcher.get(None, OPTIONS).await.unwrap().status, 200);
    }
    let sent = Some("A3=d=1".to_owned());
    let options = (format!("GET {OPTIONS}&crumb=a%2Fcrumb.1"), sent.clone());
    let crumb = ("GET /v1/test/getcrumb".to_owned(), sent);
    assert_eq!(asked(&stub), [("GET /".to_owned(), None), crumb, options.clone(), options]);
}

#[tokio::test]
async fn charts_are_fetched_without_cookie_and_crumb() {
    let stub = Stub::answering(&[ok(b"{}")]).await;
    yahoo(&stub.base).get(None, "/v8/finance/chart/AAPL?range=10y").await.unwrap();
    assert_eq!(asked(&stub), [("GET /v8/finance/chart/AAPL?range=10y".to_owned(), None)]);
}

#[tokio::test]
async fn an_expired_crumb_is_renewed_once_per_request() {
    let refused = || response("401 Unauthorized", &[], REFUSAL);
    let pass = |name: &str| [cookie(name), ok(name.as_bytes())];
    let script = [&pass("1")[..], &[refused()], &pass("2"), &[ok(b"{}")]].concat();
    let stub = Stub::answering(&script).await;
    assert_eq!(yahoo(&stub.base).get(None, OPTIONS).await.unwrap().status, 200);
    let all = asked(&stub);
    assert_eq!((all.len(), all[2].0.ends_with("&crumb=1"), all[5].0.ends_with("&crumb=2")), (6, true, true));
    assert_eq!(all[5].1.as_deref(), Some("A3=d=2"));

    // A second refusal is the response, and the next request fetches new ones.
    let script = [&pass("1")[..], &[refused()], &pass("2"), &[refused()], &pass("3"), &[ok(b"{}")]].concat();
    let stub = Stub::answering(&script).await;
    let fetcher = yahoo(&stub.base);
    let response = fetcher.get(None, OPTIONS).await.unwrap();
    assert_eq!((response.status, response.body.as_slice(), stub.requests().len()), (401, REFUSAL, 6));
    assert_eq!(fetcher.get(None, OPTIONS).await.unwrap().status, 200);
    assert_eq!(stub.requests().len(), 9);
}

#[tokio::test]
async fn cookie_and_crumb_are_never_shown() {
    let stub = Stub::answering(&[cookie("secret"), ok(b"hidden"), ok(b"{}")]).await;
    let fetcher = yahoo(&stub.base);
    fetcher.get(None, OPTIONS).await.unwrap();
    let shown = format!("{fetcher:?}");
    assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
    assert_eq!(fetcher.redacted("Invalid hidden of A3=d=secret"), "Invalid *** of ***");

    let refused = response("401 Unauthorized", &[], REFUSAL);
    let stub = Stub::answering(&[cookie("secret"), ok(b"hidden"), refused]).await;
    let fetcher = yahoo(&stub.base);
    // The response deletes the cookie, and the expired one stays secret all the same.
    fetcher.get(None, OPTIONS).await.unwrap_err();
    assert_eq!(fetcher.redacted("Invalid hidden of A3=d=secret"), "Invalid *** of ***");
}

#[tokio::test]
async fn without_a_cookie_or_a_crumb_the_page_is_retried_later() {
    let error = async |script: &[Vec<u8>]| {
        let stub = Stub::answering(script).await;
        match yahoo(&stub.base).get(None, OPTIONS).await.unwrap_err() {
            PageError::Retry(text) => text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(error(&[ok(b"")]).await, "the provider set no cookie");
    let many = response("429 Too Many Requests", &[], b"Too Many Requests\r\n");
    let expected = "expected a crumb, received HTTP 429: `Too Many Requests`";
    assert_eq!(error(&[cookie("1"), many]).await, expected);
    for body in ["", "<html>consent</html>", "{\"finance\":{}}", "two words", &"x".repeat(MAX_CRUMB_BYTES + 1)] {
        let text = error(&[cookie("1"), ok(body.as_bytes())]).await;
        assert!(text.starts_with("expected a crumb, received HTTP 200: `"), "{text}");
    }
}

#[test]
fn a_cookie_is_not_sent_to_other_hosts() {
    let from = Url::parse("https://fc.yahoo.com/").unwrap();
    let read = |text: &str| {
        let headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_str(text).unwrap())]);
        Cookies::read(&headers, &from).ok()
    };
    let sent = |text: &str, to: &str| read(text).unwrap().headers(&Url::parse(to).unwrap()).contains_key(COOKIE);
    let wide = "A3=x; Domain=.yahoo.com; Secure";
    assert!(sent(wide, "https://query1.finance.yahoo.com/v7") && sent(wide, "https://YAHOO.com/"));
    for to in ["http://query1.finance.yahoo.com/", "https://notyahoo.com/", "https://yahoo.com.example/"] {
        assert!(!sent(wide, to), "{to}");
    }
    assert!(sent("A3=x", "https://fc.yahoo.com/y") && !sent("A3=x", "https://query1.finance.yahoo.com/"));
    assert!(sent(wide, "https://a.fc.yahoo.com/") && !sent("A3=x", "https://a.fc.yahoo.com/"));
    for text in ["A3=x; Domain=example.org", "A3=x; Domain=com", "A3=x; Max-Age=0", "A3=", "=x", "A3", ""] {
        assert!(read(text).is_none(), "{text}");
    }
}
