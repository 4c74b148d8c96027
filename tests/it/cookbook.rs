//! The answers in the documents are what the demo gives: every command of the cookbook runs, and those of the README and of
//! the page on history.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;
use tests::process::{Environment, command, succeed};
use tests::root;

/// The documents, each with the fewest commands that it must have: a parser that finds none proves nothing.
const DOCUMENTS: &[(&str, usize)] = &[("docs/cookbook.md", 15), ("docs/history.md", 11), ("README.md", 1)];
/// How a line with a command begins; the second way is for a reader who builds from source.
const PROMPTS: &[&str] = &["$ tapedeck query ", "$ ./tapedeck query ", "$ tapedeck vintages "];
/// Fewest queries in the README's tables.
const TABLE_QUERIES: usize = 5;

/// A command in a document, with what it prints there.
struct Recipe {
    heading: String,
    command: String,
    expected: String,
}

/// The queries in the console blocks of a document. A command ends where its quotation marks are closed.
fn recipes(document: &str) -> Vec<Recipe> {
    let (mut found, mut heading, mut block) = (Vec::<Recipe>::new(), "", "");
    let mut is_answer = false;
    for line in document.lines() {
        if let Some(language) = line.strip_prefix("```") {
            (block, is_answer) = (language, false);
        } else if block.is_empty() && line.starts_with('#') {
            heading = line;
        } else if block == "console" && PROMPTS.iter().any(|prompt| line.starts_with(prompt)) {
            let command = line.trim_start_matches("$ ").to_owned();
            is_answer = is_whole(&command);
            found.push(Recipe { heading: heading.to_owned(), command, expected: String::new() });
        } else if block == "console" && line.starts_with("$ ") {
            // Another command: its answer is not checked.
            is_answer = false;
        } else if let Some(recipe) = found.last_mut().filter(|recipe| is_answer || !is_whole(&recipe.command)) {
            if is_answer {
                recipe.expected += &format!("{line}\n");
            } else {
                recipe.command += &format!("\n{line}");
                is_answer = is_whole(&recipe.command);
            }
        }
    }
    found
}

/// Whether the quotation marks of a command are closed.
fn is_whole(command: &str) -> bool {
    command.matches('"').count().is_multiple_of(2)
}

/// The arguments of a command, as a shell splits them; only double quotes are used, and nothing inside them is special.
fn arguments(command: &str) -> Vec<String> {
    assert!(!command.contains(['$', '`', '\\']), "a shell changes `{command}`");
    let parts = command.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.skip(1).collect()
}

/// The queries in the tables of a document.
fn table_queries(document: &str) -> Vec<String> {
    let cells =
        document.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    cells.filter(|cell| cell.starts_with("./tapedeck query ")).map(|cell| cell.replace("\\|", "|")).collect()
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Runs a command in the demo's folder.
fn run(folder: &Path, line: &str) -> Output {
    let arguments = arguments(line);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command("tapedeck", &arguments, &Environment::new()).current_dir(folder).output().unwrap()
}

#[test]
fn every_answer_in_the_cookbook_and_the_readme_is_what_the_command_prints() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join(".tapedeck-demo");
    let demo = ["up", "--demo", "--once", "--json", "--kafka-port", "0", "--data-dir", data.to_str().unwrap()];
    succeed("tapedeck", &demo, &Environment::new());
    let mut differences = Vec::new();
    for (document, at_least) in DOCUMENTS {
        let recipes = recipes(&read(document));
        assert!(recipes.len() >= *at_least, "{document} has {} commands, not {at_least}", recipes.len());
        for Recipe { heading, command, expected } in recipes {
            let output = run(folder.path(), &command);
            let (found, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if found != expected || !output.status.success() {
                let place = format!("{document}, {heading}\n{command}");
                differences.push(format!("{place}\nexpected:\n{expected}\nfound:\n{found}{errors}"));
            }
        }
    }
    let queries = table_queries(&read("README.md"));
    assert!(queries.len() >= TABLE_QUERIES, "the table of questions was not found: {queries:?}");
    for query in queries {
        let output = run(folder.path(), &query);
        let has_rows = output.status.success() && !String::from_utf8_lossy(&output.stdout).ends_with("\n(0 rows)\n");
        if !has_rows {
            differences.push(format!("README.md: no rows: {query}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_command_of_several_lines_is_found_with_its_whole_answer() {
    let text = "## A\n\n```console\n$ tapedeck query \"select 1,\n    2\"\n1  2\n(1 row)\n```\n\nMore.\n\n```console\n$ tapedeck tables\nx\n```\n";
    let found = recipes(text);
    let [recipe] = &found[..] else { panic!("one command") };
    assert_eq!((&*recipe.heading, &*recipe.expected), ("## A", "1  2\n(1 row)\n"));
    assert_eq!(arguments(&recipe.command), ["query", "select 1,\n    2"]);
    assert_eq!(arguments("./tapedeck query --format csv \"select 1\""), ["query", "--format", "csv", "select 1"]);
    assert_eq!(table_queries("| q | `./tapedeck query \"a\"` |\n`./tapedeck query \"b\"`"), ["./tapedeck query \"a\""]);
}
