//! Which file of a crate refers to which: from `use` declarations and from paths in the code.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, is, tokens, without_tests};

/// A path longer than this has been re-exported in a circle.
const MAX_REEXPORTS: usize = 8;

/// A module that is a file, as its names from the crate's root on; the root itself has none.
pub(super) type Module = Vec<String>;

/// One file refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) from: Module,
    pub(super) to: Module,
    /// File and line.
    pub(super) place: String,
}

/// The modules of a crate, and who refers to whom.
#[derive(Debug)]
pub(super) struct Imports {
    pub(super) modules: BTreeSet<Module>,
    pub(super) references: Vec<Reference>,
}

/// Reads a crate of that name from its files, each with its path below `src/` and its text.
pub(super) fn imports(name: &str, files: &[(String, String)]) -> Imports {
    let (mut read, mut for_tests) = (Vec::new(), BTreeSet::new());
    for (path, text) in files {
        let module = module(path);
        let (tokens, test_modules) = without_tests(tokens(text));
        for test_module in test_modules {
            for_tests.insert([module.clone(), vec![test_module]].concat());
        }
        read.push((path, module, tokens));
    }
    read.retain(|(_, module, _)| !for_tests.iter().any(|test_module| module.starts_with(test_module)));
    let modules: BTreeSet<Module> = read.iter().map(|(_, module, _)| module.clone()).collect();
    let is_root = |module: &Module| module.is_empty();
    let mut reexports = BTreeMap::new();
    for (_, _, tokens) in read.iter().filter(|(_, module, _)| is_root(module)) {
        let uses = paths(tokens, &[], name).into_iter().filter(|path| path.is_use);
        reexports.extend(uses.map(|path| (path.alias, path.segments)));
    }
    let resolver = Resolver { modules: &modules, reexports };
    let mut references = Vec::new();
    for (path, module, tokens) in read.iter().filter(|(_, module, _)| !is_root(module)) {
        for found in paths(tokens, module, name).into_iter().filter(|path| path.is_of_crate) {
            let to = resolver.resolve(&found.segments, 0);
            let place = format!("{name}/src/{path}:{}", found.line);
            references.push(Reference { from: module.clone(), to, place });
        }
    }
    Imports { modules, references }
}

/// The module that a file is: `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module(path: &str) -> Module {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let mut names: Module = stem.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        names.pop();
    }
    names
}

struct Resolver<'a> {
    modules: &'a BTreeSet<Module>,
    /// What the root imports, by the name under which `crate::` finds it.
    reexports: BTreeMap<String, Vec<String>>,
}

impl Resolver<'_> {
    /// The file that defines what a path from the root names.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let found = (1..=path.len()).rev().find(|length| self.modules.contains(&path[..*length]));
        if let Some(length) = found {
            return path[..length].to_vec();
        }
        let imported = path.first().and_then(|first| self.reexports.get(first));
        match imported {
            Some(target) if depth < MAX_REEXPORTS => self.resolve(target, depth + 1),
            _ => Module::new(),
        }
    }
}

/// A path in the code.
#[derive(Debug)]
struct Path {
    /// From the crate's root on, or as written where the path is of another crate or of a child.
    segments: Vec<String>,
    /// The name under which a `use` makes it known.
    alias: String,
    is_use: bool,
    /// Whether it began with `crate`, `self`, `super` or the crate's own name.
    is_of_crate: bool,
    line: usize,
}

/// All paths of a file that may name a module of the crate.
fn paths(tokens: &[Token], module: &[String], name: &str) -> Vec<Path> {
    let mut walk = Walk { tokens, at: 0, name, module: module.to_vec(), open: Vec::new(), depth: 0, found: Vec::new() };
    while walk.at < tokens.len() {
        walk.step();
    }
    walk.found
}

struct Walk<'a> {
    tokens: &'a [Token],
    at: usize,
    name: &'a str,
    /// With the modules inside the file that are open at this place.
    module: Module,
    /// At which depth each of those was opened.
    open: Vec<usize>,
    depth: usize,
    found: Vec<Path>,
}

impl Walk<'_> {
    fn step(&mut self) {
        let is_start = self.at == 0 || !is(self.tokens, self.at - 1, "::");
        match self.tokens[self.at].text.as_str() {
            "use" => {
                self.at += 1;
                self.tree(&[]);
            }
            "mod" if is(self.tokens, self.at + 2, "{") => {
                self.module.push(self.tokens[self.at + 1].text.clone());
                self.open.push(self.depth);
                self.at += 2;
            }
            "crate" | "self" | "super" if is_start && is(self.tokens, self.at + 1, "::") => self.path(),
            text if text == self.name && is_start && is(self.tokens, self.at + 1, "::") => self.path(),
            "{" => {
                self.depth += 1;
                self.at += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                if self.open.last() == Some(&self.depth) {
                    self.open.pop();
                    self.module.pop();
                }
                self.at += 1;
            }
            _ => self.at += 1,
        }
    }

    /// A path in an expression or a type.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let segments = self.segments();
        self.push(segments, None, line, false);
    }

    /// The names from here on that `::` joins.
    fn segments(&mut self) -> Vec<String> {
        let mut segments = Vec::new();
        while let Some(token) = self.tokens.get(self.at).filter(|token| is_name(&token.text)) {
            segments.push(token.text.clone());
            self.at += 1;
            let goes_on = is(self.tokens, self.at, "::");
            if !goes_on {
                break;
            }
            self.at += 1;
        }
        segments
    }

    /// One tree of a `use`, behind its prefix.
    fn tree(&mut self, prefix: &[String]) {
        if is(self.tokens, self.at, "::") {
            self.at += 1;
        }
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let path = [prefix, &self.segments()].concat();
        if is(self.tokens, self.at, "{") {
            self.at += 1;
            while self.at < self.tokens.len() && !is(self.tokens, self.at, "}") {
                self.tree(&path);
                if is(self.tokens, self.at, ",") {
                    self.at += 1;
                }
            }
            self.at += 1;
            return;
        }
        if is(self.tokens, self.at, "*") {
            self.at += 1;
        }
        let mut alias = None;
        if is(self.tokens, self.at, "as") {
            alias = self.tokens.get(self.at + 1).map(|token| token.text.clone());
            self.at += 2;
        }
        self.push(path, alias, line, true);
        let is_end = [",", "}", ";"].iter().any(|end| is(self.tokens, self.at, end));
        if !is_end {
            self.at += 1;
        }
    }

    fn push(&mut self, mut segments: Vec<String>, alias: Option<String>, line: usize, is_use: bool) {
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let Some(alias) = alias.or_else(|| segments.last().cloned()) else {
            return;
        };
        let is_of_crate = ["crate", "self", "super", self.name].contains(&segments[0].as_str());
        let segments = if is_of_crate { self.absolute(&segments) } else { segments };
        self.found.push(Path { segments, alias, is_use, is_of_crate, line });
    }

    /// The path from the crate's root on.
    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut absolute = match path[0].as_str() {
            "self" | "super" => self.module.clone(),
            _ => Vec::new(),
        };
        let supers = path.iter().filter(|segment| *segment == "super").count();
        absolute.truncate(absolute.len().saturating_sub(supers));
        let names = path.iter().enumerate().filter(|(at, segment)| {
            let is_root = *at == 0 && (*segment == "crate" || *segment == self.name);
            !is_root && *segment != "self" && *segment != "super"
        });
        absolute.extend(names.map(|(_, segment)| segment.clone()));
        absolute
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|character: char| character.is_alphabetic() || character == '_') && text != "as"
}
