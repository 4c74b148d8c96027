//! Dead letters: lists and shows refused messages, and redrives them once the cause is fixed.

pub(crate) mod list;
pub(crate) mod redrive;
pub(crate) mod release;
pub(crate) mod show;

/// A text on one line without control characters, which could steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
