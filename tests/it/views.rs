//! The views with the names that people already use: every one has rows, the same ones in every database, and an old
//! query runs.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use store::Database;
use tempfile::TempDir;
use tests::broker::{ScratchDatabase, block_on};
use tests::process::{Environment, succeed};
use tests::{root, service};

mod comparable;
mod corrected;
mod published;

/// The names of the issue that asked for them.
const NAMES: &str = "fred_data yfinance_ohlcv cboe_vix_history ici_etf_weekly_flows ici_etf_monthly_flows \
    news_sentiment technical_features options_data ml_predictions model_performance data_refresh_log ohlcv \
    fundamentals technical_indicators news analyst_ratings insider_transactions dividends price_data \
    financial_statements financial_ratios companies exchanges sectors industries data_ingestion_logs api_rate_limits \
    data_fetch_log latest_price weekly_bars monthly_bars market_summary";
/// No provider of the demo publishes what these show: see `published`.
const OF_OTHERS: &[&str] = &[
    "technical_features",
    "technical_indicators",
    "ml_predictions",
    "model_performance",
    "model_performance_metrics",
    "market_cap",
];
/// Says when a database wrote a row.
const WRITTEN: &str = "updated_at";
/// Digits that two databases agree on in a sum.
const DIGITS: usize = 8;

/// A query of one of the systems that tapedeck replaces, per view.
const OLD_QUERIES: &[&str] = &[
    "select date, value from fred_data where series_id = 'GDP' and date >= '2020-01-01' order by date",
    "select ticker, date, open, high, low, close, volume, adj_close from yfinance_ohlcv where ticker = 'SIM003'",
    "select date, open, high, low, close from cboe_vix_history where date >= '2025-12-01' order by date",
    "select week_ending, total_net_flows, equity_net_flows, hybrid_net_flows, bond_net_flows, commodity_net_flows \
     from ici_etf_weekly_flows order by week_ending desc",
    "select month_ending, total_net_flows, equity_net_flows, hybrid_net_flows, bond_net_flows, commodity_net_flows \
     from ici_etf_monthly_flows order by month_ending desc",
    "select source, title, url, published_at, sentiment_score, sentiment_label, relevance_score, entities \
     from news_sentiment where sentiment_label = 'negative' order by published_at desc",
    "select ticker, date, put_volume, call_volume, put_call_ratio, implied_volatility, open_interest from options_data",
    "select data_type, refresh_time, status, records_updated, error_message, duration_seconds from data_refresh_log \
     where status = 'success' order by refresh_time desc",
    "select c.ticker, o.date, o.open, o.high, o.low, o.close, o.volume, o.adjusted_close from ohlcv o \
     join companies c on c.id = o.company_id where c.ticker = 'ACME' order by o.date",
    "select f.date, f.period_type, f.fiscal_year, f.fiscal_quarter, f.market_cap, f.pe_ratio, f.revenue, f.net_income, \
     f.total_assets, f.free_cash_flow, f.raw_data from fundamentals f join companies c on c.id = f.company_id \
     where c.ticker = 'ACME' and f.period_type = 'annual' order by f.date desc",
    "select n.published_at, n.title, n.summary, n.url, n.source, n.sentiment_score, n.sentiment_label, \
     n.sentiment_confidence from news n join companies c on c.id = n.company_id where n.sentiment_score < 0",
    "select a.date, a.firm, a.rating, a.rating_numeric, a.price_target, a.action from analyst_ratings a \
     join companies c on c.id = a.company_id",
    "select filing_date, transaction_date, insider_name, insider_title, transaction_type, shares, price_per_share, \
     total_value, shares_owned_after, sec_link from insider_transactions where is_director order by filing_date desc",
    "select ex_date, payment_date, record_date, declaration_date, amount, currency, frequency from dividends \
     where company_id = 'SIM.LSE' order by ex_date desc",
    "select symbol, date, open_price, close_price, volume, adjusted_close from price_data where symbol in ('ACME')",
    "select symbol, statement_type, fiscal_date, fiscal_period, accepted_date, filing_date, metrics, \
     data_quality_score, source_provider from financial_statements where symbol = 'ACME' \
     and fiscal_date between '2023-01-01' and '2024-12-31' and statement_type = 'income' order by fiscal_date",
    "select p.symbol, p.date, p.close_price * r.market_cap as product from price_data p \
     join financial_ratios r on p.symbol = r.symbol where p.symbol = 'ACME' and p.date = '2025-12-31'",
    "select symbol, fiscal_date, accepted_date, pe_ratio, pb_ratio, roe, roa, debt_to_equity, current_ratio, \
     operating_margin, net_margin, market_cap, shares_outstanding from financial_ratios where symbol = 'ACME'",
    "select c.ticker, c.name, s.name as sector, i.name as industry from companies c join sectors s on s.id = c.sector_id \
     join industries i on i.id = c.industry_id where c.is_active and s.name = 'Simulated'",
    "select e.code, e.name, e.country, e.timezone, count(*) as companies from exchanges e \
     join companies c on c.exchange_id = e.id group by e.code, e.name, e.country, e.timezone",
    "select i.name, s.name as sector from industries i join sectors s on s.id = i.sector_id",
    "select job_type, start_time, end_time, status, records_processed, records_inserted, records_updated, error_message \
     from data_ingestion_logs where job_type = 'chart' order by start_time desc",
    "select api_name, count(*) as requests, max(response_time_ms) as slowest from api_rate_limits \
     where request_time > '2020-01-01' group by api_name",
    "select symbol, data_type, fetch_date, records_fetched, api_calls_made, success, error_message from data_fetch_log \
     where success",
    "select symbol, date, close, change_percent from latest_price where symbol = 'SIM003'",
    "select week_start, open, high, low, close, volume from weekly_bars where symbol = 'VIX' order by week_start",
    "select month_start, open, high, low, close, volume from monthly_bars where symbol = 'VIX' order by month_start",
    "select date, symbols, advancing, declining, volume from market_summary order by date desc",
];

