//! Every hostile provider, against the producer that ships, with its limits.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use kafka::offsets::ranges;
use producers::state::State;
use rdkafka::consumer::BaseConsumer;
use simulator::hostile::{Hostile, Kind, SYMBOL};
use tests::broker::{Bench, block_on, embedded};
use tests::oracle::plain_consumer;
use tests::pages::Pages;
use tests::process::{Environment, Heard, command, succeed, until};
use tokio::runtime::Runtime;

/// Most memory that a producer may use.
const MEMORY_KIB: u64 = 256 * 1024;
/// Pause between dripping bytes: longer than a producer waits.
const DRIP: Duration = Duration::from_secs(11);
/// Longest that a producer may take: five requests, each with up to fifteen seconds of waiting.
const LONGEST: Duration = Duration::from_secs(300);

/// Log and memory of a producer that met such a provider.
struct Met {
    kind: Kind,
    complaints: Vec<String>,
    peak_kib: u64,
    succeeded: bool,
    state: PathBuf,
}

fn serve(skew: &str) -> Pages {
    Pages::of_index("SKEW", format!("DATE,SKEW\n{skew}").as_bytes())
}

/// A producer of a hostile and of a good provider.
fn environment(bench: &Bench, hostile: &Hostile, good: &Pages, state: &Path) -> Environment {
    let watchlist = state.join("watchlist.toml");
    std::fs::write(&watchlist, format!("[yahoo]\nchart = [\"{SYMBOL}\"]\n[cboe]\nindex_history = [\"SKEW\"]\n"))
        .unwrap();
    let mut environment = bench.with(&[
        ("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()),
        ("TAPEDECK_STATE_DIR", state.to_str().unwrap()),
        ("TAPEDECK_YAHOO_URL", &hostile.url()),
        ("TAPEDECK_CBOE_URL", &good.url),
    ]);
    if !hostile.ca_pem().is_empty() {
        let authority = state.join("authority.pem");
        std::fs::write(&authority, hostile.ca_pem()).unwrap();
        environment.insert("TAPEDECK_CA_FILE", authority.display().to_string());
    }
    environment
}

/// Most memory that a producer has used so far.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name| status.lines().find_map(|line| line.strip_prefix(name));
    // The kernel lets `spawn` return a moment before the child has memory of its own. Until the child has its own name,
    // this would be the memory of the tests.
    value("Name:").filter(|name| name.trim() == "producer")?;
    let line = value("VmHWM:")?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn meet(kind: Kind, environment: &Environment, state: PathBuf) -> Met {
    let mut command = command("producer", &["run", "yahoo", "cboe", "--once"], environment);
    command.stdout(Stdio::null());
    let mut producer = Heard::start(command);
    let (mut peak, mut status) = (0, None);
    let begin = Instant::now();
    while status.is_none() {
        assert!(begin.elapsed() < LONGEST, "a producer that meets {kind:?} does not end");
        peak = peak_kib(producer.id()).unwrap_or_default().max(peak);
        status = producer.ended();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(producer.said("round complete").len(), 2, "{kind:?}: {:#?}", producer.said(""));
    let complaints = [" WARN ", " ERROR ", "panicked"].map(|word| producer.said(word)).concat();
    Met { kind, complaints, peak_kib: peak, succeeded: status.unwrap(), state }
}

/// State of the producer's polls of the provider: the words of its cursor, and the number of failures.
///
/// The words are sorted, because the fingerprints of published records have no order.
fn cursor(state: &Path) -> (Vec<String>, u32, Option<String>) {
    block_on(async {
        let state = State::existing(state, "yahoo").await.unwrap().unwrap();
        let item = state.item("chart", SYMBOL).await.unwrap();
        let standing = state.standings().await.unwrap().remove(0);
        let text = format!("{item:?}");
        let mut words: Vec<String> = text.split([' ', '{', '}', ',']).map(str::to_owned).collect();
        words.sort_unstable();
        (words, standing.streak.failures, standing.error)
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Messages on a dataset's topic.
fn messages(bench: &Bench, dataset: &str) -> i64 {
    let consumer: BaseConsumer = plain_consumer(&bench.brokers, "test-hostile");
    ranges(&consumer, &bench.topic(dataset)).unwrap().values().map(|(low, high)| high - low).sum()
}

#[test]
fn a_hostile_provider_moves_no_cursor_needs_little_memory_and_costs_no_other_provider() {
    let (bench, runtime) = (embedded(), Runtime::new().unwrap());
    let start = |kind| runtime.block_on(Hostile::start(kind)).unwrap();
    let before = bench.folder.path().join("before");
    std::fs::create_dir(&before).unwrap();
    let (harmless, good) = (start(Kind::Harmless), serve("01/02/1990,126.09\n"));
    succeed("producer", &["run", "yahoo", "cboe", "--once"], &environment(&bench, &harmless, &good, &before));
    let (known, failures, _) = cursor(&before);
    assert!(failures == 0 && known.contains(&"Some(1767157200000000)".to_owned()), "the latest bar: {known:?}");
    assert_eq!(messages(&bench, "ohlcv_bar"), 2);

    // The good provider has a new day, and each of these producers finds it.
    let good = serve("01/02/1990,126.09\n01/03/1990,123.34\n");
    let kinds = Kind::harmful(DRIP);
    let hosts: Vec<(Kind, Hostile)> = kinds.iter().map(|kind| (*kind, start(*kind))).collect();
    let met: Vec<Met> = std::thread::scope(|scope| {
        let producers: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(number, (kind, host))| {
                let state = bench.folder.path().join(format!("state-{number}"));
                copy(&before, &state);
                let environment = environment(&bench, host, &good, &state);
                scope.spawn(move || meet(*kind, &environment, state))
            })
            .collect();
        producers.into_iter().map(|producer| producer.join().unwrap()).collect()
    });
    for Met { kind, complaints, peak_kib, succeeded, state } in &met {
        assert!(!succeeded, "{kind:?} was taken for a response");
        assert!(*peak_kib > 0 && *peak_kib < MEMORY_KIB, "{kind:?} needed {peak_kib} KiB");
        assert!(
            complaints.len() == 1 && complaints[0].contains("failed, the next round retries"),
            "{kind:?}: {complaints:?}"
        );
        let (now, failures, error) = cursor(state);
        assert_eq!((&now, failures), (&known, 1), "{kind:?}");
        assert!(complaints[0].contains(&error.unwrap()), "{kind:?}: {complaints:?}");
    }
    assert_eq!(messages(&bench, "ohlcv_bar"), 2 + met.len() as i64);
    assert_eq!(messages(&bench, "dead_letter"), 0);
    assert!(hosts.iter().all(|(_, host)| host.lured() == 0));

    let consumer = Heard::start(command("consumer", &["run", "fetch_log"], &bench.environment));
    consumer.until_said("assigned");
    let log = || bench.query("select source, outcome, count(*) from fetch_log group by source, outcome order by 1, 2");
    let told = |source: &str, outcome: &str, count: usize| {
        [source, outcome, &count.to_string()].map(|text| Some(text.to_owned())).to_vec()
    };
    let expected =
        [told("cboe", "answered", 1 + met.len()), told("yahoo", "answered", 1), told("yahoo", "given_up", met.len())];
    until("every request is in the log", || log() == expected);
    let peak = met.iter().max_by_key(|met| met.peak_kib).unwrap();
    eprintln!("{} ways of doing harm; most memory, for {:?}: {} MiB", met.len(), peak.kind, peak.peak_kib / 1024);
}
