//! Whom a request is for (RFC 9110 7.1, 7.2): strict parsing of Host and
//! `:authority`, one normal form, and one decision where a request names its
//! host in more than one way.
//!
//! The grammar is narrower than RFC 3986 3.2.2 on purpose: a registered name
//! is a DNS name (letters, digits, `-`, `_`, `.`), without percent-encoding and
//! sub-delimiters, because servers differ about those and a cache key must not.
//! A name whose last label is a number must be an IPv4 address in the usual
//! four parts. One trailing dot is removed: `example.com.` is `example.com`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::{HeaderMap, Uri, Version};
use smallvec::SmallVec;

use crate::failure::ClientFault;
use crate::syntax::parse_digits;

/// Longest host (RFC 1035 2.3.4), without a trailing dot.
const HOST_BYTES_MAX: usize = 253;
/// Longest label of a host (RFC 1035 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Most digits of a port; more are refused even if they are zeros.
const PORT_DIGITS_MAX: usize = 5;

/// The scheme of a target URI.
///
/// It follows from how the client's connection was made, never from what the
/// client wrote, so it can stand in a cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plaintext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443 (RFC 9110 4.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A valid authority in normal form: lower case, no default port, no trailing
/// dot, IPv6 addresses as in RFC 5952.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// ASCII; short ones, which is nearly all, take no allocation.
    text: SmallVec<[u8; 64]>,
    host_len: u16,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host [ ":" port ]`, where the port may be empty.
    ///
    /// # Errors
    /// [`ClientFault::AuthorityInvalid`] for anything else: userinfo,
    /// whitespace, an empty host, a port that is not a number up to 65535.
    pub fn parse(value: &[u8], scheme: Scheme) -> Result<Self, ClientFault> {
        Self::read(value, scheme).ok_or(ClientFault::AuthorityInvalid)
    }

    fn read(value: &[u8], scheme: Scheme) -> Option<Self> {
        let mut text = SmallVec::new();
        let after_host = if let Some(rest) = value.strip_prefix(b"[") {
            let end = memchr::memchr(b']', rest)?;
            let (literal, rest) = rest.split_at_checked(end)?;
            let address: Ipv6Addr = std::str::from_utf8(literal).ok()?.parse().ok()?;
            text.extend_from_slice(format!("[{address}]").as_bytes());
            rest.strip_prefix(b"]")?
        } else {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            let (name, rest) = value.split_at_checked(end)?;
            push_name(name, &mut text)?;
            rest
        };
        let host_len = u16::try_from(text.len()).ok()?;
        let port = match after_host {
            [] | [b':'] => None,
            [b':', digits @ ..] if digits.len() <= PORT_DIGITS_MAX => {
                Some(u16::try_from(parse_digits(digits)?).ok()?)
            }
            _ => return None,
        };
        let port = port.filter(|port| *port != scheme.default_port());
        if let Some(port) = port {
            text.push(b':');
            text.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        Some(Self {
            text,
            host_len,
            port,
        })
    }

    /// `host`, or `host:port` where the port is not the scheme's default.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The host in lower case; an IPv6 address has its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.as_str()
            .get(..usize::from(self.host_len))
            .unwrap_or_default()
    }

    /// The port, unless it is the scheme's default.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let host = self.host();
        match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(literal) => literal.parse().ok().map(IpAddr::V6),
            None => host.parse().ok().map(IpAddr::V4),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// The one authority that a request is for.
///
/// `target` is the request target of HTTP/1, or the pseudo-fields of HTTP/2.
/// An absolute target needs a Host field beside it in HTTP/1.1 (RFC 9112 3.2),
/// and the two must agree; the same holds for `:authority` and Host
/// (RFC 9113 8.3.1). The scheme that the client wrote is not looked at.
///
/// # Errors
/// [`ClientFault::AuthorityMissing`], [`ClientFault::AuthorityInvalid`], or
/// [`ClientFault::AuthorityConflicting`] where Host is repeated or differs.
pub fn reconcile(
    version: Version,
    scheme: Scheme,
    target: &Uri,
    fields: &HeaderMap,
) -> Result<Authority, ClientFault> {
    let mut lines = fields.get_all(HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(ClientFault::AuthorityConflicting);
    }
    let host = host
        .map(|value| Authority::parse(value.as_bytes(), scheme))
        .transpose()?;
    let named = target
        .authority()
        .map(|authority| Authority::parse(authority.as_str().as_bytes(), scheme))
        .transpose()?;
    match (named, host) {
        (Some(named), Some(host)) if named == host => Ok(named),
        (Some(_), Some(_)) => Err(ClientFault::AuthorityConflicting),
        (Some(_), None) if version == Version::HTTP_11 => Err(ClientFault::AuthorityMissing),
        (Some(only), None) | (None, Some(only)) => Ok(only),
        (None, None) => Err(ClientFault::AuthorityMissing),
    }
}

/// Checks a DNS name or IPv4 address and pushes it in lower case.
fn push_name(name: &[u8], text: &mut SmallVec<[u8; 64]>) -> Option<()> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > HOST_BYTES_MAX {
        return None;
    }
    let mut label = 0;
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'.' if label > 0 => label = 0,
            _ => return None,
        }
        if label > LABEL_BYTES_MAX {
            return None;
        }
        text.push(byte.to_ascii_lowercase());
    }
    if label == 0 {
        return None;
    }
    let last = text.rsplit(|b| *b == b'.').next()?;
    if is_number(last) {
        // `127.1` and `0x7f.0.0.1` are the same address to some servers, so
        // only the one spelling passes.
        let _: Ipv4Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    }
    Some(())
}

/// Whether some parser of IPv4 addresses would read `label` as a number.
fn is_number(label: &[u8]) -> bool {
    match label.strip_prefix(b"0x") {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
        None => label.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn parsed(value: &str) -> Option<String> {
        Authority::parse(value.as_bytes(), Scheme::Https)
            .ok()
            .map(|a| a.to_string())
    }

    #[test]
    fn valid_authorities_come_out_in_normal_form() {
        for (value, expected) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com", "example.com"),
            ("example.com.", "example.com"),
            ("example.com:", "example.com"),
            ("example.com:443", "example.com"),
            ("example.com:00443", "example.com"),
            ("example.com:8443", "example.com:8443"),
            ("example.com.:80", "example.com:80"),
            ("example.com:0", "example.com:0"),
            ("example.com:65535", "example.com:65535"),
            ("localhost", "localhost"),
            ("a_b-c.d", "a_b-c.d"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1.:1", "192.0.2.1:1"),
            ("1.example", "1.example"),
            ("0xg", "0xg"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("[::1]:8443", "[::1]:8443"),
            ("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]"),
        ] {
            assert_eq!(parsed(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn invalid_authorities_are_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(62).as_str(); 5].join(".");
        for value in [
            "",
            ".",
            ":80",
            "..",
            "a..b",
            ".a",
            "a..",
            "user@example.com",
            "user:pass@example.com",
            "exa mple.com",
            " example.com",
            "example.com ",
            "example.com\t",
            "example.com/",
            "example.com?x",
            "example.com#x",
            "example.com,example.org",
            "ex%61mple.com",
            "example.com:80:80",
            "example.com:+80",
            "example.com:-1",
            "example.com:8o",
            "example.com:65536",
            "example.com:000080",
            "256.0.0.1",
            "127.1",
            "1",
            "01.2.3.4",
            "0x7f.0.0.0x1",
            "0x7f000001",
            "a.1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[127.0.0.1]",
            "[v1.x]",
            "[fe80::1%25eth0]",
            "::1",
            "b\u{fc}cher.example",
            long_label.as_str(),
            long_name.as_str(),
        ] {
            assert_eq!(parsed(value), None, "{value}");
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let authority = Authority::parse(b"[::1]:8080", Scheme::Http).expect("valid");
        assert_eq!(authority.host(), "[::1]");
        assert_eq!(authority.port(), Some(8080));
        assert_eq!(authority.address(), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        let authority = Authority::parse(b"A.example:80", Scheme::Http).expect("valid");
        assert_eq!(authority.host(), "a.example");
        assert_eq!(authority.port(), None);
        assert_eq!(authority.address(), None);
    }

    #[test]
    fn one_authority_is_decided_from_target_and_host() {
        let v11 = Version::HTTP_11;
        let v2 = Version::HTTP_2;
        let missing = Err(ClientFault::AuthorityMissing);
        let conflicting = Err(ClientFault::AuthorityConflicting);
        let invalid = Err(ClientFault::AuthorityInvalid);
        for (version, target, hosts, expected) in [
            (v11, "/", vec!["a.example"], Ok("a.example")),
            (v11, "/", vec![], missing),
            (v11, "/", vec![""], invalid),
            (Version::HTTP_10, "/", vec![], missing),
            (
                Version::HTTP_10,
                "http://a.example/",
                vec![],
                Ok("a.example"),
            ),
            (v11, "/", vec!["a.example", "a.example"], conflicting),
            (
                v11,
                "http://a.example/",
                vec!["A.example:80"],
                Ok("a.example"),
            ),
            (v11, "http://a.example/", vec!["b.example"], conflicting),
            (v11, "http://a.example/", vec!["a.example:81"], conflicting),
            (v11, "http://a.example/", vec![], missing),
            (v11, "http://u@a.example/", vec!["a.example"], invalid),
            (v2, "http://a.example/", vec![], Ok("a.example")),
            (v2, "http://a.example/", vec!["a.example"], Ok("a.example")),
            (v2, "http://a.example/", vec!["b.example"], conflicting),
            (v2, "/", vec!["b.example"], Ok("b.example")),
            (v2, "/", vec![], missing),
        ] {
            let lines: Vec<_> = hosts.iter().map(|value| ("host", *value)).collect();
            let uri: Uri = target.parse().expect("a URI");
            let found = reconcile(version, Scheme::Http, &uri, &fields(&lines));
            let found = found
                .as_ref()
                .map(Authority::as_str)
                .map_err(|fault| *fault);
            assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Authority::parse(&bytes, Scheme::Http);
        }

        #[test]
        fn the_normal_form_is_stable(value in "[a-zA-Z0-9.:_\\[\\]-]{1,40}") {
            if let Ok(first) = Authority::parse(value.as_bytes(), Scheme::Http) {
                let again = Authority::parse(first.as_str().as_bytes(), Scheme::Http);
                prop_assert_eq!(again, Ok(first));
            }
        }

        #[test]
        fn real_authorities_round_trip(
            name in "[a-z][a-z0-9-]{0,10}(\\.[a-z][a-z0-9]{0,5}){0,3}",
            port in proptest::option::of(any::<u16>()),
        ) {
            let value = match port {
                Some(port) => format!("{name}:{port}"),
                None => name.clone(),
            };
            let authority = Authority::parse(value.as_bytes(), Scheme::Http);
            let authority = authority.expect("valid");
            prop_assert_eq!(authority.host(), name);
            prop_assert_eq!(authority.port(), port.filter(|p| *p != 80));
        }

        #[test]
        fn every_ipv6_address_round_trips(bits in any::<u128>()) {
            let address = Ipv6Addr::from(bits);
            let authority = Authority::parse(format!("[{address}]").as_bytes(), Scheme::Http);
            prop_assert_eq!(authority.expect("valid").address(), Some(IpAddr::V6(address)));
        }
    }
}
