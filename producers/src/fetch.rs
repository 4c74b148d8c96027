//! Requests to the providers. Nothing else knows the HTTP client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use chrono::{DateTime, SubsecRound as _, Utc};
use memchr::memmem;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Client, Url, redirect, retry};
use service::secret::{Secret, without_credentials};
use service::settings;
use service::tls;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::source::{Base, PageError, Source};
use crate::state::{Refused, State};

mod address;
mod authorities;
mod body;
mod cost;
mod identity;
pub mod local;
mod quota;
mod rest;
mod session;
mod transport;
mod validators;

use address::PublicAddresses;
pub(crate) use authorities::Authorities;
use body::Body;
pub use cost::Cost;
use identity::{Identity, MIN_SECRET_BYTES, REDACTED, replaced};
pub use quota::{Budget, Class, Spent};
use rest::{Rest, Sign};
use session::{Cookies, Pass, Session};
pub use validators::Validators;

/// Limits of one request: a provider that is slow, endless or hostile costs no more than this.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Until the headers are there.
    pub headers: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// For all of it.
    pub total: Duration,
    /// Bytes of the body, counted after decompression.
    pub body: usize,
}

/// The largest known response, 100,000 observations, has 10 MB.
pub const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    headers: Duration::from_secs(15),
    idle: Duration::from_secs(10),
    total: Duration::from_secs(120),
    body: 64 << 20,
};

/// Shortest and longest wait that a `Retry-After` is taken at its word for.
const RETRY_AFTER_BOUNDS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

/// A response, whatever its status.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// When the last byte was received, to the microsecond.
    pub received_at: DateTime<Utc>,
    /// `Last-Modified`.
    pub last_modified: Option<DateTime<Utc>>,
    /// What tells later whether this is still the answer.
    pub validators: Validators,
    /// `Retry-After`, within bounds.
    pub retry_after: Option<Duration>,
    /// Decompressed body.
    pub body: Vec<u8>,
}

/// What asks one provider, one request at a time.
#[derive(Debug)]
pub struct Fetcher {
    source: &'static str,
    client: Client,
    base: String,
    /// Addresses of endpoints that are elsewhere, each with the variable that replaces it.
    others: Vec<(&'static str, String)>,
    identity: Identity,
    /// Cookie and crumb, for a provider that wants to see them.
    session: Option<Session>,
    limits: Limits,
    pause: Duration,
    burst: u32,
    clock: Clock,
    /// What is shared with other processes that ask the same provider.
    state: Option<Arc<State>>,
    /// Whether it is left alone.
    rest: Rest,
    /// What is left of the day's calls, of a provider that grants so many.
    budget: Option<Budget>,
    /// Until when there is no call left for a class.
    spent_until: Mutex<[Option<Instant>; 3]>,
    calls: AtomicU64,
    bytes: AtomicU64,
    /// Where the files are that are read instead of asking anybody.
    folder: Option<local::Folder>,
}

impl Fetcher {
    /// Prepares to ask a source, at the addresses and with the key that the environment gives.
    pub fn from_settings(source: &Source) -> anyhow::Result<Fetcher> {
        let base = settings::read(&source.base_url_variable()).unwrap_or_default();
        let key = source.key_variable().map(|variable| settings::read_secret(&variable)).transpose()?.flatten();
        let mut fetcher = Fetcher::trusting(source, &base, key, LIMITS, &Authorities::from_settings()?)?;
        fetcher.budget = Budget::of(source, fetcher.base == source.base_url)?;
        for (other, address) in source.other_bases().iter().zip(&mut fetcher.others) {
            address.1 = settings::read(&other.variable()).unwrap_or_default();
            check_address(other.env, other.url, &address.1)?;
        }
        Ok(fetcher)
    }

    /// Prepares to ask a source, all of it, at that address.
    ///
    /// An address other than the source's own may be plain HTTP; no pause is made for one on this machine.
    pub fn new(source: &Source, base: &str, key: Option<Secret>, limits: Limits) -> anyhow::Result<Fetcher> {
        Fetcher::trusting(source, base, key, limits, &Authorities::default())
    }

