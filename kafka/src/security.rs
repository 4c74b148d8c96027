//! How clients connect and log in: TLS and SASL, from the settings.

use std::fs::File;

use rdkafka::ClientConfig;
use service::secret::Secret;
use service::settings::{self, Variable};

use crate::error::KafkaError;

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// How to connect to the brokers. The default is neither encrypted nor authenticated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Security {
    /// Settings of librdkafka that may be shown.
    open: Vec<(&'static str, String)>,
    password: Option<Secret>,
}

impl Security {
    /// What the settings say.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Halt`] when a setting is wrong, missing or without effect, or when this build lacks what it needs.
    pub(crate) fn from_settings() -> Result<Security, KafkaError> {
        let password = settings::read_secret(&settings::KAFKA_PASSWORD);
        read(
            &|variable| settings::given(variable.name),
            password.map_err(|error| KafkaError::Halt(error.to_string()))?,
            cfg!(feature = "tls"),
        )
    }

    /// Adds them to a client's settings.
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.open {
            config.set(*name, value);
        }
        if let Some(password) = &self.password {
            config.set("sasl.password", password.expose());
        }
    }
}

/// A look at the settings: the value of a variable, if it has one.
type Given<'a> = &'a dyn Fn(&Variable) -> Option<String>;

/// `has_tls`: whether librdkafka was built with OpenSSL, which also computes SCRAM's hashes.
fn read(given: Given<'_>, password: Option<Secret>, has_tls: bool) -> Result<Security, KafkaError> {
    let mut security = Security::default();
    let Some(protocol) = one_of(given, &settings::KAFKA_SECURITY_PROTOCOL, &PROTOCOLS)? else {
        // Whoever sets one of them expects that it is used.
        let others = settings::KAFKA_SECURITY.into_iter();
        let is_given = |variable: &&Variable| given(variable).is_some() || (variable.secret && password.is_some());
        let idle = others.clone().find(is_given).map(|variable| format!("`{}`", variable.name));
        return idle.map_or(Ok(security), |idle| Err(missing(&settings::KAFKA_SECURITY_PROTOCOL, &idle)));
    };
    if protocol == "PLAINTEXT" {
        return Ok(security);
    }
    security.open.push(("security.protocol", protocol.to_owned()));
    let by = format!("`{protocol}`");
    if protocol.ends_with("SSL") {
        built(has_tls, &settings::KAFKA_SECURITY_PROTOCOL, protocol)?;
        tls(given, &mut security)?;
    }
    if protocol.starts_with("SASL") {
        let mechanism = one_of(given, &settings::KAFKA_SASL_MECHANISM, &MECHANISMS)?;
        let mechanism = mechanism.ok_or_else(|| missing(&settings::KAFKA_SASL_MECHANISM, &by))?;
        built(has_tls || mechanism == "PLAIN", &settings::KAFKA_SASL_MECHANISM, mechanism)?;
        let user = given(&settings::KAFKA_USER).ok_or_else(|| missing(&settings::KAFKA_USER, &by))?;
        security.open.extend([("sasl.mechanism", mechanism.to_owned()), ("sasl.username", user)]);
        security.password = Some(password.ok_or_else(|| missing(&settings::KAFKA_PASSWORD, &by))?);
    }
    Ok(security)
}

fn tls(given: Given<'_>, security: &mut Security) -> Result<(), KafkaError> {
    // The OpenSSL in this executable does not know where the system keeps its authorities.
    let authorities = file(given, &settings::KAFKA_CA_FILE)?.unwrap_or_else(|| "probe".to_owned());
    security.open.push(("ssl.ca.location", authorities));
    let (certificate, key) = (&settings::KAFKA_CERTIFICATE_FILE, &settings::KAFKA_KEY_FILE);
    match (file(given, certificate)?, file(given, key)?) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            security.open.extend([("ssl.certificate.location", certificate), ("ssl.key.location", key)]);
        }
        (Some(_), None) => return Err(missing(key, &format!("`{}`", certificate.name))),
        (None, Some(_)) => return Err(missing(certificate, &format!("`{}`", key.name))),
    }
    Ok(())
}

/// The value of a variable that allows only some.
fn one_of(given: Given<'_>, variable: &Variable, allowed: &[&'static str]) -> Result<Option<&'static str>, KafkaError> {
    let Some(value) = given(variable) else { return Ok(None) };
    let known = allowed.iter().find(|allowed| value.trim().eq_ignore_ascii_case(allowed));
    known.copied().map(Some).ok_or_else(|| {
        let (name, allowed) = (variable.name, allowed.join("`, `"));
        KafkaError::Halt(format!("`{name}` is `{value}`: choose one of `{allowed}`"))
    })
}

