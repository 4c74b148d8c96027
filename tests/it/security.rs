//! Kafka with TLS, users and ACLs: what logs in, what is refused and how, and which rights suffice.
//!
//! They run the executable of the packages: only there librdkafka has OpenSSL.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use kafka::Cluster;
use kafka::publish::{PublishError, Publisher};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;
use tests::broker::{Bench, block_on, sqlite_beside};
use tests::process::{Environment, Heard, Running, command_of, ended, fail, until};
use tests::secure::{PASSWORD, SUPER_USER, SecureKafka};
use tests::{message, oracle, root};

use crate::packages::package;
use crate::secrets::{CANARY, holds};

/// Partitions of a topic, by default.
const PARTITIONS: i32 = 4;
/// The item of the source `file`.
const ITEM: &str = "prices.csv?ohlcv_bar&symbol=Ticker&trading_date=Date&bar_interval:=1d&source:=mine";
/// Two good rows and a bad one.
const ROWS: &str = "Ticker,Date,Open,High,Low,Close,Volume\nA,2024-01-02,1,1,1,1,5\nA,2024-01-03,1,1,1,1,5\n\
                    A,2024-01-04,1,1,1,236;30,5\n";
/// A record that fits into a message of our producers, and not into one of the broker's default in these tests.
const LARGE: usize = 990_000;

/// The packaged executable in a folder of its own.
struct Packaged {
    program: PathBuf,
    _folder: TempDir,
}

impl Packaged {
    /// None if there are no packages.
    fn tapedeck() -> Option<Packaged> {
        let archive = package(".tar.gz")?;
        let folder = TempDir::new().unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.arg("-xzf").arg(archive).args(["--strip-components=1", "-C"]).arg(folder.path());
        assert!(tar.status().unwrap().success());
        Some(Packaged { program: folder.path().join("bin/tapedeck"), _folder: folder })
    }

    fn run(&self, arguments: &[&str], environment: &Environment) -> Output {
        let output = ended(command_of(&self.program, arguments, environment));
        let shown = [&output.stdout[..], &output.stderr].concat();
        assert!(!holds(&shown), "the password is shown: {}", String::from_utf8_lossy(&shown));
        output
    }

