//! The files that the checks read: sources without their tests, manifests and documents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layout::CRATES;

/// Folders of documents; `docs/sources/` is derived from the sources' own texts.
const DOCUMENTS: &[&str] = &["", "docs", "schemas"];
const DERIVED_DOCUMENTS: &str = "docs/sources/";

/// Texts by their path from the top of the repository.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// `Cargo.toml` of each crate.
    pub(super) manifests: BTreeMap<String, String>,
    /// Rust sources, with an empty line in place of each line of a test module.
    pub(super) sources: BTreeMap<String, String>,
    /// Markdown.
    pub(super) documents: BTreeMap<String, String>,
}

impl Tree {
    /// The repository.
    pub(super) fn read(root: &Path) -> Tree {
        let mut written = BTreeMap::new();
        for rule in CRATES {
            for path in files(&root.join(rule.name).join("src"), "rs") {
                written.insert(below(root, &path), read(&path));
            }
        }
        let mut tree = Tree { sources: without_tests(&written), ..Tree::default() };
        for rule in CRATES {
            let path = root.join(rule.name).join("Cargo.toml");
            if path.exists() {
                tree.manifests.insert(below(root, &path), read(&path));
            }
        }
        for folder in DOCUMENTS {
            let deep = files_of(&root.join(folder), "md", !folder.is_empty());
            let found = deep.iter().map(|path| (below(root, path), read(path)));
            tree.documents.extend(found.filter(|(path, _)| !path.starts_with(DERIVED_DOCUMENTS)));
        }
        tree
    }

    /// A tree of these sources, as a test makes it.
    pub(super) fn of_sources(sources: &[(&str, &str)]) -> Tree {
        let written = sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { sources: without_tests(&written), ..Tree::default() }
    }

    /// The sources of a crate, each with its path below `src/`.
    pub(super) fn of_crate(&self, name: &str) -> Vec<(String, String)> {
        let folder = format!("{name}/src/");
        let own = self.sources.iter().filter_map(|(path, text)| Some((path.strip_prefix(&folder)?, text)));
        own.map(|(path, text)| (path.to_owned(), text.clone())).collect()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    files_of(folder, extension, true)
}

fn files_of(folder: &Path, extension: &str, is_deep: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && is_deep {
            found.extend(files(&entry, extension));
        } else if entry.extension().is_some_and(|own| own == extension) {
            found.push(entry);
        }
    }
    found
}

/// Blanks the test modules inside files, and drops the files that are test modules.
fn without_tests(written: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (mut kept, mut tests) = (BTreeMap::new(), Vec::new());
    for (path, text) in written {
        let (text, modules) = blanked(text);
        let folder = folder_of_children(path);
        tests.extend(modules.iter().flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]));
        kept.insert(path.clone(), text);
    }
    kept.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
    kept
}

/// Where the child modules of a file are.
fn folder_of_children(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

/// The text with its test modules as empty lines, and the names of those that are files of their own.
fn blanked(text: &str) -> (String, Vec<String>) {
    let (mut lines, mut modules): (Vec<&str>, Vec<String>) = (text.lines().collect(), Vec::new());
    let mut at = 0;
    while at < lines.len() {
        let declared = lines.get(at + 1).filter(|_| lines[at] == "#[cfg(test)]");
        let name = declared.and_then(|line| line.trim_start_matches("pub(crate) ").strip_prefix("mod "));
        let end = match name {
            None => at,
            Some(name) if name.ends_with(';') => {
                modules.push(name.trim_end_matches(';').to_owned());
                at + 2
            }
            Some(_) => lines[at..].iter().position(|line| *line == "}").map_or(lines.len(), |length| at + length + 1),
        };
        lines[at..end].fill("");
        at = end.max(at + 1);
    }
    (lines.join("\n"), modules)
}

#[test]
fn tests_are_no_part_of_what_is_checked() {
    let tree = Tree::of_sources(&[
        ("cli/src/lib.rs", "mod a;\n#[cfg(test)]\nmod stub;\nfn x() {}\n"),
        ("cli/src/stub.rs", "fn stub() {}"),
        ("cli/src/stub/deep.rs", "fn deep() {}"),
        ("cli/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests;"),
        ("cli/src/a/tests.rs", "fn tests() {}"),
        ("cli/src/b/mod.rs", "fn b() {}\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}"),
    ]);
    let kept: Vec<(&str, &str)> = tree.sources.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(
        kept,
        [
            ("cli/src/a.rs", "fn a() {}\n\n"),
            ("cli/src/b/mod.rs", "fn b() {}\n\n\n\n\nfn d() {}"),
            ("cli/src/lib.rs", "mod a;\n\n\nfn x() {}"),
        ]
    );
}
