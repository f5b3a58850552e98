//! Certificates: files to the table that answers SNI.

use std::path::Path;
use std::sync::Arc;

use verge_config::{Config, Problem};

use crate::listener::{CertificateSource, CertificateTable};

/// Most bytes of a certificate chain or key file.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// The table of all certificates; `None` if there are none, or after adding to `problems`.
pub(super) fn build(config: &Config, problems: &mut Vec<Problem>) -> Option<Arc<CertificateTable>> {
    if config.certificates.is_empty() {
        return None;
    }
    let before = problems.len();
    let mut sources = Vec::new();
    for (index, certificate) in config.certificates.iter().enumerate() {
        let mut read = |key: &str, path: &Path| {
            crate::files::read_bounded(path, PEM_BYTES_MAX)
                .map_err(|what| {
                    let place = format!("certificate[{index}].{key}");
                    problems.push(config.problem(&place, what, "expected a readable PEM file"));
                })
                .ok()
        };
        let chain = read("cert", &certificate.cert);
        let key = read("key", &certificate.key);
        if let (Some(chain), Some(key)) = (chain, key) {
            sources.push(CertificateSource {
                names: certificate.names.clone(),
                certificate: chain,
                certificate_file: certificate.cert.display().to_string(),
                key,
                key_file: certificate.key.display().to_string(),
            });
        }
    }
    if problems.len() > before {
        return None;
    }
    match CertificateTable::build(sources) {
        Ok(table) => Some(Arc::new(table)),
        Err(errors) => {
            for error in errors {
                problems.push(config.problem("certificate", error.to_string(), ""));
            }
            None
        }
    }
}
