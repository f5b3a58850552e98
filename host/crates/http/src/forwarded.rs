//! Who the client is: Forwarded (RFC 7239) and X-Forwarded-For are read only
//! as far as trusted proxies wrote them, and are written afresh.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::authority::Scheme;
use crate::fields::{is_spelling, remove_where};
use crate::structured::Writer;
use crate::syntax::{field_members, split_parameter, trim_ows, unquote};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Most hops that are looked at, counted from this node outwards.
pub const HOPS_MAX: usize = 32;

/// What a proxy said about whom it got the request from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// An address; IPv4 in IPv6 is given as IPv4, and a port is left out.
    Address(IpAddr),
    /// `unknown`, an obfuscated name (RFC 7239 6.3), or nothing valid.
    Unknown,
}

/// The field that the trusted proxies write. The other one is not looked at,
/// because a client could have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedSource {
    /// Forwarded (RFC 7239).
    Forwarded,
    /// X-Forwarded-For.
    XForwardedFor,
}

/// The hops of a request, the nearest one (written last) first; at most
/// [`HOPS_MAX`].
#[must_use]
pub fn hops(fields: &HeaderMap, source: ForwardedSource) -> SmallVec<[Hop; 4]> {
    let name = match source {
        ForwardedSource::Forwarded => &FORWARDED,
        ForwardedSource::XForwardedFor => &X_FORWARDED_FOR,
    };
    let read = match source {
        ForwardedSource::Forwarded => forwarded_for,
        ForwardedSource::XForwardedFor => parse_node,
    };
    let surplus = field_members(fields, name).count().saturating_sub(HOPS_MAX);
    let mut hops: SmallVec<[Hop; 4]> = field_members(fields, name)
        .skip(surplus)
        .map(read)
        .collect();
    hops.reverse();
    hops
}

