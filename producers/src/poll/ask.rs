//! From an item to a page of records: fetch, parse, and retry where that helps.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use sources::response::{PageError, Parsed, Reject, Request};
use sources::source::{Endpoint, Range, Source};
use tracing::debug;

use crate::answer::Page;
use crate::fetch::{Fetcher, Response};
use crate::state::{Class, Validators};

/// How long to retry a page.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Number of requests.
    pub attempts: usize,
    /// Wait after the first failure; it doubles with each further one, with jitter.
    pub first_wait: Duration,
    /// Longest wait, unless the provider asks for a longer one.
    pub longest_wait: Duration,
    /// Sum of all waits; beyond it the next round retries.
    pub total_wait: Duration,
}

/// For a run in the foreground, whose user waits.
pub const ONCE: Patience = Patience {
    attempts: 5,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(30),
    total_wait: Duration::from_secs(300),
};

/// For a daemon, whose next round comes anyway. An hour is the longest `Retry-After` that is respected.
pub const DAEMON: Patience = Patience {
    attempts: 8,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(300),
    total_wait: Duration::from_secs(3600),
};

/// For a backfill, which is never urgent: waits until the quota has calls left for it, day after day.
pub const BACKFILL: Patience = Patience {
    attempts: 40,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(300),
    total_wait: Duration::from_secs(40 * 86_400),
};

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The source.
    pub source: &'static Source,
    /// The endpoint.
    pub endpoint: &'static Endpoint,
    /// The item.
    pub item: &'a str,
    /// The first row of the page.
    pub offset: u64,
    /// The days; None: what the provider sends by default.
    pub range: Option<Range>,
    /// Which share of the quota pays for it.
    pub class: Class,
}

/// HTTP status of a response to a conditional request: nothing has changed.
const NOT_MODIFIED: u16 = 304;

/// Why there is no page, and the pause that the provider asks for.
struct Failure {
    error: PageError,
    retry_after: Option<Duration>,
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Failure {
        Failure { error, retry_after: None }
    }
}

/// Fetches and parses a page, with retries as patient as `patience`. `known` are the validators of the last response: a
/// provider that respects them sends nothing if nothing has changed.
///
/// # Errors
///
/// The error of the last attempt: [`PageError::Retry`] if patience ended, otherwise why a retry is of no use.
///
/// # Cancel safety
///
/// A dropped future ends its request. Its calls stay counted.
pub async fn page(
    fetcher: &Fetcher,
    question: Question<'_>,
    known: &Validators,
    patience: Patience,
) -> Result<Page, PageError> {
    let backoff = ExponentialBuilder::new()
        .with_min_delay(patience.first_wait)
        .with_max_delay(patience.longest_wait)
        .with_max_times(patience.attempts.saturating_sub(1))
        .with_jitter();
    let mut waited = Duration::ZERO;
    let clock = fetcher.clock().clone();
    let ask = || ask(fetcher, question, known);
    let outcome = ask
        .retry(backoff)
        .sleep(move |wait| {
            let clock = clock.clone();
            async move { clock.sleep(wait).await }
        })
        .when(|failure: &Failure| matches!(failure.error, PageError::Retry(_)))
        .adjust(|failure, wait| {
            let wait = wait?.max(failure.retry_after.unwrap_or_default());
            waited += wait;
            (waited <= patience.total_wait).then_some(wait)
        })
        .notify(|failure, wait| {
            let Question { source, endpoint, item, .. } = question;
            debug!(source = source.name, endpoint = endpoint.name, item, error = %failure.error, ?wait, "retry");
        });
    outcome.await.map_err(|failure| failure.error)
}

async fn ask(fetcher: &Fetcher, question: Question<'_>, known: &Validators) -> Result<Page, Failure> {
    let Question { source, endpoint, item, offset, range, class } = question;
    let paused = |(wait, why)| Failure { error: PageError::Retry(why), retry_after: Some(wait) };
    fetcher.paused().map_or(Ok(()), |pause| Err(paused(pause)))?;
    let path = endpoint.path_of(item, offset, range)?;
    let calls = source.quota.map_or(1, |quota| quota.cost(endpoint.name));
    fetcher.reserve(class, calls).await.map_err(paused)?;
    let response = fetcher.get_newer(endpoint.base, &path, known).await?;
    let Response { received_at, last_modified, .. } = response;
    if response.status == NOT_MODIFIED && !known.is_empty() {
        return Ok(Page::unchanged(received_at));
    }
    let request = Request { item, offset, received_at, last_modified };
    let parsed = judge(response.status, endpoint.read(&request, &response.body))
        .map_err(|error| Failure { error: redacted(fetcher, error), retry_after: response.retry_after })?;
    let dead_letter = |reject: Reject| reject.into_dead_letter(source, endpoint, &request);
    Ok(Page {
        records: parsed.records,
        dead_letters: parsed.rejects.into_iter().map(dead_letter).collect(),
        holes: parsed.holes,
        empty_days: parsed.empty_days,
        next_offset: parsed.next_offset,
        received_at,
        validators: Some(response.validators),
    })
}

/// The provider's error message is the best reason; without one the status decides.
fn judge(status: u16, outcome: Result<Parsed, PageError>) -> Result<Parsed, PageError> {
    let text = format!("HTTP {status}");
    match outcome {
        outcome if (200..300).contains(&status) => outcome,
        Err(error) => Err(error.worded(|reason| format!("{text}: {reason}"))),
        Ok(_) => Err(match status {
            401 | 403 => PageError::Halt(text),
            408 | 429 | 500.. => PageError::Retry(text),
            _ => PageError::Skip(text),
        }),
    }
}

fn redacted(fetcher: &Fetcher, error: PageError) -> PageError {
    error.worded(|text| fetcher.redacted(&text))
}

#[cfg(test)]
mod tests;
