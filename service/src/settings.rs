//! The variables that configure tapedeck, declared once: `.env.example` is written from this list.
//!
//! A value comes from the environment, else from what [`env_file::load`] added: the running deck and `.env`.

pub mod env_file;
pub mod files;

use std::env;

pub use contract::settings::Variable;
use thiserror::Error;

use crate::secret::Secret;

/// A value that cannot be used.
#[derive(Debug, Error)]
#[error("`{name}` is `{value}`, which is not {expected}")]
pub struct SettingError {
    name: &'static str,
    value: String,
    expected: String,
}

const fn variable(name: &'static str, default: Option<&'static str>, doc: &'static str) -> Variable {
    Variable { name, default, doc, secret: false }
}

/// Addresses of the Kafka brokers.
pub const KAFKA_BROKERS: Variable = variable(
    "TAPEDECK_KAFKA_BROKERS",
    Some("127.0.0.1:9092"),
    "Kafka brokers, `host:port`, separated by commas; if it is set, `tapedeck up` starts no embedded broker",
);
/// How to speak to the brokers.
pub const KAFKA_SECURITY_PROTOCOL: Variable = variable(
    "TAPEDECK_KAFKA_SECURITY_PROTOCOL",
    Some("PLAINTEXT"),
    "How to connect to Kafka: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
);
/// Certificate authorities of the brokers.
pub const KAFKA_CA_FILE: Variable = variable(
    "TAPEDECK_KAFKA_CA_FILE",
    None,
    "File with the certificate authorities, in PEM, that sign the brokers' certificates; by default the system's",
);
/// Certificate of this client.
pub const KAFKA_CERTIFICATE_FILE: Variable = variable(
    "TAPEDECK_KAFKA_CERTIFICATE_FILE",
    None,
    "File with the certificate, in PEM, that identifies this client to Kafka, where Kafka asks for one",
);
/// Private key of that certificate.
pub const KAFKA_KEY_FILE: Variable =
    variable("TAPEDECK_KAFKA_KEY_FILE", None, "File with the private key of that certificate, in PEM, not encrypted");
/// How to log in at the brokers.
pub const KAFKA_SASL_MECHANISM: Variable = variable(
    "TAPEDECK_KAFKA_SASL_MECHANISM",
    None,
    "How to log in at Kafka with `SASL_..`: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`",
);
/// User at the brokers.
pub const KAFKA_USER: Variable = variable("TAPEDECK_KAFKA_USER", None, "User to log in at Kafka as");
/// Password of that user.
pub const KAFKA_PASSWORD: Variable =
    Variable { secret: true, ..variable("TAPEDECK_KAFKA_PASSWORD", None, "Password of that user") };
/// First part of the names of topics and consumer groups.
pub const NAMESPACE: Variable = variable(
    "TAPEDECK_NAMESPACE",
    Some("tapedeck"),
    "First part of the names of topics and consumer groups, so that several installations can share a cluster",
);
/// Address of the database.
pub const DATABASE_URL: Variable = Variable {
    secret: true,
    ..variable(
        "TAPEDECK_DATABASE_URL",
        None,
        "Database to store in: `postgres://user:password@host/database` or `sqlite:/path/to/file`; `tapedeck up` has a \
         file of its own",
    )
};
/// Address of a schema registry.
pub const SCHEMA_REGISTRY_URL: Variable = Variable {
    secret: true,
    ..variable(
        "TAPEDECK_SCHEMA_REGISTRY_URL",
        None,
        "Confluent-compatible schema registry; without one, schema ids come from the declarations",
    )
};
/// Partitions of a new topic.
pub const TOPIC_PARTITIONS: Variable =
    variable("TAPEDECK_TOPIC_PARTITIONS", Some("4"), "Partitions of a topic that tapedeck creates");