    fn succeed(&self, arguments: &[&str], environment: &Environment) -> String {
        let output = self.run(arguments, environment);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The last line of a command that must end with code 1.
    fn refused(&self, arguments: &[&str], environment: &Environment) -> String {
        let output = self.run(arguments, environment);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        errors.trim_end().lines().last().unwrap_or_default().to_owned()
    }
}

/// The environment of a deck that polls one file, over this way to Kafka.
fn environment(bench: &Bench, login: &Environment) -> Environment {
    let folder = bench.folder.path();
    std::fs::write(folder.join("prices.csv"), ROWS).unwrap();
    std::fs::write(folder.join("watchlist.toml"), format!("[file]\ncsv = [\"{ITEM}\"]\n")).unwrap();
    let mut environment = bench.with(&[
        ("TAPEDECK_WATCHLIST", folder.join("watchlist.toml").to_str().unwrap()),
        ("TAPEDECK_FILE_URL", &format!("file:{}", folder.display())),
        ("TAPEDECK_LOG", "trace"),
    ]);
    environment.extend(login.clone());
    environment
}

const BARS: &str = "select count(*) from ohlcv_bar";

#[test]
fn a_record_goes_from_the_producer_to_the_table_over_tls_with_every_way_to_log_in() {
    let Some(tapedeck) = Packaged::tapedeck() else { return };
    let Some(kafka) = SecureKafka::start(&[SUPER_USER]) else { return };
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
    let mut logins: Vec<(&str, Environment)> =
        mechanisms.iter().map(|mechanism| (*mechanism, kafka.login(mechanism, SUPER_USER))).collect();
    logins.push(("a client certificate", kafka.mutual()));
    for (name, login) in &logins {
        let bench = sqlite_beside(&kafka.plaintext);
        let environment = environment(&bench, login);
        tapedeck.succeed(&["producer", "run", "file", "--once"], &environment);
        tapedeck.succeed(&["consumer", "run", "ohlcv_bar", "--once"], &environment);
        assert_eq!(bench.number(BARS), 2, "with {name}");
    }
    a_deck_keeps_the_login_for_the_commands_beside_it(&tapedeck, &kafka);
}

/// The password comes from a file, and only the deck knows of it.
fn a_deck_keeps_the_login_for_the_commands_beside_it(tapedeck: &Packaged, kafka: &SecureKafka) {
    let bench = sqlite_beside(&kafka.plaintext);
    let (folder, file) = (bench.folder.path(), bench.folder.path().join("password"));
    let mut environment = environment(&bench, &kafka.login("SCRAM-SHA-512", SUPER_USER));
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    environment.remove("TAPEDECK_KAFKA_PASSWORD");
    environment.insert("TAPEDECK_KAFKA_PASSWORD_FILE", file.display().to_string());
    let deck = folder.join("deck").display().to_string();
    let mut up = command_of(&tapedeck.program, &["up", "--data-dir", &deck], &environment);
    let said = folder.join("said");
    up.stdout(std::fs::File::create(&said).unwrap()).stderr(std::fs::File::create(folder.join("errors")).unwrap());
    let mut running = Running::start(up);
    let stored = || bench.try_execute(BARS).is_ok() && bench.number(BARS) == 2;
    until("the deck has stored the file", stored);
    let beside = bench.with(&[]).into_iter().filter(|(name, _)| *name == "TAPEDECK_NAMESPACE").collect();
    let verified = tapedeck.succeed(&["verify", "ohlcv_bar", "--deep", "--data-dir", &deck], &beside);
    assert!(verified.contains("verified"), "{verified}");
    running.signal("TERM");
    assert!(running.wait());
    for path in [vec![said, folder.join("errors")], files(&folder.join("deck"))].concat() {
        assert!(!holds(&std::fs::read(&path).unwrap()), "the password is in {}", path.display());
    }
}

/// All files of a folder and its folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_wrong_password_authority_host_or_right_ends_with_one_line_that_says_what_to_do() {
    let Some(tapedeck) = Packaged::tapedeck() else { return };
    let Some(kafka) = SecureKafka::start(&[SUPER_USER, "nobody"]) else { return };
    let changed = |mut login: Environment, name, value: String| {
        login.insert(name, value);
        login
    };
    let good = || kafka.login("SCRAM-SHA-256", SUPER_USER);
    let other_host = kafka.sasl_ssl.replace("localhost", "127.0.0.1");
    let mut uncertified = kafka.mutual();
    uncertified.retain(|name, _| !name.ends_with("CERTIFICATE_FILE") && !name.ends_with("KEY_FILE"));
    let cases = [
        (changed(good(), "TAPEDECK_KAFKA_PASSWORD", format!("{CANARY} is wrong")), "check `TAPEDECK_KAFKA_USER`"),
        (changed(kafka.login("PLAIN", SUPER_USER), "TAPEDECK_KAFKA_USER", "bob".into()), "check `TAPEDECK_KAFKA_USER`"),
        (changed(good(), "TAPEDECK_KAFKA_CA_FILE", kafka.file("other-ca.pem")), "`TAPEDECK_KAFKA_CA_FILE`"),
        (changed(good(), "TAPEDECK_KAFKA_BROKERS", other_host), "the names in `TAPEDECK_KAFKA_BROKERS`"),
        (uncertified, "check `TAPEDECK_KAFKA_CERTIFICATE_FILE`"),
        (kafka.login("SCRAM-SHA-512", "nobody"), "give the user its ACLs: see docs/operate.md"),
    ];
    // The first handshakes of a new Java process can take longer than a request may.
    for login in [good(), kafka.login("PLAIN", SUPER_USER), kafka.mutual()] {
        let bench = sqlite_beside(&kafka.plaintext);
        let environment = environment(&bench, &login);
        until("Kafka has warmed up", || {
            tapedeck.run(&["producer", "run", "file", "--once"], &environment).status.success()
        });
    }
    let (tapedeck, kafka) = (&tapedeck, &kafka);
    thread::scope(|scope| {
        for (login, advice) in &cases {
            scope.spawn(move || {
                let bench = sqlite_beside(&kafka.plaintext);
                let environment = Environment::from_iter(environment(&bench, login).into_iter().filter(is_quiet));
                let consumer = ["consumer", "run", "ohlcv_bar"];
                for arguments in [&consumer[..], &["consumer", "verify"], &["producer", "run", "file", "--once"]] {
                    // A topic that is not shown is missing: for `verify` that is no matter of rights.
                    if arguments == ["consumer", "verify"] && advice.contains("ACL") {
                        continue;
                    }
                    let line = tapedeck.refused(arguments, &environment);
                    assert!(line.contains(advice), "{arguments:?} of {advice}: {line}");
                }
                let daemon = command_of(&tapedeck.program, &["producer", "run", "file"], &environment);
                Heard::start(daemon).until_said(advice);
            });
        }
    });
}

