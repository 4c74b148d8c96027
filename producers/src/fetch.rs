//! Requests to the providers. Nothing else knows the HTTP client.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use memchr::memmem;
use reqwest::header::HeaderMap;
use reqwest::{Client, Url};
use service::secret::Secret;
use service::settings;
use service::settings::env_file;
use sources::response::PageError;
use sources::source::{Base, Source};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::state::{Budget, Class, Refused, State, Validators};

mod address;
mod authorities;
mod body;
mod circuit;
mod cost;
mod http;
mod identity;
pub mod local;
mod session;
mod transport;
mod validators;

use address::check_address;
pub(crate) use authorities::Authorities;
use circuit::{Circuit, Sign};
pub use cost::Cost;
use identity::{Identity, MIN_SECRET_BYTES, REDACTED, replaced};
use session::Session;

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

/// A response, whatever its status.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// When the last byte was received, to the microsecond.
    pub received_at: DateTime<Utc>,
    /// `Last-Modified`.
    pub last_modified: Option<DateTime<Utc>>,
    /// `ETag` and `Last-Modified`, for the next request.
    pub validators: Validators,
    /// `Retry-After`, within bounds.
    pub retry_after: Option<Duration>,
    /// Decompressed body.
    pub body: Vec<u8>,
}

/// Fetches from one provider, one request at a time.
///
/// **Guarantees.** Requests keep the source's pace, also among several processes with one state. A response is within
/// [`Limits`], and neither it nor an error contains a key, a cookie or a crumb. Requests are never repeated here, but
/// for one with a new crumb; whether to retry is the caller's to decide.
///
/// **Errors.** [`PageError::Retry`] when no complete response came, [`PageError::GiveUp`] when it exceeds a limit,
/// [`PageError::Skip`] when the item has no valid address, [`PageError::Halt`] when the key cannot be sent. A response
/// with an error status is no error.
///
/// **Cancel safety.** A dropped future ends its request. The request stays counted in [`Fetcher::cost`] and in the
/// quota.
#[derive(Debug)]
pub struct Fetcher {
    source: &'static str,
    client: Client,
    base: String,
    /// Addresses of endpoints on other hosts, each with the variable that replaces it.
    others: Vec<(&'static str, String)>,
    identity: Identity,
    /// Cookie and crumb, for a provider that requires them.
    session: Option<Session>,
    limits: Limits,
    pause: Duration,
    burst: u32,
    clock: Clock,
    /// Quota and pace, shared with other processes.
    state: Option<Arc<State>>,
    circuit: Circuit,
    /// Whether any connection to the provider has come about; None before the first request.
    is_reached: Mutex<Option<bool>>,
    /// The daily quota, of a provider that has one.
    budget: Option<Budget>,
    /// Until when a class has no calls left.
    spent_until: Mutex<[Option<Instant>; 3]>,
    calls: AtomicU64,
    bytes: AtomicU64,
    /// The folder of a source that reads files.
    folder: Option<local::Folder>,
}

/// A hash of a source's settings, its key and addresses, as they are now: another one means that they were changed. Reads
/// `.env` again.
pub(crate) fn settings_stamp(source: &Source) -> u64 {
    env_file::reload();
    let mut hasher = DefaultHasher::new();
    let others = source.other_bases();
    let bases = others.iter().map(|other| other.variable());
    let addresses = bases.chain([source.base_url_variable()]).map(|variable| settings::read(&variable));
    addresses.for_each(|address| address.hash(&mut hasher));
    if let Some(variable) = source.key_variable() {
        let key = settings::read_secret(&variable).ok().flatten();
        key.as_ref().map(Secret::expose).hash(&mut hasher);
    }
    hasher.finish()
}

impl Fetcher {
    /// A fetcher for a source, with the addresses and the key from the environment.
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

    /// A fetcher for a source, with this address for all of its endpoints.
    ///
    /// An address other than the source's own may be plain HTTP. An address on this machine needs no pauses.
    pub fn new(source: &Source, base: &str, key: Option<Secret>, limits: Limits) -> anyhow::Result<Fetcher> {
        Fetcher::trusting(source, base, key, limits, &Authorities::default())
    }

