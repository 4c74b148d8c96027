//! What is derived from the declarations and committed is what they give today.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contract::{Dataset, Kind};
use sources::source::{Endpoint, Source};
use tests::{generate, root};

fn declarations() -> Vec<(String, Dataset)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("schemas"))
        .expect("schemas")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "avsc"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("declaration");
        let dataset = Dataset::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_name().expect("name").to_string_lossy().into_owned(), dataset)
    };
    files.into_iter().map(read).collect()
}

/// Compares a committed file with what it must be; with `UPDATE=1` writes it.
fn assert_derived(path: &str, expected: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(&path, expected).expect("write");
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} is not what the declarations give: run `UPDATE=1 ./test derived`", path.display());
}

#[test]
fn records_are_what_the_declarations_give() {
    assert_derived("contract/src/records.rs", &generate::formatted(&generate::records(&declarations())));
}

/// The README with a generated part replaced.
fn with_part(readme: &str, name: &str, part: &str) -> String {
    let (head, rest) = readme.split_once(&format!("<!-- {name}: generated")).expect("the beginning is marked");
    let (mark, rest) = rest.split_once("-->\n").expect("the mark ends");
    let (_, tail) = rest.split_once(&format!("<!-- end of {name} -->")).expect("the end is marked");
    format!("{head}<!-- {name}: generated{mark}-->\n{part}<!-- end of {name} -->{tail}")
}

/// The datasets of an endpoint's records.
fn records(source: &Source, endpoint: &Endpoint) -> String {
    if source.is_local() {
        return "any".to_owned();
    }
    let datasets: Vec<String> = endpoint.datasets.iter().map(|dataset| format!("`{dataset}`")).collect();
    datasets.join(", ")
}

fn sources_table() -> String {
    let mut out =
        String::from("| source | endpoint | records | an item is | known at | needs |\n|---|---|---|---|---|---|\n");
    for source in sources::SOURCES {
        let needs = source.key_variable().map_or("nothing".to_owned(), |key| format!("`{}`", key.name));
        for endpoint in source.endpoints {
            let (name, item) = (endpoint.name, endpoint.item);
            let (datasets, known_at) = (records(source, endpoint), endpoint.known_at);
            out += &format!("| `{}` | `{name}` | {datasets} | {item} | {known_at} | {needs} |\n", source.name);
        }
    }
    out
}

fn datasets_table() -> String {
    let mut out = String::from("| dataset | what | key | topic | from |\n|---|---|---|---|---|\n");
    for dataset in contract::datasets() {
        let key: Vec<String> = dataset.key.iter().map(|at| format!("`{}`", dataset.fields[*at].name)).collect();
        let topic = contract::topic::topic("tapedeck", dataset);
        let gives = |source: &&Source| source.endpoints.iter().any(|one| one.datasets.contains(&dataset.name.as_str()));
        // Files can hold anything.
        let providers = sources::SOURCES.iter().filter(|source| !source.is_local());
        let from: Vec<String> = providers.filter(gives).map(|one| format!("`{}`", one.name)).collect();
        let from = match dataset.name.as_str() {
            "dead_letter" => "whatever was refused".to_owned(),
            "fetch_log" => "every source".to_owned(),
            _ if from.is_empty() => "no source yet; whoever publishes it".to_owned(),
            _ => from.join(", "),
        };
        out += &format!("| `{}` | {} | {} | `{topic}` | {from} |\n", dataset.name, dataset.doc, key.join(", "));
    }
    out
}

#[test]
fn the_readmes_tables_are_what_sources_and_datasets_declare() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README");
    let readme = with_part(&readme, "sources", &sources_table());
    assert_derived("README.md", &with_part(&readme, "datasets", &datasets_table()));
}

/// What the head of a source's own file says: where its quirks are written down.
fn notes(source: &Source) -> String {
    let folder = root().join("sources/src/providers");
    let files = [folder.join(format!("{}.rs", source.name)), folder.join(source.name).join("mod.rs")];
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).expect("the source's file");
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    // The first paragraph says what the source's `doc` says.
    let notes = head.skip_while(|line| !line.is_empty()).skip(1);
    notes.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

/// Name of a kind in a table for people.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Long => "integer",
        Kind::Double => "double",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        Kind::Decimal => "decimal",
        Kind::Json => "JSON",
        Kind::Bytes => "bytes",
        Kind::TextList => "list of texts",
    }
}

fn fields_table(dataset: &Dataset) -> String {
    let mut out = format!("### `{}`\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n", dataset.name, dataset.doc);
    for (at, field) in dataset.fields.iter().enumerate() {
        let mark = if dataset.key.contains(&at) {
            ", key"
        } else if field.nullable {
            ", nullable"
        } else {
            ""
        };
        out += &format!("| `{}` | {}{mark} | {} |\n", field.name, kind_name(field.kind), field.doc);
    }
    for (what, rules) in [("refused unless", &dataset.rules), ("flagged unless", &dataset.expectations)] {
        let rules: Vec<String> = rules.iter().map(|rule| format!("`{}`", rule.text)).collect();
        if !rules.is_empty() {
            out += &format!("\nA record is {what} {}.\n", rules.join(", "));
        }
    }
    out + "\n"
}