/// The path that a variable names. librdkafka's own error would name its own setting.
fn file(given: Given<'_>, variable: &Variable) -> Result<Option<String>, KafkaError> {
    let Some(path) = given(variable) else { return Ok(None) };
    match File::open(&path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => {
            let name = variable.name;
            Err(KafkaError::Halt(format!("cannot read `{path}`, which `{name}` names: {error}")))
        }
    }
}

fn missing(variable: &Variable, by: &str) -> KafkaError {
    KafkaError::Halt(format!("`{}` is not set, which {by} needs", variable.name))
}

fn built(is_built: bool, variable: &Variable, value: &str) -> Result<(), KafkaError> {
    if is_built {
        return Ok(());
    }
    let name = variable.name;
    Err(KafkaError::Halt(format!(
        "`{name}` is `{value}`, but this build has no TLS: use a package or the image, or build with \
         `cargo build --release --features tls`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of these variables: librdkafka's settings, or the error.
    fn read_from(given: &[(&Variable, &str)], has_tls: bool) -> Result<Vec<(&'static str, String)>, String> {
        let value = |variable: &Variable| {
            let found = given.iter().find(|(given, _)| given.name == variable.name && !variable.secret);
            found.map(|(_, value)| (*value).to_owned())
        };
        let password = given.iter().find(|(given, _)| given.secret).map(|(_, value)| Secret::new((*value).to_owned()));
        read(&value, password, has_tls).map(|security| security.open).map_err(|error| error.to_string())
    }

    const SASL: [(&Variable, &str); 4] = [
        (&settings::KAFKA_SECURITY_PROTOCOL, "sasl_ssl"),
        (&settings::KAFKA_SASL_MECHANISM, "SCRAM-SHA-512"),
        (&settings::KAFKA_USER, "alice"),
        (&settings::KAFKA_PASSWORD, "hunter2"),
    ];

    #[test]
    fn without_settings_a_client_is_neither_encrypted_nor_logged_in_and_plaintext_ignores_the_rest() {
        assert_eq!(read_from(&[], false), Ok(Vec::new()));
        let explicit = [&[(&settings::KAFKA_SECURITY_PROTOCOL, "PLAINTEXT")], &SASL[1..]].concat();
        assert_eq!(read_from(&explicit, false), Ok(Vec::new()));
    }

    #[test]
    fn a_setting_that_is_missing_wrong_or_without_effect_is_named() {
        for left_out in 0..SASL.len() {
            let mut given = SASL.to_vec();
            let (variable, _) = given.remove(left_out);
            let error = read_from(&given, true).unwrap_err();
            assert!(error.starts_with(&format!("`{}` is not set, which `", variable.name)), "{error}");
        }
        let (key, protocol) = (&settings::KAFKA_KEY_FILE, SASL[0].0);
        let error = read_from(&[(protocol, "SSL"), (key, "/nowhere")], true).unwrap_err();
        assert!(error.starts_with("cannot read `/nowhere`, which `TAPEDECK_KAFKA_KEY_FILE` names: "), "{error}");
        let key_alone = read_from(&[(protocol, "SSL"), (key, "/dev/null")], true).unwrap_err();
        assert!(key_alone.starts_with("`TAPEDECK_KAFKA_CERTIFICATE_FILE` is not set"), "{key_alone}");
        let error = read_from(&[(protocol, "TLS")], true).unwrap_err();
        assert_eq!(
            error,
            "`TAPEDECK_KAFKA_SECURITY_PROTOCOL` is `TLS`: choose one of `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT`, `SASL_SSL`"
        );
    }

    #[test]
    fn a_build_without_tls_says_which_build_has_it() {
        let scram = [&[(&settings::KAFKA_SECURITY_PROTOCOL, "SASL_PLAINTEXT")], &SASL[1..]].concat();
        for (given, name) in [(&SASL.to_vec(), SASL[0].0.name), (&scram, SASL[1].0.name)] {
            let error = read_from(given, false).unwrap_err();
            assert!(error.starts_with(&format!("`{name}` is `")), "{error}");
            assert!(error.contains("use a package or the image, or build with"), "{error}");
            assert!(read_from(given, true).is_ok());
        }
        let plain = [scram[0], (&settings::KAFKA_SASL_MECHANISM, "PLAIN"), SASL[2], SASL[3]];
        assert!(read_from(&plain, false).is_ok(), "PLAIN needs no OpenSSL");
    }

    #[test]
    fn the_password_is_in_no_debug_text_and_reaches_librdkafka() {
        let secret = Some(Secret::new("hunter2".to_owned()));
        let security = Security { open: vec![("sasl.username", "alice".to_owned())], password: secret };
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        let shown = format!("{security:?} {config:?}");
        assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
    }
}
