//! Import cycles of a crate: between its top-level files and folders, and between folders that lie in one folder.
//!
//! A module and its own children, and files in one folder, may know each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{Imports, Module, imports};
use super::layout::CRATES;
use super::tree::Tree;

/// Who refers to whom, with the place of the first reference.
pub(super) type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// Names that all lead to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cycle {
    pub(super) names: BTreeSet<String>,
    /// One way through the shortest circle: `from -> to (file:line)`.
    pub(super) steps: Vec<String>,
}

/// The graphs of a crate that must have no cycle: one of its top-level files and folders, and one of the folders in
/// each folder.
pub(super) fn graphs(imports: &Imports) -> Vec<Graph> {
    let is_folder =
        |module: &[String]| imports.modules.iter().any(|other| other.len() > module.len() && other.starts_with(module));
    let mut graphs: BTreeMap<Module, Graph> = BTreeMap::new();
    for reference in &imports.references {
        let (from, to) = (&reference.from, &reference.to);
        let shared = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        if shared == from.len() || shared == to.len() {
            continue;
        }
        let (from, to) = (&from[..=shared], &to[..=shared]);
        if shared > 0 && !(is_folder(from) && is_folder(to)) {
            continue;
        }
        let edges = graphs.entry(from[..shared].to_vec()).or_default().entry(from.join("/")).or_default();
        edges.entry(to.join("/")).or_insert_with(|| reference.place.clone());
    }
    graphs.into_values().collect()
}

/// The cycles of a graph, one for each set of names that all lead to each other.
pub(super) fn cycles(graph: &Graph) -> Vec<Cycle> {
    let mut found: Vec<Cycle> = Vec::new();
    for name in graph.keys() {
        if found.iter().any(|cycle| cycle.names.contains(name)) {
            continue;
        }
        let ahead = reachable(graph, name);
        if !ahead.contains(name) {
            continue;
        }
        let names = ahead.into_iter().filter(|other| reachable(graph, other).contains(name)).collect();
        found.push(Cycle { steps: circle(graph, name), names });
    }
    found
}

/// What a name leads to, itself only if there is a way back.
fn reachable(graph: &Graph, name: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        for next in graph.get(&name).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

/// The shortest way from a name back to itself.
fn circle(graph: &Graph, name: &str) -> Vec<String> {
    let (mut open, mut tried) = (VecDeque::from([(name.to_owned(), Vec::new())]), BTreeSet::new());
    while let Some((from, steps)) = open.pop_front() {
        for (to, place) in graph.get(&from).into_iter().flatten() {
            let steps = [steps.clone(), vec![format!("{from} -> {to} ({place})")]].concat();
            if to == name {
                return steps;
            }
            if tried.insert(to.clone()) {
                open.push_back((to.clone(), steps));
            }
        }
    }
    Vec::new()
}

/// The import cycles of every crate, each step with the first place that takes it.
pub(super) fn import_cycles(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for name in CRATES.iter().map(|rule| rule.name).filter(|name| *name != "tests") {
        let imports = imports(name, &tree.of_crate(name));
        for cycle in graphs(&imports).iter().flat_map(cycles) {
            let names = cycle.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            found.push(format!("import cycle in `{name}` ({names}):\n    {}", cycle.steps.join("\n    ")));
        }
    }
    found
}

#[test]
fn each_kind_of_import_cycle_is_found_with_its_places() {
    let found = |sources: &[(&str, &str)]| import_cycles(&Tree::of_sources(sources));
    let files = found(&[
        ("cli/src/lib.rs", "mod a;\nmod b;\npub use a::Noun;"),
        ("cli/src/a.rs", "use std::fmt;\nuse crate::{b::{C, D}, e};"),
        ("cli/src/b.rs", "fn f() -> crate::Noun {}"),
    ]);
    assert_eq!(
        files,
        ["import cycle in `cli` (a, b):\n    a -> b (cli/src/a.rs:2)\n    b -> a (cli/src/b.rs:1)"],
        "a re-export counts as the module that defines the name"
    );
    let folders = found(&[
        ("cli/src/a.rs", "mod b;\nmod c;"),
        ("cli/src/a/b.rs", "mod x;"),
        ("cli/src/a/b/x.rs", "use super::super::c::y::Y;"),
        ("cli/src/a/c/mod.rs", "mod y;\nuse super::b;"),
        ("cli/src/a/c/y.rs", ""),
    ]);
    assert_eq!(folders.len(), 1, "{folders:?}");
    let through_files = found(&[
        ("cli/src/a.rs", "use crate::b::x::X;"),
        ("cli/src/b/x.rs", "use cli::c;"),
        ("cli/src/c.rs", "impl crate::a::A for C {}"),
    ]);
    assert_eq!(through_files.len(), 1, "{through_files:?}");
}

#[test]
fn parent_and_child_and_files_of_one_folder_may_know_each_other() {
    let tree = Tree::of_sources(&[
        ("cli/src/main.rs", "mod a;\nuse crate::a::A;"),
        ("cli/src/a.rs", "mod b;\nuse self::b::B;\nuse crate::a::c::C;"),
        ("cli/src/a/b.rs", "use super::A;\nuse super::c::C;\n#[cfg(test)]\nmod tests {\n    use crate::d::D;\n}"),
        ("cli/src/a/c.rs", "use super::b::B; // crate::d"),
        ("cli/src/d.rs", "use crate::a::A;"),
    ]);
    assert_eq!(import_cycles(&tree), [""; 0]);
}
