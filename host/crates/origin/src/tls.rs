//! TLS towards origins: always verified, TLS 1.2 and 1.3, sessions resumed.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::error::OriginError;
use crate::settings::{Host, Roots, TlsSettings};

/// Sessions kept for resumption, over all addresses of one origin.
const SESSIONS: usize = 64;

/// Builds what makes TLS connections by `settings`. Reads the system's
/// certificate authorities from disk if they are asked for.
pub(crate) fn connector(settings: &TlsSettings) -> Result<TlsConnector, OriginError> {
    let roots = match &settings.roots {
        Roots::System => system_roots()?,
        Roots::Pem(pem) => given_roots(pem)?,
    };
    // The provider is named here, so that no process-wide default can replace it.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that the certificate of an address must be valid for.
pub(crate) fn server_name(
    settings: &TlsSettings,
    host: &Host,
) -> Result<ServerName<'static>, OriginError> {
    let text = match &settings.server_name {
        Some(name) => name.clone(),
        None => host.text(),
    };
    ServerName::try_from(text.clone()).map_err(|_| OriginError::ServerNameInvalid(text))
}

fn system_roots() -> Result<RootCertStore, OriginError> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
    }
    let mut roots = RootCertStore::empty();
    // Systems carry some that are malformed by today's rules: those are left out.
    let (added, _ignored) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        return Err(OriginError::RootsMissing);
    }
    Ok(roots)
}

fn given_roots(pem: &[u8]) -> Result<RootCertStore, OriginError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| OriginError::RootsInvalid(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| OriginError::RootsInvalid(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(OriginError::RootsMissing);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_no_certificates_are_refused() {
        let given = |text: &str| TlsSettings {
            server_name: None,
            roots: Roots::Pem(Arc::from(text.as_bytes())),
        };
        assert!(matches!(
            connector(&given("")),
            Err(OriginError::RootsMissing)
        ));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            connector(&given(broken)),
            Err(OriginError::RootsInvalid(_))
        ));
    }

    #[test]
    fn the_name_to_verify_is_the_configured_one_or_the_host() {
        let named = TlsSettings {
            server_name: Some("app.example".into()),
            roots: Roots::System,
        };
        let ip = Host::Ip([127, 0, 0, 1].into());
        let name = server_name(&named, &ip).expect("a DNS name");
        assert_eq!(name.to_str(), "app.example");
        let name = server_name(&TlsSettings::default(), &ip).expect("an IP address");
        assert_eq!(name.to_str(), "127.0.0.1");
        let wrong = TlsSettings {
            server_name: Some("not a name".into()),
            roots: Roots::System,
        };
        assert!(server_name(&wrong, &ip).is_err());
    }
}
