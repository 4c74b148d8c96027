//! The routes: which handler answers which address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName, USER_AGENT};
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::control::{self, Control};
use crate::reply::Reply;
use crate::{Config, cboe, eodhd, fmp, fred, ici, newsapi, sec_edgar, yahoo};

/// What the handlers share: cached responses, and Yahoo's bars for requests of a part.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) control: Control,
    replies: Mutex<HashMap<String, Reply>>,
    bars: Mutex<HashMap<String, Arc<Vec<yahoo::Bar>>>>,
}

impl World {
    /// An empty cache.
    pub(crate) fn new(config: Config) -> World {
        World { config, control: Control::default(), replies: Mutex::default(), bars: Mutex::default() }
    }

    /// The response to a request, made only once. There are only a few keys, so the memory is bounded.
    fn reply(&self, key: String, make: impl FnOnce(&Config) -> Reply) -> Reply {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.entry(key).or_insert_with(|| make(&self.config)).clone()
    }

    /// The chart of all bars of a symbol of Yahoo.
    pub(crate) fn chart(&self, symbol: &str) -> Reply {
        self.reply(format!("yahoo/{symbol}"), |config| yahoo::chart(config, symbol, yahoo::DAILY))
    }

    /// Every bar of a symbol of Yahoo, made only once.
    pub(crate) fn bars(&self, symbol: &str) -> Option<Arc<Vec<yahoo::Bar>>> {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if !bars.contains_key(symbol) {
            bars.insert(symbol.to_owned(), Arc::new(yahoo::all_bars(&self.config, symbol)?));
        }
        bars.get(symbol).cloned()
    }
}

type Parameters = Query<HashMap<String, String>>;

/// The addresses, and the world behind them.
pub(crate) fn router(world: Arc<World>) -> Router {
    let control = world.control.clone();
    Router::new()
        .route("/cboe/api/global/us_indices/daily_prices/{file}", get(cboe_history))
        .route("/cboe/api/global/delayed_quotes/options/{file}", get(cboe_options))
        .route("/eodhd/eod-bulk-last-day/{exchange}", get(eodhd_bulk))
        .route("/eodhd/insider-transactions", get(eodhd_insiders))
        .route("/eodhd/news", get(eodhd_news))
        .route("/eodhd/sec-filings/{symbol}/form4", get(eodhd_forms))
        .route("/eodhd/{folder}/{symbol}", get(eodhd_symbol))
        .route("/fmp/stable/{*endpoint}", get(fmp_stable))
        .route("/fred/fred/series", get(fred_series))
        .route("/fred/fred/series/observations", get(fred_observations))
        .route("/fred/fred/series/vintagedates", get(fred_vintage_dates))
        .route("/ici/{file}", get(ici_flows))
        .route("/newsapi/v2/everything", get(newsapi_everything))
        .route("/newsapi/v2/top-headlines", get(newsapi_top_headlines))
        .route("/sec_edgar/{*path}", get(sec_edgar))
        .route("/yahoo/", get(|| async { yahoo::cookie() }))
        .route("/yahoo/v1/test/getcrumb", get(yahoo_crumb))
        .route("/yahoo/v8/finance/chart/{symbol}", get(yahoo_chart))
        .route("/yahoo/v7/finance/options/{symbol}", get(yahoo_options))
        .with_state(world)
        .layer(from_fn_with_state(control, control::admit))
}

async fn cboe_history(State(world): State<Arc<World>>, Path(file): Path<String>) -> Reply {
    let seed = world.config.seed;
    match file.strip_suffix("_History.csv") {
        Some(index) if cboe::INDEXES.contains(&index) => {
            let is_corrected = world.control.is_corrected();
            world.reply(format!("cboe/{file}/{is_corrected}"), |_| cboe::history(seed, &file, is_corrected))
        }
        _ => cboe::history(seed, &file, true),
    }
}

async fn cboe_options(State(world): State<Arc<World>>, Path(file): Path<String>) -> Reply {
    cboe::options(world.config.seed, &file)
}

async fn ici_flows(State(world): State<Arc<World>>, Path(file): Path<String>) -> Reply {
    ici::flows(world.config.seed, &file)
}