/// Replicas of a new topic.
pub const TOPIC_REPLICATION: Variable = variable(
    "TAPEDECK_TOPIC_REPLICATION",
    Some("-1"),
    "Replicas of a topic that tapedeck creates; -1: the broker's default",
);
/// Name of the sink.
pub const SINK: Variable = variable(
    "TAPEDECK_SINK",
    None,
    "Last part of the consumer groups' names; by default `postgres` or `sqlite`. Two databases fed from one Kafka need two names; the second one under a name is refused",
);
/// Most rows in a chunk.
pub const CHUNK_ROWS: Variable = variable(
    "TAPEDECK_CHUNK_ROWS",
    Some("10000"),
    "Most records that a consumer commits at once; above 20000 it is 20000",
);
/// Most bytes in a chunk.
pub const CHUNK_BYTES: Variable = variable(
    "TAPEDECK_CHUNK_BYTES",
    Some("4194304"),
    "Most bytes of messages that a consumer commits at once; above 16777216 it is 16777216",
);
/// Age at which a chunk is committed, however small it is.
pub const CHUNK_AGE_MS: Variable = variable(
    "TAPEDECK_CHUNK_AGE_MS",
    Some("500"),
    "Milliseconds after which a consumer commits a chunk that is not full; `tapedeck up` uses 200",
);
/// Bytes fetched from a partition at once.
pub const FETCH_BYTES: Variable = variable(
    "TAPEDECK_FETCH_BYTES",
    Some("131072"),
    "Compressed bytes that a consumer fetches from a partition at once; most of its memory holds them uncompressed",
);
/// Connections that write one dataset at the same time.
pub const WRITERS: Variable =
    variable("TAPEDECK_WRITERS", Some("2"), "PostgreSQL connections that write the chunks of one dataset in parallel");
/// What to do when Kafka has deleted records that were never read.
pub const ON_GAP: Variable = variable(
    "TAPEDECK_ON_GAP",
    Some("halt"),
    "When records are gone unread (retention, a topic truncated or recreated): `halt`, or `record` them in `sink_gap` and go on; \
     with `record` another Kafka cluster may go on filling the database",
);
/// Share of refused records at which a publisher is quarantined.
pub const BREAKER_PERCENT: Variable = variable(
    "TAPEDECK_BREAKER_PERCENT",
    Some("5"),
    "A sink quarantines a publisher when more than this share of its last 2,000 records in a partition, and at least 50, are \
     refused; 100: never",
);
/// How long to wait for a schema that the registry does not know.
pub const SCHEMA_PATIENCE: Variable = variable(
    "TAPEDECK_SCHEMA_PATIENCE_S",
    Some("600"),
    "Seconds that a partition waits for a schema id that the schema registry does not know, before its sink halts",
);
/// What to poll.
pub const WATCHLIST: Variable = variable("TAPEDECK_WATCHLIST", Some("watchlist.toml"), "File that lists what to poll");
/// Folder of the producers' state.
pub const STATE_DIR: Variable = variable(
    "TAPEDECK_STATE_DIR",
    Some("state"),
    "Folder of the producers' state: what was polled and when, what is missing, calls spent",
);
/// Certificate authorities to trust beside the system's.
pub const CA_FILE: Variable = variable(
    "TAPEDECK_CA_FILE",
    None,
    "File with further certificate authorities, in PEM, to trust in requests to providers, e.g. that of an inspecting proxy",
);
/// What to log.
pub const LOG: Variable = variable(
    "TAPEDECK_LOG",
    Some("info"),
    "What to log: `error`, `warn`, `info`, `debug`, or levels by crate such as `warn,producers=debug`",
);

/// Where health and metrics are served.
pub const HEALTH_ADDRESS: Variable = variable(
    "TAPEDECK_HEALTH_ADDRESS",
    Some("127.0.0.1:0"),
    "Address where a daemon serves `/livez`, `/readyz` and `/metrics`, `host:port`; port 0: a free port, which is logged",
);
/// Where to write the address of the health server.
pub const HEALTH_FILE: Variable = variable(
    "TAPEDECK_HEALTH_FILE",
    None,
    "When set, a daemon writes the address of its health server into this file; `tapedeck up` sets it: `run/*.health`",
);
/// How long a loop may hang before the watchdog ends its process.
pub const WATCHDOG: Variable = variable(
    "TAPEDECK_WATCHDOG_S",
    Some("120"),
    "Seconds after which a daemon whose loop hangs ends with exit code 70, so that its supervisor restarts it; 0: never",
);
/// Whether to stop when standard input ends.
pub const STOP_AT_EOF: Variable = variable(
    "TAPEDECK_STOP_AT_EOF",
    None,
    "When set, a daemon stops cleanly when its standard input ends, that is, with the process that started it",
);

/// The file with values for variables.
pub const ENV_FILE: Variable = variable(
    "TAPEDECK_ENV_FILE",
    Some(".env"),
    "File with lines `NAME=value`, for variables that the environment does not set; by default it may be missing",
);

