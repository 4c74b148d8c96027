//! A cookie and a crumb: what a provider hands to whoever asks, and wants to see again.
//!
//! They are treated as keys are: never shown, and a cookie goes only to the hosts that it was meant for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use service::secret::Secret;

use super::Response;
use super::identity::{REDACTED, written};
use crate::page::excerpt;
use crate::source::{Auth, Base, PageError, Source};

/// Most cookies that are kept of an answer, and the longest: Yahoo sends one of some 150 bytes.
const MAX_COOKIES: usize = 16;
const MAX_COOKIE_BYTES: usize = 4096;
/// Longest crumb: Yahoo's have 11 characters.
const MAX_CRUMB_BYTES: usize = 64;
/// What a crumb that has run out is answered with.
const REFUSED: u16 = 401;

/// Where cookie and crumb are had and wanted, and those at hand.
#[derive(Debug)]
pub(super) struct Session {
    /// Where the cookie is handed out.
    pub(super) cookie: Base,
    /// Where, at the source's address, the crumb is.
    pub(super) crumb_path: &'static str,
    param: &'static str,
    paths: &'static [&'static str],
    pass: Mutex<Option<Arc<Pass>>>,
}

/// Cookies and the crumb that belongs to them.
#[derive(Debug)]
pub(super) struct Pass {
    cookies: Cookies,
    crumb: Secret,
    /// Whether the provider has refused them.
    is_over: AtomicBool,
}

/// The cookies of an answer.
#[derive(Debug)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    /// `name=value`.
    pair: Secret,
    /// The host that it is for; with those below it unless it is for that one alone.
    host: String,
    is_for_host_alone: bool,
    /// Whether it must not be sent in the clear.
    is_secure: bool,
}

impl Session {
    /// That of a source that has one.
    pub(super) fn of(source: &Source) -> Option<Session> {
        let Auth::Crumb { cookie, crumb_path, param, paths } = source.auth else { return None };
        Some(Session { cookie, crumb_path, param, paths, pass: Mutex::default() })
    }

    /// Whether a path is one that wants cookie and crumb.
    pub(super) fn is_wanted_by(&self, path: &str) -> bool {
        self.paths.iter().any(|start| path.starts_with(start))
    }

    /// What is at hand and has not been refused.
    pub(super) fn pass(&self) -> Option<Arc<Pass>> {
        self.last_pass().filter(|pass| !pass.is_over.load(Ordering::Relaxed))
    }

