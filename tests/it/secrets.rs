//! If a provider repeats our key, in any kind of response, the key appears nowhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::response::Response;
use kafka::offsets::ranges;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use sources::SOURCES;
use sources::source::{Auth, Source};
use tests::broker::{Bench, benches};
use tests::oracle::plain_consumer;
use tests::process::{Environment, Running, command, run, until};
use tokio::runtime::Runtime;

/// A part of every key, cookie and crumb that no encoding changes.
pub(crate) const CANARY: &str = "canary7pl4nted";
/// An unusual key, which looks different in an address than in a header.
const KEY: &str = "a+canary7pl4nted/b=c";

/// Items of each endpoint.
const ITEMS: usize = 7;
/// Requests after which a provider has repeated the key in every way.
const ANSWERS: usize = 12;
/// Runs after which every provider must have done so: a run ends when a provider calls the key wrong.
const MOST_RUNS: usize = 12;

/// A provider of every source that repeats the whole request with its headers wherever it can: in rows, errors, pages
/// and addresses.
struct Echo {
    url: String,
    /// Requests by source.
    asked: Arc<Mutex<HashMap<String, usize>>>,
    /// True if it refuses everything.
    refuses: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl Echo {
    fn start() -> Echo {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let refuses = Arc::<AtomicBool>::default();
        let (counted, refused) = (Arc::clone(&asked), Arc::clone(&refuses));
        let router = Router::new().fallback(move |request: Request| {
            let source = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
            let number = {
                let mut asked = counted.lock().unwrap();
                let count = asked.entry(source.clone()).or_default();
                *count += 1;
                *count - 1
            };
            let number = if refused.load(Ordering::Relaxed) { None } else { Some(number) };
            let reply = reply(&source, number, &request);
            async move { reply }
        });
        runtime.spawn(async { axum::serve(listener, router).await });
        Echo { url, asked, refuses, _runtime: runtime }
    }

    /// True if each source got every kind of response.
    fn has_repeated_all(&self, names: &[&str]) -> bool {
        let asked = self.asked.lock().unwrap();
        names.iter().all(|name| asked.get(*name).is_some_and(|count| *count >= ANSWERS))
    }
}

/// The request on one line that fits into JSON.
fn repeated(request: &Request) -> String {
    let headers = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    format!("{} {}", request.uri(), headers.collect::<Vec<_>>().join(" ")).replace('"', "'")
}

fn reply(source: &str, number: Option<usize>, request: &Request) -> Response {
    let said = repeated(request);
    let answer = |status: u16, body: String| {
        Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(body)).unwrap()
    };
    let path = request.uri().path();
    if path.ends_with("/cookie/") {
        let mut response = answer(404, said);
        response.headers_mut().insert(SET_COOKIE, format!("A3={CANARY}").parse().unwrap());
        return response;
    }
    if path.ends_with("/getcrumb") {
        return answer(200, format!("{CANARY}.crumb"));
    }
    let error = |status| {
        answer(
            status,
            format!(
                "{{\"error_code\":{status},\"code\":\"x\",\"status\":\"error\",\"error_message\":\"{said}\",\
        \"message\":\"{said}\",\"Error Message\":\"{said}\",\"error\":\"{said}\"}}"
            ),
        )
    };
    match number {
        None => error(403),
        Some(1) => error(400),
        Some(2) => error(500),
        Some(4) => {
            let mut response = error(429);
            response.headers_mut().insert(RETRY_AFTER, "1".parse().unwrap());
            response
        }
        Some(6) => answer(200, format!("<html><body>{said}</body></html>")),
        Some(8) => {
            let mut response = answer(302, said.clone());
            response.headers_mut().insert(LOCATION, request.uri().to_string().parse().unwrap());
            response
        }
        Some(10) => answer(200, format!("{{\"cut off\": \"{said}")),
        Some(_) => answer(200, rows(source, &said)),
    }
}

/// A response with a valid and an invalid row; if the provider has texts, both repeat the request.
fn rows(source: &str, said: &str) -> String {
    let good = json!({ "symbol": "S0", "date": "2026-01-05", "open": 1, "high": 1, "low": 1, "close": 1,
        "adjusted_close": 1, "volume": 1, "value": "1" });
    let mut bad = good.clone();
    bad["date"] = said.into();
    let article = |url: &str, at: &str| {
        json!({ "source": { "id": null, "name": "x" }, "title": said, "description": said, "url": url,
            "publishedAt": at, "content": said })
    };
    let answer = match source {
        "fred" => json!({ "observations": [good, bad] }),
        "newsapi" => {
            let articles = [article("https://example.org/1", "2026-11-20T12:00:00Z"), article("no address", said)];
            json!({ "status": "ok", "totalResults": 2, "articles": articles })
        }
        "yahoo" => json!({ "optionChain": { "result": [], "error": null, "said": said } }),
        _ => json!([good, bad]),
    };
    answer.to_string()
}

/// Sources that need a secret.
fn sources() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|source| matches!(source.auth, Auth::Query { .. } | Auth::Header { .. } | Auth::Crumb { .. }))
}

fn watchlist() -> String {
    let items = |name: &str| -> Vec<String> {
        let item = |at| match name {
            "eodhd" => format!("S{at}.US"),
            _ => format!("S{at}"),
        };
        (0..ITEMS).map(item).collect()
    };
    let endpoint = |name: &str| match name {
        "eodhd" => "eod",
        "fmp" => "eod_prices",
        "fred" => "observations",
        "newsapi" => "everything",
        "yahoo" => "options",
        other => panic!("`{other}` wants a secret and is not tested"),
    };
    sources()
        .map(|source| format!("[{}]\n{} = {:?}\n", source.name, endpoint(source.name), items(source.name)))
        .collect()
}

