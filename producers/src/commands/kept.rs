//! The records that files of the user have now, so that others can be deleted.

use std::collections::HashSet;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, SubsecRound as _, Utc};
use contract::{Dataset, Decoder, Record, Rows, tombstone};
use service::settings;
use sources::providers::file;
use sources::response::{Parsed, Request};
use sources::source::Endpoint;
use xxhash_rust::xxh3::Xxh3;

use crate::fetch::LIMITS;
use crate::fetch::local::Folder;

/// Most records of all files. It bounds the memory: some 40 bytes per record.
const MAX_KEPT: usize = 10_000_000;
/// Class of a row that has the key of another row of its file.
const DUPLICATE: &str = "duplicate";

/// Hashes of the keys of all records in files. Files are given by endpoint and item, as on the watchlist.
///
/// # Errors
///
/// A file that cannot be read whole, row by row: the record of an unreadable row would be taken for one that is gone.
pub(super) fn keys(
    dataset: &Dataset,
    files: impl Iterator<Item = (String, String)>,
    now: DateTime<Utc>,
) -> anyhow::Result<HashSet<u128>> {
    let mut kept = Kept { dataset, decoder: Decoder::new(dataset, &dataset.schema)?, keys: HashSet::new() };
    let address = settings::read(&file::SOURCE.base_url_variable()).unwrap_or_default();
    let folder = Folder::new(file::SOURCE.base_url_env, &address)?;
    for (endpoint, item) in files {
        let endpoint = file::SOURCE.endpoint(&endpoint).map_err(|error| anyhow!(error))?;
        kept.add(&folder, endpoint, &item, now).with_context(|| format!("`{item}`"))?;
    }
    Ok(kept.keys)
}

struct Kept<'d> {
    dataset: &'d Dataset,
    decoder: Decoder,
    keys: HashSet<u128>,
}

impl Kept<'_> {
    fn add(&mut self, folder: &Folder, endpoint: &Endpoint, item: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
        let (mut offset, mut written) = (Some(0), None);
        let (mut unreadable, mut first) = (0, None);
        while let Some(at) = offset {
            let content = folder.read(&(endpoint.path)(item, at)?, LIMITS.body)?;
            if at > 0 && written != content.modified {
                bail!("the file was written while it was read: try again");
            }
            written = content.modified;
            let last_modified = content.modified.map(|time| DateTime::from(time).trunc_subsecs(6));
            let request = Request { item, offset: at, received_at: now, last_modified };
            let Parsed { records, rejects, next_offset, .. } = endpoint.read(&request, &content.body)?;
            records.iter().try_for_each(|record| self.insert(record))?;
            let mut rejects = rejects.into_iter().filter(|reject| reject.class != DUPLICATE);
            if let Some(reject) = rejects.next() {
                unreadable += 1 + rejects.count();
                first.get_or_insert(reject.reason);
            }
            offset = next_offset.filter(|next| *next > at);
        }
        match first {
            None => Ok(()),
            Some(reason) => bail!(
                "{unreadable} of its rows cannot be read, so their records would be deleted: correct them first; {reason}"
            ),
        }
    }

    fn insert(&mut self, record: &Record) -> anyhow::Result<()> {
        if record.dataset() != self.dataset.name {
            bail!("has records of `{}`, not of `{}`", record.dataset(), self.dataset.name);
        }
        let (mut body, mut rows) = (Vec::new(), Rows::new(self.dataset));
        record.encode(&mut body);
        self.decoder.decode(&body, &mut rows)?;
        self.keys.insert(hash_of_key(self.dataset, &rows));
        if self.keys.len() > MAX_KEPT {
            bail!("more than {MAX_KEPT} records: split the file, and name the records of each part with `--where`");
        }
        Ok(())
    }
}

/// A hash of the natural key of the first row.
pub(super) fn hash_of_key(dataset: &Dataset, rows: &Rows) -> u128 {
    let mut state = Xxh3::new();
    for position in &dataset.key {
        let text = tombstone::shown(rows.column(*position), 0);
        state.update(&(text.len() as u64).to_le_bytes());
        state.update(text.as_bytes());
    }
    state.digest128()
}
