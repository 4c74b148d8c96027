//! Runs a library that may panic on damaged data, and turns the panic into a value.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether [`caught`] runs on this thread.
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// A process-wide panic hook, as in [`std::panic`](mod@std::panic).
pub type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static>;

/// Wraps a hook so that it does not report the panics that `caught` handles.
///
/// The hook belongs to the process, so this crate installs none. An executable that parses wraps the current hook and
/// installs the result once, at its start.
pub fn without_caught(hook: PanicHook) -> PanicHook {
    Box::new(move |panic| {
        if !IS_CATCHING.get() {
            hook(panic);
        }
    })
}

/// Returns what `run` returns; None if it panics.
///
/// For libraries that assert what only damaged data can break. After a None, discard whatever `run` may have changed.
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
