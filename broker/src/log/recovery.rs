//! Opens a partition's folder: checks what may be torn, refuses what is damaged.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::batch::Header;
use super::files::{remove, replace_checked, sync_folder};
use super::index::Index;
use super::meta::Mark;
use super::partition::{Closed, index_file, push_epoch, segment, snapshot};
use super::producers::Producers;
use super::walk::{Walk, is_undamaged};

/// The content of a partition.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) start: i64,
    pub(super) closed: VecDeque<Closed>,
    pub(super) active: Index,
    pub(super) producers: Producers,
    pub(super) snapshots: VecDeque<i64>,
    pub(super) epochs: Vec<(i32, i64)>,
    pub(super) stamp: i64,
}

/// The file with the first offset after `DeleteRecords` or retention.
pub(super) fn start_file(folder: &Path) -> PathBuf {
    folder.join("start")
}

/// The segments and the producers' snapshots of a folder, each in ascending order.
struct Listing {
    segments: Vec<i64>,
    snapshots: VecDeque<i64>,
}

/// Recovers a partition. Everything before the mark is on disk and trusted; what follows is checked batch by batch and
/// cut at the first fault.
pub(super) fn recover(folder: &Path, mark: Option<&Mark>, now_ms: i64) -> anyhow::Result<Recovered> {
    let recovery = mark.map_or(0, |mark| mark.recovery);
    let start = read_start(folder)?;
    let mut listing = list(folder)?;
    if listing.segments.is_empty() {
        ensure!(
            recovery == 0 && start == 0,
            "{}: all segments are missing; restore them from a copy",
            folder.display()
        );
        File::create(segment(folder, 0))?;
        listing.segments.push(0);
    }
    // Retention was interrupted.
    let is_gone = |pair: &&[i64]| matches!(pair, [_, next] if *next <= start);
    let gone = listing.segments.windows(2).take_while(is_gone).count();
    for base in listing.segments.drain(..gone) {
        remove(&segment(folder, base))?;
        remove(&index_file(folder, base))?;
    }
    let first = listing.segments.first().copied().unwrap_or(0);
    ensure!(first <= start, "{}: the segment with offset {start} is missing; restore it from a copy", folder.display());
    let mut check = Check::new(folder, recovery, mark);
    let mut segments = Vec::new();
    for (at, base) in listing.segments.iter().enumerate() {
        let next = listing.segments.get(at + 1).copied();
        let (index, is_cut) = check.segment(*base, next)?;
        segments.push(index);
        if is_cut {
            for later in listing.segments.iter().skip(at + 1) {
                remove(&segment(folder, *later))?;
                remove(&index_file(folder, *later))?;
            }
            sync_folder(folder)?;
            break;
        }
    }
    let end = segments.last().map_or(0, |index| index.next);
    ensure!(
        end >= recovery.max(start),
        "{}: the records from offset {end} to {} are missing; restore the file from a copy",
        segment(folder, segments.last().map_or(0, |index| index.base)).display(),
        recovery.max(start)
    );
    let (producers, snapshots) = replay(folder, &segments, listing.snapshots, now_ms)?;
    let Some(active) = segments.pop() else { bail!("{}: no segments", folder.display()) };
    let closed = segments.iter().map(Closed::of).collect();
    Ok(Recovered { start, closed, active, producers, snapshots, epochs: check.epochs, stamp: check.stamp })
}

