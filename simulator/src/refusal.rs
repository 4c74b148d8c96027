//! Refusals, worded as each provider words them.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::outage::Outage;
use crate::reply::Reply;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The source's rate limit is reached; the next call is possible after this many seconds.
    Limit(&'static str, i64),
    /// The source's daily quota is spent; the day ends after this many seconds.
    Quota(&'static str, i64),
    /// The source has an outage.
    Outage(Outage),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Limit(source, seconds) => limited(source, seconds),
            Refusal::Quota(source, seconds) => spent(source, seconds),
            Refusal::Outage(Outage::Status(status)) => page(status, "Temporarily out of order").into_response(),
            Refusal::Outage(Outage::Unavailable { retry_after }) => {
                wait(page(503, "Service Unavailable"), &retry_after)
            }
            Refusal::Outage(Outage::TooMany(seconds)) => limited("", seconds),
            Refusal::Outage(Outage::Reset) => reset(),
        }
    }
}

/// The error page of a gateway.
fn page(status: u16, words: &str) -> Reply {
    let page =
        format!("<!DOCTYPE html>\n<html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>");
    Reply::new(status, "text/html", page)
}

/// A response with `Retry-After`.
fn wait(reply: Reply, after: &str) -> Response {
    let mut response = reply.into_response();
    // A text that is not valid in a header is left out.
    if let Ok(after) = HeaderValue::from_str(after) {
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}

fn limited(source: &str, seconds: i64) -> Response {
    let reply = match source {
        "yahoo" => Reply::new(429, "text/plain", "Edge: Too Many Requests".to_owned()),
        "fred" => {
            let body = json!({ "error_code": 429, "error_message": "Too Many Requests.  Exceeded Rate Limit" });
            Reply::json(429, body.to_string())
        }
        "newsapi" => rate_limited(),
        "eodhd" => Reply::json(429, json!({ "error": "API rate limit exceeded" }).to_string()),
        "fmp" => {
            let words = "Too Many Requests, you have reached the limit rate per millisecond";
            Reply::new(429, "text/plain", words.to_owned())
        }
        "sec_edgar" => page(429, "Request Rate Threshold Exceeded"),
        _ => page(429, "Too Many Requests"),
    };
    wait(reply, &seconds.to_string())
}

fn spent(source: &str, seconds: i64) -> Response {
    match source {
        "newsapi" => rate_limited().into_response(),
        "eodhd" => {
            let words = "You exceeded your daily API requests limit. Please contact support to get more.";
            Reply::new(402, "text/html; charset=UTF-8", words.to_owned()).into_response()
        }
        "fmp" => {
            let words = "Limit Reach . Please upgrade your plan or visit our documentation for more details at \
                https://financialmodelingprep.com/developer/docs/pricing ";
            Reply::json(429, json!({ "Error Message": words }).to_string()).into_response()
        }
        // The other providers have no daily quota.
        _ => limited(source, seconds),
    }
}

/// NewsAPI uses the same text for the rate limit and the daily quota.
fn rate_limited() -> Reply {
    let message = "You have made too many requests recently. Developer accounts are limited to 100 requests over a 24 hour \
        period (50 requests available every 12 hours). Please upgrade to a paid plan if you need more requests.";
    let body = json!({ "status": "error", "code": "rateLimited", "message": message });
    Reply::json(429, body.to_string())
}

/// A body that fails before its first byte: the server closes the connection without sending anything.
fn reset() -> Response {
    let gone = Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into());
    Response::new(Body::from_stream(futures::stream::iter([gone])))
}
