//! Certificates by name. Built completely from PEM bytes, with every problem
//! found, or not at all; never changed afterwards.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// One certificate chain and its key, as bytes of PEM files.
#[derive(Clone)]
pub struct CertificateSource {
    /// The names it is served for, exact or with one leading `*.` label. None
    /// means the names that the certificate itself carries.
    pub names: Vec<String>,
    /// The chain, the server's own certificate first.
    pub certificate: Vec<u8>,
    /// What to call the chain's file in errors.
    pub certificate_file: String,
    /// The private key.
    pub key: Vec<u8>,
    /// What to call the key's file in errors.
    pub key_file: String,
}

/// What is wrong with a certificate, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct CertificateError {
    /// The file, as it was called in the source.
    pub file: String,
    /// What is wrong with it.
    pub problem: CertificateProblem,
}

/// What is wrong with a certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// The file is not PEM.
    #[error("is not valid PEM: {0}")]
    PemInvalid(String),
    /// There is no certificate in the file.
    #[error("holds no certificate (expected `-----BEGIN CERTIFICATE-----`)")]
    CertificateMissing,
    /// The certificate is not X.509.
    #[error("holds a certificate that cannot be read: {0}")]
    CertificateInvalid(String),
    /// There is no private key in the file.
    #[error("holds no private key (expected `-----BEGIN PRIVATE KEY-----`)")]
    KeyMissing,
    /// The private key is not of a kind that is supported.
    #[error(
        "holds a private key that cannot be used (expected ECDSA P-256 to P-521, Ed25519 or RSA)"
    )]
    KeyUnsupported,
    /// The private key belongs to another certificate.
    #[error("does not belong to the certificate in {certificate_file}")]
    KeyMismatch {
        /// The certificate's file.
        certificate_file: String,
    },
    /// The certificate carries no DNS name, and none was given.
    #[error("names no DNS name as subjectAltName; give `names`, or issue it with names")]
    NameMissing,
    /// A name that was given is not a DNS name.
    #[error("is given the name `{0}`, which is not a DNS name or `*.` and a DNS name")]
    NameInvalid(String),
    /// The certificate does not carry a name that was given; clients would refuse it.
    #[error("is given the name `{0}`, which the certificate does not carry")]
    NameNotCovered(String),
    /// Two certificates with the same kind of key are given for one name.
    #[error("is given the name `{name}`, which {other} has already")]
    NameTaken {
        /// The name.
        name: String,
        /// The file that has it.
        other: String,
    },
}

/// Certificates, found by the name that a client asks for.
#[derive(Debug, Default)]
pub struct CertificateTable {
    /// Names in lower case.
    exact: HashMap<String, Vec<Entry>, ahash::RandomState>,
    /// What follows `*.`, in lower case.
    wildcard: HashMap<String, Vec<Entry>, ahash::RandomState>,
    /// For clients that ask for no name or an unknown one.
    default: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    key: Arc<CertifiedKey>,
    file: Arc<str>,
}

impl CertificateTable {
    /// Builds the table. The first source is also the default, with every
    /// other one that has the same first name (another kind of key).
    ///
    /// # Errors
    /// Every problem of every source.
    pub fn build(sources: Vec<CertificateSource>) -> Result<Self, Vec<CertificateError>> {
        let provider = aws_lc_rs::default_provider();
        let mut table = Self::default();
        let mut errors = Vec::new();
        for source in &sources {
            match load(source, &provider) {
                Ok((entry, names)) => table.add(&entry, &names, &mut errors),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok(table)
        } else {
            Err(errors)
        }
    }

    /// Whether there is no certificate at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.default.is_empty()
    }

    /// The certificate for a client that asks for `name` and accepts
    /// signatures by `schemes`: exact name before wildcard before default.
    pub(super) fn select(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let entries = name
            .and_then(|name| self.find(&name.to_ascii_lowercase()))
            .unwrap_or(&self.default);
        let usable = entries
            .iter()
            .find(|entry| entry.key.key.choose_scheme(schemes).is_some());
        // Without a usable one the library ends the handshake with an alert.
        usable
            .or(entries.first())
            .map(|entry| Arc::clone(&entry.key))
    }

