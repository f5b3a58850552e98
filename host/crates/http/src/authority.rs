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
mod tests;