/// Runs the demo into a database. The records of the runs before are on its topics.
fn demo(folder: &TempDir, database: Option<&Database>, sink: &'static str) {
    let data = folder.path().join("data");
    let demo = ["up", "--demo", "--once", "--json", "--kafka-port", "0", "--data-dir", data.to_str().unwrap()];
    let mut environment = Environment::from([("TAPEDECK_SINK", sink.to_owned())]);
    environment.extend(database.map(|database| ("TAPEDECK_DATABASE_URL", database.address().expose().to_owned())));
    succeed("tapedeck", &demo, &environment);
    if let Some(database) = database {
        block_on(database.refresh(&[])).unwrap();
    }
}

/// An object of JSON in the order of its names.
fn sorted(json: serde_json::Value) -> serde_json::Value {
    let serde_json::Value::Object(object) = json else { return json };
    let sorted: std::collections::BTreeMap<String, serde_json::Value> =
        object.into_iter().map(|(name, value)| (name, self::sorted(value))).collect();
    serde_json::to_value(sorted).unwrap()
}

/// A value as both databases mean it.
fn meant(value: Option<&String>) -> String {
    let Some(text) = value else { return "null".to_owned() };
    if let Ok(number) = text.parse::<f64>() {
        return format!("{number:.DIGITS$e}");
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.to_utc().to_rfc3339();
    }
    match (text.as_str(), serde_json::from_str::<serde_json::Value>(text)) {
        ("true", _) => format!("{:.DIGITS$e}", 1.0),
        ("false", _) => format!("{:.DIGITS$e}", 0.0),
        (_, Ok(json)) => sorted(json).to_string(),
        (text, Err(_)) => text.to_owned(),
    }
}

/// The rows of a query, in an order of their own. What was fetched after that time is left out, and when it was written.
fn rows(database: &Database, query: &str, before: DateTime<Utc>) -> Vec<Vec<String>> {
    let found = block_on(database.query(query)).unwrap_or_else(|error| panic!("{query}: {error}"));
    let is_log = query.contains("_log") || query.contains("api_rate_limits");
    let time = ["created_at", "fetch_date"].iter().find_map(|name| found.columns.iter().position(|one| one == name));
    let is_before = |row: &&Vec<Option<String>>| {
        let time = time.filter(|_| is_log).and_then(|at| row[at].as_deref());
        time.is_none_or(|time| DateTime::parse_from_rfc3339(time).unwrap() < before)
    };
    let compared: Vec<usize> = (0..found.columns.len()).filter(|at| found.columns[*at] != WRITTEN).collect();
    let row = |row: &Vec<Option<String>>| compared.iter().map(|at| meant(row[*at].as_ref())).collect();
    let mut rows: Vec<Vec<String>> = found.rows.iter().filter(is_before).map(row).collect();
    rows.sort_unstable();
    rows
}

