//! The loop: every item of every endpoint of a source, round after round.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use contract::{Dataset, dataset};
use kafka::Cluster;
use service::health::Health;
use service::telemetry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::agenda::{self, Agenda};
use crate::asker::{Asked, Asker};
use crate::clock::Clock;
use crate::deliver::{Delivery, PAGES_AHEAD};
use crate::fetch::{Class, Fetcher};
use crate::meters::{Meters, SourceMeters};
use crate::plan;
use crate::progress::Progress;
use crate::publish::Publisher;
use crate::source::Source;
use crate::state::State;
use crate::tail;
use crate::tally::Tally;
use crate::watchlist::Watchlist;

/// Time from one look at what is missing to the next.
const REPAIRS_INTERVAL: TimeDelta = TimeDelta::minutes(15);
/// Longest sleep of a daemon: missing days are looked after, and a clock that was set is noticed.
const LONGEST_SLEEP: TimeDelta = TimeDelta::hours(1);
/// First and longest wait for a Kafka that cannot be reached.
pub(crate) const KAFKA_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How long to poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One round of everything.
    Once,
    /// Until the shutdown.
    Daemon,
}

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct Run {
    /// What to poll.
    pub watchlist: Watchlist,
    /// Where to publish.
    pub cluster: Cluster,
    /// How long.
    pub mode: Mode,
    /// What to tell.
    pub progress: Progress,
    /// Cancelled to end the run.
    pub shutdown: CancellationToken,
    /// What is measured of it.
    pub meters: Meters,
    /// Where is kept what those after it must know; None: nowhere.
    pub state_dir: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
}

impl Run {
    /// One that tells nobody anything, keeps nothing and goes by the system's clock, until it is told otherwise.
    pub fn new(watchlist: Watchlist, cluster: Cluster, mode: Mode) -> Run {
        Run {
            watchlist,
            cluster,
            mode,
            progress: Progress::Silent,
            shutdown: CancellationToken::new(),
            meters: Meters::new(&Health::new()),
            state_dir: None,
            clock: Clock::default(),
        }
    }
}

/// How a run ended; what went wrong has been logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was asked for was published, or skipped because the provider does not have it.
    Complete,
    /// A source was stopped, or items were given up.
    Incomplete,
}

/// Polls sources side by side, each in its own task: one that is stopped does not stop the others.
///
/// A source that cannot be asked, for want of a key, is one that is stopped.
pub async fn run(sources: Vec<(&'static Source, anyhow::Result<Fetcher>)>, run: Run) -> Ending {
    let mut tasks = JoinSet::new();
    for (source, fetcher) in sources {
        tasks.spawn(poll(source, fetcher, run.clone()));
    }
    let mut ending = Ending::Complete;
    while let Some(outcome) = tasks.join_next().await {
        let complete = outcome.unwrap_or_else(|error| {
            error!(%error, "a source's task failed");
            Ending::Incomplete
        });
        if complete == Ending::Incomplete {
            ending = Ending::Incomplete;
        }
    }
    ending
}

/// Why a source is no longer polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The run is over.
    Shutdown,
    /// The source can give nothing more.
    Source(String),
    /// Nothing can be published: no source can go on.
    Kafka(String),
}

async fn poll(source: &'static Source, fetcher: anyhow::Result<Fetcher>, run: Run) -> Ending {
    let mut tally = Tally::default();
    let meters = run.meters.source(source);
    let outcome = run.meters.beating(source, poll_source(source, fetcher, &run, &meters, &mut tally)).await;
    let reason = match outcome {
        Ok(()) | Err(Stop::Shutdown) => return tally.ending(run.mode),
        Err(Stop::Source(reason)) => reason,
        Err(Stop::Kafka(reason)) => {
            run.shutdown.cancel();
            reason
        }
    };
    error!(source = source.name, "stopped: {reason}");
    meters.stopped(&reason);
    run.progress.tell(&tally.round_done(source, Some(&reason)));
    Ending::Incomplete
}

