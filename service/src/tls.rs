//! The TLS implementation of the process.

/// Chooses the TLS implementation for this process; the first choice wins.
pub fn install() {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