async fn eodhd_symbol(
    State(world): State<Arc<World>>,
    Path((folder, symbol)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Reply {
    eodhd::symbol(world.config.seed, &folder, &symbol, &parameters)
}

async fn eodhd_bulk(
    State(world): State<Arc<World>>,
    Path(exchange): Path<String>,
    Query(parameters): Parameters,
) -> Reply {
    eodhd::bulk(world.config.seed, &exchange, &parameters)
}

async fn eodhd_news(State(world): State<Arc<World>>, Query(parameters): Parameters) -> Reply {
    eodhd::news(world.config.seed, &parameters)
}

async fn eodhd_insiders(State(world): State<Arc<World>>, Query(parameters): Parameters) -> Reply {
    eodhd::insiders(world.config.seed, &parameters)
}

async fn eodhd_forms(
    State(world): State<Arc<World>>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Reply {
    eodhd::forms(world.config.seed, &symbol, &parameters)
}

async fn newsapi_everything(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Query(parameters): Parameters,
) -> Reply {
    let appeared = world.control.turn_page("newsapi");
    newsapi::everything(world.config.seed, newsapi_key(&headers), &parameters, appeared)
}

async fn newsapi_top_headlines(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Query(parameters): Parameters,
) -> Reply {
    newsapi::top_headlines(world.config.seed, newsapi_key(&headers), &parameters)
}

fn newsapi_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-api-key")?.to_str().ok()
}

async fn fmp_stable(
    State(world): State<Arc<World>>,
    Path(endpoint): Path<String>,
    Query(parameters): Parameters,
) -> Reply {
    fmp::stable(world.config.seed, &endpoint, &parameters, world.control.is_corrected())
}

async fn sec_edgar(State(world): State<Arc<World>>, Path(path): Path<String>, headers: HeaderMap) -> Reply {
    sec_edgar::answer(world.config.seed, &path, text(&headers, USER_AGENT))
}

/// A header of a request; empty when it is absent.
fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn fred_series(Query(parameters): Parameters) -> Reply {
    fred::series(&fred_query(parameters))
}

async fn fred_observations(State(world): State<Arc<World>>, Query(parameters): Parameters) -> Reply {
    fred::observations(world.config.seed, &fred_query(parameters), world.control.is_corrected())
}

async fn fred_vintage_dates(State(world): State<Arc<World>>, Query(parameters): Parameters) -> Reply {
    fred::vintage_dates(world.config.seed, &fred_query(parameters))
}

fn fred_query(mut parameters: HashMap<String, String>) -> fred::Query {
    fred::Query {
        api_key: parameters.remove("api_key"),
        file_type: parameters.remove("file_type"),
        series_id: parameters.remove("series_id"),
        limit: parameters.remove("limit"),
        offset: parameters.remove("offset"),
        realtime_start: parameters.remove("realtime_start"),
        observation_start: parameters.remove("observation_start"),
        observation_end: parameters.remove("observation_end"),
    }
}

async fn yahoo_chart(
    State(world): State<Arc<World>>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Reply {
    let interval = parameters.get("interval").map_or(yahoo::DAILY, String::as_str);
    if interval != yahoo::DAILY || !yahoo::is_listed(&world.config, &symbol) {
        return yahoo::chart(&world.config, &symbol, interval);
    }
    let window = yahoo::Window::of(&parameters);
    if let Some(reply) = world.control.chart(&world.config, &symbol, window) {
        return reply;
    }
    match window.and_then(|window| Some((window, world.bars(&symbol)?))) {
        Some((window, bars)) if !window.holds(&bars) => yahoo::chart_within(&world.config, &symbol, &bars, window),
        _ => world.chart(&symbol),
    }
}

async fn yahoo_crumb(headers: HeaderMap) -> Reply {
    yahoo::crumb(text(&headers, COOKIE))
}

async fn yahoo_options(
    State(world): State<Arc<World>>,
    Path(symbol): Path<String>,
    headers: HeaderMap,
    Query(parameters): Parameters,
) -> Reply {
    let crumb = parameters.get("crumb").map_or("", String::as_str);
    if let Some(refused) = yahoo::check_pass(text(&headers, COOKIE), crumb) {
        return refused;
    }
    yahoo::options(&world.config, &symbol, parameters.get("date").and_then(|date| date.parse().ok()))
}
