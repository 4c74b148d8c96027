//! The packages that `./package` builds: each is whole, and runs where nothing else of tapedeck is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::{root, service};

/// From the installation to the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// What every package holds.
const FILES: [&str; 8] = [
    "bin/tapedeck",
    "share/man/man1/tapedeck.1.gz",
    "share/man/man1/tapedeck-up.1.gz",
    "share/bash-completion/completions/tapedeck",
    "share/zsh/vendor-completions/_tapedeck",
    "share/fish/vendor_completions.d/tapedeck.fish",
    "share/doc/tapedeck/docs/start.md",
    "share/doc/tapedeck/schemas/ohlcv_bar.avsc",
];

/// The package with this ending, in the folder that `./test` had `./package` fill.
pub(crate) fn package(ending: &str) -> Option<PathBuf> {
    let dist = service("TAPEDECK_TEST_PACKAGES")?;
    let files = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "packages that end with {ending}: {found:?}");
    found.into_iter().next()
}

/// Runs a command that must succeed, without any variable but those that every process needs; returns its output.
fn run(program: impl AsRef<Path>, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.as_ref().display());
    String::from_utf8(output.stdout).unwrap()
}

fn assert_whole(installed: &Path) {
    let missing: Vec<&str> = FILES.into_iter().filter(|name| !installed.join(name).is_file()).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", installed.display());
}

/// The demo in an empty folder, and a question.
fn answers(tapedeck: &Path, began: Instant) {
    let folder = TempDir::new().unwrap();
    let summary = run(tapedeck, &["up", "--demo", "--once", "--json", "--kafka-port", "0"], folder.path());
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let sql = "select count(*) as bars from ohlcv_bar where bar_interval = '1d'";
    let found = run(tapedeck, &["query", "--format", "json", sql], folder.path());
    let took = began.elapsed();
    let bars = serde_json::from_str::<Value>(&found).unwrap()["bars"].as_u64().unwrap();
    assert!(bars > 10_000 && bars < summary["stored"].as_u64().unwrap(), "{bars} bars of {summary}");
    assert!(took < FIRST_ANSWER, "{took:?} from the installation to the first answer");
}

#[test]
fn the_wheel_in_a_new_venv_answers_within_a_minute() {
    let Some(wheel) = package(".whl") else { return };
    let (folder, began) = (TempDir::new().unwrap(), Instant::now());
    run("python3", &["-m", "venv", "venv"], folder.path());
    let venv = folder.path().join("venv");
    let wheel = wheel.to_str().unwrap();
    run(venv.join("bin/pip"), &["install", "--quiet", "--no-index", "--no-deps", wheel], folder.path());
    answers(&venv.join("bin/tapedeck"), began);
    assert_whole(&venv);
}

#[test]
fn the_deb_in_an_empty_directory_answers_within_a_minute() {
    let Some(deb) = package(".deb") else { return };
    let (folder, began) = (TempDir::new().unwrap(), Instant::now());
    run("dpkg-deb", &["--extract", deb.to_str().unwrap(), "root"], folder.path());
    let installed = folder.path().join("root/usr");
    answers(&installed.join("bin/tapedeck"), began);
    assert_whole(&installed);
    let depends = run("dpkg-deb", &["--field", deb.to_str().unwrap(), "Depends"], folder.path());
    assert!(depends.starts_with("libc6 (>= 2."), "{depends}");
}

#[test]
fn the_archive_answers_within_a_minute_and_its_manual_and_completions_name_every_command() {
    let Some(archive) = package(".tar.gz") else { return };
    let (folder, began) = (TempDir::new().unwrap(), Instant::now());
    run("tar", &["-xzf", archive.to_str().unwrap(), "--strip-components=1"], folder.path());
    let installed = folder.path();
    answers(&installed.join("bin/tapedeck"), began);
    assert_whole(installed);
    let help = run(installed.join("bin/tapedeck"), &["--help"], installed);
    let commands: Vec<&str> = help.lines().skip_while(|line| *line != "Commands:").skip(1).collect();
    let commands = commands.iter().take_while(|line| !line.is_empty());
    // A wrapped description starts further right than a name.
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 20 && names.contains(&"up"), "{names:?}");
    let completions = fs::read_to_string(installed.join("share/bash-completion/completions/tapedeck")).unwrap();
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(installed.join(format!("share/man/man1/tapedeck-{name}.1.gz")).is_file(), "no manual of {name}");
        assert!(completions.contains(&format!("tapedeck,{name})")), "no completion of {name}");
    }
}

#[test]
fn the_bill_of_materials_names_every_library_with_version_and_licence_and_no_folder_of_the_builder() {
    let Some(bill) = package(".cdx.json") else { return };
    let text = fs::read_to_string(bill).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let locked = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let components = bill["components"].as_array().unwrap();
    for component in components {
        let of = |key: &str| component[key].as_str().unwrap();
        let locked_as = format!("name = \"{}\"\nversion = \"{}\"\n", of("name"), of("version"));
        assert!(locked.contains(&locked_as), "not in Cargo.lock: {component}");
        assert!(component["licenses"].as_array().is_some_and(|licences| !licences.is_empty()), "{component}");
    }
    let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    for needed in ["rdkafka-sys", "openssl-src", "libsqlite3-sys", "quick-xml", "store"] {
        assert!(names.contains(&needed), "{needed} is missing");
    }
    assert!(!text.contains(root().to_str().unwrap()), "it names the folder in which it was built");
}
