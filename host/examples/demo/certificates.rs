//! A certificate authority of the demo's own and one certificate for localhost.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::places::Places;
use crate::tokens::write_private;

/// Writes the authority's certificate, and a certificate and its key where the
/// configuration names them, unless all are there. Returns whether they were made now.
pub(crate) fn ensure(places: &Places) -> anyhow::Result<bool> {
    let authority = places.authority();
    let files = [&authority, &places.certificate, &places.key];
    if files.iter().all(|file| file.is_file()) {
        return Ok(false);
    }
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "Verge demo authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    // Its key is forgotten: it can sign nothing else.
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.use_authority_key_identifier_extension = true;
    let certificate = leaf.signed_by(&key, &issuer)?;

    write_private(&places.key, &key.serialize_pem())?;
    std::fs::write(&places.certificate, certificate.pem())?;
    std::fs::write(authority, ca_certificate.pem())?;
    Ok(true)
}
