//! How long files and functions may be.

use super::tree::Tree;

/// Longest file without its tests, in lines.
const MAX_FILE_LINES: usize = 400;
/// Longest function, from its first line to its closing brace.
const MAX_FUNCTION_LINES: usize = 60;
/// Generated: one struct per dataset.
const GENERATED: &str = "contract/src/records.rs";
/// What may stand before `fn`.
const QUALIFIERS: &[&str] = &["pub ", "pub(crate) ", "pub(super) ", "const ", "async "];

/// Files and functions that are too long.
pub(super) fn too_long(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.sources.iter().filter(|(path, _)| *path != GENERATED) {
        let lines = text.trim_end().lines().count();
        if lines > MAX_FILE_LINES {
            found.push(format!("{path} has {lines} lines, {MAX_FILE_LINES} are allowed"));
        }
        for (name, line, lines) in functions(text) {
            if lines > MAX_FUNCTION_LINES {
                found.push(format!("{path}:{line}: `{name}` has {lines} lines, {MAX_FUNCTION_LINES} are allowed"));
            }
        }
    }
    found
}

/// Each function with its name, where it begins and how many lines it has.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let functions = lines.iter().enumerate().filter_map(|(at, line)| {
        let name = function(line.trim_start())?;
        // Where the signature ends: in a trait with a semicolon, and a short function ends there, too.
        let signature = lines[at..].iter().position(|line| line.ends_with(['{', '}', ';']))?;
        if !lines[at + signature].ends_with('{') {
            return Some((name, at + 1, signature + 1));
        }
        let end = format!("{}}}", " ".repeat(line.len() - line.trim_start().len()));
        let length = lines[at..].iter().position(|line| **line == *end)?;
        Some((name, at + 1, length + 1))
    });
    functions.collect()
}

/// The name of the function that a line begins.
fn function(mut line: &str) -> Option<&str> {
    while let Some(rest) = QUALIFIERS.iter().find_map(|qualifier| line.strip_prefix(qualifier)) {
        line = rest;
    }
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[test]
fn what_is_too_long_is_found() {
    let found = |text: &str| too_long(&Tree::of_sources(&[("cli/src/up.rs", text)]));
    assert_eq!(found(&"x\n".repeat(MAX_FILE_LINES)), [""; 0]);
    assert_eq!(found(&"x\n".repeat(MAX_FILE_LINES + 1)), ["cli/src/up.rs has 401 lines, 400 are allowed"]);
    let long =
        |lines: usize| format!("impl X {{\n    pub(crate) async fn run(&self) {{\n{}    }}\n}}", "x\n".repeat(lines));
    assert_eq!(found(&long(58)), [""; 0]);
    assert_eq!(
        found(&format!("trait X {{\n    fn run(\n        &self,\n    );\n{}    }}\n}}", "x\n".repeat(99))),
        [""; 0]
    );
    assert_eq!(found(&long(59)), ["cli/src/up.rs:2: `run` has 61 lines, 60 are allowed"]);
}
