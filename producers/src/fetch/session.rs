//! Cookie and crumb: a provider sends them to everybody, and requires them in later requests.
//!
//! They are treated like keys: never shown, and a cookie is sent only to the hosts that it was set for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use service::secret::Secret;
use sources::parse::body::excerpt;
use sources::response::PageError;
use sources::source::{Auth, Base, Source};

use super::identity::{REDACTED, written};
use super::{Fetcher, Response};

/// Most cookies of a response, and the longest: Yahoo sends one of some 150 bytes.
const MAX_COOKIES: usize = 16;
const MAX_COOKIE_BYTES: usize = 4096;
/// Longest crumb: Yahoo's have 11 characters.
const MAX_CRUMB_BYTES: usize = 64;
/// HTTP status of a response to an expired crumb.
const REFUSED: u16 = 401;

/// Where cookie and crumb come from and where they are required, and the current ones.
#[derive(Debug)]
pub(super) struct Session {
    /// Where the provider sets the cookie.
    pub(super) cookie: Base,
    /// Path of the crumb at the source's address.
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
    /// Whether they have expired.
    is_over: AtomicBool,
}

/// The cookies of a response.
#[derive(Debug)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    /// `name=value`.
    pair: Secret,
    /// The host that it was set for, with its subdomains unless `is_for_host_alone`.
    host: String,
    is_for_host_alone: bool,
    /// Whether it must be sent over HTTPS only.
    is_secure: bool,
}

impl Session {
    /// The session of a source that has one.
    pub(super) fn of(source: &Source) -> Option<Session> {
        let Auth::Crumb { cookie, crumb_path, param, paths } = source.auth else { return None };
        Some(Session { cookie, crumb_path, param, paths, pass: Mutex::default() })
    }

    /// Whether a path requires cookie and crumb.
    pub(super) fn is_wanted_by(&self, path: &str) -> bool {
        self.paths.iter().any(|start| path.starts_with(start))
    }

    /// The current cookie and crumb, unless they have expired.
    pub(super) fn pass(&self) -> Option<Arc<Pass>> {
        self.last_pass().filter(|pass| !pass.is_over.load(Ordering::Relaxed))
    }

    fn last_pass(&self) -> Option<Arc<Pass>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Saves cookies, and the crumb in the response to them.
    pub(super) fn keep(&self, cookies: Cookies, answer: &Response) -> Result<Arc<Pass>, PageError> {
        let crumb = crumb(answer).map_err(|error| cookies.taken_out_of(error))?;
        let pass = Arc::new(Pass { cookies, crumb, is_over: AtomicBool::new(false) });
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// Whether a response says that cookie and crumb have expired; then they are not used again.
    pub(super) fn is_over(&self, response: &Response) -> bool {
        let is_over = response.status == REFUSED;
        if let Some(pass) = self.last_pass().filter(|_| is_over) {
            pass.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Adds the crumb to a URL, and returns the headers with the cookies.
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

impl Fetcher {
    /// Fetches with cookie and crumb; if they have expired, once more with new ones.
    pub(super) async fn get_with_pass(&self, session: &Session, url: &Url) -> Result<Response, PageError> {
        let mut response = self.send_with_pass(session, url.clone()).await?;
        if session.is_over(&response) {
            response = self.send_with_pass(session, url.clone()).await?;
            // A second refusal is the response; the next request fetches new ones.
            session.is_over(&response);
        }
        Ok(response)
    }

    async fn send_with_pass(&self, session: &Session, mut url: Url) -> Result<Response, PageError> {
        let pass = match session.pass() {
            Some(pass) => pass,
            None => self.new_pass(session).await?,
        };
        let headers = session.present(&pass, &mut url);
        let (response, _) = self.send(url, headers).await?;
        Ok(response)
    }

    /// Fetches a cookie, and the crumb that belongs to it.
    async fn new_pass(&self, session: &Session) -> Result<Arc<Pass>, PageError> {
        let url = self.url(Some(session.cookie), "/")?;
        let (_, headers) = self.send(url.clone(), HeaderMap::new()).await?;
        let cookies = Cookies::read(&headers, &url)?;
        let url = self.url(None, session.crumb_path)?;
        let headers = cookies.headers(&url);
        let (answer, _) = self.send(url, headers).await?;
        session.keep(cookies, &answer)
    }
}

/// The crumb, which is the whole response.
fn crumb(answer: &Response) -> Result<Secret, PageError> {
    let text = answer.body.trim_ascii();
    let is_crumb = !text.is_empty() && text.len() <= MAX_CRUMB_BYTES && text.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(text) {
        // HTML or JSON with an error may be as short.
        Ok(crumb) if is_crumb && answer.status == 200 && !crumb.starts_with(['<', '{']) => {
            Ok(Secret::new(crumb.to_owned()))
        }
        _ => Err(PageError::Retry(format!("expected a crumb, received HTTP {}: `{}`", answer.status, excerpt(text)))),
    }
}

impl Cookies {
    /// Reads the cookies of a response from that address.
    pub(super) fn read(headers: &HeaderMap, from: &Url) -> Result<Cookies, PageError> {
        let values = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies: Vec<Cookie> = values.filter_map(|text| Cookie::read(text, from)).take(MAX_COOKIES).collect();
        if cookies.is_empty() {
            return Err(PageError::Retry("the provider set no cookie".to_owned()));
        }
        Ok(Cookies(cookies))
    }

    /// Removes the cookies from an error.
    fn taken_out_of(&self, error: PageError) -> PageError {
        let PageError::Retry(text) = error else { return error };
        let secrets = self.0.iter().flat_map(|cookie| written(cookie.pair.expose()));
        PageError::Retry(secrets.fold(text, |text, secret| text.replace(&secret, REDACTED)))
    }

    /// The header with the cookies for an address.
    pub(super) fn headers(&self, to: &Url) -> HeaderMap {
        let pairs: Vec<&str> =
            self.0.iter().filter(|cookie| cookie.is_for(to)).map(|cookie| cookie.pair.expose()).collect();
        // Each came in a header of its own, so together they are valid in one.
        let value = HeaderValue::from_str(&pairs.join("; ")).ok().filter(|_| !pairs.is_empty());
        let value = value.map(|mut value| {
            value.set_sensitive(true);
            (COOKIE, value)
        });
        HeaderMap::from_iter(value)
    }
}

impl Cookie {
    /// Reads `name=value; Domain=example.org; Secure; ..`; None if it has no value, is deleted, or is for another host.
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
        // No cookies for other hosts, nor for all of `com`.
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
mod tests;