    fn find(&self, name: &str) -> Option<&Vec<Entry>> {
        self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        })
    }

    fn add(&mut self, entry: &Entry, names: &[String], errors: &mut Vec<CertificateError>) {
        let is_first = self.default.is_empty();
        let is_default = is_first || self.shares_default_name(names);
        for name in names {
            let (map, name_key) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            let entries = map.entry(name_key.to_owned()).or_default();
            let algorithm = entry.key.key.algorithm();
            match entries.iter().find(|e| e.key.key.algorithm() == algorithm) {
                Some(taken) => errors.push(CertificateError {
                    file: entry.file.to_string(),
                    problem: CertificateProblem::NameTaken {
                        name: name.clone(),
                        other: taken.file.to_string(),
                    },
                }),
                None => entries.push(entry.clone()),
            }
        }
        if is_default {
            self.default.push(entry.clone());
        }
    }

    /// Whether one of `names` is served by the default certificate already.
    fn shares_default_name(&self, names: &[String]) -> bool {
        names.iter().any(|name| {
            let entries = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.get(parent),
                None => self.exact.get(name),
            };
            entries.into_iter().flatten().any(|entry| {
                self.default
                    .iter()
                    .any(|default| Arc::ptr_eq(&default.key, &entry.key))
            })
        })
    }
}

/// Reads one source; its names are in lower case.
fn load(
    source: &CertificateSource,
    provider: &CryptoProvider,
) -> Result<(Entry, Vec<String>), Vec<CertificateError>> {
    let chain = read_chain(source);
    let key = read_key(source);
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
    };
    let names = read_names(source, &chain)?;
    let key = certify(source, chain, key, provider).map_err(|error| vec![error])?;
    let entry = Entry {
        key: Arc::new(key),
        file: Arc::from(source.certificate_file.as_str()),
    };
    Ok((entry, names))
}

fn read_chain(
    source: &CertificateSource,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |problem| CertificateError {
        file: source.certificate_file.clone(),
        problem,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&source.certificate).collect();
    let chain = chain.map_err(|e| wrong(CertificateProblem::PemInvalid(e.to_string())))?;
    if chain.is_empty() {
        return Err(wrong(CertificateProblem::CertificateMissing));
    }
    Ok(chain)
}

fn read_key(source: &CertificateSource) -> Result<PrivateKeyDer<'static>, CertificateError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(&source.key).map_err(|error| CertificateError {
        file: source.key_file.clone(),
        problem: match error {
            Error::NoItemsFound => CertificateProblem::KeyMissing,
            // The text of these errors holds no bytes of the key.
            other => CertificateProblem::PemInvalid(other.to_string()),
        },
    })
}

fn read_names(
    source: &CertificateSource,
    chain: &[CertificateDer<'static>],
) -> Result<Vec<String>, Vec<CertificateError>> {
    let wrong = |problem| CertificateError {
        file: source.certificate_file.clone(),
        problem,
    };
    let Some(own) = chain.first() else {
        return Err(vec![wrong(CertificateProblem::CertificateMissing)]);
    };
    let own = webpki::EndEntityCert::try_from(own)
        .map_err(|e| vec![wrong(CertificateProblem::CertificateInvalid(e.to_string()))])?;
    if source.names.is_empty() {
        let names: Vec<_> = own.valid_dns_names().map(str::to_ascii_lowercase).collect();
        if names.is_empty() {
            return Err(vec![wrong(CertificateProblem::NameMissing)]);
        }
        return Ok(names);
    }
    let mut errors = Vec::new();
    let mut names = Vec::new();
    for name in &source.names {
        let lower = name.to_ascii_lowercase();
        // A wildcard is covered if a name below it is.
        let probe = lower.replacen("*.", "a.", 1);
        match ServerName::try_from(probe.as_str()) {
            Ok(probe) if own.verify_is_valid_for_subject_name(&probe).is_err() => {
                errors.push(wrong(CertificateProblem::NameNotCovered(name.clone())));
            }
            // Clients do not ask for addresses (RFC 6066 3): they get the default.
            Ok(_) if lower.parse::<IpAddr>().is_ok() => {}
            Ok(_) => names.push(lower),
            Err(_) => errors.push(wrong(CertificateProblem::NameInvalid(name.clone()))),
        }
    }
    if errors.is_empty() {
        Ok(names)
    } else {
        Err(errors)
    }
}

fn certify(
    source: &CertificateSource,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let wrong = |problem| CertificateError {
        file: source.key_file.clone(),
        problem,
    };
    let signer = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| wrong(CertificateProblem::KeyUnsupported))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(_) => Err(wrong(CertificateProblem::KeyMismatch {
            certificate_file: source.certificate_file.clone(),
        })),
    }
}

impl fmt::Debug for CertificateSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        formatter
            .debug_struct("CertificateSource")
            .field("names", &self.names)
            .field("certificate_file", &self.certificate_file)
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Entry").field(&self.file).finish()
    }
}