/// Without the trace, the last line is the error.
fn is_quiet(variable: &(&'static str, String)) -> bool {
    variable.0 != "TAPEDECK_LOG"
}

#[test]
fn the_rights_in_the_documents_suffice_for_each_role_and_are_no_more_than_it_needs() {
    let Some(tapedeck) = Packaged::tapedeck() else { return };
    let Some(kafka) = SecureKafka::start(&["producer", "consumer", "auditor"]) else { return };
    let bench = sqlite_beside(&kafka.plaintext);
    let document = std::fs::read_to_string(root().join("docs/operate.md")).unwrap();
    let rights: Vec<String> =
        document.lines().filter_map(|line| line.strip_prefix("allow ")).map(str::to_owned).collect();
    assert_eq!(rights.len(), 6, "{rights:?}");
    for right in rights {
        let right = right.replace("tapedeck.", &format!("{}.", bench.namespace));
        let arguments: Vec<&str> = right.split_whitespace().collect();
        let add = ["--add", "--resource-pattern-type", "prefixed", "--allow-principal"];
        kafka.acls(&[&add[..], &arguments].concat());
    }
    let of = |user: &str| {
        let mut environment = environment(&bench, &kafka.login("SCRAM-SHA-256", user));
        environment.remove("TAPEDECK_LOG");
        environment
    };
    // Each creates topics.
    tapedeck.succeed(&["consumer", "run", "ohlcv_bar", "--once"], &of("consumer"));
    tapedeck.succeed(&["producer", "run", "file", "--once"], &of("producer"));
    message::send(&bench, "ohlcv_bar", &[(Some(0), Some(b"k".to_vec()), Some(b"no record".to_vec()))]);
    // It compares its state with its topics. Only after a kill it also reads them.
    tapedeck.succeed(&["producer", "run", "file", "--once"], &of("producer"));
    let letters = || -> i64 { oracle::ends(&kafka.plaintext, &bench.topic("dead_letter"), PARTITIONS).values().sum() };
    let before = letters();
    tapedeck.succeed(&["consumer", "run", "--once"], &of("consumer"));
    assert_eq!(bench.number(BARS), 2);
    assert_eq!(letters(), before + 1, "the relay has published the dead letter");
    tapedeck.succeed(&["consumer", "replay", "ohlcv_bar"], &of("consumer"));
    let verified = tapedeck.succeed(&["consumer", "verify", "--deep"], &of("auditor"));
    assert!(verified.contains("verified"), "{verified}");
    std::fs::write(bench.folder.path().join("prices.csv"), ROWS.replace(",1,5", ",2,5")).unwrap();
    for (user, arguments, denied) in [
        ("auditor", &["producer", "run", "file", "--once", "--afresh"][..], "Cluster authorization failed"),
        ("producer", &["consumer", "run", "ohlcv_bar"], "cannot join consumer group"),
        ("auditor", &["consumer", "run", "ohlcv_bar"], "cannot join consumer group"),
    ] {
        let line = tapedeck.refused(arguments, &of(user));
        assert!(line.contains(denied) && line.contains("see docs/operate.md"), "{user} {arguments:?}: {line}");
    }
}

#[test]
fn a_build_without_tls_says_which_build_has_it() {
    let login = Environment::from([("TAPEDECK_KAFKA_SECURITY_PROTOCOL", "SSL".to_owned())]);
    for (name, arguments) in [("producer", ["run", "file"]), ("consumer", ["run", "ohlcv_bar"])] {
        let folder = TempDir::new().unwrap();
        let mut environment = login.clone();
        environment.insert("TAPEDECK_DATABASE_URL", format!("sqlite:{}", folder.path().join("x.db").display()));
        let error = fail(name, &arguments, &environment);
        let line = error.lines().last().unwrap_or_default();
        assert!(line.contains("this build has no TLS: use a package or the image, or build with"), "{name}: {error}");
    }
}

#[test]
fn a_topic_takes_the_largest_message_of_a_producer_whatever_the_broker_allows_and_a_smaller_limit_is_named() {
    let Some(kafka) = SecureKafka::start(&[]) else { return };
    let bench = sqlite_beside(&kafka.plaintext);
    let cluster = Cluster::new(&bench.brokers, &bench.namespace);
    let datasets = [contract::dataset("ohlcv_bar").unwrap()];
    let published = |cluster: &Cluster, bytes: usize| {
        block_on(async {
            let mut publisher = Publisher::connect(cluster, "test", &datasets).await.unwrap();
            for day in 1..=3 {
                let mut bar = message::bar("A", day, 1.0, 0, 0);
                bar.currency = Some(incompressible(bytes).into());
                publisher.publish(&bar.into()).await?;
            }
            publisher.flush().await.map(|delivered| delivered.records)
        })
    };
    assert_eq!(published(&cluster, LARGE), Ok(3));
    assert!(matches!(published(&cluster, 1_000_000), Err(PublishError::Record(_))));
    // Somebody else has created this topic.
    let small = Cluster::new(&bench.brokers, &format!("{}.small", bench.namespace));
    let topic = contract::topic::topic(small.namespace(), datasets[0]);
    let admin: AdminClient<DefaultClientContext> = small.client_config("admin").create().unwrap();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    let Err(PublishError::Halt(reason)) = published(&small, LARGE) else { panic!("the broker takes it") };
    assert!(reason.contains("`max.message.bytes` is less than the 1000000"), "{reason}");
}

/// A text that is random, so that it is large however it is compressed.
fn incompressible(bytes: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + (state % 95) as u8)
    };
    std::iter::repeat_with(letter).take(bytes).collect()
}