fn columns(database: &Database, view: &str) -> Vec<String> {
    block_on(database.query(&format!("select * from {view} limit 1"))).unwrap().columns
}

#[test]
fn every_view_has_rows_of_the_demo_and_all_databases_agree_on_them() {
    let folder = TempDir::new().unwrap();
    demo(&folder, None, "sqlite");
    let before = Utc::now();
    let address = format!("sqlite:{}", folder.path().join("data/tapedeck.db").display());
    let sqlite = Database::new(&address).unwrap();
    let views = sqlite.views();
    let missing: Vec<&str> = NAMES
        .split_whitespace()
        .filter(|name| *name != "model_performance" && !views.iter().any(|view| view == name))
        .collect();
    assert!(missing.is_empty(), "no view {missing:?}");
    for view in views.iter().filter(|view| !OF_OTHERS.contains(&view.as_str())) {
        assert!(!rows(&sqlite, &format!("select * from {view}"), before).is_empty(), "{view} is empty");
    }
    for query in OLD_QUERIES {
        assert!(!block_on(sqlite.query(query)).unwrap().rows.is_empty(), "no rows: {query}");
    }
    for (variable, sink) in [("TAPEDECK_TEST_POSTGRES", "postgres"), ("TAPEDECK_TEST_TIMESCALE", "timescale")] {
        let Some(address) = service(variable) else { continue };
        let scratch = ScratchDatabase::create(&address);
        demo(&folder, Some(&scratch.database), sink);
        assert_eq!(scratch.database.views(), views, "{sink}");
        for view in &views {
            assert_eq!(columns(&scratch.database, view), columns(&sqlite, view), "{view} on {sink}");
            let query = format!("select * from {view}");
            let (theirs, ours) = (rows(&scratch.database, &query, before), rows(&sqlite, &query, before));
            let difference = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
            assert!(theirs.len() == ours.len() && difference.is_none(), "{view} on {sink}: {difference:?}");
        }
        for query in OLD_QUERIES {
            assert!(!block_on(scratch.database.query(query)).unwrap().rows.is_empty(), "no rows on {sink}: {query}");
        }
        delete_all(&scratch.database);
        assert_eq!(filled(&scratch.database), [""; 0], "deleted rows on {sink}");
    }
    delete_all(&sqlite);
    assert_eq!(filled(&sqlite), [""; 0], "deleted rows");
}

/// Marks every row of every dataset as deleted.
fn delete_all(database: &Database) {
    let is = if database.shown().starts_with("sqlite") { "1" } else { "true" };
    for dataset in contract::datasets() {
        let statement = format!("update {} set deleted = {is}", dataset.name);
        block_on(database.store("test").rows(statement, &[])).unwrap();
    }
    block_on(database.refresh(&[])).unwrap();
}

/// The views that have rows.
fn filled(database: &Database) -> Vec<String> {
    let is_filled =
        |view: &String| !block_on(database.query(&format!("select 1 from {view} limit 1"))).unwrap().rows.is_empty();
    database.views().into_iter().filter(is_filled).collect()
}

/// The views with a score in a folder of migrations: the view, the dataset it shows, and the number that it divides by.
fn scores(folder: &str) -> BTreeSet<(String, String, String)> {
    let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.to_string_lossy().ends_with(".up.sql")).map(std::fs::read_to_string);
    let all: String = texts.map(Result::unwrap).collect();
    let score = |statement: &str| {
        let word = |text: &str| text.split([' ', '\n', ';', ')']).next().unwrap().to_owned();
        let (_, divisor) = statement.split_once("(flags) / ")?;
        let (_, dataset) = statement.rsplit_once("from ")?;
        Some((word(statement), word(dataset), word(divisor)))
    };
    all.split("create view ").skip(1).filter_map(|statement| score(statement.split(';').next()?)).collect()
}

#[test]
fn a_quality_score_divides_by_the_number_of_expectations_that_the_dataset_declares() {
    let postgres = scores("migrations/postgres");
    assert_eq!(postgres, scores("migrations/sqlite"));
    assert!(postgres.len() >= 9, "{postgres:?}");
    for (view, dataset, divisor) in postgres {
        let declared = contract::dataset(&dataset).unwrap_or_else(|| panic!("{view} shows {dataset}"));
        assert_eq!(divisor, format!("{}.0", declared.expectations.len()), "{view} shows {dataset}");
    }
}
