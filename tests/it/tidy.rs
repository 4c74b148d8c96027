//! The rules of the architecture that a script can see.

use std::path::{Path, PathBuf};

use tests::root;

/// Longest file without its tests, in lines.
const MAX_FILE_LINES: usize = 500;
/// Longest function, in lines.
const MAX_FUNCTION_LINES: usize = 70;

/// What each crate may use of the others, and which libraries are not for it.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    ("contract", &[], &["tokio", "rdkafka", "sqlx", "reqwest"]),
    ("sources", &["contract"], &["tokio", "rdkafka", "sqlx", "reqwest", "hyper", "axum"]),
    ("service", &["contract"], &["sqlx", "axum"]),
    ("producers", &["contract", "sources", "service"], &["axum", "parquet"]),
    ("consumers", &["contract", "service"], &["reqwest", "axum"]),
    ("broker", &[], &["rdkafka", "sqlx", "reqwest"]),
    ("simulator", &["contract"], &["rdkafka", "sqlx", "reqwest"]),
    ("cli", &["contract", "sources", "service", "producers", "consumers", "simulator"], &["sqlx", "reqwest"]),
];

/// Words that only these files may hold: what knows a library is in one place.
const CONFINED: &[(&str, &[&str])] = &[
    ("reqwest::", &["producers/src/fetch.rs", "producers/src/fetch/", "service/src/registry.rs"]),
    ("h2::", &["producers/src/fetch/transport.rs"]),
    ("hyper::", &["service/src/server.rs"]),
    ("use parquet::", &["sources/src/providers/file/parquet"]),
    ("prometheus_client::", &["service/src/metrics.rs"]),
    ("rdkafka::producer", &["producers/src/publish.rs", "consumers/src/relay.rs"]),
    (
        "rdkafka::consumer",
        &[
            "consumers/src/consume.rs",
            "consumers/src/offsets.rs",
            "consumers/src/reader.rs",
            "producers/src/reread.rs",
            "service/src/kafka.rs",
        ],
    ),
    ("set_hook", &["producers/src/main.rs", "cli/src/main.rs"]),
    ("AssertSqlSafe", &["consumers/src/store/"]),
    // A producer's state is a file of its own; it never reaches the database.
    ("sqlx::", &["consumers/src/store/", "producers/src/state.rs", "producers/src/state/"]),
    ("sqlx::postgres", &["consumers/src/store/"]),
    ("env::var", &["service/src/settings.rs"]),
    ("Utc::now()", &["cli/src/bench/inputs.rs", "consumers/src/", "producers/src/clock.rs", "producers/src/fetch.rs"]),
];

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry, extension));
        } else if entry.extension().is_some_and(|own| own == extension) {
            found.push(entry);
        }
    }
    found
}

/// The sources of what ships, by path from the top, each without its tests.
fn sources() -> Vec<(String, String)> {
    let folders = CRATES.iter().map(|(name, _, _)| root().join(name).join("src"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(test)]\npub(crate) mod "];
        let end = tests.iter().filter_map(|begin| text.find(begin)).min().unwrap_or(text.len());
        let text = text[..end].to_owned();
        (path.strip_prefix(root()).unwrap().display().to_string(), text)
    };
    folders.flat_map(|folder| files(&folder, "rs")).map(read).collect()
}

#[test]
fn crates_reach_only_what_they_may() {
    for (name, allowed, forbidden) in CRATES {
        let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let used: Vec<&String> = manifest["dependencies"].as_table().unwrap().keys().collect();
        for (other, _, _) in CRATES {
            let is_used = used.iter().any(|used| *used == other);
            assert!(!is_used || allowed.contains(other), "`{name}` must not use `{other}`");
        }
        for library in *forbidden {
            assert!(!used.iter().any(|used| used == library), "`{name}` must not use `{library}`");
        }
    }
}

#[test]
fn what_knows_a_library_is_in_one_place() {
    for (path, text) in sources() {
        for (word, places) in CONFINED {
            let allowed = places.iter().any(|place| path.starts_with(place)) || !text.contains(word);
            assert!(allowed || deck_reads_its_own(&path, word), "`{word}` in {path}: it belongs in {places:?}");
        }
    }
}

/// `up` must know whether a broker was named at all, which a default hides.
fn deck_reads_its_own(path: &str, word: &str) -> bool {
    path == "cli/src/deck.rs" && word == "env::var"
}

#[test]
fn files_and_functions_are_no_longer_than_a_reader_can_hold() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path != "contract/src/records.rs") {
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() <= MAX_FILE_LINES, "{path} has {} lines", lines.len());
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_function =
                ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(crate) async fn "];
            if !is_function.iter().any(|start| line.trim_start().starts_with(start)) {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|line| **line == *end).unwrap_or(0);
            assert!(length <= MAX_FUNCTION_LINES, "{path}:{}: {length} lines", at + 1);
        }
    }
}

#[test]
fn nothing_is_left_to_be_done_and_nothing_is_unbounded() {
    for (path, text) in sources() {
        for word in ["todo!(", "unimplemented!(", "FIXME", "XXX", "unbounded_channel", "dbg!("] {
            assert!(!text.contains(word), "`{word}` in {path}");
        }
    }
}
