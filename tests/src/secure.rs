//! A Kafka with TLS, users and access control lists, for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::broker::free_address;
use crate::certificates::Authority;
use crate::process::Environment;
use crate::service;
use crate::services::Services;

/// Password of every user. It must appear nowhere.
pub const PASSWORD: &str = "canary7pl4nted-kafka";

/// A user that may do everything, if it is one of the users. So may whoever shows the client's certificate.
pub const SUPER_USER: &str = "admin";

/// The broker's own limit. Topics of tapedeck must allow larger messages.
const BROKER_MESSAGE_BYTES: usize = 300_000;

/// Kafka with three listeners: one for the test, where everything is allowed, one with SASL and one with client
/// certificates, both with TLS.
#[derive(Debug)]
pub struct SecureKafka {
    /// The address for the test itself.
    pub plaintext: String,
    /// `localhost` and the port with SASL and TLS.
    pub sasl_ssl: String,
    /// `localhost` and the port that asks for a client certificate.
    pub ssl: String,
    jars: String,
    services: Services,
}

impl SecureKafka {
    /// Starts it with these users, who can log in with every mechanism.
    ///
    /// None if `./test` has not started Kafka.
    pub fn start(users: &[&str]) -> Option<SecureKafka> {
        service("TAPEDECK_TEST_KAFKA")?;
        let port = || free_address().rsplit_once(':').unwrap().1.to_owned();
        let [sasl_ssl, ssl] = [port(), port()].map(|port| format!("localhost:{port}"));
        let listeners = format!(",SASL_SSL://{sasl_ssl},SSL://{ssl}");
        let prepare = |folder: &Path| prepare(&folder.join("kafka"), &listeners, users);
        let services = Services::start_prepared(&["kafka", "kafka_jars"], prepare);
        let [plaintext, jars] = ["kafka", "kafka_jars"].map(|name| services.address(name).to_owned());
        Some(SecureKafka { plaintext, sasl_ssl, ssl, jars, services })
    }

    /// A file of the test's certificates: `ca.pem`, `other-ca.pem`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> String {
        self.services.folder().join("kafka").join(name).display().to_string()
    }

    /// The variables of a client that logs in.
    pub fn login(&self, mechanism: &str, user: &str) -> Environment {
        Environment::from([
            ("TAPEDECK_KAFKA_BROKERS", self.sasl_ssl.clone()),
            ("TAPEDECK_KAFKA_SECURITY_PROTOCOL", "SASL_SSL".to_owned()),
            ("TAPEDECK_KAFKA_CA_FILE", self.file("ca.pem")),
            ("TAPEDECK_KAFKA_SASL_MECHANISM", mechanism.to_owned()),
            ("TAPEDECK_KAFKA_USER", user.to_owned()),
            ("TAPEDECK_KAFKA_PASSWORD", PASSWORD.to_owned()),
        ])
    }

    /// The variables of a client that shows a certificate.
    pub fn mutual(&self) -> Environment {
        Environment::from([
            ("TAPEDECK_KAFKA_BROKERS", self.ssl.clone()),
            ("TAPEDECK_KAFKA_SECURITY_PROTOCOL", "SSL".to_owned()),
            ("TAPEDECK_KAFKA_CA_FILE", self.file("ca.pem")),
            ("TAPEDECK_KAFKA_CERTIFICATE_FILE", self.file("client.pem")),
            ("TAPEDECK_KAFKA_KEY_FILE", self.file("client.key")),
        ])
    }

    /// Runs `kafka-acls` with these arguments, as the administrator.
    pub fn acls(&self, arguments: &[&str]) {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx128m", "-cp"]);
        command.arg(format!("{}/*", self.jars)).arg("org.apache.kafka.tools.AclCommand");
        command.args(["--bootstrap-server", &self.plaintext]).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kafka-acls {arguments:?}: {said}");
    }
}

/// Writes what `tests/services.sh` adds to Kafka's configuration, and the certificates.
fn prepare(home: &Path, listeners: &str, users: &[&str]) {
    let write = |name: &str, text: String| -> PathBuf {
        fs::create_dir_all(home).unwrap();
        fs::write(home.join(name), text).unwrap();
        home.join(name)
    };
    let authority = Authority::new("authority of the test");
    let server = authority.issue("broker", &["localhost"]);
    let client = authority.issue("client", &[]);
    let trusted = write("ca.pem", authority.pem());
    write("other-ca.pem", Authority::new("another authority").pem());
    write("client.pem", client.certificate);
    write("client.key", client.key);
    let store = write("server.pem", format!("{}{}", server.key, server.certificate));
    write("listeners", listeners.to_owned());
    let plain: String = users.iter().map(|user| format!(" user_{user}=\"{PASSWORD}\"")).collect();
    let mut settings = format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:{SUPER_USER};User:CN=client\n\
         message.max.bytes={BROKER_MESSAGE_BYTES}\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\n\
         ssl.truststore.type=PEM\nssl.truststore.location={}\n\
         listener.name.ssl.ssl.client.auth=required\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required{plain};\n",
        store.display(),
        trusted.display(),
    );
    for mechanism in ["256", "512"] {
        settings += &format!(
            "listener.name.sasl_ssl.scram-sha-{mechanism}.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        );
    }
    write("settings", settings);
    let scram = |user: &&str| {
        ["256", "512"].map(|kind| format!("--add-scram\nSCRAM-SHA-{kind}=[name={user},password={PASSWORD}]\n")).concat()
    };
    write("format", users.iter().map(scram).collect());
}
