//! Lets one process at a time poll a source and save the outcome.

use std::fs::{File, TryLockError};

use tokio::time::sleep;
use tracing::{info, warn};

use super::*;

/// Time from one try to the next.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// The exclusive right to poll a source, until this is dropped or the process ends, even by SIGKILL.
#[derive(Debug)]
pub struct Lock<'a>(Option<&'a File>);

impl State {
    /// Waits until no other process polls the source: two at once would publish the same records twice. A backfill
    /// needs no lock.
    ///
    /// Cancel safe: a future that is dropped holds no lock.
    pub async fn lock(&self) -> Lock<'_> {
        let Some(file) = &self.lock else { return Lock(None) };
        held(file, self.source, "another process polls this source: waiting for the end of its round").await
    }
}

/// Waits until no other process creates the state or puts it aside: SQLite returns an error to a process that opens a
/// file while another creates it.
pub(super) async fn opening<'a>(file: &'a File, source: &str) -> Lock<'a> {
    held(file, source, "another process opens this state: waiting").await
}

async fn held<'a>(file: &'a File, source: &str, waiting: &str) -> Lock<'a> {
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Lock(Some(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                warn!(source, "cannot lock the state, going on without the lock: {error}");
                return Lock(None);
            }
        }
        if !is_told {
            info!(source, "{waiting}");
            is_told = true;
        }
        sleep(TRY_EVERY).await;
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // If unlocking fails, closing the file releases the lock.
        let _ = self.0.map(File::unlock);
    }
}

/// The file to lock. SQLite has locks of its own on the state file.
pub(super) fn file(folder: &Path, name: &str) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(folder.join(format!("{name}.lock")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn one_process_at_a_time_holds_the_lock_of_a_source() {
        let folder = TempDir::new().unwrap();
        let open = async |source| State::open(folder.path(), source).await.unwrap();
        let (first, second, other) = (open("cboe").await, open("cboe").await, open("ici").await);
        let lock = first.lock().await;
        other.lock().await;
        assert!(timeout(Duration::from_millis(300), second.lock()).await.is_err());
        drop(lock);
        let lock = timeout(Duration::from_secs(60), second.lock()).await.unwrap();
        assert!(timeout(Duration::from_millis(300), first.lock()).await.is_err());
        // A dropped state releases its lock.
        drop(lock);
        drop(second);
        timeout(Duration::from_secs(60), first.lock()).await.unwrap();
        let in_memory = State::in_memory("cboe").await.unwrap();
        let _both = (in_memory.lock().await, in_memory.lock().await);
    }
}
