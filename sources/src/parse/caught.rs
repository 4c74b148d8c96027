//! Runs what may panic, and keeps that panic off the log.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether [`caught`] runs on this thread.
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// A process-wide panic hook, as [`std::panic::set_hook`] takes it.
pub type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static>;

/// The hook, without the panics that [`caught`] turns into a None.
///
/// An executable that parses installs it once, at its start:
/// `std::panic::set_hook(without_caught(std::panic::take_hook()))`.
pub fn without_caught(hook: PanicHook) -> PanicHook {
    Box::new(move |panic| {
        if !IS_CATCHING.get() {
            hook(panic);
        }
    })
}

/// What `run` returns; None when it panics.
///
/// For a library that asserts what only damaged data can break. Nothing that `run` changes may be used after a None.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    let before = IS_CATCHING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    IS_CATCHING.set(before);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_what_follows_is_heard_again() {
        assert_eq!(caught(|| 1), Some(1));
        let inner = || caught::<()>(|| panic!("never seen"));
        assert_eq!(caught(|| (inner(), IS_CATCHING.get())), Some((None, true)));
        assert!(!IS_CATCHING.get());
    }
}
