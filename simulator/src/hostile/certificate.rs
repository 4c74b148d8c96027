//! Certificates made on the spot, and an authority that issues them.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// What is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Certificate {
    Valid,
    Expired,
    SelfSigned,
    WrongHost,
}

/// What accepts connections with such a certificate, for one of these protocols if any are named, and the authority in
/// PEM.
pub(super) fn acceptor(certificate: Certificate, protocols: &[&[u8]]) -> anyhow::Result<(TlsAcceptor, String)> {
    let authority = authority().context("no authority for certificates can be made")?;
    let (key, chain) = issued(certificate, &authority).context("no certificate can be made")?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![chain.der().clone()], key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "simulated authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn issued(
    certificate: Certificate,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(KeyPair, rcgen::Certificate), rcgen::Error> {
    let hosts: &[&str] = match certificate {
        Certificate::WrongHost => &["other.example"],
        _ => &["127.0.0.1", "localhost"],
    };
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<String>>())?;
    params.distinguished_name.push(DnType::CommonName, "hostile provider");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if let Certificate::Expired = certificate {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate()?;
    let issued = match certificate {
        Certificate::SelfSigned => params.self_signed(&key)?,
        _ => params.signed_by(&key, authority)?,
    };
    Ok((key, issued))
}
