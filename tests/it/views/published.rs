//! Views of what no provider of the demo publishes: predictions, indicators, numbers of shares.

use chrono::{DateTime, NaiveDate, Utc};
use contract::records::{
    Company, CorporateAction, ModelPerformance, OhlcvBar, Prediction, TechnicalIndicator, XbrlFact,
};
use contract::{Decimal, Record};
use tests::broker::{Bench, benches};
use tests::message::{bar, send_records};
use tests::process::succeed;

use super::comparable::instrument;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The rows of a query, as one line each.
fn lines(bench: &Bench, query: &str) -> Vec<String> {
    let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let line = |row: Vec<Option<String>>| row.into_iter().map(value).collect::<Vec<_>>().join(" ");
    bench.query(query).into_iter().map(line).collect()
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

fn prediction(horizon: &str, confidence: f64) -> Record {
    let made_at = time("2024-05-30T22:00:00Z");
    Prediction {
        source: "desk".into(),
        model: "gbm-2".into(),
        symbol: "AAPL".into(),
        horizon: horizon.into(),
        made_at,
        target: "return".into(),
        value: 0.25,
        lower: None,
        upper: None,
        confidence: Some(confidence),
        features: Some("{\"rsi\": 1}".to_owned()),
        known_at: made_at,
        observed_at: made_at,
        flags: Vec::new(),
    }
    .into()
}

fn performance() -> Record {
    let evaluated_at = time("2024-05-31T00:00:00Z");
    ModelPerformance {
        source: "desk".into(),
        model: "gbm-2".into(),
        metric: "accuracy".into(),
        evaluated_at,
        value: 0.5,
        sample_count: Some(40),
        sample_start: None,
        sample_end: None,
        known_at: evaluated_at,
        observed_at: evaluated_at,
        flags: Vec::new(),
    }
    .into()
}

fn indicator(symbol: &str, ts_start: &str, indicator: &str, value: f64) -> Record {
    TechnicalIndicator {
        source: "desk".into(),
        symbol: symbol.into(),
        bar_interval: "1d".into(),
        indicator: indicator.into(),
        ts_start: time(ts_start),
        value: Some(value),
        known_at: time("2024-06-01T00:00:00Z"),
        observed_at: time("2024-06-01T00:00:00Z"),
        flags: Vec::new(),
    }
    .into()
}

#[test]
fn predictions_performance_and_indicators_of_others_have_the_columns_that_old_queries_ask_for() {
    for (name, bench) in benches() {
        let predictions = [("1d", 0.5), ("2w", 1.5), ("3 months", 0.5), ("99999d", 0.5), ("dd", 0.5)];
        send_records(&bench, "prediction", &predictions.map(|(horizon, confidence)| prediction(horizon, confidence)));
        send_records(&bench, "model_performance", &[performance()]);
        let indicators = [
            indicator("AAPL", "2024-05-30T04:00:00Z", "rsi_14", 55.5),
            indicator("AAPL", "2024-05-30T04:00:00Z", "macd", -1.5),
            // Midnight of the 31st in Tokyo, and in Auckland in summer.
            indicator("7203.T", "2024-05-30T15:00:00Z", "sma_20", 20.0),
            indicator("AIR.NZ", "2024-01-30T11:00:00Z", "obv", 7.0),
        ];
        send_records(&bench, "technical_indicator", &indicators);
        consume(&bench);
        let old = "select horizon, model_name, ticker, prediction_date, target_date, prediction_value, confidence, data_quality_score \
            from ml_predictions order by horizon";
        let expected = [
            "1d gbm-2 AAPL 2024-05-30 2024-05-31 0.25 0.5 1",
            "2w gbm-2 AAPL 2024-05-30 2024-06-13 0.25 1.5 0.5",
            "3 months gbm-2 AAPL 2024-05-30 - 0.25 0.5 1",
            "99999d gbm-2 AAPL 2024-05-30 - 0.25 0.5 1",
            "dd gbm-2 AAPL 2024-05-30 - 0.25 0.5 1",
        ];
        assert_eq!(lines(&bench, old), expected, "on {name}");
        let old = "select model_name, evaluation_date, metric_name, metric_value, total_predictions from model_performance_metrics";
        assert_eq!(lines(&bench, old), ["gbm-2 2024-05-31 accuracy 0.5 40"], "on {name}");
        assert_eq!(lines(&bench, "select model, metric, value from model_performance"), ["gbm-2 accuracy 0.5"]);
        let old = "select ticker, date, rsi_14, macd, sma_20, obv from technical_features order by ticker";
        let expected = ["7203.T 2024-05-31 - - 20 -", "AAPL 2024-05-30 55.5 -1.5 - -", "AIR.NZ 2024-01-31 - - - 7"];
        assert_eq!(lines(&bench, old), expected, "on {name}");
        let old = "select company_id, date, rsi_14, macd from technical_indicators where company_id = 'AAPL'";
        assert_eq!(lines(&bench, old), ["AAPL 2024-05-30 55.5 -1.5"], "on {name}");
        for table in ["prediction", "model_performance", "technical_indicator"] {
            bench.execute(&format!(
                "update {table} set deleted = {}",
                if name.contains("SQLite") { "1" } else { "true" }
            ));
        }
        for view in ["ml_predictions", "model_performance_metrics", "technical_features", "technical_indicators"] {
            assert_eq!(
                bench.number(&format!("select count(*) as n from {view}")),
                0,
                "deleted rows of {view} on {name}"
            );
        }
    }
}

fn company(symbol: &str, cik: &str) -> Record {
    let known_at = time("2024-01-01T00:00:00Z");
    Company {
        source: "sec_edgar".into(),
        symbol: symbol.into(),
        name: symbol.into(),
        cik: Some(cik.into()),
        isin: None,
        cusip: None,
        lei: None,
        kind: None,
        exchange: None,
        currency: None,
        country: None,
        sector: None,
        industry: None,
        sic: None,
        description: None,
        website: None,
        employees: None,
        listed_on: None,
        delisted_on: None,
        fiscal_year_end: None,
        shares_outstanding: None,
        market_cap: None,
        former_names: Vec::new(),
        other: None,
        known_at,
        observed_at: known_at,
        flags: Vec::new(),
    }
    .into()
}

/// A number of shares on the cover page of a filing.
fn shares(as_of: &str, known_at: &str, shares: i64) -> Record {
    XbrlFact {
        source: "sec_edgar".into(),
        cik: "0000000001".into(),
        taxonomy: "dei".into(),
        concept: "EntityCommonStockSharesOutstanding".into(),
        unit: "shares".into(),
        period_type: "instant".into(),
        period_start: date(as_of),
        period_end: date(as_of),
        accession_number: known_at.into(),
        value: Decimal::from(shares),
        fiscal_year: None,
        fiscal_period: None,
        form: "10-Q".into(),
        filed_on: date(&known_at[..10]),
        frame: None,
        known_at: time(known_at),
        observed_at: time(known_at),
        flags: Vec::new(),
    }
    .into()
}

fn split(ex_date: &str, new: i64, old: i64) -> Record {
    let known_at = time("2024-02-01T00:00:00Z");
    CorporateAction {
        source: "yahoo".into(),
        symbol: "ACME".into(),
        action_type: "split".into(),
        ex_date: date(ex_date),
        amount: None,
        unadjusted_amount: None,
        currency: None,
        split_to: Some(Decimal::from(new)),
        split_from: Some(Decimal::from(old)),
        period: None,
        declared_on: None,
        record_date: None,
        paid_on: None,
        known_at,
        observed_at: known_at,
        flags: Vec::new(),
    }
    .into()
}

/// Bars of ten days: closes of 60 until the split of 2 for 1, then 30, then 10 after 3 for 1; adjusted ones are 10, or
/// 1000 pence.
fn bars() -> Vec<Record> {
    let raw = |day: u32| match day {
        0..7 => 60.0,
        7..9 => 30.0,
        _ => 10.0,
    };
    let of = |source: &'static str, day, close| {
        Record::from(OhlcvBar { source: source.into(), ..bar("ACME", day, close, 10, 10) })
    };
    (0..10).flat_map(|day| [of("eodhd", day, raw(day)), of("yahoo", day, 10.0), of("pence", day, 1000.0)]).collect()
}

