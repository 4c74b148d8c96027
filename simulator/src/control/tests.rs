use super::*;
use crate::Simulator;
use crate::client::{Answer, get};
use crate::tests::{at, date};

async fn started() -> Simulator {
    Simulator::start(Config { symbols: 3, years: 1, seed: 7 }).await.unwrap()
}

const KEY: &str = "api_token=simulatedsimulatedsimulated00000&apikey=simulatedsimulatedsimulated00000&\
    api_key=simulatedsimulatedsimulated00000&fmt=json&file_type=json";

async fn ask(simulator: &Simulator, source: &str) -> Answer {
    let path = match source {
        "cboe" => "/api/global/delayed_quotes/options/SIM.json",
        "eodhd" => "/eod/SIMA.US",
        "fmp" => "/stable/historical-price-eod/full?symbol=ACME",
        "fred" => "/fred/series?series_id=GDP",
        "newsapi" => "/v2/everything?q=inflation&pageSize=100",
        _ => "/v8/finance/chart/SIM000?interval=1d",
    };
    let mark = if path.contains('?') { '&' } else { '?' };
    get(&simulator.url(source), &format!("{path}{mark}{KEY}")).await
}

#[tokio::test]
async fn a_limit_holds_for_any_window_of_the_clock() {
    let simulator = started().await;
    let control = simulator.control();
    control.set_now(at("2025-03-03T10:00:00Z"));
    control.limit("fred", 2, Duration::from_secs(60));
    assert_eq!(ask(&simulator, "fred").await.status(), 200);
    control.set_now(at("2025-03-03T10:00:40Z"));
    assert_eq!(ask(&simulator, "fred").await.status(), 200);
    let refused = ask(&simulator, "fred").await;
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("20")));
    assert_eq!(refused.text(), r#"{"error_code":429,"error_message":"Too Many Requests.  Exceeded Rate Limit"}"#);
    // What was refused counts for nothing, and the second call is in the window still.
    control.set_now(at("2025-03-03T10:01:00Z"));
    assert_eq!(ask(&simulator, "fred").await.status(), 200);
    assert_eq!(ask(&simulator, "fred").await.header("retry-after"), Some("40"));
    assert_eq!((control.calls("fred"), control.refused("fred"), control.calls("cboe")), (3, 2, 0));
    control.lift("fred");
    assert_eq!(ask(&simulator, "fred").await.status(), 200);
}

#[tokio::test]
async fn who_asks_too_often_is_told_in_the_providers_own_words() {
    let simulator = started().await;
    for (source, words) in [
        ("cboe", "<title>Too Many Requests</title>"),
        ("eodhd", r#"{"error":"API rate limit exceeded"}"#),
        ("fmp", "Too Many Requests, you have reached the limit rate per millisecond"),
        ("newsapi", r#""code":"rateLimited""#),
        ("yahoo", "Edge: Too Many Requests"),
    ] {
        simulator.control().limit(source, 1, Duration::from_secs(3600));
        assert_eq!(ask(&simulator, source).await.status(), 200, "{source}");
        let refused = ask(&simulator, source).await;
        assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("3600")), "{source}");
        assert!(refused.text().contains(words), "{source}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_day_of_the_clock_has_so_many_calls_and_the_next_has_them_again() {
    let simulator = started().await;
    let control = simulator.control();
    for (source, status, words) in [
        ("newsapi", 429, "rateLimited"),
        ("eodhd", 402, "You exceeded your daily API requests limit"),
        ("fmp", 429, r#"{"Error Message":"Limit Reach . "#),
    ] {
        control.quota(source, 2);
        for day in ["2025-03-03", "2025-03-04"] {
            control.set_now(at(&format!("{day}T23:59:59Z")));
            let mut statuses = Vec::new();
            for _ in 0..4 {
                statuses.push(ask(&simulator, source).await.status());
            }
            assert_eq!(statuses, [200, 200, status, status], "{source}");
            let counts = (control.calls_on(source, date(day)), control.refused_on(source, date(day)));
            assert_eq!(counts, (2, 2), "{source}");
        }
        assert!(ask(&simulator, source).await.text().contains(words), "{source}");
    }
    // A page of news counts for ten there.
    control.quota("eodhd", 25);
    control.set_now(at("2025-03-05T00:00:00Z"));
    let news = format!("/news?s=SIMA.US&{KEY}");
    let url = simulator.url("eodhd");
    let statuses = [get(&url, &news).await.status(), get(&url, &news).await.status(), get(&url, &news).await.status()];
    assert_eq!((statuses, ask(&simulator, "eodhd").await.status()), ([200, 200, 402], 200));
}

#[tokio::test]
async fn an_outage_lasts_until_it_ends_and_is_of_one_source() {
    let simulator = started().await;
    let control = simulator.control();
    control.outage("yahoo", Some(Outage::Status(502)));
    assert_eq!(ask(&simulator, "yahoo").await.status(), 502);
    assert_eq!(ask(&simulator, "cboe").await.status(), 200);
    let retry_after = "Wed, 01 Jan 2025 00:00:00 GMT".to_owned();
    control.outage("yahoo", Some(Outage::Unavailable { retry_after: retry_after.clone() }));
    let answer = ask(&simulator, "yahoo").await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some(retry_after.as_str())));
    control.outage("yahoo", Some(Outage::Reset));
    let answer = ask(&simulator, "yahoo").await;
    assert_eq!((answer.head.as_str(), answer.body.len()), ("", 0));
    control.outage("yahoo", Some(Outage::TooMany(90)));
    let answer = ask(&simulator, "yahoo").await;
    assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("90")));
    control.outage("yahoo", None);
    assert_eq!(ask(&simulator, "yahoo").await.status(), 200);
    assert_eq!((control.calls("yahoo"), control.refused("yahoo")), (1, 4));
}

