//! Certificate authorities beside those that the system trusts, for instance of a proxy that inspects traffic.

use std::fs;

use anyhow::{Context as _, ensure};
use reqwest::{Certificate, ClientBuilder};
use service::settings;

/// Further certificate authorities; none by default.
#[derive(Debug, Default)]
pub(crate) struct Authorities(Vec<Certificate>);

impl Authorities {
    /// The authorities in the file that the environment names, if any.
    pub(super) fn from_settings() -> anyhow::Result<Authorities> {
        settings::read(&settings::CA_FILE)
            .map_or_else(|| Ok(Authorities::default()), |path| Authorities::in_file(&path))
    }

    fn in_file(path: &str) -> anyhow::Result<Authorities> {
        let pem = fs::read(path).map_err(anyhow::Error::new).and_then(|pem| Authorities::of(&pem));
        pem.with_context(|| format!("`{}` is `{path}`, which cannot be used", settings::CA_FILE.name))
    }

    /// The authorities in a PEM text.
    pub(crate) fn of(pem: &[u8]) -> anyhow::Result<Authorities> {
        let all = Certificate::from_pem_bundle(pem)?;
        ensure!(!all.is_empty(), "it has no certificate in PEM format");
        Ok(Authorities(all))
    }

    /// Lets a client trust them.
    pub(super) fn trusted_by(&self, client: ClientBuilder) -> ClientBuilder {
        // Only if there are any: adding some changes how reqwest finds the system's own.
        if self.0.is_empty() { client } else { client.tls_certs_merge(self.0.iter().cloned()) }
    }
}

#[cfg(test)]
mod tests {
    use service::telemetry;

    use super::*;

    #[test]
    fn the_ca_file_must_exist_and_contain_a_certificate() {
        let folder = tempfile::TempDir::new().unwrap();
        let refused = |name: &str| {
            let path = folder.path().join(name);
            telemetry::one_line(&Authorities::in_file(&path.display().to_string()).unwrap_err())
        };
        for (name, content) in [("empty.pem", ""), ("other.pem", "a certificate, or so it says")] {
            fs::write(folder.path().join(name), content).unwrap();
            let error = refused(name);
            assert!(error.starts_with("`TAPEDECK_CA_FILE` is `"), "{error}");
            assert!(error.ends_with("which cannot be used: it has no certificate in PEM format"), "{error}");
        }
        let error = refused("absent.pem");
        assert!(error.contains("No such file"), "{error}");
    }
}