    /// The same, for one whose certificate may also come from these authorities.
    pub(crate) fn trusting(
        source: &Source,
        base: &str,
        key: Option<Secret>,
        limits: Limits,
        authorities: &Authorities,
    ) -> anyhow::Result<Fetcher> {
        let folder = source.is_local().then(|| local::Folder::new(source.base_url_env, base)).transpose()?;
        let base = if folder.is_some() { base } else { base.trim_end_matches('/') };
        let is_local = check_address(source.base_url_env, source.base_url, base)?;
        let identity = Identity::of(source, key)?;
        if !matches!(identity, Identity::None) && !is_local && base.starts_with("http:") {
            warn!(source = source.name, "the key is sent without encryption, as `{}` says", source.base_url_env);
        }
        let pause = if is_local { Duration::ZERO } else { source.pause };
        let client = client(source, limits, base == source.base_url, authorities)?;
        let others = source.other_bases().iter().map(|other| (other.env, base.to_owned())).collect();
        let session = Session::of(source);
        Ok(Fetcher {
            source: source.name,
            client,
            base: base.to_owned(),
            others,
            identity,
            session,
            limits,
            pause,
            burst: source.burst,
            clock: Clock::default(),
            state: None,
            rest: Rest::default(),
            budget: None,
            spent_until: Mutex::default(),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            folder,
        })
    }

    /// Asks for a path at the source's address or another one of it. A response is one whatever its status; an error holds
    /// no address, as it may hold the key.
    pub async fn get(&self, base: Option<Base>, path: &str) -> Result<Response, PageError> {
        self.get_newer(base, path, &Validators::default()).await
    }

    /// The same, for what is newer than an answer with these validators: else the status is 304, and there is no body.
    pub async fn get_newer(&self, base: Option<Base>, path: &str, known: &Validators) -> Result<Response, PageError> {
        if let Some(folder) = &self.folder {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let read = from_file(folder.clone(), path.to_owned(), self.limits.body).await;
            self.bytes.fetch_add(read.as_ref().map_or(0, |response| response.body.len() as u64), Ordering::Relaxed);
            return read;
        }
        let mut url = self.url(base, path)?;
        if let Some(session) = self.session.as_ref().filter(|session| session.is_wanted_by(path)) {
            return self.get_with_pass(session, &url).await.map(|response| self.cleaned(response));
        }
        if let Identity::Query(param, key) = &self.identity {
            url.query_pairs_mut().append_pair(param, key.expose());
        }
        let mut headers = self.identity.headers()?;
        headers.extend(known.headers());
        let (response, _) = self.send(url, headers).await?;
        Ok(self.cleaned(response))
    }

    fn cleaned(&self, response: Response) -> Response {
        Response { body: self.without_secrets(response.body), ..response }
    }

