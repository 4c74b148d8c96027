//! The providers' endpoints on this machine, for the demo and the tests: real formats, made-up numbers.
//!
//! Its world ends on 2025-12-31 and is the same in every run: asking again gives the same bytes. It needs neither
//! network nor files, and its errors are the providers' own.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod calendar;
mod cboe;
mod fred;
mod random;
mod reply;
mod yahoo;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use fred::FRED_API_KEY;

use reply::Reply;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Symbols of Yahoo: the second is in London, the third trades every day.
    pub symbols: usize,
    /// Years of their daily bars, up to 2025-12-31.
    pub years: u32,
    /// Other numbers for another seed.
    pub seed: u64,
}

impl Default for Config {
    /// More than 125,000 records.
    fn default() -> Config {
        Config { symbols: 50, years: 10, seed: 1 }
    }
}

/// The running simulator; dropping it ends it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    config: Config,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts on a free port of this machine, on the current tokio runtime.
    pub async fn start(config: Config) -> anyhow::Result<Simulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("the simulator cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("the simulator has no address")?;
        let router = router(config.clone());
        let server = tokio::spawn(async move {
            // Ends only when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Simulator { address, config, server })
    }

    /// Address of a source's endpoints, for `TAPEDECK_<SOURCE>_URL`.
    pub fn url(&self, source: &str) -> String {
        format!("http://{}/{source}", self.address)
    }

    /// A watchlist of everything that there is.
    pub fn watchlist_toml(&self) -> String {
        let list = |items: Vec<String>| items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ");
        let owned = |items: Vec<&str>| list(items.into_iter().map(str::to_owned).collect());
        let series = owned(fred::ids().collect());
        format!(
            "[cboe]\nindex_history = [{}]\n\n[fred]\nobservations = [{series}]\nseries = [{series}]\n\n[yahoo]\nchart = [{}]\n",
            owned(cboe::INDEXES.to_vec()),
            list(yahoo::symbols(&self.config)),
        )
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the handlers share: the answers given so far.
struct World {
    config: Config,
    replies: Mutex<HashMap<String, Reply>>,
}

impl World {
    /// The answer for a request, made only once. Keys of the few things there are, so the memory is bounded.
    fn reply(&self, key: String, make: impl FnOnce(&Config) -> Reply) -> Reply {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.entry(key).or_insert_with(|| make(&self.config)).clone()
    }
}

type Parameters = Query<HashMap<String, String>>;

fn router(config: Config) -> Router {
    let world = Arc::new(World { config, replies: Mutex::default() });
    Router::new()
        .route("/cboe/api/global/us_indices/daily_prices/{file}", get(cboe_history))
        .route("/fred/fred/series", get(fred_series))
        .route("/fred/fred/series/observations", get(fred_observations))
        .route("/yahoo/v8/finance/chart/{symbol}", get(yahoo_chart))
        .with_state(world)
}

async fn cboe_history(State(world): State<Arc<World>>, Path(file): Path<String>) -> Reply {
    let seed = world.config.seed;
    match file.strip_suffix("_History.csv") {
        Some(index) if cboe::INDEXES.contains(&index) => {
            world.reply(format!("cboe/{file}"), |_| cboe::history(seed, &file))
        }
        _ => cboe::history(seed, &file),
    }
}

async fn fred_series(Query(parameters): Parameters) -> Reply {
    fred::series(&fred_query(parameters))
}

async fn fred_observations(State(world): State<Arc<World>>, Query(parameters): Parameters) -> Reply {
    fred::observations(world.config.seed, &fred_query(parameters))
}

fn fred_query(mut parameters: HashMap<String, String>) -> fred::Query {
    fred::Query {
        api_key: parameters.remove("api_key"),
        file_type: parameters.remove("file_type"),
        series_id: parameters.remove("series_id"),
        limit: parameters.remove("limit"),
        offset: parameters.remove("offset"),
    }
}

async fn yahoo_chart(
    State(world): State<Arc<World>>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Reply {
    let interval = parameters.get("interval").map_or("1d", String::as_str);
    if interval == "1d" && yahoo::symbols(&world.config).contains(&symbol) {
        return world.reply(format!("yahoo/{symbol}"), |config| yahoo::chart(config, &symbol, interval));
    }
    yahoo::chart(&world.config, &symbol, interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    fn body(reply: Reply) -> (u16, String) {
        let response = reply.into_response();
        let status = response.status().as_u16();
        let body = text_of(response.into_body());
        (status, body)
    }

    fn text_of(body: axum::body::Body) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(axum::body::to_bytes(body, usize::MAX)).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn query(key: &str, id: &str) -> fred::Query {
        fred::Query {
            api_key: Some(key.to_owned()),
            series_id: Some(id.to_owned()),
            file_type: Some("json".to_owned()),
            ..fred::Query::default()
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer_and_another_seed_another() {
        let small = Config { symbols: 3, years: 1, seed: 1 };
        let again = |config: &Config| body(yahoo::chart(config, "SIM000", "1d")).1;
        assert_eq!(again(&small), again(&small));
        assert_ne!(again(&small), again(&Config { seed: 2, ..small.clone() }));
        assert_eq!(body(cboe::history(1, "VIX_History.csv")), body(cboe::history(1, "VIX_History.csv")));
        let query = query(FRED_API_KEY, "DGS10");
        assert_eq!(body(fred::observations(1, &query)), body(fred::observations(1, &query)));
    }

    #[test]
    fn the_default_world_has_more_than_125_000_records() {
        let config = Config::default();
        let chart_rows = yahoo::symbols(&config).into_iter().map(|symbol| {
            let chart: serde_json::Value = serde_json::from_str(&body(yahoo::chart(&config, &symbol, "1d")).1).unwrap();
            chart["chart"]["result"][0]["timestamp"].as_array().unwrap().len() - 3
        });
        assert!(chart_rows.sum::<usize>() > 125_000);
    }

    #[test]
    fn vix_breaks_expectations_and_has_one_row_that_cannot_be_read() {
        let (_, text) = body(cboe::history(1, "VIX_History.csv"));
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        assert!(rows.len() > 9000 && rows.iter().all(|row| row.len() == 5));
        let numbers =
            |row: &Vec<&str>| row[1..].iter().map(|text| text.parse::<f64>().ok()).collect::<Option<Vec<f64>>>();
        assert_eq!(rows.iter().filter(|row| numbers(row).is_none()).count(), 1);
        let bars: Vec<Vec<f64>> = rows.iter().filter_map(numbers).collect();
        assert_eq!(bars.iter().filter(|bar| bar[2] > bar[0]).count(), 6);
        assert!(bars.iter().all(|bar| bar[2] <= bar[1]));
    }

    #[test]
    fn errors_are_the_providers_own() {
        let (status, text) = body(cboe::history(1, "NOSUCH_History.csv"));
        assert!(status == 403 && text.contains("<Code>AccessDenied</Code>"));
        let (status, text) = body(yahoo::chart(&Config::default(), "NOSUCH", "1d"));
        assert!(status == 404 && text.contains("symbol may be delisted"));
        let (status, text) = body(fred::series(&query(FRED_API_KEY, "NOSUCH")));
        assert!(status == 400 && text.contains("Bad Request.  The series does not exist."));
        let (status, text) = body(fred::observations(1, &query("short", "GDP")));
        assert!(status == 400 && text.contains("is not a 32 character alpha-numeric lower-case string"));
    }

    #[test]
    fn a_page_of_observations_is_a_part_of_all_of_them() {
        let all: serde_json::Value =
            serde_json::from_str(&body(fred::observations(1, &query(FRED_API_KEY, "GDP"))).1).unwrap();
        let part =
            fred::Query { limit: Some("10".to_owned()), offset: Some("5".to_owned()), ..query(FRED_API_KEY, "GDP") };
        let part: serde_json::Value = serde_json::from_str(&body(fred::observations(1, &part)).1).unwrap();
        assert_eq!(part["observations"].as_array().unwrap(), &all["observations"].as_array().unwrap()[5..15]);
        assert_eq!(part["count"], all["count"]);
        assert_eq!(all["observations"][0]["value"], ".");
    }
}