async fn poll_source(
    source: &'static Source,
    fetcher: anyhow::Result<Fetcher>,
    run: &Run,
    meters: &SourceMeters,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let stopped = |error: anyhow::Error| Stop::Source(telemetry::one_line(&error));
    let mut fetcher = fetcher.map_err(stopped)?;
    if source.endpoints.iter().all(|endpoint| run.watchlist.items(source, endpoint).is_empty()) {
        return Err(Stop::Source(format!("the watchlist names nothing to poll from `{}`", source.name)));
    }
    let state = Arc::new(open(source, run).await.map_err(stopped)?);
    fetcher.attach(Arc::clone(&state), run.clock.clone());
    let publisher = connect(source, run, meters).await?;
    let alone = run.shutdown.run_until_cancelled(state.alone()).await.ok_or(Stop::Shutdown)?;
    let tail = tail::resume(source, run, &publisher, &state).await?;
    drop(alone);
    let delivery = Delivery::new(source, run, publisher, meters, tally, &state, tail);
    let poller = Poller { asker: Asker { source, run, fetcher, meters, state: &state }, delivery };
    poller.rounds().await
}

/// What was kept by those before, or what ends with this process.
pub(crate) async fn open(source: &'static Source, run: &Run) -> anyhow::Result<State> {
    match &run.state_dir {
        Some(folder) => State::open(folder, source.name).await,
        None => State::in_memory(source.name).await,
    }
}

/// Connects to Kafka; a daemon waits for it.
pub(crate) async fn connect(source: &Source, run: &Run, meters: &SourceMeters) -> Result<Publisher, Stop> {
    let datasets = datasets(source);
    let role = format!("producer-{}", source.name);
    let mut wait = KAFKA_WAITS[0];
    loop {
        let reason = match Publisher::connect(&run.cluster, &role, &datasets).await {
            Ok(publisher) => return Ok(publisher),
            Err(error) => error.to_string(),
        };
        meters.not_delivered(&reason);
        if run.mode == Mode::Once {
            return Err(Stop::Kafka(reason));
        }
        warn!(source = source.name, ?wait, "waiting for Kafka: {reason}");
        wait = pause(run, wait).await?;
    }
}

/// Waits, and gives the next wait.
pub(crate) async fn pause(run: &Run, wait: Duration) -> Result<Duration, Stop> {
    run.shutdown.run_until_cancelled(sleep(wait)).await.ok_or(Stop::Shutdown)?;
    Ok((wait * 2).min(KAFKA_WAITS[1]))
}

/// The datasets that a source publishes, those of every source included.
fn datasets(source: &Source) -> Vec<&'static Dataset> {
    let names = source.endpoints.iter().flat_map(|endpoint| endpoint.datasets).chain(&["dead_letter", "fetch_log"]);
    let mut datasets: Vec<&'static Dataset> = names.filter_map(|name| dataset(name)).collect();
    datasets.sort_by_key(|dataset| dataset.schema_id);
    datasets.dedup_by_key(|dataset| dataset.schema_id);
    datasets
}

/// The poller of one source: asking and delivering go on side by side, so that neither waits for the other.
pub(crate) struct Poller<'a> {
    pub(crate) asker: Asker<'a>,
    pub(crate) delivery: Delivery<'a>,
}