/// A page of its own for each source.
fn source_page(source: &Source) -> String {
    let mut out = format!("# `{}`\n\n{}.\n\n{}\n", source.name, source.doc, notes(source));
    let nothing = if source.is_local() { "Nothing but the files." } else { "Nothing but the network." };
    let needs = source.key_variable().map_or(nothing.to_owned(), |key| format!("`{}`: {}.", key.name, key.doc));
    let (address, pace) = if source.is_local() {
        (format!("`{}`", source.base_url), String::new())
    } else {
        let pace = format!("| at most | a request every {} ms |\n", source.pause.as_millis());
        (format!("<{}>", source.base_url), pace)
    };
    let per_day = source.quota.map_or(String::new(), |quota| {
        let cost = |(name, calls): &(&str, u32)| format!("; a request of `{name}` counts for {calls}");
        let costs: String = quota.costs.iter().map(cost).collect();
        format!("| calls a day | {}, or `{}`{costs} |\n", quota.calls, quota.env)
    });
    let variable = source.base_url_env;
    out += &format!(
        "| | |\n|---|---|\n| address | {address}, or `{variable}` |\n| needs | {needs} |\n{pace}{per_day}\n## Endpoints\n\n"
    );
    out += "| endpoint | what | records | an item is | known at | asked for |\n|---|---|---|---|---|---|\n";
    for endpoint in source.endpoints {
        out += &format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            endpoint.name,
            endpoint.doc,
            records(source, endpoint),
            endpoint.item,
            endpoint.known_at,
            endpoint.schedule.words(),
        );
    }
    if source.is_local() {
        return out + "\nThe fields of each dataset are on the pages of the other sources, and in `schemas/`.\n";
    }
    out += "\n## Fields\n\n";
    let mut names: Vec<&str> = source.endpoints.iter().flat_map(|endpoint| endpoint.datasets).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        out += &fields_table(contract::dataset(name).expect("an endpoint's dataset"));
    }
    out.trim_end().to_owned() + "\n"
}

#[test]
fn every_source_has_a_page_that_says_what_it_declares() {
    for source in sources::SOURCES {
        assert_derived(&format!("docs/sources/{}.md", source.name), &source_page(source));
    }
}

#[test]
fn the_example_environment_lists_every_variable() {
    let mut out = String::from(
        "# Copy to `.env` and set what you need; each line shows the default, or is empty where there is none.\n\
         # Instead of a secret a file may be named that holds it: FRED_API_KEY_FILE.\n\
         # For docker compose also POSTGRES_PASSWORD. Written by `UPDATE=1 ./test derived`.\n",
    );
    let own = service::settings::ALL.iter().map(|variable| (*variable).clone());
    for variable in own.chain(sources::variables()) {
        let secret = if variable.secret { " (secret)" } else { "" };
        let default = variable.default.unwrap_or_default();
        out += &format!("\n# {}{secret}\n#{}={default}\n", variable.doc, variable.name);
    }
    assert_derived(".env.example", &out);
}

/// The fuzz target of each endpoint, by name.
fn fuzz_targets() -> BTreeMap<String, String> {
    let endpoints = sources::SOURCES.iter().flat_map(|source| source.endpoints.iter().map(move |one| (source, one)));
    let target = |(source, endpoint): (&Source, &Endpoint)| {
        let text = format!(
            "//! Written by `UPDATE=1 ./test derived`.\n\n#![no_main]\n\n\
             libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::read({:?}, {:?}, body));\n",
            source.name, endpoint.name
        );
        (format!("{}_{}", source.name, endpoint.name), text)
    };
    endpoints.map(target).collect()
}

#[test]
fn every_endpoint_has_a_fuzz_target() {
    let targets = fuzz_targets();
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("manifest");
    let (head, _) = manifest.split_once("# Targets: ").expect("the beginning of the targets is marked");
    let mut out = format!("{head}# Targets: written by `UPDATE=1 ./test derived`.\n");
    for (name, text) in &targets {
        out += &format!(
            "\n[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\ntest = false\ndoc = false\nbench = false\n"
        );
        assert_derived(&format!("fuzz/fuzz_targets/{name}.rs"), text);
    }
    assert_derived("fuzz/Cargo.toml", &out);
    let files =
        std::fs::read_dir(root().join("fuzz/fuzz_targets")).expect("targets").map(|entry| entry.expect("entry").path());
    let left_over = files.filter(|path| !targets.contains_key(&*path.file_stem().expect("name").to_string_lossy()));
    assert_eq!(left_over.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "no endpoint has these targets");
}
