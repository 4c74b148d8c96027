//! `tapedeck up`: runs broker, producers, consumers and database on this machine, from an empty folder to rows.

mod corrections;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use service::settings::env_file::Around;
use service::{settings, shutdown};
use simulator::Simulator;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::deck::child::Event;
use crate::deck::polled::Polled;
use crate::deck::progress::{Progress, Report};
use crate::deck::summary::{Meter, Summary};
use crate::deck::{Deck, Who};
use crate::folder::{Folder, Kind};

/// Most reports of producers that wait to be shown.
const REPORTS: usize = 256;
/// How long Kafka or the database may be unreachable while `up` waits for the last rows.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(60);
/// How often `up` reports that it still waits for the last rows.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);
/// How often `up` counts the stored rows.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);
/// The same once the first round is loaded, when few rows come.
const LOADED_COUNT_INTERVAL: Duration = Duration::from_secs(2);
/// Free bytes below which the disk counts as full: a segment of the broker and a transaction of SQLite need some.
const TOO_LITTLE_SPACE: u64 = 20_000_000;
/// Free bytes from which it has room again.
const ENOUGH_SPACE: u64 = 100_000_000;
/// A query that finds rows whatever was polled.
const QUERY: &str = "select source, symbol, count(*) as bars, min(trading_date) as first, max(trading_date) as last \
    from ohlcv_bar group by source, symbol order by bars desc, symbol limit 5";

/// Run everything on this machine: broker, producers, consumers, database
///
/// Polls all sources that have a key and an item on the watchlist. Ctrl-C stops everything without losing records.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tapedeck up --demo\n  tapedeck up --once --json --data-dir /var/lib/tapedeck")]
pub(super) struct Arguments {
    /// Poll simulated providers on this machine, without network or keys
    #[arg(long)]
    demo: bool,
    /// Poll once and exit when everything is stored
    #[arg(long)]
    once: bool,
    /// Print the summary as one line of JSON
    #[arg(long)]
    json: bool,
    /// Port of the embedded broker, or 0 for any free one; by default 9092, or a free one if that is taken
    #[arg(long)]
    kafka_port: Option<u16>,
}

impl Arguments {
    /// What the file of settings may not say: the database and the cluster in `.env` are for real records, and the demo's
    /// are invented. A variable of the environment is the user's word for this very run.
    pub(super) fn around(&self) -> Around {
        let kafka = settings::KAFKA_SECURITY.iter().chain(&[&settings::KAFKA_BROKERS]).map(|variable| variable.name);
        let real = kafka.chain([settings::DATABASE_URL.name]).filter(|_| self.demo);
        let names = real.flat_map(|name| [name.to_owned(), format!("{name}_FILE")]);
        let before = names.map(|name| (name, String::new())).collect();
        Around { before, ..Around::default() }
    }
}

/// Runs until everything is stored (`--once`) or Ctrl-C.
pub(super) async fn run(arguments: &Arguments, data_dir: Option<&Path>) -> anyhow::Result<()> {
    let stop = shutdown::token()?;
    let began = Instant::now();
    let kind = if arguments.demo { Kind::Demo } else { Kind::Real };
    // With nothing to poll there is no folder to make.
    let real = if arguments.demo { None } else { Some(Polled::real()?) };
    let (folder, _lock) = Folder::take(data_dir, kind)?;
    // Kept until the end, because dropping it ends it.
    let mut simulator = None;
    let polled = match real {
        Some(real) => real,
        None => {
            let simulator = simulator.insert(Simulator::start(simulator::Config::default()).await?);
            Polled::demo(simulator, &folder)?
        }
    };
    let mut deck = Deck::start(&folder, arguments.kafka_port, &stop).await?;
    let settings: Vec<_> = deck.environment().iter().chain(&polled.environment).cloned().collect();
    let saved = folder.save_settings(&settings);
    let outcome = match saved {
        Ok(()) => play(&mut deck, arguments, (&polled, simulator.as_ref()), began, &stop).await,
        Err(error) => Err(error),
    };
    folder.forget_settings();
    let stopped = deck.stop().await;
    let summary = outcome?;
    stopped?;
    finish(arguments, &folder, &deck.database().shown(), summary)
}

fn finish(arguments: &Arguments, folder: &Folder, database: &str, summary: Option<Finished>) -> anyhow::Result<()> {
    let Some(Finished { summary, failed }) = summary else {
        return Ok(());
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{summary}");
        println!("\ndata: {database}");
        println!("{}", hint(folder));
    }
    if !summary.adds_up() {
        bail!("the summary does not add up, which is a bug: please report it together with the data folder");
    }
    if let Some(failed) = failed {
        bail!("some items could not be polled: {failed}");
    }
    Ok(())
}

/// The outcome of a run with `--once`.
struct Finished {
    summary: Summary,
    failed: Option<String>,
}

