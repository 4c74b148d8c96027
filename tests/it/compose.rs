//! docker-compose.yml is well-formed and complete. No engine runs here: Docker's own check runs if its plugin is
//! installed, and the rules below if Python is.

use std::process::Command;

use serde_json::Value;
use tests::{root, service};

/// Keys that a service may have; some versions of compose silently ignore a misspelt one.
const SERVICE_WORDS: &[&str] = &[
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "image",
    "init",
    "logging",
    "mem_limit",
    "networks",
    "pids_limit",
    "ports",
    "profiles",
    "read_only",
    "restart",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "stop_signal",
    "tmpfs",
    "user",
    "volumes",
];
/// Services that run no executable of tapedeck's.
const THIRD_PARTY: &[&str] = &["kafka", "timescale", "registry"];

/// The file as JSON, with anchors and merges resolved.
fn compose() -> Option<Value> {
    let python = service("TAPEDECK_TEST_PYTHON")?;
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new(python).args(["-c", script]).arg(root().join("docker-compose.yml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object.keys().cloned().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_compose_file_has_only_keys_that_compose_knows() {
    let Some(compose) = compose() else { return };
    for word in words(&compose) {
        assert!(
            ["name", "services", "volumes", "networks"].contains(&word.as_str()) || word.starts_with("x-"),
            "{word}"
        );
    }
    for (name, service) in compose["services"].as_object().unwrap() {
        for word in words(service) {
            assert!(SERVICE_WORDS.contains(&word.as_str()), "`{word}` of service `{name}`");
        }
    }
}

#[test]
fn every_compose_service_is_limited_restarted_and_pinned_and_what_it_names_is_there() {
    let Some(compose) = compose() else { return };
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        assert!(service["mem_limit"].is_string(), "`{name}` has no memory limit");
        assert!(service["restart"].is_string(), "`{name}` is not restarted");
        for other in words(&service["depends_on"]) {
            assert!(services.contains_key(&other), "`{name}` depends on `{other}`, which is not there");
            let health = &services[&other]["healthcheck"]["test"];
            let condition = &service["depends_on"][&other]["condition"];
            assert!(condition != "service_healthy" || health.is_array(), "`{other}` cannot be healthy");
        }
        for network in words(&service["networks"]) {
            assert!(words(&compose["networks"]).contains(&network), "`{name}` is on `{network}`, which is not there");
        }
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            let is_there = words(&compose["volumes"]).contains(&source.to_owned()) || source.starts_with(['.', '/']);
            assert!(is_there, "`{name}` uses volume `{source}`, which is not there");
        }
        if THIRD_PARTY.contains(&name.as_str()) {
            let (_, tag) = service["image"].as_str().unwrap().rsplit_once(':').expect("a tag");
            assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "`{name}` is not pinned: `{tag}`");
            assert!(service["healthcheck"]["test"].is_array(), "`{name}` has no health check");
        }
    }
}

#[test]
fn compose_runs_every_source_and_every_dataset_and_holds_no_password() {
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    for source in sources::SOURCES {
        assert!(text.contains(&format!("producer, run, {}", source.name)), "no producer of `{}`", source.name);
    }
    for dataset in contract::datasets() {
        assert!(text.contains(&format!("consumer, run, {}", dataset.name)), "no consumer of `{}`", dataset.name);
    }
    assert!(text.contains("TAPEDECK_HEALTH_ADDRESS: 0.0.0.0:9464"), "no health check could reach the services");
    for line in text.lines().filter(|line| line.contains("PASSWORD") && !line.trim_start().starts_with('#')) {
        assert!(line.contains("${POSTGRES_PASSWORD:?"), "a password in `{line}`");
    }
}

#[test]
fn docker_compose_itself_accepts_the_file() {
    let has_plugin =
        Command::new("docker").args(["compose", "version"]).output().is_ok_and(|output| output.status.success());
    if !has_plugin {
        eprintln!("skipped: `docker compose` is not installed");
        return;
    }
    let mut config = Command::new("docker");
    config.args(["compose", "config", "-q"]).current_dir(root()).env("POSTGRES_PASSWORD", "x");
    let output = config.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
