//! The documents are right: their paths exist, their commands run, their recipes work, and their invariants have tests.

use std::path::{Path, PathBuf};

use contract::{Dataset, Invariant, topic};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use store::Database;
use tests::broker::block_on;
use tests::process::{Environment, succeed};
use tests::{generate, root, table};

use crate::declared::{declared_in_postgres, declared_in_sqlite, postgres_databases};

/// Files and folders that exist only once something has run.
const MADE: &[&str] = &[".tapedeck/", ".tapedeck-demo/", "dist/", "fuzz/corpus/X", "target/release/tapedeck-bench"];
/// Commands of `tapedeck` that are other executables, whole.
const EXECUTABLES: &[&str] = &["producer", "consumer", "broker"];
/// Ends of a path that names a file or a folder, wherever it is.
const PATH_ENDS: &[&str] = &["/", ".avsc", ".md", ".py", ".rs", ".sh", ".toml", ".yml"];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents, by path from the top; those of the sources are derived from code.
fn documents() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    };
    ["", "docs", "docs/decisions", "docs/reference"]
        .into_iter()
        .flat_map(|folder| markdown(root().join(folder)))
        .collect()
}

/// The code spans of a text outside its code blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// Whether a code span names a file or folder of the repository.
fn is_path(span: &str) -> bool {
    let Some((first, _)) = span.split_once('/') else { return false };
    let is_plain = !span.contains([' ', '<', '*', '{', ':', '(', '~']) && !first.is_empty() && !MADE.contains(&span);
    is_plain && (root().join(first).is_dir() || PATH_ENDS.iter().any(|end| span.ends_with(end)))
}

/// Targets of a text's links to other files.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