#[tokio::test]
async fn a_planned_outage_begins_and_ends_by_the_clock_that_is_followed() {
    let simulator = started().await;
    let (control, clock) = (simulator.control(), Arc::new(Mutex::new(at("2025-03-03T09:59:59Z"))));
    let followed = Arc::clone(&clock);
    control.follow(move || *followed.lock().unwrap());
    let hour = at("2025-03-03T10:00:00Z")..at("2025-03-03T11:00:00Z");
    control.outage_between("yahoo", hour, Outage::Status(502));
    let mut statuses = Vec::new();
    for now in ["2025-03-03T09:59:59Z", "2025-03-03T10:00:00Z", "2025-03-03T10:59:59Z", "2025-03-03T11:00:00Z"] {
        *clock.lock().unwrap() = at(now);
        assert_eq!(control.now(), Some(at(now)));
        statuses.push(ask(&simulator, "yahoo").await.status());
    }
    assert_eq!(statuses, [200, 502, 502, 200]);
}

#[tokio::test]
async fn with_a_clock_yahoos_chart_is_what_it_was_then() {
    let simulator = started().await;
    let control = simulator.control();
    let last = async |more: &str| {
        let path = format!("/v8/finance/chart/SIM000?interval=1d{more}");
        let chart = get(&simulator.url("yahoo"), &path).await.json();
        let times = chart["chart"]["result"][0]["timestamp"].as_array().unwrap().clone();
        (times.len(), DateTime::from_timestamp(times[times.len() - 1].as_i64().unwrap(), 0).unwrap().date_naive())
    };
    assert_eq!((control.now(), last("").await), (None, (259, date("2025-12-31"))));
    // A week of March.
    let week = "&period1=1740960000&period2=1741392000";
    assert_eq!(last(week).await, (5, date("2025-03-07")));
    assert!(control.shown().is_empty());
    control.set_now(at("2025-03-05T22:00:00Z"));
    assert_eq!(last(week).await, (3, date("2025-03-05")));
    assert_eq!(last("&range=10y").await.1, date("2025-03-05"));
    control.drop_day("SIM000", date("2025-03-05"), Some(at("2025-03-06T12:00:00Z")));
    assert_eq!(last(week).await, (2, date("2025-03-04")));
    control.set_now(at("2025-03-06T12:00:00Z"));
    control.restate("SIM000", date("2025-03-03"), at("2025-03-06T00:00:00Z"), 1.1);
    assert_eq!(last(week).await, (3, date("2025-03-05")));
    let of_day = |day| control.shown().iter().filter(|shown| shown.date == date(day)).count();
    assert_eq!((of_day("2025-03-03"), of_day("2025-03-04"), of_day("2025-03-06")), (2, 1, 0));
}

#[tokio::test]
async fn articles_move_to_later_pages_while_these_are_read() {
    let simulator = started().await;
    let page = async |page: usize| {
        let path = format!("/v2/everything?q=inflation&pageSize=100&page={page}");
        get(&simulator.url("newsapi"), &path).await
    };
    let urls = |answer: &Answer| -> Vec<String> {
        let articles = answer.json()["articles"].as_array().unwrap().clone();
        articles.iter().map(|article| article["url"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(page(2).await.status(), 426);
    let before = urls(&page(1).await);
    simulator.control().shift("newsapi", 5);
    let (first, second, third) = (page(1).await, page(2).await, page(3).await);
    assert_eq!(urls(&first), before);
    assert_eq!(urls(&second)[..5], urls(&first)[95..]);
    assert_eq!(urls(&third)[..5], urls(&second)[95..]);
    assert_eq!(third.json()["totalResults"], 250);
    let top = urls(&page(1).await);
    assert!(top[..15].iter().all(|url| !before.contains(url)) && top[15..] == before[..85]);
}
