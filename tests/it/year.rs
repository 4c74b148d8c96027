//! A year of an unattended producer. Its provider fails, refuses, corrects values and leaves days out, and the producer
//! is killed again and again. Both share a clock that advances only while they wait.
//!
//! The provider is the simulator; Kafka is real if available. The producer is a process, and SIGKILL ends it at
//! arbitrary points. The time is in a file that only the producer advances.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use contract::decode::split_header;
use contract::{Column, Decoder, Rows, dataset};
use kafka::offsets::ranges;
use kafka::publish::CHANGE_HEADER;
use producers::poll::plan;
use producers::state::{GapState, State};
use producers::watchlist::Watchlist;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use simulator::{Config, Control, Outage, Simulator};
use tests::broker::{Bench, block_on, embedded, postgres};
use tests::oracle::plain_consumer;
use tests::process::{Running, command};
use tests::workload::Random;
use tests::year::{self, Time};

use crate::health;
use crate::secrets::{CANARY, holds, on_topics};

const SYMBOLS: [&str; 3] = ["SIM000", "SIM003", "SIM004"];
/// Most requests between two kills of the producer.
const MOST_CALLS: usize = 80;
/// Outages of the year.
const OUTAGES: usize = 60;
/// Days of the year with a restatement, and with a hole, of each symbol.
const EDITED: [usize; 2] = [30, 12];
/// Calls of a day beyond those of its polls.
const SPARE_CALLS: u32 = 4;
/// Days on which missing data is retried.
const ASKED_DAYS: u64 = 10;
/// Longest that the test may take, in real time.
const PATIENCE: Duration = Duration::from_secs(600);

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// At that hour of a day.
fn at(date: NaiveDate, hour: u32) -> DateTime<Utc> {
    date.and_time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap()).and_utc()
}

/// First and last day.
fn year() -> (NaiveDate, NaiveDate) {
    (date("2025-01-06"), date("2026-01-05"))
}

/// A random number of days below a limit.
fn days(random: &mut Random, end: usize) -> Days {
    Days::new(random.below(end) as u64)
}

/// A day on which the simulator has bars, from a first one up to a last one.
fn session(random: &mut Random, (first, last): (NaiveDate, NaiveDate)) -> NaiveDate {
    loop {
        let day = first + days(random, (last - first).num_days() as usize);
        let is_holiday = matches!((day.month(), day.day()), (12, 25) | (1, 1));
        if !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !is_holiday {
            return day;
        }
    }
}

/// When a missing day appears, if ever.
type Filled = BTreeMap<(String, NaiveDate), Option<DateTime<Utc>>>;

/// Plans the days of the year: some are corrected once or twice, some come late or never.
fn script(control: &Control, random: &mut Random) -> Filled {
    let (first, last) = year();
    let mut filled = Filled::new();
    for symbol in SYMBOLS {
        let mut taken = BTreeSet::new();
        let mut fresh = |random: &mut Random, within: (NaiveDate, NaiveDate)| {
            let mut day = session(random, within);
            while !taken.insert(day) {
                day = session(random, within);
            }
            day
        };
        for _ in 0..EDITED[0] {
            let day = fresh(random, (first, last - Days::new(25)));
            let factor = 1.0 + (1 + random.below(50)) as f64 / 100.0;
            control.restate(symbol, day, at(day + Days::new(2) + days(random, 5), 3), factor);
            if random.below(3) == 0 {
                control.restate(symbol, day, at(day + Days::new(12) + days(random, 6), 3), 1.5);
            }
        }
        // Within the look-back, before the year, and never.
        let beyond = (date("2024-02-01"), date("2024-10-01"));
        let mut gaps = Vec::new();
        for number in 0..EDITED[1] {
            let day = fresh(random, (first, last - Days::new(40)));
            let filled_at = at(day + Days::new(3) + days(random, 22), 4);
            gaps.push((day, (number > 0).then_some(filled_at)));
        }
        for number in 0..5 {
            let filled_at = at(first + Days::new(2) + days(random, 5), 4);
            gaps.push((fresh(random, beyond), (number > 0).then_some(filled_at)));
        }
        for (number, (day, filled_at)) in gaps.into_iter().enumerate() {
            match number % 2 {
                0 => control.hole(symbol, day, filled_at),
                _ => control.drop_day(symbol, day, filled_at),
            }
            filled.insert((symbol.to_owned(), day), filled_at);
        }
    }
    filled
}

