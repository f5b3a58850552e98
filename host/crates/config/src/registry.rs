//! `[registry.NAME]`: where components come from that are not files, and how one is named.

use std::net::IpAddr;
use std::sync::Arc;

use crate::kinds::{ANY_TEXT, Flag};
use crate::names::Names;
use crate::node::SecretSource;
use crate::table::Table;

/// `[registry.NAME]`: an OCI registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registry {
    /// Its name.
    pub name: Arc<str>,
    /// Host, and port if it is not the scheme's.
    pub address: String,
    /// Whether it is asked without TLS; for registries on loopback only. Default false.
    pub plain_http: bool,
    /// Who asks; default nobody.
    pub username: Option<String>,
    /// The password of that user: `password_file` or `password_env`.
    pub password: Option<SecretSource>,
}

/// A component in a registry: `oci:REGISTRY/REPOSITORY:TAG` or `oci:REGISTRY/REPOSITORY@sha256:..`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OciComponent {
    /// The name of the registry.
    pub registry: Arc<str>,
    /// The repository.
    pub repository: String,
    /// The tag, or the digest of its manifest, `sha256:` and 64 digits.
    pub reference: String,
    /// Whether that is a digest.
    pub is_digest: bool,
}

impl Registry {
    pub(crate) fn read(name: &Arc<str>, table: &Table<'_, '_>) -> Self {
        let registry = Self {
            name: Arc::clone(name),
            address: table.required("address", &ANY_TEXT).unwrap_or_default(),
            plain_http: table.or("plain_http", &Flag, false),
            username: table.maybe("username", ANY_TEXT),
            password: SecretSource::read(table, "password_file", "password_env"),
        };
        let address = &registry.address;
        let is_char = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        if !address.is_empty() && !address.chars().all(is_char) {
            let what = format!("`{}` is no host", address.escape_debug());
            table.problem_at(
                "address",
                what,
                "expected HOST or HOST:PORT, without a scheme",
            );
        }
        if registry.plain_http && !is_loopback(address) {
            table.problem_at(
                "plain_http",
                "what is not on loopback is asked with TLS only",
                "expected false, or an address of this machine",
            );
        }
        if registry.username.is_some() != registry.password.is_some() {
            table.problem(
                "has one of `username` and a password",
                "expected both, or neither",
            );
        }
        registry
    }
}

fn is_loopback(address: &str) -> bool {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl OciComponent {
    /// What it is written as.
    pub(crate) const EXPECTED: &'static str =
        "expected oci:REGISTRY/REPOSITORY:TAG or oci:REGISTRY/REPOSITORY@sha256:DIGEST";

    /// Reads what stands behind `oci:`; the error is what is wrong.
    pub(crate) fn parse(text: &str, registries: &Names) -> Result<Self, String> {
        let (registry, rest) = text
            .split_once('/')
            .ok_or_else(|| "names no repository".to_owned())?;
        let registry = registries
            .iter()
            .find(|name| ***name == *registry)
            .ok_or_else(|| format!("no registry is named \"{}\"", registry.escape_debug()))?;
        let (repository, reference, is_digest) = match rest.split_once('@') {
            Some((repository, digest)) => (repository, digest, true),
            None => {
                let (repository, tag) = rest
                    .rsplit_once(':')
                    .ok_or_else(|| "names no tag and no digest".to_owned())?;
                (repository, tag, false)
            }
        };
        let is_reference = match is_digest {
            true => is_digest_text(reference),
            false => is_tag(reference),
        };
        if !is_repository(repository) || !is_reference {
            return Err(format!("`{}` is no such name", text.escape_debug()));
        }
        Ok(Self {
            registry: Arc::clone(registry),
            repository: repository.to_owned(),
            reference: reference.to_owned(),
            is_digest,
        })
    }
}

/// OCI distribution specification, "Pulling manifests": parts of lower case letters, digits and
/// separators between them.
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(inner)
            && bytes.last().copied().is_some_and(inner)
            && bytes
                .iter()
                .all(|byte| inner(*byte) || b"._-".contains(byte))
    };
    text.len() <= 255 && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128 && text.bytes().next().is_some_and(begins) && text.bytes().all(inner)
}

fn is_digest_text(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.len() == 64 && digits.bytes().all(is_digit)
}

impl std::fmt::Display for OciComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_digest { '@' } else { ':' };
        let (registry, repository) = (&self.registry, &self.repository);
        write!(f, "oci:{registry}/{repository}{sign}{}", self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_in_registries_are_named_by_tag_or_digest() {
        let registries = Names::new("registry", ["hub"].into_iter());
        let digest = "a".repeat(64);
        for text in [
            "hub/f:1".to_owned(),
            "hub/team/edge-auth_2:v1.0".to_owned(),
            format!("hub/f@sha256:{digest}"),
        ] {
            let component = OciComponent::parse(&text, &registries).unwrap();
            assert_eq!(component.to_string(), format!("oci:{text}"));
        }
        for text in [
            "hub".to_owned(),
            "hub/f".to_owned(),
            "hub/F:1".to_owned(),
            "hub/../f:1".to_owned(),
            "hub/f:".to_owned(),
            "hub/f: 1".to_owned(),
            "other/f:1".to_owned(),
            "hub/f@sha256:12".to_owned(),
            format!("hub/f@sha512:{digest}"),
        ] {
            assert!(OciComponent::parse(&text, &registries).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        for (address, expected) in [
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("localhost", true),
            ("ghcr.io", false),
            ("192.0.2.1:5000", false),
            ("localhost.example:1", false),
        ] {
            assert_eq!(is_loopback(address), expected, "{address}");
        }
    }
}
