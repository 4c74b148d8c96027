//! A provider on loopback that sends given bytes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use tokio::runtime::Runtime;

/// Serves pages by path until it is dropped.
#[expect(missing_debug_implementations, reason = "only the test harness holds it")]
pub struct Pages {
    /// Its address, for `TAPEDECK_<SOURCE>_URL`.
    pub url: String,
    _runtime: Runtime,
}

/// Path of all days of an index of CBOE.
pub fn index_history(symbol: &str) -> String {
    format!("/api/global/us_indices/daily_prices/{symbol}_History.csv")
}

impl Pages {
    /// All days of one of CBOE's indices, and nothing else.
    pub fn of_index(symbol: &str, file: &[u8]) -> Pages {
        Pages::serve(HashMap::from([(index_history(symbol), (200, file.to_vec()))]))
    }

    /// Pages by path, each with its status; any other path is 404.
    pub fn serve(pages: HashMap<String, (u16, Vec<u8>)>) -> Pages {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pages = Arc::new(pages);
        let router = Router::new().fallback(move |uri: Uri| {
            let page = pages.get(uri.path()).cloned();
            async move {
                let (status, body) = page.unwrap_or((404, Vec::new()));
                (StatusCode::from_u16(status).unwrap(), body)
            }
        });
        runtime.spawn(async { axum::serve(listener, router).await });
        Pages { url, _runtime: runtime }
    }
}
