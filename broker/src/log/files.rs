//! Files: atomic replacement, durability, and a few open segments for readers.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kafka_protocol::error::ResponseError;

use super::index::Index;
use crate::limits::MAX_IDLE_FILES;

/// Locks a mutex. A panic elsewhere does not spread: no code of the log panics while its data is inconsistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces a file as a whole: after a crash the old or the new content is there.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a file that a checksum guards: a power cut may destroy it.
pub(super) fn replace_checked(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes the creation and deletion of files in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Appends a checksum.
pub(super) fn seal(mut content: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&content);
    content.extend_from_slice(&crc.to_be_bytes());
    content
}

/// The content before the checksum, if it fits.
pub(super) fn unseal(content: &[u8]) -> Option<&[u8]> {
    let (content, crc) = content.split_last_chunk::<4>()?;
    (crc32c::crc32c(content) == u32::from_be_bytes(*crc)).then_some(content)
}

/// Deletes a file unless it is gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Logs an error of the file system; the client is told that the disk failed and may retry.
pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> ResponseError {
    tracing::error!("{}: cannot {what}: {error}", path.display());
    ResponseError::KafkaStorageError
}

/// Ends the process after a failed `fsync`: nobody knows which data reached the disk. The next start checks it.
pub(super) fn sync_failed(path: &Path, error: &io::Error) -> ! {
    tracing::error!("{}: cannot write data to disk: {error}; stopping, the next start checks the data", path.display());
    std::process::exit(1)
}

/// A segment that is open for readers.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) file: Arc<File>,
    /// Loaded for closed segments when first needed.
    pub(super) index: OnceLock<Arc<Index>>,
}

/// Identifies a segment: number of its partition in this process, base offset.
type Key = (u64, i64);

/// The idle segments that were read last, shared by all partitions.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: Mutex<VecDeque<(Key, Arc<OpenSegment>)>>,
}

impl OpenFiles {
    /// Opens a segment, or finds it open.
    pub(super) fn open(&self, key: Key, path: &Path) -> io::Result<Arc<OpenSegment>> {
        let mut files = lock(&self.files);
        if let Some(at) = files.iter().rposition(|entry| entry.0 == key)
            && let Some(entry) = files.remove(at)
        {
            let open = Arc::clone(&entry.1);
            files.push_back(entry);
            return Ok(open);
        }
        let open = Arc::new(OpenSegment { file: Arc::new(File::open(path)?), index: OnceLock::new() });
        if files.len() >= MAX_IDLE_FILES {
            files.pop_front();
        }
        files.push_back((key, Arc::clone(&open)));
        Ok(open)
    }

    /// Closes the segments of a partition that begin before `offset`, once no reader uses them.
    pub(super) fn forget(&self, partition: u64, offset: i64) {
        lock(&self.files).retain(|(key, _)| key.0 != partition || key.1 >= offset);
    }
}