    /// The same, for a server whose certificate may also come from these authorities.
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
        let client = http::client(source, limits, base == source.base_url, authorities)?;
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
            circuit: Circuit::default(),
            is_reached: Mutex::new(None),
            budget: None,
            spent_until: Mutex::default(),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            folder,
        })
    }

    /// Fetches a path at the source's address, or at another one of its addresses. A response with an error status is
    /// no error. An error contains no address, as that may contain the key.
    pub async fn get(&self, base: Option<Base>, path: &str) -> Result<Response, PageError> {
        self.get_newer(base, path, &Validators::default()).await
    }

    /// The same, if there is anything newer than the response with these validators: otherwise the status is 304,
    /// without a body.
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
        headers.extend(validators::conditions(known));
        let (response, _) = self.send(url, headers).await?;
        Ok(self.cleaned(response))
    }

    fn cleaned(&self, response: Response) -> Response {
        Response { body: self.without_secrets(response.body), ..response }
    }

    /// The address of a path.
    fn url(&self, base: Option<Base>, path: &str) -> Result<Url, PageError> {
        let other = base.and_then(|base| self.others.iter().find(|(env, _)| *env == base.env));
        let address = other.map_or(&self.base, |(_, address)| address);
        Url::parse(&format!("{address}{path}"))
            .map_err(|error| PageError::Skip(format!("its address cannot be built: {error}")))
    }

    /// Shares quota and pace with other processes through their state.
    pub fn attach(&mut self, state: Arc<State>, clock: Clock) {
        (self.state, self.clock) = (Some(state), clock);
    }

    /// Sets the daily quota, overriding the environment.
    pub fn grant(&mut self, calls: u32) {
        self.budget = Some(Budget::new(calls));
    }

    /// The daily quota; None means no limit.
    pub fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// Whether it fetches from this machine, which needs no pauses.
    pub fn is_local(&self) -> bool {
        self.pause.is_zero()
    }

    /// What time it is here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The cost so far.
    pub fn cost(&self) -> Cost {
        Cost { calls: self.calls.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Takes a request's calls from the daily quota. An error contains the wait for more calls, and the reason.
    pub async fn reserve(&self, class: Class, calls: u32) -> Result<(), Refused> {
        let (Some(budget), Some(state)) = (&self.budget, &self.state) else { return Ok(()) };
        let taken = state.take(budget, class, calls, self.clock.now()).await;
        if let Err((wait, _)) = &taken {
            let until = self.clock.instant() + *wait;
            self.spent_until.lock().unwrap_or_else(PoisonError::into_inner)[class as usize] = Some(until);
        }
        taken
    }

    /// How much longer no requests are made, and why: the provider sent `Retry-After`, or has failed too often.
    pub fn paused(&self) -> Option<Refused> {
        self.circuit.left(self.clock.instant())
    }

    /// How long requests of a class cannot succeed.
    pub fn no_use_for(&self, class: Class) -> Duration {
        let spent_until = self.spent_until.lock().unwrap_or_else(PoisonError::into_inner)[class as usize];
        let spent = spent_until.map(|until| until.saturating_duration_since(self.clock.instant()));
        spent.max(self.paused().map(|(wait, _)| wait)).unwrap_or_default()
    }

    /// Sends a request when its turn comes, and reports its end to the circuit breaker.
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
        if let Some(wait) = self.circuit.note(sign, self.clock.instant()) {
            info!(source = self.source, ?wait, "no requests to the provider for a while");
        }
        outcome
    }

    /// Whether every request so far found nobody: without a network, each does.
    pub fn is_out_of_reach(&self) -> bool {
        *self.is_reached.lock().unwrap_or_else(PoisonError::into_inner) == Some(false)
    }

    fn note_reached(&self, is_reached: bool) {
        let mut known = self.is_reached.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(is_reached || *known == Some(true));
    }

    /// A text without key, cookie and crumb, in case a provider repeats them.
    pub fn redacted(&self, words: &str) -> String {
        self.secrets().into_iter().fold(words.to_owned(), |words, secret| words.replace(&secret, REDACTED))
    }

    /// A body without them, because its contents are published.
    fn without_secrets(&self, body: Vec<u8>) -> Vec<u8> {
        // A shorter text is no key, and may be a part of any number.
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

    /// Waits for this process's turn among all that share the state.
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
                    warn!(source = self.source, "cannot share the pace with other processes: {error}");
                    return self.clock.sleep(self.pause).await;
                }
            }
        }
    }
}

/// Reads a file as if a provider had sent it.
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

#[cfg(test)]
mod tests;
