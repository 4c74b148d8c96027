//! What may panic, run without a word of it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are caught.
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// What `run` gives; None when it panics, of which nothing is printed.
///
/// For a library that asserts what only damaged data can break. Nothing that `run` changes may be used after a None.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_CATCHING.get() {
                print(panic);
            }
        }));
    });
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