#[test]
fn every_path_and_link_in_the_documents_leads_to_a_file() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        let paths = code_spans(&text).into_iter().filter(|span| is_path(span)).map(|span| root().join(span));
        let linked = links(&text).into_iter().map(|link| folder.join(link.split('#').next().unwrap()));
        let absent = paths.chain(linked).filter(|path| !path.exists());
        missing.extend(absent.map(|path| format!("{}: {}", document.display(), path.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_decision_is_in_the_list_of_decisions() {
    let list = read("docs/decisions/README.md");
    let listed = links(&list);
    for document in documents().iter().filter(|path| path.starts_with(root().join("docs/decisions"))) {
        let name = document.file_name().unwrap().to_string_lossy();
        assert!(name == "README.md" || listed.contains(&&*name), "{name} is not in docs/decisions/README.md");
    }
}

/// The code blocks of a section in that language.
fn code_blocks(document: &str, section: &str, language: &str) -> Vec<String> {
    let (_, rest) = document.split_once(&format!("\n## {section}\n")).expect("the section exists");
    let section = rest.split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    section.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The dataset that the recipe declares.
fn recipe() -> (Dataset, Vec<String>) {
    let contributing = read("CONTRIBUTING.md");
    let declaration = code_blocks(&contributing, "Add a dataset", "json").pop().expect("a declaration");
    let dataset = Dataset::parse(&declaration).unwrap_or_else(|error| panic!("CONTRIBUTING.md: {error}"));
    (dataset, code_blocks(&contributing, "Add a dataset", "sql"))
}

#[test]
fn the_recipe_of_a_dataset_derives_its_record_type_and_its_names() {
    let (dataset, _) = recipe();
    assert_eq!(topic::topic("tapedeck", &dataset), format!("tapedeck.{}.v1", dataset.name));
    let records = generate::records(&[(format!("{}.avsc", dataset.name), dataset)], &[]);
    assert!(records.contains("pub struct CurrencyFixing {") && records.contains("pub rate: Option<f64>,"), "{records}");
}

#[test]
fn the_migrations_of_the_recipe_of_a_dataset_make_its_table() {
    let (dataset, migrations) = recipe();
    let [postgres, sqlite] = migrations.try_into().expect("a migration per database");
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}?mode=rwc", folder.path().join("recipe.db").display());
    block_on(async {
        SqliteConnection::connect(&address).await.unwrap().execute(AssertSqlSafe(sqlite)).await.unwrap();
        let database = Database::new(&address).unwrap();
        assert_eq!(table::sqlite(&address, &dataset.name).await, declared_in_sqlite(&database, &dataset));
    });
    for (name, scratch) in postgres_databases() {
        let address = scratch.database.address().expose();
        block_on(async {
            let mut connection = PgConnection::connect(address).await.unwrap();
            connection.execute(AssertSqlSafe(postgres.clone())).await.unwrap();
            let migrated = table::postgres(address, &dataset.name).await;
            assert_eq!(migrated, declared_in_postgres(&scratch.database, &dataset).await, "on {name}");
        });
    }
}

/// The commands of the table in `docs/commands.md`: executable and subcommands, one entry per alternative.
fn commands() -> Vec<Vec<String>> {
    let document = read("docs/commands.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let is_ours = |row: &&str| ["tapedeck", "producer", "consumer"].iter().any(|name| row.starts_with(name));
    let rows = rows.filter(is_ours).map(|row| row.replace("\\|", "|"));
    let words = |row: String| {
        let word = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase() || "-|".contains(letter));
        let words: Vec<String> =
            row.split(' ').take_while(|one| word(one) && !one.starts_with('-')).map(str::to_owned).collect();
        let (last, first) = words.split_last().unwrap();
        last.split('|').map(|last| [first, &[last.to_owned()]].concat()).collect::<Vec<_>>()
    };
    rows.flat_map(words).collect()
}

#[test]
fn every_command_in_the_documents_exists() {
    let commands = commands();
    assert!(commands.len() > 20, "the table was not found: {commands:?}");
    for command in commands {
        let (executable, subcommands) = command.split_first().unwrap();
        let arguments: Vec<&str> = subcommands.iter().map(String::as_str).chain(["--help"]).collect();
        succeed(executable, &arguments, &Environment::new());
    }
}

/// The subcommands that an executable lists.
fn subcommands(executable: &str) -> Vec<String> {
    let help = succeed(executable, &["--help"], &Environment::new());
    let (_, rest) = help.split_once("Commands:\n").expect("it has commands");
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_file_of_its_own() {
    let all: &[&str] = &["cli", "producers", "consumers"];
    for (executable, folders) in [("tapedeck", all), ("producer", &["producers"]), ("consumer", &["consumers"])] {
        let names = subcommands(executable);
        assert!(!names.is_empty(), "{executable} lists no command");
        for name in names {
            let is_elsewhere = executable == "tapedeck" && EXECUTABLES.contains(&&*name);
            if is_elsewhere {
                continue;
            }
            let path = |folder: &&str| format!("{folder}/src/commands/{}.rs", name.replace('-', "_"));
            let paths = folders.iter().map(path).filter(|path| root().join(path).exists());
            let [path] = &paths.collect::<Vec<_>>()[..] else {
                panic!("`{executable} {name}` has no file, or several")
            };
            let text = read(path);
            // A command with subcommands has an enum instead.
            let has_arguments = text.contains("struct Arguments") || text.contains("enum Command");
            assert!(has_arguments && text.contains("fn run("), "{path} has no `Arguments` or no `run`");
        }
    }
}

/// Rows of the table of invariants: id, sentence, tests.
fn invariants(architecture: &str) -> Vec<[String; 3]> {
    let (_, rest) = architecture.split_once("\n## Invariants\n").expect("the section exists");
    let rows = rest.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| {
        let cells: Vec<String> = row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("three cells: {cells:?}"))
    };
    rows.map(cells).collect()
}

/// Whether a test exists: `module::name` in `tests/it/`, or `path/of/file.rs::name` anywhere else.
fn exists(test: &str) -> bool {
    let Some((place, name)) = test.rsplit_once("::") else { return false };
    let files =
        if place.ends_with(".rs") { vec![root().join(place)] } else { rust_files(&root().join("tests/it"), place) };
    let declaration = format!("fn {name}(");
    let promise = format!("    {name},\n");
    let is_in = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains(&declaration) && text.contains("#[test]") || text.contains(&promise)
    };
    files.iter().any(is_in)
}

/// The files of a module of the integration tests.
fn rust_files(folder: &Path, module: &str) -> Vec<PathBuf> {
    let inner = std::fs::read_dir(folder.join(module)).into_iter().flatten().map(|entry| entry.unwrap().path());
    inner.chain([folder.join(format!("{module}.rs"))]).collect()
}

#[test]
fn every_invariant_of_the_architecture_has_tests_that_exist() {
    let invariants = invariants(&read("ARCHITECTURE.md"));
    let listed: Vec<[&str; 2]> = invariants.iter().map(|[id, text, _]| [id.trim_matches('`'), text]).collect();
    let declared = Invariant::ALL.map(|invariant| [invariant.id(), invariant.sentence()]);
    assert_eq!(listed, declared, "ARCHITECTURE.md must list the invariants that `contract` declares");
    for [id, _, tests] in &invariants {
        let tests = code_spans(tests);
        assert!(!tests.is_empty(), "{id} names no test");
        for test in tests {
            assert!(exists(test), "{id}: there is no test `{test}`");
        }
    }
}

#[test]
fn a_path_that_does_not_exist_is_noticed() {
    assert!(is_path("cli/src/nowhere.rs") && is_path("nowhere/src/lib.rs") && is_path("nowhere/"));
    for other in ["/livez", "application/json", "commands/<name>.rs", "500-row", ".tapedeck/"] {
        assert!(!is_path(other), "{other}");
    }
    assert_eq!(code_spans("`a` and ```\n`b`\n``` and `c`"), ["a", "c"]);
    assert_eq!(links("[a](b.md), [c](https://d.example/), [e](#f)"), ["b.md"]);
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert!(exists("recipes::a_test_that_does_not_exist_is_noticed"));
    assert!(!exists("recipes::a_test_that_nobody_wrote") && !exists("nowhere::a_test") && !exists("recipes"));
}
