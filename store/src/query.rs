//! Users' queries: every value as text.

use std::collections::BTreeSet;

use crate::outcome::StoreError;

/// The result of a query: the columns' names, and rows of texts; None is null.
#[derive(Debug, Default)]
pub struct Found {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Positions of the columns that hold something else than a number, so that JSON puts it between quotes.
    pub texts: BTreeSet<usize>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
    /// There are more rows than were asked for.
    pub is_cut: bool,
}

/// The one statement in a text, without a `;` behind it.
///
/// # Errors
///
/// A text with no statement, or with several: their results would be mixed.
pub(crate) fn statement(text: &str) -> Result<&str, StoreError> {
    let end = text.char_indices().find(|(at, letter)| *letter == ';' && is_code(text, *at)).map(|(at, _)| at);
    let (first, rest) = text.split_at(end.unwrap_or(text.len()));
    if first.trim().is_empty() {
        return Err(StoreError::Halt("there is no statement in the query".to_owned()));
    }
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    if !blank(rest) {
        return Err(StoreError::Halt("the query has several statements: ask them one by one".to_owned()));
    }
    Ok(first.trim())
}

/// Whether a text has only blanks, comments and `;`.
fn blank(text: &str) -> bool {
    text.char_indices().all(|(at, letter)| letter.is_whitespace() || letter == ';' || !is_code(text, at))
}

/// Whether the letter at this position is neither in quotes nor in a comment.
fn is_code(text: &str, at: usize) -> bool {
    let mut rest = text;
    loop {
        let here = text.len() - rest.len();
        if here > at {
            return false;
        }
        let Some(begin) = rest.find(['\'', '"', '`', '-', '/', '$']) else { return true };
        if here + begin > at {
            return true;
        }
        let opened = rest.get(begin..).unwrap_or_default();
        let length = quoted(opened);
        // An operator, e.g. `a - b`.
        if length == 0 && here + begin == at {
            return true;
        }
        rest = opened.get(length.max(1)..).unwrap_or_default();
    }
}

/// Bytes of the quoted text or comment with which a text begins; 0 if it begins with something else.
fn quoted(text: &str) -> usize {
    let until = |skip: usize, end: &str| {
        let inner = text.get(skip..).unwrap_or_default();
        inner.find(end).map_or(text.len(), |at| skip + at + end.len())
    };
    match text.as_bytes() {
        // Doubled quotes inside are two quoted texts in a row.
        [b'\'', ..] => until(1, "'"),
        [b'"', ..] => until(1, "\""),
        [b'`', ..] => until(1, "`"),
        [b'-', b'-', ..] => until(2, "\n"),
        [b'/', b'*', ..] => until(2, "*/"),
        [b'$', ..] => {
            let name =
                text.get(1..).unwrap_or_default().find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            match name.map(|length| text.get(..length + 2).unwrap_or_default()) {
                Some(tag) if tag.ends_with('$') => until(tag.len(), tag),
                _ => 0,
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_statement_is_taken_without_its_end() {
        for (text, expected) in [
            ("select 1", "select 1"),
            (" select 1 ; ", "select 1"),
            ("select 1;\n-- done\n;", "select 1"),
            ("select ';' as \"a;b\" -- ;\n", "select ';' as \"a;b\" -- ;"),
            ("select 'it''s; so' /* ; */;", "select 'it''s; so' /* ; */"),
            ("select $$ ; $$, $tag$ ; $$ ; $tag$;", "select $$ ; $$, $tag$ ; $$ ; $tag$"),
            ("select 1 - 2, 4 / 2, $1;", "select 1 - 2, 4 / 2, $1"),
        ] {
            assert_eq!(statement(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn none_and_several_are_refused() {
        for text in ["select 1; select 2", "select ';'; drop table t", "select 1 -- ;\n; x", "a;/* b */c"] {
            let error = statement(text).unwrap_err().to_string();
            assert!(error.contains("several statements"), "{text}: {error}");
        }
        for text in ["", " ; ", ";;"] {
            assert!(statement(text).unwrap_err().to_string().contains("no statement"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_without_a_panic(text in "[a;'\"$/*\\-\n é_1`]{0,40}") {
            if let Ok(statement) = statement(&text) {
                prop_assert!(text.contains(statement) && !statement.is_empty());
            }
        }
    }
}
