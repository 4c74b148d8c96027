//! `tapedeck history`: who changed a row, and when.

use anyhow::{bail, ensure};
use chrono::DateTime;
use contract::{Dataset, Kind, topic};
use store::sql::{CONTENT_HASH, DELETED, PLACE, revision};
use store::{Database, Found};

use super::print;
use super::query::table;

/// Longest time between the receipt of a record and the last response of the request that brought it.
const REQUEST_MINUTES: i64 = 30;

/// Show all versions of a row: what changed, when it was known and received, and which request brought it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tapedeck history observation \"fred|GDP|2024-01-01\"")]
pub(super) struct Arguments {
    /// The dataset
    dataset: String,
    /// The key: its fields in the order of `tapedeck describe`, joined by `|`
    key: String,
    /// Print a JSON object per version
    #[arg(long)]
    json: bool,
}

/// The dataset of that name.
pub(super) fn dataset(name: &str) -> anyhow::Result<&'static Dataset> {
    match contract::dataset(name) {
        Some(dataset) => Ok(dataset),
        None => bail!("there is no dataset `{name}`: `tapedeck tables` lists them"),
    }
}

/// Prints the versions, the earliest first.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dataset = dataset(&arguments.dataset)?;
    let condition = condition(dataset, &arguments.key)?;
    let database = Database::from_settings()?;
    let columns = columns(dataset);
    let select = |table: &str| format!("select {} from {table} where {condition}", columns.join(", "));
    let [known_at, observed_at] = dataset.version_fields.map(|at| &*dataset.fields[at].name);
    let query = format!(
        "select * from ({} union all {}) as versions order by {known_at}, {observed_at}, {CONTENT_HASH}",
        select(&dataset.name),
        select(&revision(&dataset.name))
    );
    let found = database.query(&query).await?;
    ensure!(!found.rows.is_empty(), "`{}` has no version of `{}`", dataset.name, arguments.key);
    let mut lines = Vec::new();
    let mut before: Option<&Vec<Option<String>>> = None;
    for row in &found.rows {
        let value = |name: &str| column(&found, row, name).unwrap_or_default();
        let place = match PLACE.map(value) {
            [_, _, offset] if offset.is_empty() => String::new(),
            [_, partition, offset] => format!("[{partition}] {offset}"),
        };
        let request = request(&database, &value("source"), &value(observed_at), &arguments.key).await?;
        let changed = change(dataset, &found, before, row);
        lines.push(vec![value(known_at), value(observed_at), place, request, changed].into_iter().map(Some).collect());
        before = Some(row);
    }
    let columns = ["known_at", "observed_at", "place", "request", "change"].map(str::to_owned).to_vec();
    let all = Found { texts: (0..columns.len()).collect(), columns, rows: lines, is_cut: false };
    print(&if arguments.json { super::query::json(&all)? } else { table(&all) })
}

/// The columns that are read.
fn columns(dataset: &Dataset) -> Vec<&str> {
    dataset.fields.iter().map(|field| field.name.as_str()).chain([CONTENT_HASH, DELETED]).chain(PLACE).collect()
}

/// A value of a row; None if it is null.
fn column(found: &Found, row: &[Option<String>], name: &str) -> Option<String> {
    let at = found.columns.iter().position(|column| column == name)?;
    row.get(at).cloned().flatten()
}

/// The condition that a row has this key.
fn condition(dataset: &Dataset, key: &str) -> anyhow::Result<String> {
    let parts = topic::key_parts(key);
    let fields: Vec<_> = dataset.key.iter().map(|at| &dataset.fields[*at]).collect();
    let names = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join("|");
    ensure!(parts.len() == fields.len(), "a key of `{}` is `{names}`, not `{key}`", dataset.name);
    let same = fields.iter().zip(parts).map(|(field, part)| {
        let part = match field.kind {
            Kind::Timestamp => match DateTime::parse_from_rfc3339(&part) {
                Ok(time) => time.to_utc().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
                Err(_) => bail!("`{}` is a time like `2024-05-01T14:30:00Z`, not `{part}`", field.name),
            },
            _ => part,
        };
        Ok(format!("{} = '{}'", field.name, part.replace('\'', "''")))
    });
    Ok(same.collect::<anyhow::Result<Vec<_>>>()?.join(" and "))
}

/// The request that brought a record: endpoint and item; empty if none is logged.
async fn request(database: &Database, source: &str, observed_at: &str, key: &str) -> anyhow::Result<String> {
    let Ok(received) = DateTime::parse_from_rfc3339(observed_at) else { return Ok(String::new()) };
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let time = |time: DateTime<_>| literal(&time.to_utc().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    let items = topic::key_parts(key).iter().map(|part| literal(part)).collect::<Vec<_>>().join(", ");
    let query = format!(
        "select endpoint, item from fetch_log where source = {} and fetched_at between {} and {} \
         order by case when item in ({items}) then 0 else 1 end, fetched_at limit 1",
        literal(source),
        time(received),
        time(received + chrono::TimeDelta::minutes(REQUEST_MINUTES)),
    );
    let found = database.query(&query).await?;
    let names: Vec<String> = found.rows.into_iter().flatten().flatten().collect();
    Ok(names.join(" "))
}

/// What differs between a version and the one before, for a person.
fn change(dataset: &Dataset, found: &Found, before: Option<&Vec<Option<String>>>, row: &[Option<String>]) -> String {
    let is_deleted =
        |row: &[Option<String>]| column(found, row, DELETED).is_some_and(|flag| flag == "true" || flag == "1");
    if is_deleted(row) {
        return "deleted".to_owned();
    }
    let before = before.filter(|before| !is_deleted(before));
    let shown = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
    let names = dataset.values().map(|at| &*dataset.fields[at].name);
    let changes: Vec<String> = names
        .filter_map(|name| {
            let now = column(found, row, name);
            match before.map(|before| column(found, before, name)) {
                None => now.map(|now| format!("{name} {now}")),
                Some(was) => (was != now).then(|| format!("{name} {} -> {}", shown(was), shown(now))),
            }
        })
        .collect();
    if changes.is_empty() { "the same values, confirmed".to_owned() } else { changes.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_condition_and_a_quote_in_it_does_no_harm() {
        let observation = dataset("observation").unwrap();
        let of = |key: &str| condition(observation, key).map_err(|error| error.to_string());
        let expected = "source = 'fred' and series_id = 'x'' or 1=1' and observation_date = '2024-01-01'";
        assert_eq!(of("fred|x' or 1=1|2024-01-01").as_deref(), Ok(expected));
        assert!(of("fred|GDP").unwrap_err().contains("`source|series_id|observation_date`"));
        let bar = |key: &str| condition(dataset("ohlcv_bar").unwrap(), key).map_err(|error| error.to_string());
        assert!(bar("yahoo|A|1d|2024-01-02T00:00:00Z").unwrap().ends_with("'2024-01-02T00:00:00.000000Z'"));
        assert!(bar("yahoo|A|1d|today").unwrap_err().contains("not `today`"));
    }
}
