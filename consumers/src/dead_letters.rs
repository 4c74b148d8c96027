//! `consumer dead-letters`: what was refused and why, and trying it again once the cause is mended.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use service::registry::Registry;

use crate::store::{Count, Database, Filter, Letter};

mod redrive;
mod show;

/// Longest reason in a list, in characters; `show` has all of it.
const MAX_LISTED_REASON: usize = 100;

/// What to do with dead letters.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Count them by cause, and list the newest
    List {
        #[command(flatten)]
        which: Which,
        /// Also those that were tried again with success
        #[arg(long)]
        all: bool,
        /// Most that are listed
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=10_000))]
        limit: i64,
        /// One line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything that is known of one
    Show {
        /// Its id, as `list` shows it
        id: String,
        /// Who refused it, where several have
        #[arg(long)]
        source: Option<String>,
    },
    /// Decode, validate and store the original messages again; those still refused stay as they are
    Redrive {
        /// Their ids; all that match when none is given
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// Write nothing, and say what would become of them
        #[arg(long)]
        dry_run: bool,
        /// Do it
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
}

/// Which dead letters.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Meant for this dataset
    #[arg(long)]
    dataset: Option<String>,
    /// Of this class
    #[arg(long)]
    class: Option<String>,
    /// Refused at this stage: `parse`, `decode`, `validate` or `store`
    #[arg(long)]
    stage: Option<String>,
    /// Refused by this consumer group or provider
    #[arg(long)]
    source: Option<String>,
    /// Refused at this time or later: `2024-05-31` or `2024-05-31T12:00:00Z`
    #[arg(long, value_parser = time)]
    from: Option<DateTime<Utc>>,
    /// Refused before this time
    #[arg(long, value_parser = time)]
    to: Option<DateTime<Utc>>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    time.or_else(date).ok_or_else(|| "it is neither a date nor a time with a zone".to_owned())
}

impl From<Which> for Filter {
    fn from(which: Which) -> Filter {
        let Which { dataset, class, stage, source, from, to } = which;
        Filter { dataset, class, stage, source, from, to, ..Filter::default() }
    }
}

/// Does it, in the database that the environment names.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let database = Database::from_settings()?;
    match command {
        Command::List { which, all, limit, json } => {
            let filter = Filter { all, ..which.into() };
            let mut store = database.dead_letters("dead-letters");
            let counts = store.counts(&filter).await?;
            let letters = store.newest(&filter, limit).await?;
            print(&if json { listed_json(&counts, &letters) } else { listed(&counts, &letters, all) })
        }
        Command::Show { id, source } => {
            let filter = Filter { source, ids: vec![id], all: true, ..Filter::default() };
            let registry = Registry::from_settings()?;
            print(&show::shown(&database, registry, &filter).await?)
        }
        Command::Redrive { ids, which, dry_run, yes } => {
            let filter = Filter { ids, of_messages: true, ..which.into() };
            let registry = Registry::from_settings()?;
            let report = redrive::run(&database, registry, &filter, !yes).await?;
            print(&report.to_string())?;
            anyhow::ensure!(yes || dry_run || report.read == 0, "nothing was written: say `--yes` to do it");
            Ok(())
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn listed(counts: &[Count], letters: &[Letter], all: bool) -> String {
    let mut out = String::new();
    let total: i64 = counts.iter().map(|count| count.count).sum();
    let _ = writeln!(out, "{total} dead letters{}", if all { "" } else { ", open" });
    for Count { dataset, stage, class, sqlstate, count, oldest, newest } in counts {
        let cause = [Some(dataset), Some(stage), Some(class), sqlstate.as_ref()];
        let cause: Vec<String> = cause.into_iter().flatten().map(|text| plain(text)).collect();
        let _ = writeln!(out, "{count:>8}  {}  {oldest} to {newest}", cause.join(" "));
    }
    for Letter { record, resolution, .. } in letters {
        let when = record.known_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let class = record.sqlstate.as_ref().map_or_else(
            || plain(&record.error_class),
            |sqlstate| format!("{} {}", plain(&record.error_class), plain(sqlstate)),
        );
        let resolution = resolution.as_ref().map_or_else(String::new, |resolution| format!("[{resolution}] "));
        let reason: String = plain(&record.reason).chars().take(MAX_LISTED_REASON).collect();
        let _ = writeln!(out, "{}  {when}  {class}  {resolution}{reason}", plain(&record.dead_letter_id));
    }
    out
}

fn listed_json(counts: &[Count], letters: &[Letter]) -> String {
    let count = |count: &Count| {
        let Count { dataset, stage, class, sqlstate, count, oldest, newest } = count;
        json!({ "dataset": dataset, "stage": stage, "class": class, "sqlstate": sqlstate, "count": count,
            "oldest": oldest, "newest": newest })
    };
    let letter = |letter: &Letter| {
        let record = &letter.record;
        json!({ "source": record.source, "id": record.dead_letter_id, "when": record.known_at, "dataset": record.dataset,
            "stage": record.stage, "class": record.error_class, "sqlstate": record.sqlstate, "reason": record.reason,
            "resolution": letter.resolution, "resolved_at": letter.resolved_at })
    };
    let causes: Vec<Value> = counts.iter().map(count).collect();
    let letters: Vec<Value> = letters.iter().map(letter).collect();
    format!("{}\n", json!({ "causes": causes, "letters": letters }))
}

/// A text that cannot steer a terminal, whoever wrote it, on one line.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
