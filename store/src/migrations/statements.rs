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

/// An index that a statement creates concurrently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) is_unique: bool,
}

/// The index that the statement creates concurrently. A creation that was interrupted leaves an invalid one.
pub(crate) fn index_of(statement: &str) -> Option<Index> {
    let words = words(statement);
    let rest: Vec<&str> = words.iter().map(String::as_str).collect();
    let (is_unique, rest) = match rest.as_slice() {
        ["create", "index", "concurrently", rest @ ..] => (false, rest),
        ["create", "unique", "index", "concurrently", rest @ ..] => (true, rest),
        _ => return None,
    };
    let (name, table) = match rest {
        ["if", "not", "exists", name, "on", "only", table, ..]
        | ["if", "not", "exists", name, "on", table, ..]
        | [name, "on", "only", table, ..]
        | [name, "on", table, ..] => (name, table),
        _ => return None,
    };
    Some(Index { name: (*name).to_owned(), table: (*table).to_owned(), is_unique })
}

/// A view that a statement creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) name: String,
    /// Whether the database stores its rows until the next refresh.
    pub(crate) is_materialized: bool,
}

/// The views that a file creates, in its order.
pub(crate) fn views(sql: &str) -> Vec<View> {
    let view = |statement| {
        let words = words(statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (is_materialized, name) = match words.as_slice() {
            ["create", "view", name, ..] => (false, name),
            ["create", "materialized", "view", name, ..] => (true, name),
            _ => return None,
        };
        Some(View { name: (*name).to_owned(), is_materialized })
    };
    split(sql).into_iter().filter_map(view).collect()
}

/// The names of the functions and types that a file creates.
pub(crate) fn routines(sql: &str) -> Vec<String> {
    let name = |statement| {
        let words = words(statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["create", "function" | "type", name, ..] | ["create", "or", "replace", "function", name, ..] => {
                Some((*name).to_owned())
            }
            _ => None,
        }
    };
    split(sql).into_iter().filter_map(name).collect()
}

/// The statement that creates the same index of a hypertable, one chunk after the other.
pub(crate) fn per_chunk(statement: &str) -> String {
    const OPTION: &str = "timescaledb.transaction_per_chunk";
    let (mut without, mut option_at, mut depth, mut at) = (String::new(), None, 0, 0);
    let (mut has_options, mut awaits_options) = (false, false);
    while let Some(character) = statement[at..].chars().next() {
        let length = token(&statement[at..]).unwrap_or_else(|| {
            let word = statement[at..].find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            word.unwrap_or(statement.len() - at).max(character.len_utf8())
        });
        let word = &statement[at..at + length];
        depth += i32::from(word == "(") - i32::from(word == ")");
        let is_outer = |name: &str| depth == 0 && word.eq_ignore_ascii_case(name);
        if option_at.is_none() && ["with", "tablespace", "where"].into_iter().any(is_outer) {
            has_options = is_outer("with");
            awaits_options = has_options;
            option_at = Some(without.len());
        }
        if !is_outer("concurrently") {
            without += word;
        }
        if awaits_options && word == "(" {
            awaits_options = false;
            option_at = Some(without.len());
        }
        at += length;
    }
    let (before, after) = without.split_at(option_at.unwrap_or(without.len()));
    match has_options {
        true => format!("{before}{OPTION}, {after}"),
        false => format!("{} with ({OPTION}) {after}", before.trim_end()),
    }
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
    fn the_views_of_a_file_are_named() {
        let sql =
            "-- create view x as\ncreate view a as select 1; CREATE MATERIALIZED VIEW b as select 2; drop view c;";
        let view = |name: &str, is_materialized| View { name: name.to_owned(), is_materialized };
        assert_eq!(views(sql), [view("a", false), view("b", true)]);
    }

    #[test]
    fn the_functions_and_types_of_a_file_are_named() {
        let sql = "create type a as (b text);\ncreate or replace function c(d text) returns text language sql as $$ select 1; $$; \
            CREATE FUNCTION e() returns text language sql as $$ create function f $$; drop function g;";
        assert_eq!(routines(sql), ["a", "c", "e"]);
    }

    #[test]
    fn an_index_that_is_created_concurrently_is_named() {
        let index = |is_unique| Some(Index { name: "a_b".to_owned(), table: "a".to_owned(), is_unique });
        assert_eq!(index_of("create index concurrently if not exists a_b on a (b)"), index(false));
        assert_eq!(index_of("CREATE UNIQUE INDEX CONCURRENTLY a_b on only a (b)"), index(true));
        assert_eq!(index_of("create index a_b on a (b)"), None);
    }

    #[test]
    fn an_index_of_a_hypertable_is_the_same_index_built_chunk_by_chunk() {
        for (concurrent, expected) in [
            (
                "create index concurrently if not exists a_b on a (b)",
                "create index  if not exists a_b on a (b) with (!) ",
            ),
            (
                "create index CONCURRENTLY a_b on a using btree (b, lower('where')) include (c) where (b > 0)",
                "create index  a_b on a using btree (b, lower('where')) include (c) with (!) where (b > 0)",
            ),
            (
                "create index concurrently a_b on a (b) WITH (fillfactor = 70) where c is not null",
                "create index  a_b on a (b) WITH (!, fillfactor = 70) where c is not null",
            ),
            ("create index concurrently a_é on a (b) tablespace d", "create index  a_é on a (b) with (!) tablespace d"),
        ] {
            assert_eq!(per_chunk(concurrent), expected.replace('!', "timescaledb.transaction_per_chunk"));
        }
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
