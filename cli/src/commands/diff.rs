//! `tapedeck diff`: what changed between two moments.

use anyhow::ensure;
use chrono::{DateTime, Utc};
use contract::Dataset;
use store::sql::CONTENT_HASH;
use store::{Cut, Database, Found};

use super::history::dataset;
use super::moment::time;
use super::print;
use super::query::{json, table};

/// Most keys shown unless the user wants more.
const USUAL_KEYS: usize = 1_000;

/// List what changed in a dataset between two moments
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tapedeck diff observation --from 2024-05-01 --to 2024-06-01")]
pub(super) struct Arguments {
    /// The dataset
    dataset: String,
    /// The earlier moment: what was known then
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: DateTime<Utc>,
    /// The later moment; by default now
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<DateTime<Utc>>,
    /// Print at most so many keys; 0: all
    #[arg(long, default_value_t = USUAL_KEYS, value_name = "KEYS")]
    limit: usize,
    /// Print a JSON object per key
    #[arg(long)]
    json: bool,
}

/// Prints the keys that were added, changed and removed.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dataset = dataset(&arguments.dataset)?;
    let to = arguments.to.unwrap_or_else(Utc::now);
    ensure!(arguments.from <= to, "`--from` is after `--to`");
    ensure!(to <= Utc::now(), "`--to` is in the future: nobody knows yet what will be known then");
    let database = Database::from_settings()?;
    let cut = |known| Cut { known, observed: None, snapshot: None, assume: false };
    let [before, after] =
        [database.as_of(dataset, &cut(arguments.from)).await?, database.as_of(dataset, &cut(to)).await?];
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let found = database.query_some(&query(dataset, &before, &after), limit).await?;
    let shown = shown(dataset, &found);
    print(&if arguments.json { json(&shown)? } else { table(&shown) })?;
    if found.is_cut {
        eprintln!("only the first {limit} keys are shown: `--limit 0` shows all");
    }
    Ok(())
}

/// Selects the keys that differ, and their values before and after.
fn query(dataset: &Dataset, before: &str, after: &str) -> String {
    let key: Vec<&str> = dataset.key.iter().map(|at| &*dataset.fields[*at].name).collect();
    let same = key.iter().map(|name| format!("b.{name} = a.{name}")).collect::<Vec<_>>().join(" and ");
    let keys = key.iter().map(|name| format!("coalesce(b.{name}, a.{name}) as {name}"));
    let values = dataset.values().map(|at| &dataset.fields[at].name);
    let values = values.flat_map(|name| [format!("b.{name} as b_{name}"), format!("a.{name} as a_{name}")]);
    let what = format!(
        "case when b.{CONTENT_HASH} is null then 'added' when a.{CONTENT_HASH} is null then 'removed' else 'changed' end"
    );
    format!(
        "select {}, {what} as what from ({before}) as b full join ({after}) as a on {same} \
         where b.{CONTENT_HASH} is null or a.{CONTENT_HASH} is null or a.{CONTENT_HASH} <> b.{CONTENT_HASH} order by {}",
        keys.chain(values).collect::<Vec<_>>().join(", "),
        (1..=key.len()).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")
    )
}

/// One line per key: the key, what happened, the values that differ.
fn shown(dataset: &Dataset, found: &Found) -> Found {
    let keys = dataset.key.len();
    let line = |row: &Vec<Option<String>>| {
        let value = |at: usize| row.get(at).cloned().flatten().unwrap_or_else(|| "null".to_owned());
        let names = dataset.values().map(|at| &dataset.fields[at].name).enumerate();
        let changes = names.filter(|(at, _)| row.get(keys + 2 * at) != row.get(keys + 2 * at + 1));
        let changes =
            changes.map(|(at, name)| format!("{name} {} -> {}", value(keys + 2 * at), value(keys + 2 * at + 1)));
        let mut line: Vec<Option<String>> = row[..keys].to_vec();
        line.extend([row.last().cloned().flatten(), Some(changes.collect::<Vec<_>>().join(", "))]);
        line
    };
    let columns = dataset.key.iter().map(|at| dataset.fields[*at].name.clone());
    let columns: Vec<String> = columns.chain(["what", "change"].map(str::to_owned)).collect();
    Found {
        texts: (0..columns.len()).collect(),
        columns,
        rows: found.rows.iter().map(line).collect(),
        is_cut: found.is_cut,
    }
}
