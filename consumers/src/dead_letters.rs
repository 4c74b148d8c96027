//! Dead letters: what was refused and why, and trying it again once the cause is fixed.

pub(crate) mod list;
pub(crate) mod redrive;
pub(crate) mod show;

/// A text that cannot steer a terminal, whoever wrote it, on one line.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
