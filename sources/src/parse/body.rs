//! Limits on a body, and how to describe a body that is not the expected one.

use std::borrow::Cow;

/// Most rows of one page: twice FRED's limit, and eight centuries of trading days.
///
/// Together with the limit on the size of a body it bounds the memory of a page, whatever a provider sends.
pub const MAX_ROWS: usize = 200_000;
/// Longest excerpt of a response in a message.
const MAX_EXCERPT_CHARACTERS: usize = 160;

/// The body without the byte order mark that some servers send.
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Whether a body is HTML or XML.
pub fn is_markup(body: &[u8]) -> bool {
    without_bom(body).trim_ascii_start().starts_with(b"<")
}

/// The beginning of a response or a value for a message: one line, without control characters, of limited length.
pub fn excerpt(words: &[u8]) -> String {
    // A character has at most four bytes: nothing beyond these can be in the excerpt.
    let head = &words[..words.len().min(4 * MAX_EXCERPT_CHARACTERS + 4)];
    let text: Cow<'_, str> = String::from_utf8_lossy(head);
    let line = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_without_control_characters() {
        assert_eq!(excerpt(b" Too Many\r\n\tRequests\0! "), "Too Many Requests !");
        assert_eq!(excerpt("é".repeat(1000).as_bytes()), "é".repeat(160) + "…");
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
