//! Responses to be parsed: recorded ones if they lie beside the repository, and lengthened fixtures.

use std::path::Path;

use anyhow::Context as _;
use chrono::{NaiveDate, TimeDelta, Utc};
use serde_json::Value;
use sources::response::{PageError, Parsed, Request};
use sources::source;
use sources::source::{Endpoint, Source};

/// The table of recorded responses: the request and the file of each.
const SAMPLES_TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples.tsv");
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/providers/samples");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sources/fixtures");
/// Length of a lengthened fixture: a response parsed in less than a millisecond measures its header more than its rows.
const LONG_BYTES: usize = 1 << 20;
/// Dates from here on mean "forever" and stay; no date is moved before [`FIRST`].
const FOREVER: NaiveDate = NaiveDate::from_ymd_opt(2200, 1, 1).expect("a date");
const FIRST: NaiveDate = NaiveDate::from_ymd_opt(100, 1, 1).expect("a date");

/// A response and its request.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) source: &'static Source,
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) item: String,
    pub(crate) offset: u64,
    /// The file that holds it.
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

impl Input {
    /// Parses it.
    pub(crate) fn parse(&self) -> anyhow::Result<Parsed> {
        self.outcome((self.endpoint.parse)(&self.request(), &self.body))
    }

    /// Parses it and scores its articles.
    pub(crate) fn read(&self) -> anyhow::Result<Parsed> {
        self.outcome(self.endpoint.read(&self.request(), &self.body))
    }

    fn request(&self) -> Request<'_> {
        Request { item: &self.item, offset: self.offset, received_at: Utc::now(), last_modified: None }
    }

    fn outcome(&self, parsed: Result<Parsed, PageError>) -> anyhow::Result<Parsed> {
        parsed.with_context(|| format!("{} {} of `{}`: {}", self.source.name, self.endpoint.name, self.item, self.name))
    }
}

/// The response in a file.
pub(crate) fn named(of: &[String]) -> anyhow::Result<Input> {
    let [name, endpoint, item, file] = of else { anyhow::bail!("name a source, an endpoint, an item and a file") };
    let source = source(name).map_err(anyhow::Error::msg)?;
    let endpoint = source.endpoint(endpoint).map_err(anyhow::Error::msg)?;
    let body = read(Path::new(file))?;
    Ok(Input { source, endpoint, item: item.clone(), offset: 0, name: file.clone(), body })
}

/// For every endpoint its longest recorded response, if there is one, and its longest fixture.
pub(crate) fn all() -> anyhow::Result<Vec<Input>> {
    let samples = samples()?;
    let mut inputs = Vec::new();
    for source in sources::SOURCES {
        for endpoint in source.endpoints {
            let is_own = |input: &&Input| (input.source.name, input.endpoint.name) == (source.name, endpoint.name);
            let longest = samples.iter().filter(is_own).max_by_key(|input| input.body.len());
            inputs.extend(longest.map(|input| Input { body: input.body.clone(), ..named_as(input) }));
            let fixtures = fixtures(source, endpoint)?;
            let longest = fixtures.into_iter().max_by_key(|input| input.body.len());
            inputs.push(longest.with_context(|| format!("{} {} has no fixture", source.name, endpoint.name))?);
        }
    }
    Ok(inputs)
}

fn named_as(input: &Input) -> Input {
    let (item, name) = (input.item.clone(), input.name.clone());
    Input { source: input.source, endpoint: input.endpoint, item, offset: input.offset, name, body: Vec::new() }
}

/// The recorded responses that have records; none where they are not there.
fn samples() -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    if !Path::new(SAMPLES).exists() {
        return Ok(inputs);
    }
    let table = read(Path::new(SAMPLES_TABLE))?;
    for line in String::from_utf8_lossy(&table).lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, of, endpoint, item, offset, outcome] = columns[..] else { continue };
        let Ok(source) = source(of) else { continue };
        if !outcome.contains(" records") || outcome.starts_with("0 ") {
            continue;
        }
        let endpoint = source.endpoint(endpoint).map_err(anyhow::Error::msg)?;
        let body = read(&Path::new(SAMPLES).join(file))?;
        let offset = offset.parse().unwrap_or_default();
        inputs.push(Input { source, endpoint, item: item.to_owned(), offset, name: file.to_owned(), body });
    }
    Ok(inputs)
}

