//! Reads SQL as far as migrations need: where a statement ends, and what it does.

/// The statements of a file, without the comments between them.
pub(crate) fn split(sql: &str) -> Vec<&str> {
    let (mut statements, mut rest) = (Vec::new(), sql);
    while !rest.is_empty() {
        let (end, next) = end_of(rest);
        let statement = without_leading_comments(&rest[..end]);
        if !statement.is_empty() {
            statements.push(statement);
        }
        rest = &rest[next..];
    }
    statements
}

/// Where the first statement ends, and where the next begins.
fn end_of(sql: &str) -> (usize, usize) {
    let mut at = 0;
    while let Some(character) = sql[at..].chars().next() {
        if character == ';' {
            return (at, at + 1);
        }
        at += token(&sql[at..]).unwrap_or(character.len_utf8());
    }
    (sql.len(), sql.len())
}

/// The length of the comment or quotation that begins here.
fn token(sql: &str) -> Option<usize> {
    let until = |from: usize, end: &str| sql[from..].find(end).map_or(sql.len(), |found| from + found + end.len());
    match sql.as_bytes() {
        [b'-', b'-', ..] => Some(until(2, "\n")),
        [b'/', b'*', ..] => Some(until(2, "*/")),
        [b'\'', ..] => Some(until(1, "'")),
        [b'"', ..] => Some(until(1, "\"")),
        [b'$', ..] => {
            let tag = sql[1..].find('$').map(|found| &sql[..found + 2])?;
            let is_tag = tag[1..tag.len() - 1].chars().all(|letter| letter.is_alphanumeric() || letter == '_');
            is_tag.then(|| until(tag.len(), tag))
        }
        _ => None,
    }
}

fn without_leading_comments(statement: &str) -> &str {
    let mut rest = statement.trim();
    while rest.starts_with("--") || rest.starts_with("/*") {
        rest = rest[token(rest).unwrap_or(rest.len())..].trim_start();
    }
    rest
}

/// The words of a statement in lower case; a punctuation mark is a word. A quotation or a comment is left out.
pub(super) fn words(statement: &str) -> Vec<String> {
    let (mut words, mut at, mut is_open) = (Vec::<String>::new(), 0, false);
    while let Some(character) = statement[at..].chars().next() {
        let is_word = character.is_alphanumeric() || character == '_';
        match token(&statement[at..]) {
            Some(length) => at += length,
            None => {
                if is_word && is_open {
                    words.last_mut().expect("a word is open").extend(character.to_lowercase());
                } else if !character.is_whitespace() {
                    words.push(character.to_lowercase().collect());
                }
                at += character.len_utf8();
            }
        }
        is_open = is_word;
    }
    words
}

/// Whether neither reads nor writes of the table wait for this statement, nor for its place in the queue.
pub(crate) fn is_gentle(statement: &str) -> bool {
    let words = words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["create" | "drop" | "reindex", rest @ ..] => rest.iter().take(3).any(|word| *word == "concurrently"),
        ["alter", "table", rest @ ..] => rest.contains(&"validate") && !rest.contains(&","),
        _ => false,
    }
}

/// The index that the statement creates concurrently. A creation that was interrupted leaves an invalid one.
pub(crate) fn index_of(statement: &str) -> Option<String> {
    let words = words(statement);
    let rest: Vec<&str> = words.iter().map(String::as_str).collect();
    let rest = match rest.as_slice() {
        ["create", "index", "concurrently", rest @ ..] | ["create", "unique", "index", "concurrently", rest @ ..] => {
            rest
        }
        _ => return None,
    };
    let name = match rest {
        ["if", "not", "exists", name, ..] | [name, ..] => name,
        [] => return None,
    };
    Some((*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_a_semicolon_outside_of_quotations_and_comments() {
        let sql = "-- one; two\nselect ';' as \"a;b\"; /* ; */ do $x$ begin a; b; end $x$;\n\
            select 1 -- last; really\n;;  select $1, 'it''s; ' ;-- end";
        assert_eq!(
            split(sql),
            ["select ';' as \"a;b\"", "do $x$ begin a; b; end $x$", "select 1 -- last; really", "select $1, 'it''s; '"]
        );
        assert_eq!(split("  \n-- nothing\n"), [""; 0]);
        assert_eq!(split("select 'open"), ["select 'open"]);
    }

    #[test]
    fn an_index_that_is_created_concurrently_is_named() {
        let named = |statement| index_of(statement);
        assert_eq!(named("create index concurrently if not exists a_b on a (b)").as_deref(), Some("a_b"));
        assert_eq!(named("CREATE UNIQUE INDEX CONCURRENTLY a_b on a (b)").as_deref(), Some("a_b"));
        assert_eq!(named("create index a_b on a (b)"), None);
    }

    #[test]
    fn a_statement_that_stops_readers_or_writers_is_not_gentle() {
        for gentle in [
            "create index concurrently if not exists a_b on a (b)",
            "drop index concurrently if exists a_b",
            "alter table a validate constraint b",
        ] {
            assert!(is_gentle(gentle), "{gentle}");
        }
        for other in [
            "create index a_b on a (b)",
            "alter table a drop constraint if exists b, add constraint b check (c > 0) not valid",
            "alter table a validate constraint b, add column c text",
            "update a set b = 'concurrently'",
        ] {
            assert!(!is_gentle(other), "{other}");
        }
    }
}