fn read_start(folder: &Path) -> anyhow::Result<i64> {
    let path = start_file(folder);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let start = text.trim_end().parse().ok().filter(|start| *start >= 0);
            start.with_context(|| format!("{}: not an offset; restore the file from a copy", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn list(folder: &Path) -> anyhow::Result<Listing> {
    let (mut segments, mut snapshots) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let path = entry?.path();
        let offset = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
        let offset = offset.and_then(|stem| stem.parse::<i64>().ok()).filter(|offset| *offset >= 0);
        match (path.extension().and_then(|extension| extension.to_str()), offset) {
            (Some("log"), Some(offset)) => segments.push(offset),
            (Some("producers"), Some(offset)) => snapshots.push(offset),
            (Some("tmp"), _) => remove(&path)?,
            _ => {}
        }
    }
    segments.sort_unstable();
    snapshots.sort_unstable();
    Ok(Listing { segments, snapshots: snapshots.into() })
}

/// Checks the segments of a partition one after the other.
struct Check<'a> {
    folder: &'a Path,
    recovery: i64,
    epochs: Vec<(i32, i64)>,
    stamp: i64,
}

impl<'a> Check<'a> {
    fn new(folder: &'a Path, recovery: i64, mark: Option<&Mark>) -> Check<'a> {
        let known = mark.map_or(&[][..], |mark| &mark.epochs);
        let epochs = known.iter().filter(|epoch| epoch.1 < recovery).copied().collect();
        Check { folder, recovery, epochs, stamp: mark.map_or(0, |mark| mark.stamp) }
    }

    /// The index of a segment, and whether its end was cut off. `next` is the base offset of the following segment.
    fn segment(&mut self, base: i64, next: Option<i64>) -> anyhow::Result<(Index, bool)> {
        let path = segment(self.folder, base);
        let read = || format!("cannot read {}", path.display());
        let file = OpenOptions::new().read(true).write(true).open(&path).with_context(read)?;
        let size = file.metadata().with_context(read)?.len();
        let is_whole = |index: &Index| index.size == size && next.is_none_or(|next| next == index.next);
        let stored = fs::read(index_file(self.folder, base)).ok().and_then(|content| Index::decode(&content));
        if let Some(index) = stored.filter(|index| index.base == base && is_whole(index) && index.next <= self.recovery)
        {
            return Ok((index, false));
        }
        let (recovery, epochs, stamp) = (self.recovery, &mut self.epochs, &mut self.stamp);
        let index = scan(&file, base, size, recovery, &mut |header| {
            if header.base_offset >= recovery {
                push_epoch(epochs, header);
                *stamp = if header.is_append_time() { header.max_time } else { *stamp };
            }
        });
        let index = index.with_context(read)?;
        if index.next > recovery {
            file.sync_data().with_context(|| format!("cannot write {}", path.display()))?;
        }
        if is_whole(&index) {
            if next.is_some() {
                replace_checked(&index_file(self.folder, base), &index.encode())?;
            }
            return Ok((index, false));
        }
        self.cut(&path, &file, size, &index)?;
        Ok((index, true))
    }

    fn cut(&self, path: &Path, file: &File, size: u64, index: &Index) -> anyhow::Result<()> {
        ensure!(
            index.next >= self.recovery,
            "{}: damaged at byte {} (offset {}), although all records before offset {} were on disk; restore the file \
             from a copy",
            path.display(),
            index.size,
            index.next,
            self.recovery
        );
        tracing::warn!(
            "{}: the last write was interrupted: dropping {} bytes from offset {} on",
            path.display(),
            size - index.size,
            index.next
        );
        remove(&index_file(self.folder, index.base))?;
        file.set_len(index.size)?;
        file.sync_all().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Builds the index of a segment up to the first fault. From offset `trusted` on it also checks the checksums.
pub(super) fn scan(
    file: &File,
    base: i64,
    size: u64,
    trusted: i64,
    visit: &mut dyn FnMut(&Header),
) -> io::Result<Index> {
    let (mut index, mut walk, mut block) = (Index::new(base), Walk::new(file, 0, size), Vec::new());
    while let Some((header, at)) = walk.next()? {
        if !header.follows(index.next) || (header.next() > trusted && !is_undamaged(file, &header, at, &mut block)?) {
            break;
        }
        visit(&header);
        index.push(&header);
    }
    Ok(index)
}

/// Loads the last undamaged snapshot of the producers and replays the batches after it.
fn replay(
    folder: &Path,
    segments: &[Index],
    mut snapshots: VecDeque<i64>,
    now_ms: i64,
) -> anyhow::Result<(Producers, VecDeque<i64>)> {
    let end = segments.last().map_or(0, |index| index.next);
    let (mut producers, mut from) = (Producers::default(), 0);
    while let Some(offset) = snapshots.back().copied() {
        let stored = fs::read(snapshot(folder, offset)).ok().filter(|_| offset <= end);
        if let Some(stored) = stored.and_then(|content| Producers::decode(&content)) {
            (producers, from) = (stored, offset);
            break;
        }
        remove(&snapshot(folder, offset))?;
        snapshots.pop_back();
    }
    for index in segments.iter().filter(|index| index.next > from) {
        let path = segment(folder, index.base);
        let read = || format!("cannot read {}", path.display());
        let file = File::open(&path).with_context(read)?;
        let mut walk = Walk::new(&file, index.by_offset(from).position, index.size);
        while let Some((header, _)) = walk.next().with_context(read)? {
            if header.base_offset >= from {
                producers.push(&header, now_ms);
            }
        }
    }
    Ok((producers, snapshots))
}
