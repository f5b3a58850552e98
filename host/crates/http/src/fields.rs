//! Which fields belong to one connection, which must not be believed, and
//! which must not stand in a trailer section.

use http::header::{CONNECTION, COOKIE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use smallvec::SmallVec;

use crate::failure::ClientFault;
use crate::syntax::{field_members, is_token, trim_ows};

/// What a Connection field says beside nominating fields (RFC 9110 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close` stands in it.
    pub close: bool,
    /// `keep-alive` stands in it.
    pub keep_alive: bool,
    /// `upgrade` stands in it.
    pub upgrade: bool,
}

impl ConnectionOptions {
    /// The options of all Connection lines.
    #[must_use]
    pub fn of(fields: &HeaderMap) -> Self {
        let mut options = Self::default();
        for value in fields.get_all(CONNECTION) {
            options.add(value.as_bytes());
        }
        options
    }

    /// One line of Connection.
    pub(crate) fn add(&mut self, value: &[u8]) {
        for option in nominations(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Whether the connection persists after this message (RFC 9112 9.3).
    #[must_use]
    pub fn keeps_alive(self, version: Version) -> bool {
        !self.close && (version >= Version::HTTP_11 || self.keep_alive)
    }
}

/// The members of a Connection value. They are tokens, so quotes are nothing
/// special here.
fn nominations(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim_ows)
        .filter(|member| !member.is_empty())
}

/// Whether the field concerns one connection only and is never passed on
/// (RFC 9110 7.6.1, RFC 9113 8.2.2, RFC 9110 11.7 for proxy authentication).
#[must_use]
pub fn is_connection_specific(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether the field must reach its end, so that Connection cannot take it
/// away: framing, routing, identity, caching and loop detection depend on it.
fn must_reach_its_end(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 43] = [
        b"accept-encoding",
        b"age",
        b"authorization",
        b"cache-control",
        b"cache-status",
        b"cdn-cache-control",
        b"cdn-loop",
        b"content-encoding",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-security-policy",
        b"content-type",
        b"cookie",
        b"date",
        b"etag",
        b"expect",
        b"expires",
        b"forwarded",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-modified",
        b"location",
        b"max-forwards",
        b"origin",
        b"pragma",
        b"range",
        b"set-cookie",
        b"strict-transport-security",
        b"traceparent",
        b"tracestate",
        b"vary",
        b"via",
        b"www-authenticate",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
    ];
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Removes from a request the fields that Connection nominates, then all
/// connection-specific ones. Take what is needed of them before
/// ([`ConnectionOptions::of`], [`accepts_trailers`]).
///
/// # Errors
/// [`ClientFault::ConnectionNominationForbidden`] if a field is nominated that
/// must reach its end, [`ClientFault::FieldInvalid`] if something is nominated
/// that is no field name.
pub fn remove_connection_fields_of_request(fields: &mut HeaderMap) -> Result<(), ClientFault> {
    let lines: SmallVec<[HeaderValue; 2]> = fields.get_all(CONNECTION).iter().cloned().collect();
    for name in lines.iter().flat_map(|line| nominations(line.as_bytes())) {
        if is_common_option(name) {
            continue;
        }
        if must_reach_its_end(name) {
            return Err(ClientFault::ConnectionNominationForbidden);
        }
        if !is_token(name) {
            return Err(ClientFault::FieldInvalid);
        }
        remove_nominated(fields, name);
    }
    remove_where(fields, is_connection_specific);
    Ok(())
}

/// Removes from a response the fields that Connection nominates, except those
/// that must reach their end, then all connection-specific ones.
pub fn remove_connection_fields_of_response(fields: &mut HeaderMap) {
    let lines: SmallVec<[HeaderValue; 2]> = fields.get_all(CONNECTION).iter().cloned().collect();
    for name in lines.iter().flat_map(|line| nominations(line.as_bytes())) {
        if !is_common_option(name) && !must_reach_its_end(name) {
            remove_nominated(fields, name);
        }
    }
    remove_where(fields, is_connection_specific);
}

fn remove_nominated(fields: &mut HeaderMap, name: &[u8]) {
    if let Ok(name) = std::str::from_utf8(name) {
        fields.remove(name);
    }
}

/// What nearly every Connection field says: options that name no field, or one
/// that is removed in any case.
fn is_common_option(option: &[u8]) -> bool {
    [b"keep-alive".as_slice(), b"close", b"upgrade", b"te"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(option))
}

/// Refuses connection-specific fields in an HTTP/2 request (RFC 9113 8.2.2);
/// TE may say `trailers`.
///
/// # Errors
/// [`ClientFault::ConnectionFieldForbidden`].
pub fn check_http2_request(fields: &HeaderMap) -> Result<(), ClientFault> {
    for (name, value) in fields {
        let forbidden = match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                true
            }
            "te" => !value.as_bytes().eq_ignore_ascii_case(b"trailers"),
            _ => false,
        };
        if forbidden {
            return Err(ClientFault::ConnectionFieldForbidden);
        }
    }
    Ok(())
}

