//! `producer list`.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use service::settings;
use sources::schedule::{Frequency, Kind, span};
use sources::source::{Endpoint, Source};

use super::{chosen, print};

/// List the sources, their endpoints, and what they need
///
/// Example: `producer list --kind prices --frequency daily`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Sources to list; all by default
    sources: Vec<String>,
    /// Only endpoints with this kind of data, e.g. `prices`
    #[arg(long)]
    kind: Option<String>,
    /// Only endpoints whose provider has new data this often, e.g. `daily`
    #[arg(long)]
    frequency: Option<String>,
    /// Only endpoints with records of this dataset
    #[arg(long)]
    dataset: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(Arguments { sources, kind, frequency, dataset, json }: &Arguments) -> anyhow::Result<ExitCode> {
    let sources = chosen(sources)?;
    let filter = Filter::new(kind.as_deref(), frequency.as_deref(), dataset.as_deref())?;
    print(&if *json { as_json(&sources, &filter) } else { table(&sources, &filter) })?;
    Ok(ExitCode::SUCCESS)
}

/// Which endpoints are listed.
struct Filter<'a> {
    kind: Option<Kind>,
    frequency: Option<Frequency>,
    dataset: Option<&'a str>,
}

impl<'a> Filter<'a> {
    /// Endpoints that meet every given condition.
    fn new(kind: Option<&str>, frequency: Option<&str>, dataset: Option<&'a str>) -> anyhow::Result<Filter<'a>> {
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let frequencies: Vec<&str> = Frequency::ALL.iter().map(|frequency| frequency.name()).collect();
        if let Some(unknown) = dataset.filter(|name| contract::dataset(name).is_none()) {
            bail!("there is no dataset `{unknown}`");
        }
        Ok(Filter {
            kind: kind.map(|name| among("kind", name, &kinds)).transpose()?.map(|at| Kind::ALL[at]),
            frequency: frequency
                .map(|name| among("frequency", name, &frequencies))
                .transpose()?
                .map(|at| Frequency::ALL[at]),
            dataset,
        })
    }

    /// The endpoints of a source that are listed.
    fn of(&self, source: &'static Source) -> Vec<&'static Endpoint> {
        let fits = |endpoint: &&Endpoint| {
            self.kind.is_none_or(|kind| kind == endpoint.schedule.kind)
                && self.frequency.is_none_or(|frequency| frequency == endpoint.schedule.frequency)
                && self.dataset.is_none_or(|dataset| endpoint.datasets.contains(&dataset))
        };
        source.endpoints.iter().filter(fits).collect()
    }
}

/// The position of a name in a list.
fn among(what: &str, name: &str, names: &[&str]) -> anyhow::Result<usize> {
    let place = names.iter().position(|own| *own == name);
    place.ok_or_else(|| anyhow!("there is no {what} `{name}`; there are: {}", names.join(", ")))
}

/// For a person.
fn table(sources: &[&'static Source], filter: &Filter<'_>) -> String {
    let mut text = String::new();
    for source in sources {
        let endpoints = filter.of(source);
        if endpoints.is_empty() {
            continue;
        }
        text.push_str(&format!("{}: {}\n", source.name, source.doc));
        text.push_str(&format!("    address: {} (`{}`)\n", source.base_url, source.base_url_env));
        if let Some(key) = source.key_variable() {
            let state = if settings::read(&key).is_some() { "set" } else { "not set" };
            text.push_str(&format!("    key: `{}`, {state}; {}\n", key.name, key.doc));
        }
        if let Some(quota) = source.quota {
            text.push_str(&format!("    calls a day: {} (`{}`)\n", quota.calls, quota.env));
        }
        for endpoint in endpoints {
            text.push_str(&endpoint_lines(endpoint));
        }
    }
    text
}

fn endpoint_lines(endpoint: &Endpoint) -> String {
    let Endpoint { name, doc, item, known_at, schedule, .. } = endpoint;
    let datasets = endpoint.datasets.join(", ");
    let (kind, frequency) = (schedule.kind.name(), schedule.frequency.name());
    let (when, sla) = (schedule.words(), span(schedule.sla));
    format!(
        "    {name} -> {datasets}: {doc}\n        {kind}, {frequency}: {when}; at most {sla} old\n        \
         item: {item}; known_at: {known_at}\n"
    )
}

/// For a program.
fn as_json(sources: &[&'static Source], filter: &Filter<'_>) -> String {
    let listed = sources.iter().filter(|source| !filter.of(source).is_empty());
    let sources: Vec<Value> = listed.map(|source| source_json(source, filter)).collect();
    format!("{:#}\n", Value::from(sources))
}

fn source_json(source: &'static Source, filter: &Filter<'_>) -> Value {
    let key = source.key_variable();
    json!({
        "name": source.name,
        "doc": source.doc,
        "base_url": source.base_url,
        "base_url_env": source.base_url_env,
        "key_env": key.as_ref().map(|key| key.name),
        "key_set": key.map(|key| settings::read(&key).is_some()),
        "daily_calls": source.quota.map(|quota| quota.calls),
        "daily_calls_env": source.quota.map(|quota| quota.env),
        "endpoints": filter.of(source).into_iter().map(endpoint_json).collect::<Vec<Value>>(),
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    json!({
        "name": endpoint.name,
        "doc": endpoint.doc,
        "datasets": endpoint.datasets,
        "item": endpoint.item,
        "known_at": endpoint.known_at,
        "kind": endpoint.schedule.kind.name(),
        "frequency": endpoint.schedule.frequency.name(),
        "schedule": endpoint.schedule.words(),
        "poll_seconds": endpoint.schedule.every.as_secs(),
        "sla_seconds": endpoint.schedule.sla.as_secs(),
    })
}