/// The fixtures that have records, each as long as it can be made.
fn fixtures(source: &'static Source, endpoint: &'static Endpoint) -> anyhow::Result<Vec<Input>> {
    let folder = Path::new(FIXTURES).join(source.name).join(endpoint.name);
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if ["~error", "~odd"].iter().any(|what| stem.contains(what)) {
            continue;
        }
        let item = stem.split('~').next().unwrap_or_default().to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut input = Input { source, endpoint, item, offset: 0, name, body: read(&path)? };
        let parsed = input.parse()?;
        if parsed.records.is_empty() {
            continue;
        }
        // Only bodies with proportionally more records measure how fast records are read.
        if let Some(body) = longer(&input.body) {
            let other = Input { body, ..named_as(&input) };
            if other.parse().is_ok_and(|longer| longer.records.len() > 10 * parsed.records.len()) {
                input = other;
            }
        }
        inputs.push(input);
    }
    Ok(inputs)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// A body with its rows repeated, each time with earlier dates; None for a body without such rows.
fn longer(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let dates = dates(text);
    let (first, last) = (dates.iter().map(|(_, date, _)| *date).min()?, dates.iter().map(|(_, date, _)| *date).max()?);
    let days = (last - first).num_days() + 1;
    let times = (LONG_BYTES / body.len().max(1)).min(usize::try_from((first - FIRST).num_days() / days).ok()?);
    let moved = |row: &str, time: usize| earlier(row, TimeDelta::days(days * time as i64));
    let is_lines =
        |text: &str| text.lines().count() > 1 && text.lines().all(|line| line.starts_with('{') && line.ends_with('}'));
    if is_lines(text) {
        return Some((0..times).map(|time| moved(text, time)).collect::<String>().into_bytes());
    }
    if text.trim_start().starts_with(['{', '[']) {
        let mut value = serde_json::from_str(text).ok()?;
        let rows = rows(&mut value)?;
        let once = rows.clone();
        for time in 1..times {
            rows.extend(once.iter().filter_map(|row| serde_json::from_str(&moved(&row.to_string(), time)).ok()));
        }
        return serde_json::to_vec(&value).ok();
    }
    let (header, rows) = text.split_once('\n')?;
    let all = (0..times).map(|time| moved(rows, time));
    Some(all.fold(format!("{header}\n"), |text, rows| text + &rows).into_bytes())
}

/// The list that is most of a body.
fn rows(value: &mut Value) -> Option<&mut Vec<Value>> {
    match value {
        Value::Array(rows) => Some(rows),
        Value::Object(members) => rows(members.values_mut().max_by_key(|value| value.to_string().len())?),
        _ => None,
    }
}

/// Places of the dates in a text, and their form.
fn dates(text: &str) -> Vec<(usize, NaiveDate, &'static str)> {
    let date = |at: usize| {
        let text = text.get(at..at + 10)?;
        let form = match (text.as_bytes()[4], text.as_bytes()[2]) {
            (b'-', _) => "%Y-%m-%d",
            (_, b'/') => "%m/%d/%Y",
            _ => return None,
        };
        let is_shape = text.bytes().filter(u8::is_ascii_digit).count() == 8;
        let date = NaiveDate::parse_from_str(text, form).ok().filter(|date| is_shape && *date < FOREVER)?;
        Some((at, date, form))
    };
    (0..text.len()).filter_map(date).collect()
}

/// A text with its dates so much earlier.
fn earlier(text: &str, by: TimeDelta) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for (at, date, form) in dates(text) {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(&(date - by).format(form).to_string());
        from = at + 10;
    }
    out + text.get(from..).unwrap_or_default()
}