/// Fields by which a client overrides its own method, authority, scheme or
/// path at some servers, and which no cache key holds. They are removed unless
/// a route asks for them, and then they are part of the key.
pub static OVERRIDE_FIELDS: [&str; 22] = [
    "front-end-https",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
    "x-url-scheme",
];

/// Whether the field stands in [`OVERRIDE_FIELDS`], in any spelling.
#[must_use]
pub fn is_override(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Most names are told apart by their first byte.
    name.starts_with(['x', 'f']) && OVERRIDE_FIELDS.iter().any(|known| is_spelling(name, known))
}

/// Whether `written` is `name` for an origin that makes variables of fields (CGI, RFC 3875 4.1.18,
/// and what followed it): `-` and `_` are one character there.
pub(crate) fn is_spelling(written: &str, name: &str) -> bool {
    let is_same = |(written, known): (u8, u8)| written == known || (written, known) == (b'_', b'-');
    written.len() == name.len() && written.bytes().zip(name.bytes()).all(is_same)
}

/// Removes the fields of [`OVERRIDE_FIELDS`] that `keeps` does not want.
pub fn remove_override_fields(fields: &mut HeaderMap, keeps: impl Fn(&HeaderName) -> bool) {
    remove_where(fields, |name| is_override(name) && !keeps(name));
}

/// Whether the field must not stand in a trailer section because framing,
/// routing, authentication, caching or content handling depend on it
/// (RFC 9110 6.5.1).
#[must_use]
pub fn is_forbidden_trailer(name: &HeaderName) -> bool {
    is_connection_specific(name)
        || is_override(name)
        || name == "trailer"
        || (must_reach_its_end(name.as_str().as_bytes()) && name != "etag")
}

/// Removes from a trailer section what must not stand in one.
pub fn remove_forbidden_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, is_forbidden_trailer);
}

/// Makes one line of several Cookie lines, which HTTP/2 allows and HTTP/1 does
/// not know (RFC 9113 8.2.3).
pub fn join_cookie_lines(fields: &mut HeaderMap) {
    let mut lines = fields.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    // Pieces of valid values make a valid value.
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        fields.insert(COOKIE, value);
    }
}

/// Whether TE says `trailers` (RFC 9110 10.1.4).
#[must_use]
pub fn accepts_trailers(fields: &HeaderMap) -> bool {
    field_members(fields, &TE).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// Removes what `condition` picks; a head without any such field, which is
/// nearly every one, costs one walk and no hashing.
pub(crate) fn remove_where(fields: &mut HeaderMap, condition: impl Fn(&HeaderName) -> bool) {
    let names: SmallVec<[HeaderName; 4]> = fields
        .keys()
        .filter(|name| condition(name))
        .cloned()
        .collect();
    for name in names {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests;