/// How to reach Kafka securely; without meaning for the embedded broker.
pub const KAFKA_SECURITY: [&Variable; 7] = [
    &KAFKA_SECURITY_PROTOCOL,
    &KAFKA_CA_FILE,
    &KAFKA_CERTIFICATE_FILE,
    &KAFKA_KEY_FILE,
    &KAFKA_SASL_MECHANISM,
    &KAFKA_USER,
    &KAFKA_PASSWORD,
];

/// All variables but those of the sources, which `sources::variables` lists.
pub const ALL: &[&Variable] = &[
    &KAFKA_BROKERS,
    &KAFKA_SECURITY_PROTOCOL,
    &KAFKA_CA_FILE,
    &KAFKA_CERTIFICATE_FILE,
    &KAFKA_KEY_FILE,
    &KAFKA_SASL_MECHANISM,
    &KAFKA_USER,
    &KAFKA_PASSWORD,
    &NAMESPACE,
    &DATABASE_URL,
    &SCHEMA_REGISTRY_URL,
    &TOPIC_PARTITIONS,
    &TOPIC_REPLICATION,
    &SINK,
    &CHUNK_ROWS,
    &CHUNK_BYTES,
    &CHUNK_AGE_MS,
    &FETCH_BYTES,
    &WRITERS,
    &ON_GAP,
    &BREAKER_PERCENT,
    &SCHEMA_PATIENCE,
    &WATCHLIST,
    &STATE_DIR,
    &CA_FILE,
    &LOG,
    &HEALTH_ADDRESS,
    &HEALTH_FILE,
    &WATCHDOG,
    &STOP_AT_EOF,
    &ENV_FILE,
];

/// Value of a variable, if it is set; an empty value counts as unset.
pub fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| env_file::value(name))
}

/// Value of a variable, or its default; an empty value counts as unset.
pub fn read(variable: &Variable) -> Option<String> {
    given(variable.name).or_else(|| variable.default.map(str::to_owned))
}

/// The file of a secret cannot be read.
#[derive(Debug, Error)]
#[error("cannot read `{path}`, which `{name}{FILE}` names: {error}")]
pub struct SecretError {
    name: &'static str,
    path: String,
    error: std::io::Error,
}

/// Suffix of the variable that names a file with the secret instead.
pub const FILE: &str = "_FILE";

/// Value of a secret variable, or the content of the file named instead; an empty value counts as unset.
pub fn read_secret(variable: &Variable) -> Result<Option<Secret>, SecretError> {
    let file = given(&format!("{}{FILE}", variable.name));
    secret(variable.name, read(variable), file)
}

fn secret(name: &'static str, value: Option<String>, file: Option<String>) -> Result<Option<Secret>, SecretError> {
    let text = match (value, file.filter(|path| !path.is_empty())) {
        (Some(value), _) => value,
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => return Err(SecretError { name, path, error }),
        },
        (None, None) => return Ok(None),
    };
    Ok(Some(Secret::new(text)).filter(|secret| !secret.expose().is_empty()))
}

/// Value of a variable that is a number within bounds.
pub fn read_number(variable: &Variable, bounds: std::ops::RangeInclusive<i64>) -> Result<i64, SettingError> {
    let value = read(variable).unwrap_or_default();
    let number = value.trim().parse().ok().filter(|number| bounds.contains(number));
    let expected = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
    number.ok_or_else(|| SettingError { name: variable.name, value, expected: expected() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_be_in_a_file_and_one_that_cannot_be_read_is_named() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let read = |value: Option<&str>, file: Option<&str>| {
            let read = secret("FRED_API_KEY", value.map(str::to_owned), file.map(str::to_owned));
            read.map(|secret| secret.map(|secret| secret.expose().to_owned())).map_err(|error| error.to_string())
        };
        assert_eq!((read(None, None), read(None, Some(""))), (Ok(None), Ok(None)));
        // The variable takes precedence over the file.
        assert_eq!(read(Some("hunter2"), Some(file)), Ok(Some("hunter2".to_owned())));
        let text = read(None, Some(file)).unwrap().unwrap();
        assert!(text.starts_with("[package]") && !text.ends_with('\n'), "{text}");
        let error = read(None, Some("/nowhere/key")).unwrap_err();
        assert!(error.starts_with("cannot read `/nowhere/key`, which `FRED_API_KEY_FILE` names: "), "{error}");
    }
}
