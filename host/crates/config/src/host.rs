//! Hosts as they stand in a configuration: names and IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::kinds::Text;

/// A name of a certificate: a host, or a wildcard for one label.
pub(crate) const CERTIFICATE_NAME: Text = Text {
    what: "a host, such as \"shop.example\" or \"*.shop.example\"",
    accepts: |text| {
        text.strip_prefix("*.")
            .map_or_else(|| is_host(text), is_host_name)
    },
};

/// Whether a text is a host name, an IPv4 address, or an IPv6 address with or
/// without brackets.
pub(crate) fn is_host(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => {
            text.parse::<Ipv6Addr>().is_ok()
                || text.parse::<Ipv4Addr>().is_ok()
                || is_host_name(text)
        }
    }
}

/// Whether a text is a host name: labels of letters, digits, `-` and `_`. One
/// that ends like a number is none: it would be read as an IPv4 address.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let ends_like_a_number = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(is_label) && !ends_like_a_number
}

/// Splits `host` or `host:port`; an IPv6 address with a port needs brackets.
/// None when the port is not a number.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rfind(':') {
        Some(at)
            if text.ends_with(']') || text.get(..at)?.contains(':') && !text.starts_with('[') =>
        {
            (text, None)
        }
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    match port {
        None => Some((host, None)),
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in [
            "localhost",
            "app.internal",
            "a_b.example",
            "xn--bcher-kva.example",
            "10.0.0.1",
            "::1",
            "[::1]",
            "1.example",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a:80",
            "[::1",
            "300.0.0.1",
            "1.2",
            "bücher.example",
            "a/b",
            "user@host",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        for (text, expected) in [
            ("app:3000", Some(("app", Some(3000)))),
            ("app", Some(("app", None))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("[::1]", Some(("[::1]", None))),
            ("::1", Some(("::1", None))),
            ("app:", None),
            ("app:http", None),
            ("app:99999", None),
        ] {
            assert_eq!(split_port(text), expected, "{text}");
        }
    }
}
