//! The providers' endpoints on this machine, for the demo and the tests: real formats with made-up numbers.
//!
//! The simulated world ends on 2025-12-31 and is the same in every run: a repeated request gets the same bytes. It
//! needs neither network nor files, and its errors are the providers' own.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod calendar;
mod cboe;
#[cfg(test)]
pub(crate) mod client;
mod control;
mod eodhd;
mod fmp;
mod fred;
#[cfg(feature = "hostile")]
pub mod hostile;
mod ici;
mod newsapi;
mod outage;
mod random;
mod range;
mod refusal;
mod reply;
mod routes;
mod sec_edgar;
mod yahoo;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::NaiveDate;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use calendar::END;
pub use control::Control;
pub use fred::FRED_API_KEY;
pub use outage::Outage;
pub use yahoo::Shown;

use routes::World;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of Yahoo's symbols: the second is in London, the third trades every day.
    pub symbols: usize,
    /// Years of their daily bars, up to 2025-12-31.
    pub years: u32,
    /// Seed of the made-up numbers.
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
    world: Arc<World>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts on a free port of this machine, on the current tokio runtime.
    pub async fn start(config: Config) -> anyhow::Result<Simulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("the simulator cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("the simulator has no address")?;
        let world = Arc::new(World::new(config));
        let router = routes::router(Arc::clone(&world));
        let server = tokio::spawn(async move {
            // The server ends only when it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Simulator { address, world, server })
    }

    /// Controls it while it runs.
    pub fn control(&self) -> &Control {
        &self.world.control
    }

    /// The symbols of Yahoo.
    pub fn symbols(&self) -> Vec<String> {
        yahoo::symbols(&self.world.config)
    }

    /// First and last day of Yahoo's bars.
    pub fn days(&self) -> [NaiveDate; 2] {
        [yahoo::first_day(&self.world.config), calendar::END]
    }

    /// Prepares the chart of a symbol before it is requested; returns the number of its bars with a value.
    pub fn draw_chart(&self, symbol: &str) -> usize {
        self.world.chart(symbol);
        self.world.bars(symbol).map_or(0, |bars| bars.iter().filter(|bar| bar.has_value()).count())
    }

    /// Address of a source's endpoints, for `TAPEDECK_<SOURCE>_URL`.
    pub fn url(&self, source: &str) -> String {
        format!("http://{}/{source}", self.address)
    }

    /// The credential that a source requires: a key, or for the SEC a contact.
    pub fn key(source: &str) -> &'static str {
        match source {
            "sec_edgar" => sec_edgar::CONTACT,
            _ => FRED_API_KEY,
        }
    }

    /// A watchlist of the items with a value that [`Control::uncorrect`] takes back.
    pub fn corrected_watchlist_toml(&self) -> String {
        let fred = "[fred]\nobservations = [\"GDP\"]\nvintages = [\"GDP\"]\n";
        format!("[cboe]\nindex_history = [\"VIX\"]\n[fmp]\nincome_statement = [\"ACME@quarter\"]\n{fred}")
    }

    /// The sources on that watchlist.
    pub const CORRECTED_SOURCES: [&str; 3] = ["cboe", "fmp", "fred"];

    /// A watchlist of all simulated items.
    pub fn watchlist_toml(&self) -> String {
        let (mut text, mut section) = (String::new(), "");
        for (source, endpoint, items) in self.items() {
            if source != section {
                text.push_str(&format!("[{source}]\n"));
                section = source;
            }
            let items = items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>();
            text.push_str(&format!("{endpoint} = [{}]\n", items.join(", ")));
        }
        text
    }

    /// Source, endpoint, and its items.
    fn items(&self) -> Vec<(&'static str, &'static str, Vec<String>)> {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<String>>();
        let series: Vec<String> = fred::ids().map(str::to_owned).collect();
        let vintages: Vec<String> = fred::ids_with_vintages().map(str::to_owned).collect();
        let symbols = owned(eodhd::SYMBOLS);
        let first = eodhd::SYMBOLS[0];
        let periods = fmp::periods();
        vec![
            ("cboe", "index_history", owned(cboe::INDEXES)),
            ("cboe", "options", cboe::underlyings().map(str::to_owned).collect()),
            ("eodhd", "eod", symbols.clone()),
            ("eodhd", "bulk_eod", owned(eodhd::EXCHANGES)),
            ("eodhd", "dividends", symbols.clone()),
            ("eodhd", "splits", symbols.clone()),
            ("eodhd", "fundamentals", symbols.clone()),
            ("eodhd", "news", symbols),
            ("eodhd", "insider_transactions", vec![first.to_owned(), format!("{first}@form4")]),
            ("fmp", "income_statement", periods.clone()),
            ("fmp", "balance_sheet", periods.clone()),
            ("fmp", "cash_flow", periods.clone()),
            ("fmp", "ratios", periods.clone()),
            ("fmp", "key_metrics", periods),
            ("fmp", "eod_prices", fmp::symbols()),
            ("fmp", "eod_bulk", fmp::dates()),
            ("fmp", "profile", fmp::symbols()),
            ("fred", "observations", series.clone()),
            ("fred", "series", series),
            ("fred", "vintages", vintages.clone()),
            ("fred", "vintage_dates", vintages),
            ("ici", "flows", ici::items().collect()),
            ("newsapi", "everything", owned(newsapi::QUERIES)),
            ("newsapi", "top_headlines", owned(newsapi::HEADLINES)),
            ("sec_edgar", "company_tickers", owned(&["all"])),
            ("sec_edgar", "submissions", sec_edgar::filers()),
            ("sec_edgar", "company_facts", sec_edgar::companies()),
            ("sec_edgar", "ownership", sec_edgar::reports()),
            ("yahoo", "chart", self.symbols()),
            ("yahoo", "options", yahoo::option_items(&self.world.config)),
        ]
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;