    fn last_pass(&self) -> Option<Arc<Pass>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps cookies and the crumb that was answered to them.
    pub(super) fn keep(&self, cookies: Cookies, answer: &Response) -> Result<Arc<Pass>, PageError> {
        let crumb = crumb(answer).map_err(|error| cookies.taken_out_of(error))?;
        let pass = Arc::new(Pass { cookies, crumb, is_over: AtomicBool::new(false) });
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// Whether a response says that cookie and crumb have run out; they are not used again.
    pub(super) fn is_over(&self, response: &Response) -> bool {
        let is_over = response.status == REFUSED;
        if let Some(pass) = self.last_pass().filter(|_| is_over) {
            pass.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Adds the crumb to an address, and gives the headers to ask it with.
    pub(super) fn present(&self, pass: &Pass, url: &mut Url) -> HeaderMap {
        url.query_pairs_mut().append_pair(self.param, pass.crumb.expose());
        pass.cookies.headers(url)
    }

    /// Cookies and crumb.
    pub(super) fn secrets(&self) -> Vec<String> {
        let Some(pass) = self.last_pass() else { return Vec::new() };
        let secrets = pass.cookies.0.iter().map(|cookie| &cookie.pair).chain([&pass.crumb]);
        secrets.flat_map(|secret| written(secret.expose())).collect()
    }
}

/// The crumb that is all of an answer.
fn crumb(answer: &Response) -> Result<Secret, PageError> {
    let text = answer.body.trim_ascii();
    let is_crumb = !text.is_empty() && text.len() <= MAX_CRUMB_BYTES && text.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(text) {
        // A page or an error in JSON may be short.
        Ok(crumb) if is_crumb && answer.status == 200 && !crumb.starts_with(['<', '{']) => {
            Ok(Secret::new(crumb.to_owned()))
        }
        _ => Err(PageError::Retry(format!("expected a crumb, received HTTP {}: `{}`", answer.status, excerpt(text)))),
    }
}

impl Cookies {
    /// Reads those of an answer from that address.
    pub(super) fn read(headers: &HeaderMap, from: &Url) -> Result<Cookies, PageError> {
        let values = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies: Vec<Cookie> = values.filter_map(|text| Cookie::read(text, from)).take(MAX_COOKIES).collect();
        if cookies.is_empty() {
            return Err(PageError::Retry("the provider handed out no cookie".to_owned()));
        }
        Ok(Cookies(cookies))
    }

    /// An error that may repeat them.
    fn taken_out_of(&self, error: PageError) -> PageError {
        let PageError::Retry(text) = error else { return error };
        let secrets = self.0.iter().flat_map(|cookie| written(cookie.pair.expose()));
        PageError::Retry(secrets.fold(text, |text, secret| text.replace(&secret, REDACTED)))
    }

    /// The header with those that may be sent to an address.
    pub(super) fn headers(&self, to: &Url) -> HeaderMap {
        let pairs: Vec<&str> =
            self.0.iter().filter(|cookie| cookie.is_for(to)).map(|cookie| cookie.pair.expose()).collect();
        // Each came in a header of its own, so they fit into one.
        let value = HeaderValue::from_str(&pairs.join("; ")).ok().filter(|_| !pairs.is_empty());
        let value = value.map(|mut value| {
            value.set_sensitive(true);
            (COOKIE, value)
        });
        HeaderMap::from_iter(value)
    }
}

impl Cookie {
    /// Reads `name=value; Domain=example.org; Secure; ..`; None when it has no value, was taken back, or is for others.
    fn read(text: &str, from: &Url) -> Option<Cookie> {
        let mut parts = text.split(';').map(str::trim);
        let pair = parts.next().filter(|_| text.len() <= MAX_COOKIE_BYTES)?;
        let (name, value) = pair.split_once('=')?;
        let from = from.host_str()?.to_ascii_lowercase();
        let mut cookie = Cookie {
            pair: Secret::new(pair.to_owned()),
            host: from.clone(),
            is_for_host_alone: true,
            is_secure: false,
        };
        for part in parts {
            let (attribute, said) = part.split_once('=').unwrap_or((part, ""));
            if attribute.eq_ignore_ascii_case("secure") {
                cookie.is_secure = true;
            } else if attribute.eq_ignore_ascii_case("max-age") && said == "0" {
                return None;
            } else if attribute.eq_ignore_ascii_case("domain") && !said.is_empty() {
                cookie.host = said.trim_start_matches('.').to_ascii_lowercase();
                cookie.is_for_host_alone = false;
            }
        }
        // Nobody hands out cookies for other people's hosts, nor for all of `com`.
        let is_own = cookie.covers(&from) && (cookie.host == from || cookie.host.contains('.'));
        (is_own && !name.is_empty() && !value.is_empty()).then_some(cookie)
    }

    fn is_for(&self, url: &Url) -> bool {
        let may_be_read = !self.is_secure || url.scheme() == "https";
        may_be_read && url.host_str().is_some_and(|host| self.covers(&host.to_ascii_lowercase()))
    }

    fn covers(&self, host: &str) -> bool {
        let is_below = |head: &str| head.ends_with('.') && !self.is_for_host_alone;
        host.strip_suffix(self.host.as_str()).is_some_and(|head| head.is_empty() || is_below(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{Fetcher, LIMITS};
    use crate::source::source;
    use crate::stub::{Stub, response};

    const OPTIONS: &str = "/v7/finance/options/AAPL?date=1";
    const REFUSAL: &[u8] =
        br#"{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}"#;

    fn cookie(value: &str) -> Vec<u8> {
        let header = format!("Set-Cookie: A3=d={value}; Max-Age=31557600; Path=/; SameSite=None; HttpOnly");
        // Yahoo has nothing there, and says so.
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
    async fn options_are_asked_for_with_a_cookie_and_a_crumb_that_are_fetched_once() {
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
    async fn charts_are_asked_for_without() {
        let stub = Stub::answering(&[ok(b"{}")]).await;
        yahoo(&stub.base).get(None, "/v8/finance/chart/AAPL?range=10y").await.unwrap();
        assert_eq!(asked(&stub), [("GET /v8/finance/chart/AAPL?range=10y".to_owned(), None)]);
    }

    #[tokio::test]
    async fn a_crumb_that_has_run_out_is_renewed_once_for_a_request() {
        let refused = || response("401 Unauthorized", &[], REFUSAL);
        let pass = |name: &str| [cookie(name), ok(name.as_bytes())];
        let script = [&pass("1")[..], &[refused()], &pass("2"), &[ok(b"{}")]].concat();
        let stub = Stub::answering(&script).await;
        assert_eq!(yahoo(&stub.base).get(None, OPTIONS).await.unwrap().status, 200);
        let all = asked(&stub);
        assert_eq!((all.len(), all[2].0.ends_with("&crumb=1"), all[5].0.ends_with("&crumb=2")), (6, true, true));
        assert_eq!(all[5].1.as_deref(), Some("A3=d=2"));

        // Refused again it is the provider's answer, and the next request begins anew.
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
        // The refusal is taken for a cookie without a value, and what was refused is secret all the same.
        fetcher.get(None, OPTIONS).await.unwrap_err();
        assert_eq!(fetcher.redacted("Invalid hidden of A3=d=secret"), "Invalid *** of ***");
    }

    #[tokio::test]
    async fn without_a_cookie_or_a_crumb_it_is_asked_again_later() {
        let error = async |script: &[Vec<u8>]| {
            let stub = Stub::answering(script).await;
            match yahoo(&stub.base).get(None, OPTIONS).await.unwrap_err() {
                PageError::Retry(text) => text,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(error(&[ok(b"")]).await, "the provider handed out no cookie");
        let many = response("429 Too Many Requests", &[], b"Too Many Requests\r\n");
        let expected = "expected a crumb, received HTTP 429: `Too Many Requests`";
        assert_eq!(error(&[cookie("1"), many]).await, expected);
        for body in ["", "<html>consent</html>", "{\"finance\":{}}", "two words", &"x".repeat(MAX_CRUMB_BYTES + 1)] {
            let text = error(&[cookie("1"), ok(body.as_bytes())]).await;
            assert!(text.starts_with("expected a crumb, received HTTP 200: `"), "{text}");
        }
    }

    #[test]
    fn a_cookie_is_not_sent_to_others() {
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
}
