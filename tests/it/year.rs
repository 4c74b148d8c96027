//! A year of a producer that nobody looks after: its provider is away, refuses, says something else than it did, leaves
//! things out, and the producer is killed again and again. Both go by one clock, on which no time passes but by waiting.
//!
//! The provider is the simulator, Kafka the real one where there is one. The producer is a task of this process, because of
//! the clock: it is killed by dropping it wherever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use contract::codec::split_header;
use contract::{Column, Decoder, Rows, dataset};
use producers::clock::Clock;
use producers::fetch::{Fetcher, LIMITS};
use producers::plan;
use producers::poll::{self, Mode, Run};
use producers::publish::CHANGE_HEADER;
use producers::source::{Endpoint, Quota, Source};
use producers::sources::yahoo;
use producers::state::{GapState, State};
use producers::watchlist::Watchlist;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use service::kafka::{Cluster, ranges};
use simulator::{Config, Control, Outage, Simulator};
use tests::broker::{Bench, block_on, embedded, postgres};
use tests::oracle::plain_consumer;
use tests::workload::Random;

const SYMBOLS: [&str; 3] = ["SIM000", "SIM003", "SIM004"];
/// Requests from one kill of the producer to the next, at most.
const MOST_CALLS: usize = 80;
/// Outages of the year.
const OUTAGES: usize = 60;
/// Days of the year with a restatement, and with a hole, of each symbol.
const EDITED: [usize; 2] = [30, 12];
/// Calls of a day beyond what its polls take.
const SPARE_CALLS: u32 = 4;
/// Days on which what is missing is asked for.
const ASKED_DAYS: u64 = 10;
/// Longest that all may take, of the time of this machine.
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

/// Days up to, but not, so many.
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

/// Yahoo's chart alone, asked for every two hours so that a year is not for ever.
fn source() -> &'static Source {
    let chart = yahoo::SOURCE.endpoint("chart").unwrap();
    let mut chart = Endpoint { ..*chart };
    chart.schedule.every = Duration::from_secs(2 * 3600);
    let quota = Some(Quota { calls: 0, env: "TAPEDECK_YAHOO_CALLS_PER_DAY", costs: &[] });
    Box::leak(Box::new(Source { endpoints: Box::leak(Box::new([chart])), quota, ..yahoo::SOURCE }))
}

/// When a day that was missing is there, if ever.
type Filled = BTreeMap<(String, NaiveDate), Option<DateTime<Utc>>>;

/// Says what becomes of the days of the year: some are corrected once or twice, some come late or never.
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
        // Within the look-back, before the year began, and never.
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

/// Plans outages and storms of refusals, of minutes to two days.
fn plan_outages(control: &Control, random: &mut Random) {
    let (first, last) = year();
    for number in 0..OUTAGES {
        let begin = at(session(random, (first, last)), 14) + TimeDelta::minutes(random.below(8 * 60) as i64);
        let minutes = if number < 3 { 2 * 24 * 60 } else { 5 + random.below(5 * 60) as i64 };
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
    clock: Clock,
    source: &'static Source,
    watchlist: Watchlist,
    /// Calls of a day.
    calls: u32,
}

impl World<'_> {
    async fn start(bench: &Bench) -> World<'_> {
        let simulator = Simulator::start(Config { symbols: 5, years: 2, seed: 7 }).await.unwrap();
        let clock = Clock::by_hand(at(year().0, 12));
        let (followed, source) = (clock.clone(), source());
        simulator.control().follow(move || followed.now());
        simulator.control().jitter(true);
        let watchlist = Watchlist::parse(&format!("[yahoo]\nchart = {SYMBOLS:?}")).unwrap();
        let calls = plan::calls_of_day(source, &watchlist, date("2025-03-04")) + SPARE_CALLS;
        simulator.control().quota("yahoo", calls.into());
        World { bench, simulator, clock, source, watchlist, calls }
    }

    fn state_dir(&self) -> PathBuf {
        self.bench.folder.path().join("state")
    }

    /// Requests so far, whatever came of them.
    fn calls(&self) -> u64 {
        let control = self.simulator.control();
        control.calls("yahoo") + control.refused("yahoo")
    }

    /// Lets the producer go on until so many requests were made, or until then.
    async fn live(&self, calls: u64, pause: Duration, until: DateTime<Utc>) {
        let mut fetcher = Fetcher::new(self.source, &self.simulator.url("yahoo"), None, LIMITS).unwrap();
        fetcher.grant(self.calls);
        let cluster = Cluster::new(&self.bench.brokers, &self.bench.namespace);
        let run = Run {
            state_dir: Some(self.state_dir()),
            clock: self.clock.clone(),
            ..Run::new(self.watchlist.clone(), cluster, Mode::Daemon)
        };
        let shutdown = run.shutdown.clone();
        let last = self.calls() + calls;
        let producer = tokio::spawn(poll::run(vec![(self.source, Ok(fetcher))], run));
        while self.calls() < last && self.clock.now() < until {
            assert!(!producer.is_finished(), "the producer has ended by itself at {}", self.clock.now());
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        if self.clock.now() < until {
            tokio::time::sleep(pause).await;
            producer.abort();
        } else {
            shutdown.cancel();
        }
        let _ = producer.await;
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
    let mut kills = 0;
    while world.clock.now() < at(last, 0) {
        let calls = 1 + random.below(MOST_CALLS) as u64;
        // Between an answer and the note of what was published of it lie some milliseconds.
        world.live(calls, Duration::from_micros(random.below(40_000) as u64), at(last, 0)).await;
        kills += 1;
    }
    // What was left by the last kill, and the days that are still asked for.
    let end = at(last + Days::new(2 * ASKED_DAYS), 0);
    world.live(u64::MAX / 2, Duration::ZERO, end).await;
    assert!(kills > 40, "the year was over after {kills} kills");

    let world = &world;
    let bars = tokio::task::block_in_place(|| published(world));
    assert_every_value_once(control, &bars);
    let refused = assert_no_day_above_the_quota(world);
    let gaps = State::existing(&world.state_dir(), "yahoo").await.unwrap().unwrap().gaps(None).await.unwrap();
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
    eprintln!(
        "a year: {} calls, of which {refused} were refused, {kills} kills, {} bars, {} corrections",
        world.calls(),
        bars.len(),
        bars.values().map(|bars| bars.len() - 1).sum::<usize>()
    );
}

/// Every value that the provider has shown is on the topic once, in the order in which it was shown, the first as new and the
/// others as corrections; and there is nothing else.
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

/// Gives how many requests were refused.
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
