//! A certificate for one run, and the client's side of it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};

/// The name in the certificate.
pub const NAME: &str = "localhost";

/// A self-signed certificate that the bench's clients trust.
pub struct Certificates {
    roots: RootCertStore,
}

impl Certificates {
    /// Writes `cert.pem` and `key.pem` into `folder`.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn issue(folder: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![NAME.to_owned()])?;
        std::fs::write(folder.join("cert.pem"), cert.pem())?;
        std::fs::write(folder.join("key.pem"), signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        Ok(Self { roots })
    }

    /// A client that trusts it and offers `protocol` by ALPN.
    #[must_use]
    pub fn client(&self, protocol: &str) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config)
    }
}