/// Plans outages and storms of refusals, of minutes to a week.
fn plan_outages(control: &Control, random: &mut Random) {
    let (first, last) = year();
    for number in 0..OUTAGES {
        let begin = at(session(random, (first, last)), 14) + TimeDelta::minutes(random.below(8 * 60) as i64);
        let minutes = match number {
            // Long enough that every item raises its alert, whenever the producer is killed.
            0 => 7 * 24 * 60,
            1 | 2 => 2 * 24 * 60,
            _ => 5 + random.below(5 * 60) as i64,
        };
        let outage = match number % 6 {
            0 => Outage::Status(500),
            1 => Outage::Reset,
            2 => Outage::Unavailable { retry_after: "600".to_owned() },
            _ => Outage::TooMany(30 + random.below(900) as i64),
        };
        control.outage_between("yahoo", begin..begin + TimeDelta::minutes(minutes), outage);
    }
}

struct World<'a> {
    bench: &'a Bench,
    simulator: Simulator,
    time: Time,
    /// Calls of a day.
    calls: u32,
}

impl World<'_> {
    async fn start(bench: &Bench) -> World<'_> {
        let simulator = Simulator::start(Config { symbols: 5, years: 2, seed: 7 }).await.unwrap();
        let time = Time::of(&bench.folder.path().join("time"));
        time.set(at(year().0, 12));
        let followed = time.clone();
        simulator.control().follow(move || followed.now());
        simulator.control().jitter(true);
        let watchlist = format!("[yahoo]\nchart = {SYMBOLS:?}");
        std::fs::write(bench.folder.path().join("watchlist.toml"), &watchlist).unwrap();
        let watchlist = Watchlist::parse(&watchlist).unwrap();
        let calls = plan::calls_of_day(year::source(), &watchlist, date("2025-03-04")) + SPARE_CALLS;
        simulator.control().quota("yahoo", calls.into());
        World { bench, simulator, time, calls }
    }

    /// A file of the producer's, by name.
    fn file(&self, name: &str) -> PathBuf {
        self.bench.folder.path().join(name)
    }

    /// Requests so far, with any result.
    fn calls(&self) -> u64 {
        let control = self.simulator.control();
        control.calls("yahoo") + control.refused("yahoo")
    }

    /// Starts the producer; it appends to the log of its predecessors.
    fn start_producer(&self) -> Running {
        let [time, watchlist, health] = ["time", "watchlist.toml", "health"].map(|name| self.file(name));
        let environment = self.bench.with(&[
            ("TAPEDECK_YAHOO_URL", &self.simulator.url("yahoo")),
            ("TAPEDECK_WATCHLIST", watchlist.to_str().unwrap()),
            ("TAPEDECK_HEALTH_FILE", health.to_str().unwrap()),
            ("TAPEDECK_LOG", "trace"),
            (year::CLOCK_FILE, time.to_str().unwrap()),
            (year::CALLS, &self.calls.to_string()),
            (year::KEY, &format!("{CANARY}+of/a=year")),
        ]);
        let mut command = command(year::PRODUCER, &[], &environment);
        command.stderr(File::options().append(true).create(true).open(self.file("log")).unwrap());
        Running::start(command)
    }

    /// Lets the producer run until it made so many requests, or until a time.
    async fn live(&self, producer: &mut Running, calls: u64, until: DateTime<Utc>) {
        let last = self.calls() + calls;
        while self.calls() < last && self.time.now() < until {
            let ended = producer.0.try_wait().unwrap();
            assert!(ended.is_none(), "the producer ended by itself at {}", self.time.now());
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Its metrics, while it runs.
    fn shown(&self) -> Vec<(String, Vec<u8>)> {
        let address = std::fs::read_to_string(self.file("health")).unwrap();
        let page = |path: &str| {
            let (status, page) = health::get(address.trim().trim_start_matches("http://"), path);
            assert_eq!(status, 200, "{path}");
            (path.to_owned(), page.into_bytes())
        };
        ["/metrics", "/readyz", "/livez"].map(page).into()
    }
}

/// A bar as it is on the topic.
#[derive(Debug, Clone, PartialEq)]
struct Bar {
    close: f64,
    volume: f64,
    is_correction: bool,
}

/// The bars on the topic, by symbol and day, each partition's in their order.
fn published(world: &World<'_>) -> BTreeMap<(String, NaiveDate), Vec<Bar>> {
    let topic = world.bench.topic("ohlcv_bar");
    let consumer: BaseConsumer = plain_consumer(&world.bench.brokers, "test-year");
    let mut left = ranges(&consumer, &topic).unwrap();
    left.retain(|_, (low, high)| low < high);
    let mut list = TopicPartitionList::new();
    for partition in left.keys() {
        list.add_partition_offset(&topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let dataset = dataset("ohlcv_bar").unwrap();
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    let [symbol, day, close, volume] =
        ["symbol", "trading_date", "close", "volume"].map(|field| dataset.position(field).unwrap());
    let mut bars: BTreeMap<(String, NaiveDate), Vec<Bar>> = BTreeMap::new();
    let mut rows = Rows::new(dataset);
    while !left.is_empty() {
        let message = consumer.poll(Duration::from_secs(30)).expect("the topic has more").unwrap();
        rows.truncate(0);
        decoder.decode(split_header(message.payload().unwrap()).unwrap().1, &mut rows).unwrap();
        let Column::Date(days) = rows.column(day) else { panic!() };
        let day = NaiveDate::from_epoch_days(days[0].unwrap()).unwrap();
        let number = |position: usize| rows.column(position).number(0).unwrap();
        let header = message.headers().and_then(|headers| headers.iter().find(|header| header.key == CHANGE_HEADER));
        let is_correction = header.is_some();
        let bar = Bar { close: number(close), volume: number(volume), is_correction };
        bars.entry((rows.column(symbol).text(0).unwrap().to_owned(), day)).or_default().push(bar);
        if message.offset() + 1 >= left[&message.partition()].1 {
            left.remove(&message.partition());
        }
    }
    bars
}

#[test]
fn after_a_year_of_outages_refusals_corrections_gaps_and_kills_every_value_was_published_once() {
    let bench = postgres().unwrap_or_else(embedded);
    block_on(async { tokio::time::timeout(PATIENCE, a_year(&bench)).await.expect("a year within ten minutes") });
}

async fn a_year(bench: &Bench) {
    let (world, mut random) = (World::start(bench).await, Random::new(5));
    let control = world.simulator.control();
    let filled = script(control, &mut random);
    plan_outages(control, &mut random);
    let (_, last) = year();
    let end = at(last + Days::new(2 * ASKED_DAYS), 0);
    // From then on the provider shows nothing: the producer is stopped some time later, in the middle of whatever it
    // does, and does not publish a response that it has just received.
    control.outage_between("yahoo", end..end + TimeDelta::days(365), Outage::Status(500));
    let mut kills = 0;
    while world.time.now() < at(last, 0) {
        let calls = 1 + random.below(MOST_CALLS) as u64;
        let mut producer = world.start_producer();
        world.live(&mut producer, calls, at(last, 0)).await;
        // Some milliseconds lie between a response and the saved record of its publication.
        tokio::time::sleep(Duration::from_micros(random.below(40_000) as u64)).await;
        producer.0.kill().unwrap();
        producer.0.wait().unwrap();
        kills += 1;
    }
    // The rest of the last kill, and the days that are still retried.
    let mut producer = world.start_producer();
    world.live(&mut producer, u64::MAX / 2, end).await;
    assert!(kills > 40, "the year was over after {kills} kills");

    let world = &world;
    let (shown, bars) = tokio::task::block_in_place(|| {
        let mut shown = world.shown();
        producer.signal("TERM");
        producer.wait();
        shown.extend(on_topics(bench));
        (shown, published(world))
    });
    assert_no_key(world, shown);
    assert_every_value_once(control, &bars);
    let refused = assert_no_day_above_the_quota(world);
    let gaps = State::existing(&world.file("state"), "yahoo").await.unwrap().unwrap().gaps(None).await.unwrap();
    let states: BTreeMap<(String, NaiveDate), GapState> =
        gaps.into_iter().map(|gap| ((gap.item, gap.day), gap.state)).collect();
    for (gap, filled_at) in &filled {
        let state = states.get(gap).copied();
        match filled_at {
            Some(_) => {
                assert!(bars.contains_key(gap), "{gap:?} was filled at {filled_at:?} and is {state:?}");
                assert!(matches!(state, None | Some(GapState::Filled)), "{gap:?}: {state:?}");
            }
            None => assert_eq!(state, Some(GapState::Absent), "{gap:?}"),
        }
    }
    let alerts = assert_every_long_outage_raised_alerts(world);
    eprintln!(
        "a year: {} calls, of which {refused} were refused, {kills} kills, {alerts} alerts, {} bars, {} corrections",
        world.calls(),
        bars.len(),
        bars.values().map(|bars| bars.len() - 1).sum::<usize>()
    );
}

/// Every value that the provider showed is on the topic once, in order, the first as new and the others as corrections.
/// Nothing else is on the topic.
fn assert_every_value_once(control: &Control, bars: &BTreeMap<(String, NaiveDate), Vec<Bar>>) {
    let mut shown: BTreeMap<(String, NaiveDate), Vec<Bar>> = BTreeMap::new();
    for value in control.shown() {
        let bars = shown.entry((value.symbol, value.date)).or_default();
        let is_correction = !bars.is_empty();
        bars.push(Bar { close: value.close, volume: value.volume as f64, is_correction });
    }
    // The year and the one before it, of three symbols, with a correction of every eighth day of the year.
    assert!(shown.len() > 1500 && shown.values().filter(|bars| bars.len() > 1).count() > 80, "{}", shown.len());
    let differing: Vec<_> = shown.iter().filter(|(key, values)| bars.get(key) != Some(values)).collect();
    let found: Vec<_> = differing.iter().take(5).map(|(key, values)| (key, values, bars.get(key))).collect();
    assert!(differing.is_empty(), "{} days are not as they were shown, as {found:#?}", differing.len());
    assert_eq!(bars.len(), shown.len());
}

/// The key was sent with every request, and appears nowhere.
fn assert_no_key(world: &World<'_>, mut shown: Vec<(String, Vec<u8>)>) {
    let asked = world.simulator.control().last_request("yahoo");
    assert!(asked.ends_with(&format!("apikey={CANARY}%2Bof%2Fa%3Dyear")), "{asked}");
    let files = std::fs::read_dir(world.file("state")).unwrap().map(|file| file.unwrap().path());
    let files: Vec<PathBuf> = files.chain([world.file("log")]).collect();
    assert!(files.len() > 1, "{files:?}");
    shown.extend(files.into_iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())));
    for (what, bytes) in shown {
        assert!(!holds(&bytes), "the key is in {what}");
    }
}

/// An outage longer than the retries raises an alert for each item, and a line reports its end.
fn assert_every_long_outage_raised_alerts(world: &World<'_>) -> usize {
    let log = std::fs::read_to_string(world.file("log")).unwrap();
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let (errors, alerts, ends) = (said(" ERROR "), said("failed 3 times in a row"), said("answered again"));
    assert!(alerts >= SYMBOLS.len(), "{alerts} alerts in a year of outages");
    assert_eq!(errors, alerts, "there are other errors in the log");
    assert!(ends >= SYMBOLS.len(), "{ends} of {alerts} alerts ended");
    alerts
}

/// Returns the number of refused requests.
fn assert_no_day_above_the_quota(world: &World<'_>) -> u64 {
    let (control, (first, last)) = (world.simulator.control(), year());
    let (mut spent, mut refused) = (0, 0);
    for day in first.iter_days().take_while(|day| *day <= last + Days::new(2 * ASKED_DAYS)) {
        let calls = control.calls_on("yahoo", day) + control.refused_on("yahoo", day);
        assert!(calls <= world.calls.into(), "{calls} calls on {day}, and {} are granted", world.calls);
        spent += usize::from(calls == u64::from(world.calls));
        refused += control.refused_on("yahoo", day);
    }
    assert!(spent > 5 && refused > 50, "the year was too easy: {spent} days were spent, {refused} calls refused");
    refused
}