fn environment(bench: &Bench, echo: &Echo, key_file: &Path) -> Environment {
    let mut environment = bench.environment.clone();
    let watchlist_file = bench.folder.path().join("watchlist.toml");
    std::fs::write(&watchlist_file, watchlist()).unwrap();
    environment.insert("TAPEDECK_WATCHLIST", watchlist_file.display().to_string());
    environment.insert("TAPEDECK_LOG", "trace".to_owned());
    for source in sources() {
        environment.insert(source.base_url_env, format!("{}/{}", echo.url, source.name));
        if let Auth::Crumb { cookie, .. } = source.auth {
            environment.insert(cookie.env, format!("{}/{}/cookie", echo.url, source.name));
        }
        match source.key_variable() {
            // One secret comes from a file.
            Some(variable) if source.name == "fred" => {
                std::fs::write(key_file, format!("{KEY}\n")).unwrap();
                environment.insert("FRED_API_KEY_FILE", key_file.display().to_string());
                assert_eq!(variable.name, "FRED_API_KEY");
            }
            Some(variable) => {
                environment.insert(variable.name, KEY.to_owned());
            }
            None => {}
        }
    }
    environment
}

/// Every byte on the topics of a namespace.
pub(crate) fn on_topics(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let consumer: BaseConsumer = plain_consumer(&bench.brokers, "test-secrets");
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(30)).unwrap();
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    let mut topics = BTreeMap::new();
    for name in names.filter(|name| name.starts_with(&bench.namespace)) {
        let mut left = ranges(&consumer, &name).unwrap();
        left.retain(|_, (low, high)| low < high);
        let mut list = TopicPartitionList::new();
        for partition in left.keys() {
            list.add_partition_offset(&name, *partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut bytes = Vec::new();
        while !left.is_empty() {
            let message = consumer.poll(Duration::from_secs(30)).expect("the topic has more").unwrap();
            bytes.extend_from_slice(message.key().unwrap_or_default());
            bytes.extend_from_slice(message.payload().unwrap_or_default());
            for header in message.headers().iter().flat_map(|headers| headers.iter()) {
                bytes.extend_from_slice(header.value.unwrap_or_default());
            }
            if message.offset() + 1 >= left[&message.partition()].1 {
                left.remove(&message.partition());
            }
        }
        topics.insert(name, bytes);
    }
    topics
}

pub(crate) fn holds(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

#[test]
fn a_key_that_a_provider_repeats_is_in_no_log_error_metric_topic_or_state_file() {
    for (name, bench) in benches() {
        let (echo, key_file) = (Echo::start(), bench.folder.path().join("fred.key"));
        let environment = environment(&bench, &echo, &key_file);
        let mut shown: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let names: Vec<&str> = sources().map(|source| source.name).collect();
        let mut runs = 0;
        while !echo.has_repeated_all(&names) {
            let output = run("producer", &[&["run", "--once", "--progress"][..], &names].concat(), &environment);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            runs += 1;
            assert!(runs <= MOST_RUNS, "on {name} providers were asked {:?}: {said}", echo.asked.lock().unwrap());
            shown.insert(format!("run {runs}"), [output.stdout, output.stderr].concat());
        }
        let days = ["--item", "S0", "--from", "2026-01-05", "--to", "2026-01-09"];
        let commands = [
            [&["backfill", "fmp", "eod_prices"][..], &days].concat(),
            vec!["list"],
            vec!["plan"],
            vec!["status"],
            vec!["gaps", "--all"],
        ];
        for arguments in commands {
            let output = run("producer", &arguments, &environment);
            shown.insert(format!("{arguments:?}"), [output.stdout, output.stderr].concat());
        }
        echo.refuses.store(true, Ordering::Relaxed);
        shown.extend(daemon(&bench, &environment, &names));
        let topics = on_topics(&bench);
        let letters = &topics[&bench.topic("dead_letter")];
        assert!(letters.windows(3).any(|window| window == b"***"), "on {name} no dead letter holds what was repeated");
        shown.extend(topics);
        for folder in ["state", "state of the daemon"] {
            for file in std::fs::read_dir(bench.folder.path().join(folder)).unwrap() {
                let path = file.unwrap().path();
                shown.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
        for (what, bytes) in &shown {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().find(|line| line.contains(CANARY)).unwrap_or_default();
            assert!(!holds(bytes), "on {name} the key is in {what}: {line}");
        }
        assert!(holds(&std::fs::read(&key_file).unwrap()), "what is looked for is found where it is");
    }
}

/// Log and metrics of a daemon while its providers refuse everything.
fn daemon(bench: &Bench, environment: &Environment, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let (log, health) = (bench.folder.path().join("log"), bench.folder.path().join("health"));
    let mut environment = environment.clone();
    environment.insert("TAPEDECK_HEALTH_FILE", health.display().to_string());
    // Without state, everything is due.
    environment.insert("TAPEDECK_STATE_DIR", bench.folder.path().join("state of the daemon").display().to_string());
    let mut command = command("producer", &[&["run"][..], names].concat(), &environment);
    command.stderr(std::fs::File::create(&log).unwrap());
    let _daemon = Running::start(command);
    until("every source has said why it was refused", || {
        let said = std::fs::read_to_string(&log).unwrap();
        let is_refused = |name: &&str| said.lines().any(|line| line.contains("HTTP 403") && line.contains(*name));
        names.iter().all(is_refused)
    });
    let address = std::fs::read_to_string(&health).unwrap();
    let page = |path: &str| {
        let page = crate::health::get(address.trim().trim_start_matches("http://"), path);
        (path.to_owned(), page.1.into_bytes())
    };
    vec![page("/metrics"), page("/readyz"), page("/livez"), ("log".to_owned(), std::fs::read(&log).unwrap())]
}
