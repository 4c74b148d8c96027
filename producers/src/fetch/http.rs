//! One HTTP request, and its response within the limits.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use chrono::DateTime;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Client, Url, redirect, retry};
use service::tls;
use sources::response::PageError;
use sources::source::Source;
use tokio::time::timeout;

use super::address::{self, PublicAddresses};
use super::body::Body;
use super::{Authorities, Fetcher, Limits, Response, transport, validators};

/// Shortest and longest wait that a `Retry-After` is taken at its word for.
const RETRY_AFTER_BOUNDS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

impl Fetcher {
    pub(super) async fn send_now(&self, url: Url, headers: HeaderMap) -> Result<(Response, HeaderMap), PageError> {
        let request = self.client.get(url).header(ACCEPT_ENCODING, "gzip").headers(headers);
        let late = || PageError::Retry(format!("no response within {} seconds", self.limits.headers.as_secs()));
        let sent = timeout(self.limits.headers, request.send()).await;
        self.note_reached(!matches!(&sent, Ok(Err(error)) if transport::found_nobody(error)));
        let response = sent.map_err(|_| late())?.map_err(transport::failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.body(response, &headers).await?;
        // What is published has microseconds.
        let now = self.clock.now();
        let response = Response {
            status,
            received_at: now,
            last_modified: text(&headers, LAST_MODIFIED).and_then(http_date).map(DateTime::from),
            validators: validators::of_response(&headers),
            retry_after: text(&headers, RETRY_AFTER).and_then(|text| retry_after(text, now.into())),
            body,
        };
        Ok((response, headers))
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

/// The client of a source at its own address, or at a configured one, which may be in any network.
pub(super) fn client(
    source: &Source,
    limits: Limits,
    is_own: bool,
    authorities: &Authorities,
) -> anyhow::Result<Client> {
    tls::install();
    let client = authorities.trusted_by(Client::builder().user_agent(source.user_agent).https_only(is_own));
    let client = match is_own {
        true => client.dns_resolver(PublicAddresses).redirect(address::redirects()),
        false => client.redirect(redirect::Policy::none()),
    };
    let client = client
        // Bodies are decompressed here, within the limit.
        .no_gzip()
        .referer(false)
        // A proxy from the environment would receive the key, although no one configured it for tapedeck.
        .no_proxy()
        // By default reqwest repeats requests that HTTP/2 did not process: past pace, quota and circuit breaker.
        .retry(retry::never())
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .build();
    client.with_context(|| format!("cannot create an HTTP client for `{}`", source.name))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// Reads seconds or a date; anything else counts as absent.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        http_date(text)?.duration_since(now).unwrap_or_default()
    };
    let [least, most] = RETRY_AFTER_BOUNDS;
    Some(wait.clamp(least, most))
}
