//! From an item to a page of records: fetch, parse, and again where that helps.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use chrono::{DateTime, NaiveDate, Utc};
use contract::Record;
use contract::records::DeadLetter;
use tracing::debug;

use crate::fetch::{Class, Fetcher, Response, Validators};
use crate::source::{Endpoint, PageError, Parsed, Range, Reject, Request, Source};

/// How long to go on asking for a page.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Times to ask.
    pub attempts: usize,
    /// Wait after the first time; it doubles from time to time, with jitter.
    pub first_wait: Duration,
    /// Longest wait, unless the provider asks for a longer one.
    pub longest_wait: Duration,
    /// All waits together; a provider that asks for more is asked again in the next round only.
    pub total_wait: Duration,
}

/// When somebody waits for the end.
pub const ONCE: Patience = Patience {
    attempts: 5,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(30),
    total_wait: Duration::from_secs(300),
};

/// When the next round comes anyhow. An hour is the longest `Retry-After` that is heeded.
pub const DAEMON: Patience = Patience {
    attempts: 8,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(300),
    total_wait: Duration::from_secs(3600),
};

/// When nobody waits and nothing comes anyhow: until there are calls left for it, day after day.
pub const BACKFILL: Patience = Patience {
    attempts: 40,
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(300),
    total_wait: Duration::from_secs(40 * 86_400),
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Of whom.
    pub source: &'static Source,
    /// Which kind.
    pub endpoint: &'static Endpoint,
    /// Which item.
    pub item: &'a str,
    /// From which row on.
    pub offset: u64,
    /// Of which days; None: what it gives without saying so.
    pub range: Option<Range>,
    /// What for.
    pub class: Class,
}

/// HTTP's answer that nothing is new.
const NOT_MODIFIED: u16 = 304;

/// What was answered, ready to be published.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The rows that could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Rows that the provider sent without any value.
    pub holes: u64,
    /// Trading dates of which it sent a daily bar without any value.
    pub empty_days: Vec<NaiveDate>,
    /// Offset of the next page, if there is one.
    pub next_offset: Option<u64>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// What tells later whether this is still the answer; None when it was.
    pub validators: Option<Validators>,
}

impl Page {
    /// The one behind the last.
    pub fn end(now: DateTime<Utc>) -> Page {
        Page { validators: Some(Validators::default()), ..Page::unchanged(now) }
    }

    /// The answer that nothing is new.
    fn unchanged(received_at: DateTime<Utc>) -> Page {
        Page {
            records: Vec::new(),
            dead_letters: Vec::new(),
            holes: 0,
            empty_days: Vec::new(),
            next_offset: None,
            received_at,
            validators: None,
        }
    }
}

/// Why there is no page, and how long the provider wants to be left alone.
struct Failure {
    error: PageError,
    retry_after: Option<Duration>,
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Failure {
        Failure { error, retry_after: None }
    }
}

/// Asks until there is an answer, patience is at its end, or asking again is of no use. What has been `known` since an
/// earlier answer is not asked for again, if the provider can tell.
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
            debug!(source = source.name, endpoint = endpoint.name, item, error = %failure.error, ?wait, "asking again");
        });
    outcome.await.map_err(|failure| failure.error)
}

async fn ask(fetcher: &Fetcher, question: Question<'_>, known: &Validators) -> Result<Page, Failure> {
    let Question { source, endpoint, item, offset, range, class } = question;
    let left_alone = |(wait, why)| Failure { error: PageError::Retry(why), retry_after: Some(wait) };
    fetcher.rest().map_or(Ok(()), |rest| Err(left_alone(rest)))?;
    let path = endpoint.path_of(item, offset, range)?;
    let calls = source.quota.map_or(1, |quota| quota.cost(endpoint.name));
    fetcher.reserve(class, calls).await.map_err(left_alone)?;
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

/// A provider's own words say best what is wrong; where there are none the status has to do.
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
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::fetch::LIMITS;
    use crate::source::source;
    use crate::stub::{Stub, response};

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
            Question {
                source,
                endpoint: &source.endpoints[0],
                item: "SKEW",
                offset: 0,
                range: None,
                class: Class::Live,
            },
            &Validators::default(),
            HASTY,
        )
        .await
    }

    const GOOD: &[u8] = b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,x\n";

    #[tokio::test]
    async fn a_page_is_asked_for_again_until_it_comes() {
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
    async fn a_provider_that_wants_to_be_left_alone_for_long_is() {
        let stub = Stub::answering(&[response("503 Busy", &["Retry-After: 600"], b"")]).await;
        let start = Instant::now();
        assert!(matches!(ask_cboe(&stub).await, Err(PageError::Retry(_))));
        assert_eq!(stub.requests().len(), 1);
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_one_item_was_told_to_wait_for_counts_for_all_of_its_provider() {
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
    async fn what_the_provider_does_not_have_is_asked_for_once() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
        let stub = Stub::answering(&[response("403 Forbidden", &[], body)]).await;
        let error = ask_cboe(&stub).await.unwrap_err();
        assert!(
            matches!(&error, PageError::Skip(text) if text.starts_with("HTTP 403: unknown index `SKEW`")),
            "{error:?}"
        );
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
        let question = Question {
            source,
            endpoint: &source.endpoints[0],
            item: "GDP",
            offset: 0,
            range: None,
            class: Class::Live,
        };
        let error = page(&fetcher, question, &Validators::default(), HASTY).await.unwrap_err();
        assert!(matches!(&error, PageError::Halt(text) if text.contains("api_key *** is not registered")), "{error:?}");
    }
}
