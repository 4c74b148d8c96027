//! The rules of the architecture that a script can see. Each check is seen to fail on a bad tree beside it.

mod cycles;
mod imports;
mod layout;
mod length;
mod prose;
mod tokens;
mod tree;

use std::path::Path;
use std::process::Command;

use tests::root;
use tree::Tree;

/// Words that no source may hold.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "FIXME", "XXX", "unbounded_channel", "dbg!("];

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[test]
fn crates_reach_only_what_they_may() {
    assert_none(&layout::forbidden_dependencies(&Tree::read(&root())));
}

#[test]
fn what_knows_a_library_is_in_one_place() {
    assert_none(&layout::misplaced_words(&Tree::read(&root())));
}

#[test]
fn no_crate_has_an_import_cycle() {
    assert_none(&cycles::import_cycles(&Tree::read(&root())));
}

#[test]
fn files_and_functions_are_no_longer_than_a_reader_can_hold() {
    assert_none(&length::too_long(&Tree::read(&root())));
}

#[test]
fn no_sentence_of_the_documents_must_be_read_twice() {
    assert_none(&prose::long_sentences(&Tree::read(&root())));
}

#[test]
fn nothing_is_left_to_be_done_and_nothing_is_unbounded() {
    assert_none(&unfinished(&Tree::read(&root())));
}

fn unfinished(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.sources.iter().filter(|(path, _)| !path.starts_with("tests/")) {
        let words = UNFINISHED.iter().filter(|word| text.contains(**word));
        found.extend(words.map(|word| format!("`{word}` in {path}")));
    }
    found
}

#[test]
fn what_is_left_to_be_done_is_found() {
    assert_eq!(unfinished(&Tree::of_sources(&[("cli/src/up.rs", "fn up() { todo!() }")])).len(), 1);
}

#[test]
fn every_planted_bug_can_still_be_planted() {
    let patches = std::fs::read_dir(root().join("tests/planted")).unwrap().map(|entry| entry.unwrap().path());
    let stale: Vec<String> = patches.filter(|patch| !applies(patch)).map(|patch| patch.display().to_string()).collect();
    assert_none(&stale);
}

/// Whether a patch changes what is there.
fn applies(patch: &Path) -> bool {
    Command::new("git").current_dir(root()).args(["apply", "--check"]).arg(patch).output().unwrap().status.success()
}

#[test]
fn a_patch_of_a_file_that_has_moved_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let patch = folder.path().join("stale.patch");
    std::fs::write(&patch, "--- a/gone.rs\n+++ b/gone.rs\n@@ -1 +1 @@\n-here\n+there\n").unwrap();
    assert!(!applies(&patch));
}
