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
/// has a certificate that is refused, is somebody.
pub(super) fn found_nobody(error: &reqwest::Error) -> bool {
    let mut kinds =
        anyhow::Chain::new(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    // An error of TLS is invalid data.
    let is_somebody = kinds
        .any(|kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset));
    error.is_connect() && !is_somebody
}
