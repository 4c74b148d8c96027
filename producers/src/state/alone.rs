//! One process at a time polls a source and notes what came of it.

use std::fs::{File, TryLockError};

use tokio::time::sleep;
use tracing::{info, warn};

use super::*;

/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// A lock that is held until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Alone<'a>(Option<&'a File>);

impl State {
    /// Waits until no other process publishes what polls of the source bring: two at once would publish it twice.
    /// Backfills go on beside it.
    pub async fn alone(&self) -> Alone<'_> {
        let Some(file) = &self.lock else { return Alone(None) };
        held(file, self.source, "another process polls it with this state: waiting for its round to end").await
    }
}

/// Waits until no other process makes the state, or puts it aside: SQLite lets those that find none fail.
pub(super) async fn opening<'a>(file: &'a File, source: &str) -> Alone<'a> {
    held(file, source, "another process opens this state: waiting until it has").await
}

async fn held<'a>(file: &'a File, source: &str, waiting: &str) -> Alone<'a> {
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Alone(Some(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                warn!(source, "whether another process uses its state cannot be told: {error}");
                return Alone(None);
            }
        }
        if !is_told {
            info!(source, "{waiting}");
            is_told = true;
        }
        sleep(TRY_EVERY).await;
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // What cannot be given back is when the file is closed.
        let _ = self.0.map(File::unlock);
    }
}

/// A file to lock: the one with the state is the database's own.
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
    async fn one_is_alone_until_it_has_done_and_the_sources_do_not_wait_for_each_other() {
        let folder = TempDir::new().unwrap();
        let open = async |source| State::open(folder.path(), source).await.unwrap();
        let (first, second, other) = (open("cboe").await, open("cboe").await, open("ici").await);
        let alone = first.alone().await;
        other.alone().await;
        assert!(timeout(Duration::from_millis(300), second.alone()).await.is_err());
        drop(alone);
        let alone = timeout(Duration::from_secs(60), second.alone()).await.unwrap();
        assert!(timeout(Duration::from_millis(300), first.alone()).await.is_err());
        // One that is gone holds nobody up.
        drop(alone);
        drop(second);
        timeout(Duration::from_secs(60), first.alone()).await.unwrap();
        let in_memory = State::in_memory("cboe").await.unwrap();
        let _both = (in_memory.alone().await, in_memory.alone().await);
    }
}