#[test]
fn a_market_cap_is_the_close_times_the_shares_known_that_day_across_splits() {
    for (name, bench) in benches() {
        send_records(&bench, "company", &[company("ACME", "0000000001"), company("OTHER", "0000000002")]);
        let facts = [
            shares("2023-12-15", "2024-01-02T12:00:00Z", 100),
            // Known at 16:00 of the 4th, and after it on the 5th.
            shares("2024-01-03", "2024-01-04T16:00:00Z", 110),
            shares("2024-01-04", "2024-01-05T16:00:01Z", 120),
            // A late amendment repeats an old number: it is not the latest.
            shares("2023-09-30", "2024-01-07T12:00:00Z", 90),
            // After the first split, and then counted in new shares.
            shares("2024-01-08", "2024-01-09T12:00:00Z", 240),
        ];
        send_records(&bench, "xbrl_fact", &facts);
        send_records(&bench, "corporate_action", &[split("2024-01-08", 2, 1), split("2024-01-10", 3, 1)]);
        send_records(&bench, "ohlcv_bar", &bars());
        // Of the other two it is known by what a provider is called.
        send_records(&bench, "instrument", &[instrument("pence", "ACME", "GBX", 100.0, [Some("splits"), None])]);
        consume(&bench);
        let caps = |source: &str| {
            lines(
                &bench,
                &format!(
                    "select date, shares, split_factor, market_cap from market_cap where source = '{source}' order by date"
                ),
            )
        };
        let expected = [
            "2024-01-02 100 1 6000",
            "2024-01-03 100 1 6000",
            "2024-01-04 110 1 6600",
            "2024-01-05 110 1 6600",
            "2024-01-06 120 1 7200",
            "2024-01-07 120 1 7200",
            "2024-01-08 120 2 7200",
            "2024-01-09 240 1 7200",
            "2024-01-10 240 3 7200",
        ];
        assert_eq!(caps("eodhd"), expected, "on {name}");
        let totals = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
        };
        assert_eq!(totals(&caps("yahoo")), totals(&caps("eodhd")), "adjusted closes on {name}");
        assert_eq!(totals(&caps("pence")), totals(&caps("eodhd")), "adjusted pence on {name}");
        let in_pounds = lines(&bench, "select distinct source, close, currency from market_cap where currency = 'GBP'");
        assert_eq!(in_pounds, ["pence 10 GBP"], "on {name}");
        let chosen =
            "symbol, source, date, close, currency, shares, shares_basis, shares_as_of, split_factor, market_cap";
        let order = "order by symbol, source, date";
        let by_view = lines(
            &bench,
            &format!(
                "select {chosen} from market_cap where symbol in ('ACME', 'OTHER') and date in ('2024-01-04', '2024-01-09') {order}"
            ),
        );
        assert_eq!(by_view.len(), 6, "on {name}");
        assert_eq!(by_view[0], "ACME eodhd 2024-01-04 60 USD 110 cover_page 2024-01-03 1 6600", "on {name}");
        if !name.contains("SQLite") {
            let by_function = format!(
                "select {chosen} from market_caps(array['ACME', 'OTHER'], array['2024-01-04', '2024-01-09']::date[]) {order}"
            );
            assert_eq!(lines(&bench, &by_function), by_view, "on {name}");
        }
    }
}
