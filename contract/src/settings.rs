//! What an environment variable is.

/// An environment variable that configures tapedeck.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value when it is not set; None: it has no value then.
    pub default: Option<&'static str>,
    /// One line on what it does.
    pub doc: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}
