use std::collections::HashMap;

use axum::response::IntoResponse as _;

use super::*;
use crate::reply::Reply;

pub(crate) fn at(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn body(reply: Reply) -> (u16, String) {
    let response = reply.into_response();
    let status = response.status().as_u16();
    let body = text_of(response.into_body());
    (status, body)
}

#[test]
fn yahoo_gives_options_to_those_who_show_cookie_and_crumb() {
    let cookie = yahoo::cookie().into_response();
    let cookie = cookie.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (status, crumb) = body(yahoo::crumb(&format!("B=1; {cookie}")));
    assert_eq!(status, 200);
    assert!(yahoo::check_pass(&cookie, &crumb).is_none());
    assert!(body(yahoo::crumb("")).1.contains("Invalid Cookie"));
    for refused in [yahoo::check_pass(&cookie, ""), yahoo::check_pass("", &crumb)] {
        let (status, text) = body(refused.unwrap());
        assert!(status == 401 && text.contains(r#""description":"Invalid Crumb""#), "{text}");
    }
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
    assert_eq!(body(cboe::history(1, "VIX_History.csv", true)), body(cboe::history(1, "VIX_History.csv", true)));
    assert_eq!(body(cboe::options(1, "SIM.json")), body(cboe::options(1, "SIM.json")));
    assert_ne!(body(cboe::options(1, "SIM.json")), body(cboe::options(2, "SIM.json")));
    let query = query(FRED_API_KEY, "DGS10");
    assert_eq!(body(fred::observations(1, &query, true)), body(fred::observations(1, &query, true)));
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
    let (_, text) = body(cboe::history(1, "VIX_History.csv", true));
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(rows.len() > 9000 && rows.iter().all(|row| row.len() == 5));
    let numbers = |row: &Vec<&str>| row[1..].iter().map(|text| text.parse::<f64>().ok()).collect::<Option<Vec<f64>>>();
    assert_eq!(rows.iter().filter(|row| numbers(row).is_none()).count(), 1);
    let bars: Vec<Vec<f64>> = rows.iter().filter_map(numbers).collect();
    assert_eq!(bars.iter().filter(|bar| bar[2] > bar[0]).count(), 6);
    assert!(bars.iter().all(|bar| bar[2] <= bar[1]));
}

#[test]
fn every_option_has_a_symbol_of_its_own_and_one_underlying_has_none() {
    let options = |file: &str| {
        let file: serde_json::Value = serde_json::from_str(&body(cboe::options(1, file)).1).unwrap();
        file["data"]["options"].as_array().unwrap().clone()
    };
    for file in ["_VIX.json", "SIM.json"] {
        let options = options(file);
        let symbols: std::collections::HashSet<_> = options.iter().map(|row| row["option"].to_string()).collect();
        assert_eq!((options.len(), symbols.len()), (180, 180), "{file}");
        assert_eq!(options.iter().filter(|row| row["last_trade_time"].is_null()).count(), 30, "{file}");
    }
    assert!(options("NEW.json").is_empty());
}

#[test]
fn errors_are_the_providers_own() {
    let (status, text) = body(cboe::history(1, "NOSUCH_History.csv", true));
    assert!(status == 403 && text.contains("<Code>AccessDenied</Code>"));
    let (status, text) = body(cboe::options(1, "NOSUCH.json"));
    assert!(status == 403 && text.contains("<Code>AccessDenied</Code>"));
    let (status, text) = body(ici::flows(1, "combined_flows_data_1999.xls"));
    assert!(status == 404 && text.contains("Page not found"));
    let (status, text) = body(yahoo::chart(&Config::default(), "NOSUCH", "1d"));
    assert!(status == 404 && text.contains("symbol may be delisted"));
    let (status, text) = body(fred::series(&query(FRED_API_KEY, "NOSUCH")));
    assert!(status == 400 && text.contains("Bad Request.  The series does not exist."));
    let (status, text) = body(fred::observations(1, &query("short", "GDP"), true));
    assert!(status == 400 && text.contains("is not a 32 character alpha-numeric lower-case string"));
}

fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn eodhd_query(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let always = parameters(&[("api_token", FRED_API_KEY), ("fmt", "json")]);
    always.into_iter().chain(parameters(pairs)).collect()
}

fn json((status, text): (u16, String)) -> serde_json::Value {
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn eodhd_has_an_answer_in_every_folder_and_its_own_errors() {
    let ask = |folder, symbol| body(eodhd::symbol(1, folder, symbol, &eodhd_query(&[])));
    assert!(json(ask("eod", "SIMA.US")).as_array().unwrap().len() > 250);
    assert_eq!(json(ask("eod", "SIM-USD.CC")).as_array().unwrap().len(), 365);
    assert_eq!(json(ask("div", "SIM.LSE")).as_array().unwrap().len(), 20);
    assert_eq!(json(ask("splits", "SIMA.US"))[0]["split"], "7.000000/1.000000");
    assert_eq!(ask("splits", "SIMB.US").1, "[]");
    let company = json(ask("fundamentals", "SIMA.US"));
    assert_eq!(company["Financials"]["Cash_Flow"]["yearly"].as_object().unwrap().len(), 6);
    assert_eq!(json(body(eodhd::bulk(1, "US", &eodhd_query(&[])))).as_array().unwrap().len(), 120);
    assert_eq!(ask("eod", "NOSUCH.US"), (404, "Ticker Not Found.".to_owned()));
    let stranger = body(eodhd::symbol(1, "eod", "SIMA.US", &parameters(&[("api_token", "x")])));
    assert_eq!(stranger, (401, "Unauthenticated".to_owned()));
    let csv = body(eodhd::symbol(1, "div", "SIMA.US", &parameters(&[("api_token", FRED_API_KEY)])));
    assert_eq!(csv, (200, "No Results".to_owned()));
}

#[test]
fn a_part_of_a_history_is_given_when_it_is_asked_for() {
    let bounds = [("from", "2025-03-03"), ("to", "2025-03-05")];
    let dates = |rows: &serde_json::Value, name: &str| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row[name].as_str().unwrap()[..10].to_owned()).collect()
    };
    let days = ["2025-03-03", "2025-03-04", "2025-03-05"];
    let eod = json(body(eodhd::symbol(1, "eod", "SIMA.US", &eodhd_query(&bounds))));
    assert_eq!(dates(&eod, "date"), days);
    let key = [("apikey", FRED_API_KEY), ("symbol", "ACME")];
    let prices = fmp::stable(1, "historical-price-eod/full", &parameters(&[&key[..], &bounds].concat()), true);
    assert_eq!(dates(&json(body(prices)), "date"), days.map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
    let late = [("from", "2025-12-30"), ("to", "2025-12-30")];
    let query = [&[("s", "SIMA.US"), ("limit", "1000")][..], &late].concat();
    assert_eq!(dates(&json(body(eodhd::news(1, &eodhd_query(&query)))), "date"), ["2025-12-30"; 4]);
    let query = [&[("q", "inflation"), ("pageSize", "100")][..], &late].concat();
    let page = json(body(newsapi::everything(1, Some(FRED_API_KEY), &parameters(&query), None)));
    assert_eq!(dates(&page["articles"], "publishedAt"), ["2025-12-30"; 10]);
    assert_eq!(page["totalResults"], 10);
    let (observation_start, observation_end) = (Some("2025-03-03".to_owned()), Some("2025-03-05".to_owned()));
    let query = fred::Query { observation_start, observation_end, ..query_of("DGS10") };
    let part = json(body(fred::observations(1, &query, true)));
    assert_eq!((dates(&part["observations"], "date"), &part["count"]), (days.map(str::to_owned).to_vec(), &3.into()));
    assert_eq!(part["observation_start"], "2025-03-03");
}

fn query_of(id: &str) -> fred::Query {
    query(FRED_API_KEY, id)
}

#[test]
fn eodhd_pages_its_news_and_its_forms() {
    let news = |offset| {
        let query = eodhd_query(&[("s", "SIMA.US"), ("limit", "1000"), ("offset", offset)]);
        json(body(eodhd::news(1, &query)))
    };
    assert_eq!(news("0").as_array().unwrap().len(), 1000);
    assert_eq!(news("1000").as_array().unwrap().len(), 100);
    let forms = |offset| {
        let query = eodhd_query(&[("page[limit]", "100"), ("page[offset]", offset)]);
        json(body(eodhd::forms(1, "SIMA.US", &query)))
    };
    assert_eq!(forms("0")["data"].as_array().unwrap().len(), 100);
    assert!(forms("0")["links"]["next"].is_string());
    assert_eq!(forms("100")["data"].as_array().unwrap().len(), 30);
    assert!(forms("100")["links"]["next"].is_null());
    let lines = json(body(eodhd::insiders(1, &eodhd_query(&[("code", "SIMA.US")]))));
    assert_eq!(lines.as_array().unwrap().len(), 40);
}

#[test]
fn newsapi_gives_a_hundred_articles_and_its_own_errors() {
    let key = Some(FRED_API_KEY);
    let everything = |key, pairs: &[(&str, &str)]| body(newsapi::everything(1, key, &parameters(pairs), None));
    let page = json(everything(key, &[("q", "inflation"), ("pageSize", "100")]));
    assert_eq!((page["articles"].as_array().unwrap().len(), &page["totalResults"]), (100, &serde_json::json!(240)));
    let (status, text) = everything(key, &[("q", "inflation"), ("pageSize", "100"), ("page", "2")]);
    assert!(status == 426 && text.contains("maximumResultsReached"));
    assert_eq!(json(everything(key, &[("q", "nothing")]))["totalResults"], 0);
    let (status, text) = everything(Some("short"), &[("q", "inflation")]);
    assert!(status == 401 && text.contains("apiKeyInvalid"));
    let (status, text) = everything(None, &[("q", "inflation")]);
    assert!(status == 401 && text.contains("apiKeyMissing"));
    let headlines = |pairs: &[(&str, &str)]| body(newsapi::top_headlines(1, key, &parameters(pairs)));
    assert_eq!(json(headlines(&[("country", "us"), ("pageSize", "100")]))["articles"].as_array().unwrap().len(), 38);
    assert!(headlines(&[("sources", "none")]).1.contains("sourceDoesNotExist"));
    assert!(headlines(&[]).1.contains("parametersMissing"));
}

#[test]
fn the_last_vintage_of_a_value_is_the_current_one() {
    let ask = |query: &fred::Query| -> serde_json::Value {
        serde_json::from_str(&body(fred::observations(1, query, true)).1).unwrap()
    };
    let start = Some("1776-07-04".to_owned());
    let all = ask(&fred::Query { realtime_start: start.clone(), ..query(FRED_API_KEY, "GDP") });
    let rows = all["observations"].as_array().unwrap();
    let last = rows.iter().filter(|row| row["realtime_end"] == "9999-12-31");
    let last: HashMap<&str, &str> =
        last.map(|row| (row["date"].as_str().unwrap(), row["value"].as_str().unwrap())).collect();
    let current = ask(&query(FRED_API_KEY, "GDP"));
    let current =
        current["observations"].as_array().unwrap().iter().filter(|row| row["date"].as_str().unwrap() < "2025-10-01");
    assert!(current.clone().count() > 300 && rows.len() > 500);
    assert!(current.into_iter().all(|row| last[row["date"].as_str().unwrap()] == row["value"]));
    let dates: serde_json::Value =
        serde_json::from_str(&body(fred::vintage_dates(1, &query(FRED_API_KEY, "GDP"))).1).unwrap();
    let mut starts: Vec<&serde_json::Value> = rows.iter().map(|row| &row["realtime_start"]).collect();
    starts.sort_by_key(|start| start.as_str());
    starts.dedup();
    assert_eq!(dates["vintage_dates"].as_array().unwrap().iter().collect::<Vec<_>>(), starts);
    let daily = fred::Query { realtime_start: start, ..query(FRED_API_KEY, "DGS10") };
    let (status, text) = body(fred::observations(1, &daily, true));
    assert!(status == 400 && text.contains("exceeds the maximum number of vintage dates allowed (2000)"), "{text}");
}

#[tokio::test]
async fn a_chart_that_was_drawn_before_is_the_one_that_is_answered_for_all_of_its_days() {
    let simulator = Simulator::start(Config { symbols: 4, years: 1, seed: 1 }).await.unwrap();
    assert_eq!(simulator.symbols(), ["SIM000", "SIM.L", "SIM-USD", "SIM003"]);
    let bars = simulator.draw_chart("SIM003");
    let ask = async |query: &str| -> String {
        let path = format!("/v8/finance/chart/SIM003?interval=1d{query}");
        client::get(&simulator.url("yahoo"), &path).await.text().to_owned()
    };
    let all = ask("").await;
    let answer: serde_json::Value = serde_json::from_str(&all).unwrap();
    let closes = &answer["chart"]["result"][0]["indicators"]["quote"][0]["close"];
    assert_eq!(closes.as_array().unwrap().iter().filter(|close| !close.is_null()).count(), bars);
    let days = simulator.days().map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp());
    assert_eq!(ask(&format!("&period1={}&period2={}", days[0], days[1] + 86_400)).await, all);
    assert_ne!(ask(&format!("&period1={}", days[1])).await, all);
    assert_eq!(simulator.draw_chart("SIM004"), 0);
}

#[test]
fn options_are_on_shares_and_expire_on_the_dates_that_are_named() {
    let config = Config { symbols: 4, years: 1, seed: 1 };
    let ask = |symbol, date| -> serde_json::Value {
        let answer: serde_json::Value = serde_json::from_str(&body(yahoo::options(&config, symbol, date)).1).unwrap();
        answer["optionChain"]["result"].clone()
    };
    let chain = ask("SIM000", None);
    let dates: Vec<i64> =
        chain[0]["expirationDates"].as_array().unwrap().iter().filter_map(serde_json::Value::as_i64).collect();
    assert_eq!(chain[0]["options"][0]["expirationDate"], dates[0]);
    let second = ask("SIM000", Some(dates[1]));
    let calls = second[0]["options"][0]["calls"].as_array().unwrap();
    assert!(calls.len() > 10 && calls.iter().all(|call| call["expiration"] == dates[1]));
    assert_eq!(ask("SIM000", Some(0))[0]["options"][0]["calls"], serde_json::json!([]));
    assert_eq!(ask("SIM-USD", None)[0]["options"], serde_json::json!([]));
    assert_eq!(ask("NOSUCH", None), serde_json::json!([]));
}

#[test]
fn a_page_of_observations_is_a_part_of_all_of_them() {
    let all: serde_json::Value =
        serde_json::from_str(&body(fred::observations(1, &query(FRED_API_KEY, "GDP"), true)).1).unwrap();
    let part = fred::Query { limit: Some("10".to_owned()), offset: Some("5".to_owned()), ..query(FRED_API_KEY, "GDP") };
    let part: serde_json::Value = serde_json::from_str(&body(fred::observations(1, &part, true)).1).unwrap();
    assert_eq!(part["observations"].as_array().unwrap(), &all["observations"].as_array().unwrap()[5..15]);
    assert_eq!(part["count"], all["count"]);
    assert_eq!(all["observations"][0]["value"], ".");
}

#[test]
fn before_its_correction_one_day_of_vix_has_another_close_and_the_file_ends_the_day_after() {
    let lines = |is_corrected| -> Vec<String> {
        let (_, text) = body(cboe::history(1, "VIX_History.csv", is_corrected));
        text.lines().map(str::to_owned).collect()
    };
    let (before, after) = (lines(false), lines(true));
    assert!(before.last().unwrap().starts_with("12/16/2025,") && after.last().unwrap().starts_with("12/31/2025,"));
    let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(matches!(differ[..], [(before, _)] if before.starts_with("12/15/2025,")), "{differ:?}");
}

#[test]
fn before_its_last_release_gdp_has_the_value_of_the_release_before() {
    let rows = |window: Option<&str>, is_corrected: bool| -> Vec<serde_json::Value> {
        let query = fred::Query { realtime_start: window.map(str::to_owned), ..query(FRED_API_KEY, "GDP") };
        let answer: serde_json::Value =
            serde_json::from_str(&body(fred::observations(1, &query, is_corrected)).1).unwrap();
        answer["observations"].as_array().unwrap().clone()
    };
    let of = |rows: &[serde_json::Value]| -> Vec<[String; 3]> {
        let quarter = rows.iter().filter(|row| row["date"] == "2025-07-01");
        quarter.map(|row| ["realtime_start", "realtime_end", "value"].map(|name| row[name].to_string())).collect()
    };
    let [before, after] = [false, true].map(|is_corrected| of(&rows(Some("1776-07-04"), is_corrected)));
    assert_eq!((before.len(), after.len()), (2, 3));
    assert_eq!((&before[1][0], &before[1][2]), (&after[1][0], &after[1][2]));
    assert_eq!((before[1][1].as_str(), after[1][1].as_str()), ("\"9999-12-31\"", "\"2025-12-25\""));
    let [now_before, now_after] = [false, true].map(|is_corrected| of(&rows(None, is_corrected)));
    assert_eq!((&now_before[0][2], &now_after[0][2]), (&before[1][2], &after[2][2]));
}