    /// Asks with cookie and crumb; once more, with new ones, when these have run out.
    async fn get_with_pass(&self, session: &Session, url: &Url) -> Result<Response, PageError> {
        let mut response = self.send_with_pass(session, url.clone()).await?;
        if session.is_over(&response) {
            response = self.send_with_pass(session, url.clone()).await?;
            // Refused again it is the answer; the next request begins anew.
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

    /// The address of a path.
    fn url(&self, base: Option<Base>, path: &str) -> Result<Url, PageError> {
        let other = base.and_then(|base| self.others.iter().find(|(env, _)| *env == base.env));
        let address = other.map_or(&self.base, |(_, address)| address);
        Url::parse(&format!("{address}{path}"))
            .map_err(|error| PageError::Skip(format!("its address cannot be built: {error}")))
    }

    /// Counts with others who ask the same provider, by a clock.
    pub fn attach(&mut self, state: Arc<State>, clock: Clock) {
        (self.state, self.clock) = (Some(state), clock);
    }

    /// Grants so many calls a day, whatever the environment says.
    pub fn grant(&mut self, calls: u32) {
        self.budget = Some(Budget::new(calls));
    }

    /// Calls that a provider grants in a day, and who may have them; None: any number.
    pub fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// Whether it asks something on this machine, which needs no pauses.
    pub fn is_local(&self) -> bool {
        self.pause.is_zero()
    }

    /// What time it is here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What asking has cost so far.
    pub fn cost(&self) -> Cost {
        Cost { calls: self.calls.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Takes the calls that a request counts for out of the day's; when there are not so many left how long to wait for
    /// more, and why.
    pub async fn reserve(&self, class: Class, calls: u32) -> Result<(), Refused> {
        let (Some(budget), Some(state)) = (&self.budget, &self.state) else { return Ok(()) };
        let taken = state.take(budget, class, calls, self.clock.now()).await;
        if let Err((wait, _)) = &taken {
            let until = self.clock.instant() + *wait;
            self.spent_until.lock().unwrap_or_else(PoisonError::into_inner)[class as usize] = Some(until);
        }
        taken
    }

    /// How much longer the provider is left alone, and why: it wants to be, or has failed too often.
    pub fn rest(&self) -> Option<Refused> {
        self.rest.left(self.clock.instant())
    }

    /// How long it is of no use to ask for something of a class.
    pub fn no_use_for(&self, class: Class) -> Duration {
        let spent_until = self.spent_until.lock().unwrap_or_else(PoisonError::into_inner)[class as usize];
        let spent = spent_until.map(|until| until.saturating_duration_since(self.clock.instant()));
        spent.max(self.rest().map(|(wait, _)| wait)).unwrap_or_default()
    }

    /// Makes a request in its turn, and notes how it ended.
    async fn send(&self, url: Url, headers: HeaderMap) -> Result<(Response, HeaderMap), PageError> {
        self.wait_for_turn().await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = self.send_now(url, headers).await;
        let bytes = outcome.as_ref().map_or(0, |(response, _)| response.body.len() as u64);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let sign = match &outcome {
            Ok((response, _)) => match (response.status, response.retry_after) {
                (400.., Some(wait)) => Sign::Busy(wait),
                (429 | 500.., None) => Sign::Failed,
                _ => Sign::Answered,
            },
            Err(PageError::Retry(_)) => Sign::Failed,
            Err(_) => Sign::Answered,
        };
        if let Some(wait) = self.rest.note(sign, self.clock.instant()) {
            info!(source = self.source, ?wait, "the provider is left alone");
        }
        outcome
    }

    async fn send_now(&self, url: Url, headers: HeaderMap) -> Result<(Response, HeaderMap), PageError> {
        let request = self.client.get(url).header(ACCEPT_ENCODING, "gzip").headers(headers);
        let late = || PageError::Retry(format!("no answer within {} seconds", self.limits.headers.as_secs()));
        let sent = timeout(self.limits.headers, request.send()).await;
        let response = sent.map_err(|_| late())?.map_err(transport::failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.body(response, &headers).await?;
        // What is published has microseconds.
        let now = self.clock.now();
        let response = Response {
            status,
            received_at: now,
            last_modified: text(&headers, LAST_MODIFIED).and_then(http_date).map(DateTime::from),
            validators: Validators::of(&headers),
            retry_after: text(&headers, RETRY_AFTER).and_then(|text| retry_after(text, now.into())),
            body,
        };
        Ok((response, headers))
    }

    /// The words without key, cookie and crumb, should a provider repeat them.
    pub fn redacted(&self, words: &str) -> String {
        self.secrets().into_iter().fold(words.to_owned(), |words, secret| words.replace(&secret, REDACTED))
    }

    /// A body without them: what is in it is published.
    fn without_secrets(&self, body: Vec<u8>) -> Vec<u8> {
        // What is so short is no key, and may be a part of any number.
        let secrets = self.secrets().into_iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES);
        secrets.fold(body, |body, secret| match memmem::find(&body, secret.as_bytes()) {
            None => body,
            Some(_) => replaced(&body, secret.as_bytes()),
        })
    }

    /// Key, cookies and crumb.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.identity.secrets();
        secrets.extend(self.session.iter().flat_map(Session::secrets));
        secrets
    }

    /// Waits until it is our turn among all who ask the same provider from here.
    async fn wait_for_turn(&self) {
        while !self.pause.is_zero() {
            let turn = match &self.state {
                Some(state) => state.turn(self.pause, self.burst, self.clock.now()).await,
                None => return self.clock.sleep(self.pause).await,
            };
            match turn {
                Ok(None) => return,
                Ok(Some(wait)) => self.clock.sleep(wait).await,
                Err(error) => {
                    warn!(source = self.source, "whose turn it is cannot be told: {error}");
                    return self.clock.sleep(self.pause).await;
                }
            }
        }
    }

    /// Reads the body piece by piece, so that neither its size nor its pace is the provider's to choose.
    async fn body(&self, mut response: reqwest::Response, headers: &HeaderMap) -> Result<Vec<u8>, PageError> {
        let mut body = Body::of(headers, self.limits.body)?;
        let stalled = || PageError::Retry(format!("the body stalled for {} seconds", self.limits.idle.as_secs()));
        while let Some(piece) =
            timeout(self.limits.idle, response.chunk()).await.map_err(|_| stalled())?.map_err(transport::failed)?
        {
            body.add(&piece)?;
        }
        body.done()
    }
}

/// What a file holds, as if a provider had sent it.
async fn from_file(folder: local::Folder, path: String, limit: usize) -> Result<Response, PageError> {
    let reading = tokio::task::spawn_blocking(move || folder.read(&path, limit)).await;
    let content = reading.map_err(|error| PageError::Retry(format!("reading the file failed: {error}")))??;
    Ok(Response {
        status: 200,
        received_at: Utc::now().trunc_subsecs(6),
        last_modified: content.modified.map(|time| DateTime::from(time).trunc_subsecs(6)),
        validators: Validators::default(),
        retry_after: None,
        body: content.body,
    })
}

/// Whether the address that a variable gives is on this machine; an error if it is none that may be asked.
fn check_address(variable: &str, own: &str, address: &str) -> anyhow::Result<bool> {
    let shown = without_credentials(address);
    let url = Url::parse(address);
    let url = url.with_context(|| format!("`{variable}` is `{shown}`, which is not an address"))?;
    let is_own = address == own;
    match url.scheme() {
        "https" => {}
        "http" if !is_own => {}
        // A folder: whether it can be read is seen when it is opened.
        "file" if own.starts_with(local::SCHEME) => return Ok(true),
        _ => bail!("`{variable}` is `{shown}`, which does not begin with `https://` or `http://`"),
    }
    Ok(matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

/// The client of a source at its own address, or at one that was put in its place and may be anywhere.
fn client(source: &Source, limits: Limits, is_own: bool, authorities: &Authorities) -> anyhow::Result<Client> {
    tls::install();
    let client = authorities.trusted_by(Client::builder().user_agent(source.user_agent).https_only(is_own));
    let client = match is_own {
        true => client.dns_resolver(PublicAddresses).redirect(address::redirects()),
        false => client.redirect(redirect::Policy::none()),
    };
    let client = client
        // We unpack bodies ourselves, to see how far they swell.
        .no_gzip()
        .referer(false)
        // A proxy from the environment would be handed the key without anyone having said so.
        .no_proxy()
        // What HTTP/2 lets be asked again at once would be asked beside pace and quota.
        .retry(retry::never())
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .build();
    client.with_context(|| format!("cannot prepare requests to `{}`", source.name))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// Reads seconds or a date; what is neither says nothing.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        http_date(text)?.duration_since(now).unwrap_or_default()
    };
    let [least, most] = RETRY_AFTER_BOUNDS;
    Some(wait.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;
    use crate::source::{Auth, Endpoint, History, Parsed, source};
    use crate::stub::{Stub, response};

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
    async fn a_request_looks_as_its_source_wants_and_says_no_more() {
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
        schedule: crate::SOURCES[0].endpoints[0].schedule,
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
    async fn a_contact_stands_behind_the_name_of_the_user_agent() {
        let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
        let fetcher = known_by(Auth::Contact { env: "", doc: "" }, &stub.base).unwrap();
        fetcher.get(None, "/x").await.unwrap();
        assert!(stub.requests()[0].contains(&format!("user-agent: tapedeck/test {KEY}\r\n")), "{}", stub.requests()[0]);
    }

    #[tokio::test]
    async fn an_endpoint_that_is_elsewhere_is_asked_there() {
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
        let bomb = include_bytes!("../fixtures/two_megabytes_of_zeros.gz");
        let stub = Stub::answering(&[response("200 OK", &["Content-Encoding: gzip"], bomb)]).await;
        let error = fetcher("cboe", &stub.base).get(None, "/x").await.unwrap_err();
        assert_eq!(error, PageError::GiveUp("the body has more than 1048576 bytes".to_owned()));
    }

    #[tokio::test]
    async fn a_body_that_was_packed_is_unpacked_and_one_packed_twice_is_refused() {
        let packed = include_bytes!("../fixtures/two_megabytes_of_zeros.gz");
        let answer = |encoding: &str| response("200 OK", &[&format!("Content-Encoding: {encoding}")], packed);
        let stub = Stub::answering(&[answer("gzip"), answer("gzip, gzip")]).await;
        let limits = Limits { body: 4 << 20, ..SHORT };
        let fetcher = Fetcher::new(source("cboe").unwrap(), &stub.base, None, limits).unwrap();
        // More than 200 times as large as what was sent.
        let error = fetcher.get(None, "/x").await.unwrap_err();
        assert!(matches!(&error, PageError::GiveUp(text) if text.contains("200 times")), "{error:?}");
        let error = fetcher.get(None, "/x").await.unwrap_err();
        assert!(matches!(&error, PageError::Retry(text) if text.contains("`gzip, gzip`")), "{error:?}");
    }

    #[tokio::test]
    async fn a_provider_that_fails_again_and_again_is_left_alone_until_it_answers() {
        let failing =
            [response("500 Oops", &[], b""), response("429 Slow", &[], b""), b"no HTTP at all\r\n\r\n".to_vec()];
        let stub = Stub::answering(&failing).await;
        let fetcher = fetcher("cboe", &stub.base);
        for _ in 0..4 {
            let _ = fetcher.get(None, "/x").await;
            assert_eq!(fetcher.rest(), None);
        }
        let _ = fetcher.get(None, "/x").await;
        let (left, why) = fetcher.rest().unwrap();
        assert!(left <= Duration::from_secs(10) && why.starts_with("it has failed 5 times in a row"), "{left:?} {why}");
    }

    #[tokio::test]
    async fn a_days_calls_are_reserved_before_they_are_made_and_then_the_provider_is_left_alone() {
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
        // Another process goes on where this one was.
        let fetcher = started().await;
        fetcher.reserve(Class::Live, 1).await.unwrap();
        assert_eq!(fetcher.no_use_for(Class::Live), Duration::ZERO);
        let (wait, why) = fetcher.reserve(Class::Live, 1).await.unwrap_err();
        let until_midnight = Duration::from_secs(12 * 3600);
        assert!(wait == until_midnight && why.starts_with("the 3 calls of the day"), "{wait:?} {why}");
        // Who has not asked in vain does not know.
        assert_eq!(
            [Class::Live, Class::Repair].map(|class| fetcher.no_use_for(class)),
            [until_midnight, Duration::ZERO]
        );
        fetcher.reserve(Class::Repair, 1).await.unwrap_err();
        assert_eq!(fetcher.no_use_for(Class::Repair), until_midnight);
        clock.sleep(wait).await;
        assert_eq!(fetcher.no_use_for(Class::Live), Duration::ZERO);
        fetcher.reserve(Class::Live, 3).await.unwrap();
    }

    #[test]
    fn a_request_counts_for_as_many_calls_as_its_endpoint_costs() {
        let quota = source("eodhd").unwrap().quota.unwrap();
        assert_eq!(["eod", "fundamentals", "bulk_eod"].map(|endpoint| quota.cost(endpoint)), [1, 10, 100]);
        for source in crate::SOURCES {
            for (endpoint, _) in source.quota.map_or(&[][..], |quota| quota.costs) {
                assert!(source.endpoint(endpoint).is_ok(), "{endpoint}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_an_item_says_nothing_of_the_provider() {
        for answer in [response("404 Not Found", &[], b""), response("401 Unauthorized", &[], b"")] {
            let stub = Stub::answering(&[answer]).await;
            let fetcher = fetcher("cboe", &stub.base);
            for _ in 0..8 {
                fetcher.get(None, "/x").await.unwrap();
            }
            assert_eq!(fetcher.rest(), None);
        }
    }

    #[tokio::test]
    async fn a_providers_own_address_never_leads_to_this_machine() {
        let stub = Stub::answering(&[response("200 OK", &[], b"")]).await;
        let port = stub.base.rsplit_once(':').unwrap().1;
        let client = client(source("cboe").unwrap(), SHORT, true, &Authorities::default()).unwrap();
        let error =
            client.get(format!("https://localhost:{port}/x")).send().await.map_err(transport::failed).unwrap_err();
        let expected = "`localhost` leads to no address of the internet";
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
    async fn a_provider_that_stalls_is_left() {
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
    fn a_wait_that_a_provider_asks_for_is_taken_within_bounds() {
        let now = SystemTime::from(at("2026-11-20T12:00:00Z"));
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
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
        assert!(matches!(fetcher.get(None, "/b.csv").await, Err(PageError::Skip(_))));
        let error = Fetcher::new(source, "https://example.org", None, SHORT).unwrap_err().to_string();
        assert!(error.starts_with("`TAPEDECK_FILE_URL` is `https://example.org`"), "{error}");
    }

    #[test]
    fn an_address_is_https_or_was_chosen_on_purpose() {
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
}
