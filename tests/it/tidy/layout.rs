//! Which crate may use which, and which library is whose.

use std::collections::BTreeMap;

use super::cycles::{Graph, cycles};
use super::tree::Tree;

/// What a crate may use.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Our crates that it may use.
    may_use: &'static [&'static str],
    /// Libraries that are not for it.
    never: &'static [&'static str],
}

const fn rule(name: &'static str, may_use: &'static [&'static str], never: &'static [&'static str]) -> Rule {
    Rule { name, may_use, never }
}

/// Every crate.
const EVERYTHING: &[&str] =
    &["contract", "service", "sources", "kafka", "store", "producers", "consumers", "simulator", "cli"];

/// All crates of the workspace.
pub(super) const CRATES: &[Rule] = &[
    rule("contract", &[], &["tokio", "rdkafka", "sqlx", "reqwest", "hyper"]),
    // For `Variable`; it knows no dataset.
    rule("service", &["contract"], &["rdkafka", "sqlx", "reqwest", "axum"]),
    rule("sources", &["contract"], &["tokio", "rdkafka", "sqlx", "reqwest", "hyper"]),
    rule("kafka", &["contract", "service"], &["sqlx", "axum"]),
    rule("store", &["contract", "service"], &["rdkafka", "reqwest", "axum"]),
    rule("producers", &["contract", "service", "sources", "kafka"], &["rdkafka", "axum"]),
    rule("consumers", &["contract", "service", "kafka", "store"], &["rdkafka", "sqlx", "reqwest", "axum"]),
    rule("broker", &[], &["rdkafka", "sqlx", "reqwest"]),
    rule("simulator", &["contract"], &["rdkafka", "sqlx", "reqwest"]),
    rule(
        "cli",
        &["contract", "service", "sources", "kafka", "store", "producers", "consumers", "broker", "simulator"],
        &["sqlx", "reqwest"],
    ),
    rule("bench", EVERYTHING, &["reqwest"]),
    rule("tests", EVERYTHING, &[]),
];

/// Words that only these files may hold: what knows a library is in one place. The tests may know everything.
const CONFINED: &[(&str, &[&str])] = &[
    ("reqwest::", &["producers/src/fetch", "kafka/src/registry"]),
    ("h2::", &["producers/src/fetch/transport.rs"]),
    ("hyper::", &["service/src/server.rs"]),
    ("use parquet::", &["sources/src/providers/file/parquet"]),
    ("prometheus_client::", &["service/src/metrics.rs"]),
    ("rdkafka::", &["kafka/src/"]),
    // It is the whole process's, so only an executable may set it.
    ("set_hook", &["producers/src/main.rs", "cli/src/main.rs"]),
    ("AssertSqlSafe", &["store/src/"]),
    // A producer's state is a file of its own; it never reaches the database.
    ("sqlx::", &["store/src/", "producers/src/state"]),
    ("sqlx::postgres", &["store/src/"]),
    // `up` must know whether a broker was named at all, which a default hides.
    ("env::var", &["service/src/settings.rs", "cli/src/deck.rs"]),
    (
        "Utc::now()",
        &[
            "cli/src/commands/",
            "consumers/src/",
            "kafka/src/",
            "store/src/",
            "producers/src/clock.rs",
            "producers/src/commands/",
            "producers/src/fetch",
        ],
    ),
];

/// Files, and folders, that must not hold these words.
const PURE: &[(&str, &[&str])] = &[
    ("consumers/src/sink/state", &["rdkafka", "kafka::", "sqlx", "tokio", "Instant::now", "Utc::now"]),
    ("consumers/src/sink/partition", &["rdkafka", "kafka::", "sqlx", "tokio", "Instant::now", "Utc::now"]),
    ("consumers/src/sink/breaker", &["rdkafka", "kafka::", "sqlx", "tokio", "Instant::now", "Utc::now"]),
    ("service/src/", &["Dataset"]),
];

/// Crates that use what they must not, and crates that use each other.
pub(super) fn forbidden_dependencies(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let mut graph = Graph::new();
    for (path, text) in &tree.manifests {
        let manifest: toml::Table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let name = path.trim_end_matches("/Cargo.toml");
        let rule = CRATES.iter().find(|rule| rule.name == name).expect("only manifests of these crates are read");
        for used in dependencies(&manifest, &["dev-dependencies"]) {
            graph.entry(name.to_owned()).or_default().insert(used, path.clone());
        }
        for used in dependencies(&manifest, &["dependencies", "build-dependencies"]) {
            graph.entry(name.to_owned()).or_default().insert(used.clone(), path.clone());
            let is_ours = CRATES.iter().any(|other| other.name == used);
            let is_forbidden = is_ours && !rule.may_use.contains(&used.as_str()) || rule.never.contains(&used.as_str());
            if is_forbidden {
                found.push(format!("{path}: `{name}` must not use `{used}`"));
            }
        }
    }
    found.extend(cycles(&graph).iter().map(|cycle| format!("crates use each other: {}", cycle.steps.join(", "))));
    found
}

fn dependencies(manifest: &toml::Table, tables: &[&str]) -> Vec<String> {
    let tables = tables.iter().filter_map(|name| manifest.get(*name)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Libraries named outside their place, and words in files that must be pure.
pub(super) fn misplaced_words(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let is_shipped = |path: &&String| !path.starts_with("tests/") && !path.starts_with("bench/");
    let shipped: BTreeMap<_, _> = tree.sources.iter().filter(|(path, _)| is_shipped(path)).collect();
    for (path, text) in shipped {
        let code = without_comments(text);
        for (word, places) in CONFINED {
            if code.contains(word) && !places.iter().any(|place| path.starts_with(place)) {
                found.push(format!("`{word}` in {path}: it belongs in {places:?}"));
            }
        }
        for (place, words) in PURE.iter().filter(|(place, _)| path.starts_with(place)) {
            let forbidden = words.iter().filter(|word| code.contains(**word));
            found.extend(forbidden.map(|word| format!("`{word}` in {path}: `{place}` must not know it")));
        }
    }
    found
}

/// The lines of a source that are no comments.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_crate_that_uses_what_it_must_not_is_found() {
    let manifest = |name: &str, used: &str| (format!("{name}/Cargo.toml"), format!("[dependencies]\n{used}\n"));
    let bad = |manifests: &[(&str, &str)]| {
        let manifests = manifests.iter().map(|(name, used)| manifest(name, used)).collect();
        forbidden_dependencies(&Tree { manifests, ..Tree::default() })
    };
    assert_eq!(bad(&[("kafka", "contract = {}"), ("store", "sqlx = {}")]), [""; 0]);
    assert_eq!(bad(&[("kafka", "store = {}")]), ["kafka/Cargo.toml: `kafka` must not use `store`"]);
    assert_eq!(bad(&[("sources", "tokio.workspace = true")]), ["sources/Cargo.toml: `sources` must not use `tokio`"]);
    let circle = bad(&[("service", "contract = {}"), ("contract", "service = {}")]);
    assert!(circle.iter().any(|line| line.starts_with("crates use each other: contract -> service")), "{circle:?}");
}

#[test]
fn a_library_outside_its_place_is_found() {
    let found = |path: &str, text: &str| misplaced_words(&Tree::of_sources(&[(path, text)]));
    assert_eq!(found("store/src/lib.rs", "use sqlx::query;"), [""; 0]);
    assert_eq!(found("tests/src/lib.rs", "use sqlx::query;"), [""; 0]);
    assert_eq!(found("cli/src/up.rs", "    // Not sqlx::query."), [""; 0]);
    assert_eq!(found("cli/src/up.rs", "use sqlx::query;").len(), 1);
    assert_eq!(found("consumers/src/sink/state.rs", "use tokio::time;").len(), 1);
}
