//! Text that must never be shown.

use std::fmt;

/// A key or password: cannot be displayed, and its debug form is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The address without user and password, for messages; `?` when it is not an address.
pub fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once(':') else {
        return "?".to_owned();
    };
    let authority_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let shown = &rest[..authority_end];
    match shown.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}"),
        None => format!("{scheme}:{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "***");
    }

    #[test]
    fn an_address_is_shown_without_user_password_and_parameters() {
        assert_eq!(
            without_credentials("postgres://me:p@ss@db:5432/tapedeck?sslpassword=x"),
            "postgres://db:5432/tapedeck"
        );
        assert_eq!(without_credentials("postgres://db/tapedeck"), "postgres://db/tapedeck");
        assert_eq!(without_credentials("sqlite:/data/tapedeck.db"), "sqlite:/data/tapedeck.db");
        assert_eq!(without_credentials("nonsense"), "?");
    }
}