impl Poller<'_> {
    async fn rounds(mut self) -> Result<(), Stop> {
        let Asker { source, run, state, .. } = self.asker;
        let kept = |error: anyhow::Error| Stop::Source(format!("its state cannot be read: {error:#}"));
        let now = run.clock.now();
        let standings = state.standings().await.map_err(kept)?;
        self.delivery.alarm.resume(&run.watchlist, &standings);
        let mut agenda = Agenda::new(source, &run.watchlist, &standings, now);
        if run.mode == Mode::Once {
            return self.round_alone(agenda.all().into_iter().map(Asked::live).collect()).await;
        }
        let (mut planned, mut repaired) = (None, None);
        loop {
            let now = run.clock.now();
            let today = now.date_naive();
            if let Some(budget) = self.asker.fetcher.budget().filter(|_| planned != Some(today)) {
                budget.plan(plan::calls_of_day(source, &run.watchlist, today));
                planned = Some(today);
            }
            let due = agenda.due(now);
            if !due.is_empty() {
                self.round_alone(due.into_iter().map(Asked::live).collect()).await?;
                let ended = std::mem::take(&mut self.delivery.ended);
                agenda.note(&ended, run.clock.now(), self.asker.fetcher.no_use_for(Class::Live));
            }
            let is_of_use = self.asker.fetcher.no_use_for(Class::Repair).is_zero();
            if is_of_use && repaired.is_none_or(|repaired| now >= repaired + REPAIRS_INTERVAL) {
                let gaps = state.gaps(None).await.map_err(kept)?;
                let repairs = agenda::repairs(source, &run.watchlist, &gaps, run.clock.now());
                if !repairs.is_empty() {
                    self.round_alone(repairs.into_iter().map(Asked::repair).collect()).await?;
                    self.delivery.ended.clear();
                }
                repaired = Some(now);
            }
            let longest = run.clock.now() + LONGEST_SLEEP;
            let next = agenda.next().map_or(longest, |next| next.min(longest));
            let wait = (next - run.clock.now()).to_std().unwrap_or_default();
            run.shutdown.run_until_cancelled(run.clock.sleep(wait)).await.ok_or(Stop::Shutdown)?;
        }
    }

    /// Asks once for each of these while no other process polls the source, going on from what those have published.
    async fn round_alone(&mut self, asked: Vec<Asked<'_>>) -> Result<(), Stop> {
        let Asker { source, run, state, .. } = self.asker;
        let _alone = run.shutdown.run_until_cancelled(state.alone()).await.ok_or(Stop::Shutdown)?;
        match state.tail().await {
            Ok(tail) => self.delivery.tail = tail,
            Err(error) => warn!(source = source.name, "some records may be published again: {error:#}"),
        }
        self.round(asked).await
    }

    /// Asks once for each of these.
    pub(crate) async fn round(&mut self, asked: Vec<Asked<'_>>) -> Result<(), Stop> {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        let (outcome, delivered) =
            tokio::join!(self.asker.ask_all(&asked, sender), self.delivery.deliver_all(asked.len(), receiver));
        delivered?;
        outcome?;
        self.delivery.round_done(asked.len());
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use contract::{Decoder, Rows, codec, topic};
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::message::Message as _;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{Offset, TopicPartitionList};
    use service::secret::Secret;
    use simulator::{Config, Simulator};
    use tokio::time::Instant;

    use super::*;
    use crate::ask::ONCE;
    use crate::fetch::LIMITS;
    use crate::source::source;
    use crate::stub::{Stub, response};

    pub(crate) type Mock = MockCluster<'static, DefaultProducerContext>;

    pub(crate) fn kafka() -> Mock {
        let mock = MockCluster::new(1).unwrap();
        for dataset in contract::datasets() {
            mock.create_topic(&topic::topic("test", dataset), 2, 1).unwrap();
        }
        mock
    }

    /// Number of messages on a dataset's topic.
    pub(crate) fn messages(mock: &Mock, name: &str) -> i64 {
        let consumer: BaseConsumer =
            Cluster::new(&mock.bootstrap_servers(), "test").client_config("reader").create().unwrap();
        let topic = topic::topic("test", dataset(name).unwrap());
        let end = |partition| consumer.fetch_watermarks(&topic, partition, Duration::from_secs(10)).unwrap().1;
        (0..2).map(end).sum()
    }

    pub(crate) fn once(mock: &Mock, watchlist: &str) -> Run {
        let cluster = Cluster::new(&mock.bootstrap_servers(), "test");
        Run::new(Watchlist::parse(watchlist).unwrap(), cluster, Mode::Once)
    }

    pub(crate) fn asking(name: &str, base: &str) -> (&'static Source, anyhow::Result<Fetcher>) {
        let source = source(name).unwrap();
        let key = source.key_variable().map(|_| Secret::new(Simulator::key(name).to_owned()));
        (source, Fetcher::new(source, base, key, LIMITS))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_the_providers_have_is_published_and_what_cannot_be_read_is_kept() {
        let mock = kafka();
        let simulator = Simulator::start(Config { symbols: 3, years: 1, seed: 7 }).await.unwrap();
        let sources = ["cboe", "fred", "ici", "yahoo"].map(|name| asking(name, &simulator.url(name)));
        let ending = run(sources.into(), once(&mock, &simulator.watchlist_toml())).await;
        assert_eq!(ending, Ending::Complete);
        // 9,341 days of VIX but for the garbled one, and of SKEW; 259 trading days twice and 365 days, less three halts each.
        assert_eq!(messages(&mock, "ohlcv_bar"), 9340 + 9341 + 2 * (259 - 3) + (365 - 3));
        assert_eq!(messages(&mock, "dead_letter"), 1);
        assert_eq!(messages(&mock, "series"), 6);
        // Two underlyings with 180 contracts each, and two shares with calls and puts at 31 strikes.
        assert_eq!(messages(&mock, "option_quote"), 2 * 180 + 2 * 2 * 31);
        // 36 months and 53 weeks of eight or nine categories.
        assert_eq!(messages(&mock, "etf_flow"), 89 * (9 + 9 + 8));
        assert!(messages(&mock, "observation") > 20_000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_source_without_its_key_does_not_stop_the_others() {
        let mock = kafka();
        let fred = source("fred").unwrap();
        let keyless = (fred, Fetcher::new(fred, fred.base_url, None, LIMITS));
        let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
        let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]\n[fred]\nseries = [\"GDP\"]");
        assert_eq!(run(vec![keyless, asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
        assert_eq!(messages(&mock, "ohlcv_bar"), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_item_that_the_provider_does_not_have_is_no_failure() {
        let mock = kafka();
        let simulator = Simulator::start(Config { symbols: 1, years: 1, seed: 7 }).await.unwrap();
        let run_once = once(&mock, "[yahoo]\nchart = [\"NOSUCH\", \"SIM000\"]");
        assert_eq!(run(vec![asking("yahoo", &simulator.url("yahoo"))], run_once).await, Ending::Complete);
        assert_eq!(messages(&mock, "ohlcv_bar"), 259 - 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_item_that_cannot_be_had_is_a_failure_and_the_rest_goes_on() {
        let mock = kafka();
        // Five times for VIX, which has another header; then SKEW.
        let skew = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
        let stub = Stub::answering(&[skew]).await;
        let run_once = once(&mock, "[cboe]\nindex_history = [\"VIX\", \"SKEW\"]");
        assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
        assert_eq!((messages(&mock, "ohlcv_bar"), stub.requests().len()), (1, ONCE.attempts + 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_page_of_an_item_is_published() {
        let mock = kafka();
        let page = |offset: u64, date: &str| {
            let body = format!(r#"{{"count":3,"offset":{offset},"observations":[{{"date":"{date}","value":"1"}}]}}"#);
            response("200 OK", &[], body.as_bytes())
        };
        let stub = Stub::answering(&[page(0, "2024-01-01"), page(1, "2024-01-02"), page(2, "2024-01-03")]).await;
        let run_once = once(&mock, "[fred]\nobservations = [\"DGS10\"]");
        assert_eq!(run(vec![asking("fred", &stub.base)], run_once).await, Ending::Complete);
        assert_eq!(messages(&mock, "observation"), 3);
        let offsets: Vec<bool> = stub
            .requests()
            .iter()
            .enumerate()
            .map(|(page, request)| request.contains(&format!("offset={page}&")))
            .collect();
        assert_eq!(offsets, [true; 3]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_page_that_the_plan_refuses_ends_an_item_and_takes_nothing_back() {
        let mock = kafka();
        let article = |at: usize| format!(r#"{{"title":"A title","url":"https://paper.example/{at}"}}"#);
        let articles = (0..100).map(article).collect::<Vec<_>>().join(",");
        let first = format!(r#"{{"status":"ok","totalResults":240,"articles":[{articles}]}}"#);
        let limit = br#"{"status":"error","code":"maximumResultsReached","message":"Developer accounts are limited"}"#;
        let stub =
            Stub::answering(&[response("200 OK", &[], first.as_bytes()), response("426 Upgrade Required", &[], limit)])
                .await;
        let run_once = once(&mock, "[newsapi]\neverything = [\"inflation\"]");
        assert_eq!(run(vec![asking("newsapi", &stub.base)], run_once).await, Ending::Complete);
        assert_eq!(messages(&mock, "news_article"), 100);
        let requests = stub.requests();
        assert!(requests.len() == 2 && requests[1].contains("&page=2 "), "{requests:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_item_of_which_a_later_page_is_not_what_it_should_be_is_asked_for_again() {
        let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
        let page = |offset: u64| {
            let body = format!(
                r#"{{"count":2,"offset":{offset},"observations":[{{"date":"2024-01-0{}","value":"1"}}]}}"#,
                offset + 1
            );
            response("200 OK", &[], body.as_bytes())
        };
        let unknown = br#"{"error_code":400,"error_message":"Bad Request.  The series does not exist."}"#;
        // A page that is none, one that swells, and at last the one that it should be.
        let bomb = include_bytes!("../fixtures/two_megabytes_of_zeros.gz");
        let answers = [
            page(0),
            response("400 Bad Request", &[], unknown),
            page(0),
            response("200 OK", &["Content-Encoding: gzip"], bomb),
            page(0),
            page(1),
        ];
        let stub = Stub::answering(&answers).await;
        let mut known = Vec::new();
        for ending in [Ending::Complete, Ending::Incomplete, Ending::Complete] {
            let run_once = once(&mock, "[fred]\nobservations = [\"DGS10\"]");
            let run_once = Run { state_dir: Some(folder.path().to_owned()), ..run_once };
            assert_eq!(run(vec![asking("fred", &stub.base)], run_once).await, ending);
            let state = State::open(folder.path(), "fred").await.unwrap();
            known.push(state.item("observations", "DGS10").await.unwrap().latest.is_some());
        }
        assert_eq!(known, [false, false, true]);
        assert_eq!(stub.requests().len(), answers.len());
        let mut outcomes = said(&mock, "fetch_log", &["outcome"]).concat();
        outcomes.sort();
        assert_eq!(outcomes, ["answered", "given_up", "skipped"]);
    }

    /// What the messages of a dataset's topic say in these fields, in the order of the first.
    pub(crate) fn said(mock: &Mock, name: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let mut config = Cluster::new(&mock.bootstrap_servers(), "test").client_config("reader");
        let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
        let dataset = dataset(name).unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..2 {
            partitions.add_partition_offset(&topic::topic("test", dataset), partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (decoder, mut rows) = (Decoder::new(dataset, &dataset.schema).unwrap(), Rows::new(dataset));
        for _ in 0..messages(mock, name) {
            let message = consumer.poll(Duration::from_secs(10)).unwrap().unwrap();
            decoder.decode(codec::split_header(message.payload().unwrap()).unwrap().1, &mut rows).unwrap();
        }
        let value = |row: usize, field: &str| {
            let column = rows.column(dataset.position(field).unwrap());
            let number = || column.number(row).map_or("null".to_owned(), |number| number.to_string());
            column.text(row).map_or_else(number, str::to_owned)
        };
        let row = |row: usize| fields.iter().map(|field| value(row, field)).collect();
        let mut all: Vec<Vec<String>> = (0..rows.len()).map(row).collect();
        all.sort();
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_item_leaves_what_came_of_it_and_what_it_cost() {
        let mock = kafka();
        let good = b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,x\n";
        let unknown = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
        let answers = [
            response("500 Oops", &[], b"oops"),
            response("200 OK", &[], good),
            response("403 Forbidden", &[], unknown),
        ];
        let stub = Stub::answering(&answers).await;
        let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\", \"VIX\"]");
        assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Complete);
        let fields = ["item", "source", "endpoint", "outcome", "records", "rejects", "calls", "bytes"];
        // The first answer was none, and is paid for all the same.
        let [skew_bytes, vix_bytes] = [("oops".len() + good.len()), unknown.len()].map(|bytes| bytes.to_string());
        let expected = [
            ["SKEW", "cboe", "index_history", "answered", "1", "1", "2", &skew_bytes],
            ["VIX", "cboe", "index_history", "skipped", "0", "0", "1", &vix_bytes],
        ];
        assert_eq!(said(&mock, "fetch_log", &fields), expected);
        let [skew, vix] = &said(&mock, "fetch_log", &["item", "error", "duration_ms"])[..] else { panic!() };
        assert_eq!(skew[1], "null");
        assert!(skew[2].parse::<u64>().unwrap() >= 250, "{skew:?} waited before it asked again");
        assert!(vix[1].starts_with("HTTP 403: unknown index `VIX`"), "{vix:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_has_not_changed_since_it_was_published_is_not_sent_again() {
        let mock = kafka();
        let good = b"DATE,SKEW\n01/02/1990,126.09\n";
        let tagged = |tag: &str| response("200 OK", &[&format!("ETag: {tag}")], good);
        let same = response("304 Not Modified", &[], b"");
        let page = |offset: u64| {
            let body = format!(
                r#"{{"count":2,"offset":{offset},"observations":[{{"date":"2024-01-0{}","value":"1"}}]}}"#,
                offset + 1
            );
            response("200 OK", &["ETag: \"page\""], body.as_bytes())
        };
        let answers = [tagged("\"1\""), same.clone(), tagged("\"2\""), same];
        let folder = tempfile::TempDir::new().unwrap();
        let rounds = async |name: &str, watchlist: &str, stub: &Stub, count: usize| {
            for _ in 0..count {
                let run_once = Run { state_dir: Some(folder.path().to_owned()), ..once(&mock, watchlist) };
                assert_eq!(run(vec![asking(name, &stub.base)], run_once).await, Ending::Complete);
            }
        };
        let stub = Stub::answering(&answers).await;
        rounds("cboe", "[cboe]\nindex_history = [\"SKEW\"]", &stub, 4).await;
        assert_eq!(messages(&mock, "ohlcv_bar"), 1);
        let asked =
            |request: &String| request.lines().find_map(|line| line.strip_prefix("if-none-match: ")).map(str::to_owned);
        let tags: Vec<_> = stub.requests().iter().map(asked).collect();
        assert_eq!(tags, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned()), Some("\"2\"".to_owned())]);
        let outcomes = said(&mock, "fetch_log", &["outcome", "records"]);
        assert_eq!(outcomes, [["answered", "0"], ["answered", "1"], ["unchanged", "0"], ["unchanged", "0"]]);
        // Of an item with two pages nothing tells whether both are as they were.
        let stub = Stub::answering(&[page(0), page(1), page(0), page(1)]).await;
        rounds("fred", "[fred]\nobservations = [\"DGS10\"]", &stub, 2).await;
        assert_eq!(messages(&mock, "observation"), 2);
        assert!(stub.requests().iter().all(|request| asked(request).is_none()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn on_another_kafka_everything_is_published_again_and_on_the_same_one_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
        let poll = async |mock: &Mock| {
            let once = once(mock, "[cboe]\nindex_history = [\"SKEW\"]");
            let once = Run { state_dir: Some(folder.path().to_owned()), ..once };
            assert_eq!(run(vec![asking("cboe", &stub.base)], once).await, Ending::Complete);
            messages(mock, "ohlcv_bar")
        };
        let (first, second) = (kafka(), kafka());
        assert_eq!([poll(&first).await, poll(&first).await], [1, 1]);
        assert_eq!([poll(&second).await, poll(&second).await], [1, 1]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_days_calls_are_not_exceeded_however_often_a_producer_starts() {
        let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
        // Every other answer is a failure, which is asked for again and is paid for, too.
        let oops = response("500 Oops", &[], b"oops");
        let good = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
        let stub = Stub::answering(&[oops.clone(), good.clone(), oops.clone(), good.clone(), oops, good]).await;
        let mut endings = Vec::new();
        for _ in 0..4 {
            let (source, fetcher) = asking("cboe", &stub.base);
            let mut fetcher = fetcher;
            fetcher.as_mut().unwrap().grant(5);
            let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]");
            let run_once = Run { state_dir: Some(folder.path().to_owned()), ..run_once };
            endings.push(run(vec![(source, fetcher)], run_once).await);
        }
        assert_eq!(stub.requests().len(), 5);
        assert_eq!(endings, [Ending::Complete, Ending::Complete, Ending::Incomplete, Ending::Incomplete]);
        let logs = said(&mock, "fetch_log", &["outcome", "calls", "error"]);
        let spent = "the 5 calls of the day are spent";
        let is = |log: &[String], outcome: &str, calls: &str| log[0] == outcome && log[1] == calls;
        assert!(is(&logs[0], "answered", "2") && is(&logs[1], "answered", "2"), "{logs:?}");
        assert!(is(&logs[2], "given_up", "0") && is(&logs[3], "given_up", "1"), "{logs:?}");
        assert!(logs[2..].iter().all(|log| log[2].starts_with(spent)), "{logs:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_given_up_and_what_stopped_a_source_is_recorded_too() {
        let mock = kafka();
        let body =
            br#"{"error_code":400,"error_message":"Bad Request. The value for variable api_key is not registered."}"#;
        let refusing = Stub::answering(&[response("400 Bad Request", &[], body)]).await;
        let stub = Stub::answering(&[response("200 OK", &[], b"<html>busy</html>")]).await;
        let run_once = once(&mock, "[cboe]\nindex_history = [\"VIX\"]\n[fred]\nseries = [\"GDP\", \"CPI\"]");
        let sources = vec![asking("cboe", &stub.base), asking("fred", &refusing.base)];
        assert_eq!(run(sources, run_once).await, Ending::Incomplete);
        let attempts = ONCE.attempts.to_string();
        let expected = [["VIX", "given_up", "0", attempts.as_str()], ["GDP", "halted", "0", "1"]];
        let mut logs = said(&mock, "fetch_log", &["item", "outcome", "records", "calls"]);
        logs.reverse();
        assert_eq!(logs, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_that_poll_a_source_at_a_time_publish_each_value_once() {
        let (mock, folder) = (kafka(), tempfile::TempDir::new().unwrap());
        // Long enough that both would have asked before either knows what the other one publishes.
        let answer = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n01/03/1990,123.34\n");
        let stub = Stub::hesitating(answer, Duration::from_secs(2)).await;
        let poll = || {
            let once = once(&mock, "[cboe]\nindex_history = [\"SKEW\"]");
            run(vec![asking("cboe", &stub.base)], Run { state_dir: Some(folder.path().to_owned()), ..once })
        };
        assert_eq!(tokio::join!(poll(), poll()), (Ending::Complete, Ending::Complete));
        assert_eq!((stub.requests().len(), messages(&mock, "ohlcv_bar")), (2, 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_ends_at_the_shutdown() {
        let mock = kafka();
        let stub = Stub::answering(&[response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n")]).await;
        let daemon = Run { mode: Mode::Daemon, ..once(&mock, "[cboe]\nindex_history = [\"SKEW\"]") };
        let shutdown = daemon.shutdown.clone();
        let running = tokio::spawn(run(vec![asking("cboe", &stub.base)], daemon));
        while messages(&mock, "ohlcv_bar") == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        assert!(!running.is_finished());
        shutdown.cancel();
        assert_eq!(running.await.unwrap(), Ending::Complete);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_kafka_one_round_fails_and_a_daemon_waits() {
        let mock = kafka();
        let watchlist = "[cboe]\nindex_history = [\"SKEW\"]";
        let nowhere = Run { cluster: Cluster::new("127.0.0.1:1", "test"), ..once(&mock, watchlist) };
        let started = |run_nowhere| run(vec![asking("cboe", "http://127.0.0.1:1")], run_nowhere);
        let daemon = Run { mode: Mode::Daemon, shutdown: CancellationToken::new(), ..nowhere.clone() };
        let shutdown = daemon.shutdown.clone();
        let running = tokio::spawn(started(daemon));
        assert_eq!(started(nowhere).await, Ending::Incomplete);
        assert!(!running.is_finished());
        shutdown.cancel();
        assert_eq!(running.await.unwrap(), Ending::Complete);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_kafka_that_refuses_ends_the_asking_at_once() {
        let mock = kafka();
        mock.request_errors(
            RDKafkaApiKey::Produce,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20],
        );
        // After the first page nothing but errors, which are asked for again and again.
        let good = response("200 OK", &[], b"DATE,SKEW\n01/02/1990,126.09\n");
        let stub = Stub::answering(&[good, response("500 Oops", &[], b"<html>oops</html>")]).await;
        let run_once = once(&mock, "[cboe]\nindex_history = [\"SKEW\", \"VIX\"]");
        let start = Instant::now();
        assert_eq!(run(vec![asking("cboe", &stub.base)], run_once).await, Ending::Incomplete);
        let patience = ONCE.first_wait * 15;
        assert!(start.elapsed() < patience, "went on asking for {:?}", start.elapsed());
    }
}
