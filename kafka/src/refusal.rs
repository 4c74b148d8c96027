//! Why Kafka refuses a client: its login, a certificate, or a right that its user lacks.
//!
//! librdkafka reports a failed login or handshake to a callback, and connects again without end. Requests meanwhile fail
//! as if Kafka were away. So each client keeps the last such report, for the error of its request.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

/// Ways to fail that are an outage, not a refusal, although librdkafka reports them in the midst of a login.
const OUTAGES: [&str; 4] = ["transport failure", "Disconnected", "timed out", "Timed out"];

/// The last refusal that a client heard of. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// Keeps what librdkafka reports, if it is a refusal.
    pub(crate) fn note(&self, error: &ClientError, reason: &str) {
        if let Some(refusal) = error.rdkafka_error_code().and_then(|code| explained(code, reason)) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        }
    }

    /// The last refusal since the last call.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What is wrong and what to do; None for an outage. `reason` begins with the broker's address.
fn explained(code: RDKafkaErrorCode, reason: &str) -> Option<String> {
    if OUTAGES.iter().any(|words| reason.contains(words)) {
        return None;
    }
    // librdkafka adds how long it took.
    let said = reason.split(" (after ").next().unwrap_or(reason);
    if said.contains("certificate verify failed") {
        return Some(format!(
            "{}: its certificate is for another host name, or of an authority that `TAPEDECK_KAFKA_CA_FILE` does not \
             hold: check that file and the names in `TAPEDECK_KAFKA_BROKERS`",
            said.split(": ").next().unwrap_or_default()
        ));
    }
    // With TLS 1.3 the broker's refusal arrives after the handshake, as a failure to read.
    if code == RDKafkaErrorCode::SSL || said.contains(" alert ") {
        return Some(format!(
            "{said}: check `TAPEDECK_KAFKA_CERTIFICATE_FILE`, `TAPEDECK_KAFKA_KEY_FILE` and that the broker speaks TLS"
        ));
    }
    (code == RDKafkaErrorCode::Authentication)
        .then(|| format!("{said}: check `TAPEDECK_KAFKA_USER`, its password, and `TAPEDECK_KAFKA_SASL_MECHANISM`"))
}

/// What to do when the user lacks a right; None for any other error.
pub(crate) fn lacks_right(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
        TransactionalIdAuthorizationFailed,
    };
    matches!(
        code,
        ClusterAuthorizationFailed
            | GroupAuthorizationFailed
            | TopicAuthorizationFailed
            | TransactionalIdAuthorizationFailed
    )
    .then_some("give the user its ACLs: see docs/operate.md")
}

/// An error's text, and what to do if the user lacks a right.
pub(crate) fn advised(text: String, code: RDKafkaErrorCode) -> String {
    lacks_right(code).map_or_else(|| text.clone(), |advice| format!("{text}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_check_and_an_outage_during_a_login_is_none() {
        use RDKafkaErrorCode::{Authentication, BrokerTransportFailure, SSL};
        let cases = [
            (
                SSL,
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not",
                Some("`TAPEDECK_KAFKA_CA_FILE`"),
            ),
            (
                BrokerTransportFailure,
                "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                Some("`TAPEDECK_KAFKA_CERTIFICATE_FILE`"),
            ),
            (Authentication, "SASL authentication error: Authentication failed", Some("`TAPEDECK_KAFKA_USER`")),
            (Authentication, "SASL authentication error: Local: Broker transport failure", None),
            (BrokerTransportFailure, "SSL handshake failed: Disconnected: connection closed by peer", None),
            (BrokerTransportFailure, "Connect to ipv4#127.0.0.1:9 failed: Connection refused", None),
        ];
        for (code, said, advice) in cases {
            let refusal = Refusal::default();
            refusal
                .note(&ClientError::Global(code), &format!("sasl_ssl://b:1/bootstrap: {said} (after 3ms in state X)"));
            let told = refusal.take();
            assert_eq!(told.is_some(), advice.is_some(), "{said}: {told:?}");
            if let (Some(told), Some(advice)) = (told, advice) {
                assert!(told.starts_with("sasl_ssl://b:1/bootstrap: ") && told.contains(advice), "{told}");
                assert!(!told.contains("(after"), "{told}");
            }
            assert_eq!(refusal.take(), None, "it is told once");
        }
    }
}
