//! Responses of the simulator.

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED, SET_COOKIE};
use axum::response::IntoResponse;

/// A response; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    content_type: &'static str,
    last_modified: Option<&'static str>,
    cookie: Option<&'static str>,
    body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &'static str, body: String) -> Reply {
        Reply { status, content_type, last_modified: None, cookie: None, body: Bytes::from(body) }
    }

    pub(crate) fn ok(content_type: &'static str, body: String) -> Reply {
        Reply::new(200, content_type, body)
    }

    pub(crate) fn bytes(content_type: &'static str, body: Vec<u8>) -> Reply {
        Reply { status: 200, content_type, last_modified: None, cookie: None, body: Bytes::from(body) }
    }

    pub(crate) fn json(status: u16, body: String) -> Reply {
        Reply::new(status, "application/json", body)
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }

    pub(crate) fn last_modified(self, date: &'static str) -> Reply {
        Reply { last_modified: Some(date), ..self }
    }

    pub(crate) fn cookie(self, cookie: &'static str) -> Reply {
        Reply { cookie: Some(cookie), ..self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status).header(CONTENT_TYPE, self.content_type);
        if let Some(date) = self.last_modified {
            response = response.header(LAST_MODIFIED, date).header(ETAG, format!("\"{:x}\"", self.body.len()));
        }
        if let Some(cookie) = self.cookie {
            response = response.header(SET_COOKIE, cookie);
        }
        response.body(Body::from(self.body)).expect("all parts are constants of this crate")
    }
}