/// Polls and stores; returns None when it is stopped.
async fn play(
    deck: &mut Deck,
    arguments: &Arguments,
    (polled, simulator): (&Polled, Option<&Simulator>),
    began: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Finished>> {
    let mut meter = Meter::start(deck.cluster().clone(), deck.database().clone()).await?;
    meter.check_topics().await?;
    producers::seed::publish(deck.cluster()).await?;
    let mut progress = Progress::new();
    deck.start_consumer()?;
    if let Some(simulator) = simulator {
        corrections::publish(deck, simulator, &polled.environment, (&mut meter, &mut progress), stop).await?;
    }
    let reports = mpsc::channel(REPORTS);
    deck.start_producer(&polled.sources, arguments.once, &polled.environment, &reports.0)?;
    greet(deck, arguments, &progress, polled, began);
    let failed = watch(deck, (arguments.once, polled.sources.len()), &mut meter, &mut progress, reports, stop).await?;
    if stop.is_cancelled() {
        progress.finish();
        progress.say("stopping");
        return Ok(None);
    }
    let summary = store_all(deck, &mut meter, &progress, stop).await?;
    progress.finish();
    Ok(summary.map(|summary| Finished { summary, failed }))
}

fn greet(deck: &Deck, arguments: &Arguments, progress: &Progress, polled: &Polled, began: Instant) {
    for line in &polled.left_out {
        progress.say(line);
    }
    let seconds = began.elapsed().as_secs_f64();
    progress.say(&format!("ready in {seconds:.1} s: {} -> {}", polled.sources.join(", "), deck.shown()));
    if !arguments.once {
        progress.say(&hint(deck.folder()));
        progress.say(&format!("health and metrics: addresses in {}", deck.health_files()));
        progress.say("Ctrl-C, or `tapedeck down`, stops everything without losing records");
    }
}

fn hint(folder: &Folder) -> String {
    let tapedeck = std::env::args().next().unwrap_or_else(|| "tapedeck".to_owned());
    format!("try: {tapedeck} query {}\"{QUERY}\"", folder.option())
}

/// Keeps everything running until the producer has finished (`once`) or it is stopped; returns which failed.
async fn watch(
    deck: &mut Deck,
    (once, sources): (bool, usize),
    meter: &mut Meter,
    progress: &mut Progress,
    (sender, mut reports): (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    stop: &CancellationToken,
) -> anyhow::Result<Option<String>> {
    let mut failed: Vec<String> = Vec::new();
    let (mut space, mut loaded) = (Space::default(), false);
    let mut count = tokio::time::interval(COUNT_INTERVAL);
    while !(once && deck.polled_all()) {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(report) = reports.recv() => progress.report(&report),
            _ = count.tick() => {
                space.check(deck.folder(), progress);
                let is_loaded = !once && !loaded && progress.done() >= sources && is_caught_up(meter).await;
                let stored = show_stored(meter, progress).await;
                if let Some(stored) = stored.filter(|_| is_loaded) {
                    show_loaded(progress, &stored);
                    loaded = true;
                    count = tokio::time::interval(LOADED_COUNT_INTERVAL);
                }
            }
            event = deck.event() => match event? {
                // A producer with --once ends with exit code 0 or 1. After a signal the poll is repeated.
                (Who::Producer, Event::Ended(status)) if once && status.code().is_some() => {
                    let log = deck.dismiss_producer().await?;
                    if !status.success() {
                        failed.push(format!("see {}", log.display()));
                    }
                }
                (who, Event::Ended(status)) => progress.say(&deck.restart(who, status, once)?),
                (who, Event::Restarted) => deck.restarted(who, &sender),
            },
        }
    }
    while let Ok(report) = reports.try_recv() {
        progress.report(&report);
    }
    Ok((!failed.is_empty()).then(|| failed.join(", ")))
}

/// Waits until everything that was published is stored.
async fn store_all(
    deck: &mut Deck,
    meter: &mut Meter,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Summary>> {
    let began = Instant::now();
    let mut reminder = tokio::time::interval_at((began + REMINDER_INTERVAL).into(), REMINDER_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            summary = meter.caught_up() => match summary {
                Ok(summary) => return Ok(Some(summary)),
                Err(error) if began.elapsed() > CATCH_UP_PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(COUNT_INTERVAL).await,
            },
            _ = reminder.tick() => progress.say(&format!("some records are not stored yet; logs: {}", deck.logs())),
            event = deck.event() => match event? {
                (who, Event::Ended(status)) => progress.say(&deck.restart(who, status, true)?),
                (_, Event::Restarted) => {}
            },
        }
    }
}

async fn show_stored(meter: &mut Meter, progress: &Progress) -> Option<Summary> {
    // If the count fails now, a later one succeeds.
    let summary = meter.so_far().await.ok()?;
    progress.stored(summary.accounted(), summary.rows_per_second);
    Some(summary)
}

async fn is_caught_up(meter: &mut Meter) -> bool {
    meter.waiting().await.is_ok_and(|waiting| waiting.is_empty())
}

/// Says that the first round of all sources is stored.
fn show_loaded(progress: &Progress, stored: &Summary) {
    let (records, seconds) = (stored.accounted(), stored.seconds);
    let records = if records == 0 { "nothing new".to_owned() } else { format!("{records} records") };
    progress.say(&format!("loaded: {records} in {seconds:.1} s; later ones follow as they are published"));
}

/// Says when the disk is full and when there is room again: until then neither broker nor database can write.
#[derive(Debug, Default)]
struct Space {
    is_short: bool,
}

impl Space {
    fn check(&mut self, folder: &Folder, progress: &Progress) {
        let Ok(free) = folder.free_bytes() else { return };
        let (was_short, shown) = (self.is_short, folder.shown());
        self.is_short = free < if was_short { ENOUGH_SPACE } else { TOO_LITTLE_SPACE };
        match (was_short, self.is_short) {
            (false, true) => progress.say(&format!(
                "the disk of `{shown}` is full ({} MB free): make room; records wait until then and none is lost",
                free / 1_000_000
            )),
            (true, false) => progress.say(&format!("the disk of `{shown}` has room again: going on")),
            _ => {}
        }
    }
}
