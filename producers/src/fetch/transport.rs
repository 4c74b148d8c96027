//! Errors of the HTTP client as messages.

use std::io::{self, ErrorKind};

use service::telemetry;
use sources::response::PageError;

/// An error of the HTTP client, without the URL, which may contain the key.
pub(super) fn failed(error: reqwest::Error) -> PageError {
    let error = anyhow::Error::new(error.without_url());
    let of_http2 = error.chain().find_map(|cause| cause.downcast_ref::<h2::Error>());
    let over = of_http2.filter(|error| error.is_go_away() && error.is_remote()).and_then(h2::Error::reason);
    PageError::Retry(match over {
        // The library describes a graceful GOAWAY as "not a result of an error".
        Some(reason) => format!("the provider closed the connection before its response (GOAWAY, {reason:?})"),
        None => telemetry::one_line(&error),
    })
}

/// Whether there was nobody to connect to: no network, no address, or no server at it. Whoever ends the connection, or
/// has a certificate that is refused, is somebody; so may be whoever says nothing until the connection times out.
pub(super) fn found_nobody(error: &reqwest::Error) -> bool {
    // The library names a failed lookup only in its text. An error of TLS has no number of the operating system's.
    let is_nobody = |cause: &(dyn std::error::Error + 'static)| {
        let error = cause.downcast_ref::<io::Error>();
        let is_refused = error.is_some_and(|error| {
            error.raw_os_error().is_some()
                && !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        });
        is_refused || cause.to_string().starts_with("dns error")
    };
    error.is_connect() && anyhow::Chain::new(error).any(is_nobody)
}
