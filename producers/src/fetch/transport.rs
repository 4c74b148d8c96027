//! Why there was no answer, in words.

use service::telemetry;
use sources::response::PageError;

/// An error of the HTTP client. It holds the URL, and with it the key, unless told otherwise.
pub(super) fn failed(error: reqwest::Error) -> PageError {
    let error = anyhow::Error::new(error.without_url());
    let of_http2 = error.chain().find_map(|cause| cause.downcast_ref::<h2::Error>());
    let over = of_http2.filter(|error| error.is_go_away() && error.is_remote()).and_then(h2::Error::reason);
    PageError::Retry(match over {
        // An end for no fault of ours is to the library an error that is "not a result of an error".
        Some(reason) => format!("the provider ended the connection before its answer was (GOAWAY, {reason:?})"),
        None => telemetry::one_line(&error),
    })
}