/// The client's address: seen from the connection's `peer` outwards, the first
/// that is not a trusted proxy's. Where a trusted proxy does not say whom it
/// got the request from, its own address is the last that is known.
#[must_use]
pub fn client_address(
    peer: IpAddr,
    fields: &HeaderMap,
    source: ForwardedSource,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    for hop in hops(fields, source) {
        match hop {
            Hop::Unknown => return client,
            Hop::Address(address) => client = address,
        }
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// Removes all fields in which a client may claim what only a proxy knows, in any spelling that
/// an origin may take for one of them.
pub fn remove_claims(fields: &mut HeaderMap) {
    remove_where(fields, |name| {
        // Most names are told apart by their first byte.
        name.as_str().starts_with(['f', 'x'])
            && (names_client(name) || is_spelling(name.as_str(), X_FORWARDED_PROTO.as_str()))
    });
}

/// Whether a field tells an origin who the client is, as far as this node writes it
/// ([`write_fresh`]). The scheme, which it writes too, is a part of every cache key.
#[must_use]
pub fn names_client(name: &HeaderName) -> bool {
    [&FORWARDED, &X_FORWARDED_FOR, &X_REAL_IP]
        .iter()
        .any(|known| is_spelling(name.as_str(), known.as_str()))
}

/// Replaces all fields of this kind by what this node knows itself: Forwarded
/// with `for`, `host` and `proto`, X-Forwarded-For, X-Forwarded-Proto and
/// X-Real-IP. (X-Forwarded-Host is one of the fields that
/// [`crate::fields::remove_override_fields`] takes away.)
pub fn write_fresh(fields: &mut HeaderMap, client: IpAddr, host: &str, scheme: Scheme) {
    // Every request passes here: the map grows once at most.
    fields.reserve(4);
    let client = client.to_canonical();
    let mut address = Writer::default();
    push_address(&mut address, client);
    let address = address.finish();
    fields.insert(FORWARDED, forwarded_value(client, host, scheme));
    fields.insert(X_FORWARDED_FOR.clone(), address.clone());
    fields.insert(X_REAL_IP.clone(), address);
    let proto = HeaderValue::from_static(scheme.as_str());
    fields.insert(X_FORWARDED_PROTO.clone(), proto);
}

/// `for=...;host=...;proto=...` (RFC 7239 4).
#[must_use]
pub fn forwarded_value(client: IpAddr, host: &str, scheme: Scheme) -> HeaderValue {
    let mut value = Writer::default();
    value.raw("for=");
    match client.to_canonical() {
        IpAddr::V4(_) => push_address(&mut value, client.to_canonical()),
        // RFC 7239 6.1: in brackets, and so in quotes.
        IpAddr::V6(_) => {
            value.raw("\"[");
            push_address(&mut value, client);
            value.raw("]\"");
        }
    }
    value.raw(";host=");
    value.http_token_or_string(host);
    value.raw(";proto=");
    value.raw(scheme.as_str());
    value.finish()
}

fn push_address(value: &mut Writer, address: IpAddr) {
    use std::fmt::Write;
    match address {
        // By hand: the formatting machinery costs more than all else here.
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            value.integer(i64::from(first));
            for octet in rest {
                value.raw(".");
                value.integer(i64::from(octet));
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(address) => {
            let _ = write!(value, "{address}");
        }
    }
}

/// The `for` of one forwarded-element (RFC 7239 4). Repeating it is invalid.
fn forwarded_for(element: &[u8]) -> Hop {
    let mut found = None;
    for pair in pairs(element) {
        let (name, value) = split_parameter(trim_ows(pair));
        if !name.eq_ignore_ascii_case(b"for") {
            continue;
        }
        if found.is_some() {
            return Hop::Unknown;
        }
        found = Some(match value.map(|value| (value, unquote(value))) {
            Some((_, Some(plain))) => parse_node(&plain),
            Some((token, None)) => parse_node(token),
            None => Hop::Unknown,
        });
    }
    found.unwrap_or(Hop::Unknown)
}

/// An element cut at the semicolons outside of quotes.
fn pairs(element: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    element.split(move |byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' => escaped = quoted && !was_escaped,
            b'"' if !was_escaped => quoted = !quoted,
            b';' => return !quoted,
            _ => {}
        }
        false
    })
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:80`. A port may be obfuscated (RFC 7239 6.2).
fn parse_node(node: &[u8]) -> Hop {
    let Ok(text) = std::str::from_utf8(node) else {
        return Hop::Unknown;
    };
    let address = if let Some(rest) = text.strip_prefix('[') {
        rest.split_once(']')
            .filter(|(_, port)| port.is_empty() || port.starts_with(':'))
            .and_then(|(literal, _)| literal.parse().ok())
            .map(IpAddr::V6)
    } else {
        text.parse().ok().or_else(|| {
            let (address, _) = text.split_once(':')?;
            address.parse().ok().map(IpAddr::V4)
        })
    };
    address.map_or(Hop::Unknown, |address| Hop::Address(address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn hops_are_read_nearest_first() {
        use ForwardedSource::{Forwarded, XForwardedFor};
        for (source, lines, expected) in [
            (
                XForwardedFor,
                vec!["192.0.2.1, 192.0.2.2"],
                vec!["192.0.2.2", "192.0.2.1"],
            ),
            (
                XForwardedFor,
                vec!["192.0.2.1", "192.0.2.2"],
                vec!["192.0.2.2", "192.0.2.1"],
            ),
            (XForwardedFor, vec!["192.0.2.1:80"], vec!["192.0.2.1"]),
            (XForwardedFor, vec!["2001:db8::1"], vec!["2001:db8::1"]),
            (XForwardedFor, vec!["[2001:db8::1]:80"], vec!["2001:db8::1"]),
            (XForwardedFor, vec!["::ffff:192.0.2.1"], vec!["192.0.2.1"]),
            (
                XForwardedFor,
                vec!["x, 1.2.3, [::1]x, [::1, 1.2.3.4.5"],
                vec!["-"; 5],
            ),
            (Forwarded, vec!["for=192.0.2.1"], vec!["192.0.2.1"]),
            (
                Forwarded,
                vec!["For=\"[2001:db8::1]:4711\""],
                vec!["2001:db8::1"],
            ),
            (Forwarded, vec!["for=\"192.0.2.1:_x\""], vec!["192.0.2.1"]),
            (
                Forwarded,
                vec![
                    "for=192.0.2.1;proto=http;by=1.1.1.1, for=unknown",
                    "for=_hidden, proto=x",
                ],
                vec!["-", "-", "-", "192.0.2.1"],
            ),
            (
                Forwarded,
                vec!["host=\"a;for=1.1.1.1\";for=192.0.2.1"],
                vec!["192.0.2.1"],
            ),
            (
                Forwarded,
                vec!["host=\"a\\\";for=1.1.1.1\";for=192.0.2.1"],
                vec!["192.0.2.1"],
            ),
            (Forwarded, vec!["for=192.0.2.1;for=192.0.2.2"], vec!["-"]),
            (Forwarded, vec!["for"], vec!["-"]),
            (Forwarded, vec![], vec![]),
        ] {
            let name = match source {
                Forwarded => "forwarded",
                XForwardedFor => "x-forwarded-for",
            };
            let lines: Vec<_> = lines.into_iter().map(|value| (name, value)).collect();
            let found: Vec<_> = hops(&fields(&lines), source)
                .into_iter()
                .map(|hop| match hop {
                    Hop::Address(address) => address.to_string(),
                    Hop::Unknown => "-".to_owned(),
                })
                .collect();
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_nearest_hops_are_looked_at() {
        let value = format!("9.9.9.9{}", ", 1.1.1.1".repeat(HOPS_MAX));
        let found = hops(
            &fields(&[("x-forwarded-for", &value)]),
            ForwardedSource::XForwardedFor,
        );
        assert_eq!(found.len(), HOPS_MAX);
        assert!(found.iter().all(|hop| *hop == Hop::Address(ip("1.1.1.1"))));
    }

    #[test]
    fn the_client_is_the_first_that_is_not_trusted() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        for (peer, value, expected) in [
            // A client that is no proxy cannot speak for another.
            ("192.0.2.9", "1.1.1.1", "192.0.2.9"),
            ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
            ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            let request = fields(&[("x-forwarded-for", value), ("forwarded", "for=7.7.7.7")]);
            let found = client_address(ip(peer), &request, ForwardedSource::XForwardedFor, trusted);
            assert_eq!(found, ip(expected), "{peer} {value}");
        }
    }

    #[test]
    fn fields_are_written_afresh() {
        let mut request = fields(&[
            ("forwarded", "for=6.6.6.6"),
            ("forwarded", "for=6.6.6.7"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
        ]);
        write_fresh(
            &mut request,
            ip("2001:db8::1"),
            "a.example:8443",
            Scheme::Https,
        );
        for (name, expected) in [
            (
                "forwarded",
                "for=\"[2001:db8::1]\";host=\"a.example:8443\";proto=https",
            ),
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "2001:db8::1"),
        ] {
            let lines: Vec<_> = request.get_all(name).iter().collect();
            assert_eq!(lines, [expected], "{name}");
        }
        assert_eq!(
            forwarded_value(ip("::ffff:192.0.2.1"), "a.example", Scheme::Http),
            "for=192.0.2.1;host=a.example;proto=http"
        );
    }

    proptest! {
        #[test]
        fn any_value_is_survived(value in "[ -~]{0,60}") {
            let request = fields(&[("forwarded", &value), ("x-forwarded-for", &value)]);
            let _ = hops(&request, ForwardedSource::Forwarded);
            let _ = hops(&request, ForwardedSource::XForwardedFor);
        }

        #[test]
        fn what_is_written_is_read_back(bits in any::<u128>(), v4 in any::<u32>(), pick in any::<bool>()) {
            let client = if pick { IpAddr::V6(bits.into()) } else { IpAddr::V4(v4.into()) };
            let mut request = HeaderMap::new();
            write_fresh(&mut request, client, "a", Scheme::Http);
            let expected = Hop::Address(client.to_canonical());
            for source in [ForwardedSource::Forwarded, ForwardedSource::XForwardedFor] {
                let found = hops(&request, source);
                prop_assert_eq!(found.as_slice(), &[expected]);
            }
        }
    }
}
