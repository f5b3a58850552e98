//! Where a request's body ends (RFC 9112 6.3): decided once, and refused where
//! two servers could decide differently.
//!
//! Stricter than the RFC where it leaves a choice: Content-Length beside
//! Transfer-Encoding is refused rather than overridden, and a repeated
//! Content-Length is refused even if its values agree.

use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Version};

use crate::failure::ClientFault;
use crate::fields::ConnectionOptions;
use crate::syntax::{is_token, list_members, trim_ows};

/// How an HTTP/1 request's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// The body is so many bytes.
    Length(u64),
    /// The body ends with the last chunk and the trailer section.
    Chunked,
}

/// Decides how an HTTP/1 request's body is delimited. The method plays no part
/// in it (RFC 9112 6).
///
/// # Errors
/// - [`ClientFault::FramingConflicting`]: Content-Length and Transfer-Encoding;
/// - [`ClientFault::ContentLengthInvalid`]: not exactly one number;
/// - [`ClientFault::TransferEncodingInvalid`]: in HTTP/1.0, not ending in
///   chunked, chunked twice, or not a list of tokens;
/// - [`ClientFault::TransferCodingUnknown`]: another coding below chunked;
/// - [`ClientFault::VersionUnsupported`]: not an HTTP/1 version (HTTP/2 frames
///   end its bodies; see [`declared_length`]).
pub fn decide_request_framing(
    version: Version,
    fields: &HeaderMap,
) -> Result<Framing, ClientFault> {
    let mut lines = FramingLines::default();
    for value in fields.get_all(CONTENT_LENGTH) {
        lines.add_content_length(value.as_bytes())?;
    }
    for value in fields.get_all(TRANSFER_ENCODING) {
        lines.add_transfer_encoding(value.as_bytes());
    }
    lines.decide(version)
}

/// The Content-Length, where there is one: of an HTTP/2 request, whose body
/// ends with its stream and must agree (RFC 9113 8.1.1), or of a response.
///
/// # Errors
/// [`ClientFault::ContentLengthInvalid`] if it is not exactly one number.
pub fn declared_length(fields: &HeaderMap) -> Result<Option<u64>, ClientFault> {
    let mut lines = FramingLines::default();
    for value in fields.get_all(CONTENT_LENGTH) {
        lines.add_content_length(value.as_bytes())?;
    }
    Ok(lines.length)
}

/// Whether the client waits for 100 Continue (RFC 9110 10.1.1); a client of
/// HTTP/1.0 is never taken to wait.
///
/// # Errors
/// [`ClientFault::ExpectationUnknown`] for any other expectation.
pub fn expects_continue(version: Version, fields: &HeaderMap) -> Result<bool, ClientFault> {
    let mut expects = false;
    for value in fields.get_all(EXPECT) {
        check_expectation(value.as_bytes())?;
        expects = true;
    }
    Ok(expects && version >= Version::HTTP_11)
}

/// Whether the sender lets the connection carry another message after this one
/// (RFC 9112 9.3).
#[must_use]
pub fn keeps_alive(version: Version, fields: &HeaderMap) -> bool {
    ConnectionOptions::of(fields).keeps_alive(version)
}

/// One line of Expect, which must be `100-continue`.
pub(crate) fn check_expectation(value: &[u8]) -> Result<(), ClientFault> {
    let known = list_members(value).all(|member| member.eq_ignore_ascii_case(b"100-continue"));
    if known {
        Ok(())
    } else {
        Err(ClientFault::ExpectationUnknown)
    }
}

/// The lines that decide about framing, gathered one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingLines {
    length: Option<u64>,
    coded: bool,
    codings: Codings,
}

/// What the transfer codings seen so far amount to.
#[derive(Clone, Copy, Debug, Default)]
enum Codings {
    #[default]
    None,
    /// Chunked, and nothing else.
    Chunked,
    /// Other codings only; chunked may follow.
    Unknown,
    /// Other codings, then chunked.
    UnknownThenChunked,
    /// Nothing that follows can make it right.
    Invalid,
}

impl FramingLines {
    /// One line of Content-Length.
    pub(crate) fn add_content_length(&mut self, value: &[u8]) -> Result<(), ClientFault> {
        if self.length.is_some() {
            return Err(ClientFault::ContentLengthInvalid);
        }
        self.length = Some(parse_content_length(trim_ows(value))?);
        Ok(())
    }

    /// One line of Transfer-Encoding; lines make one list.
    pub(crate) fn add_transfer_encoding(&mut self, value: &[u8]) {
        self.coded = true;
        for member in value.split(|byte| *byte == b',') {
            let member = trim_ows(member);
            self.codings = match self.codings {
                _ if !is_token(member) => Codings::Invalid,
                Codings::None if member.eq_ignore_ascii_case(b"chunked") => Codings::Chunked,
                Codings::Unknown if member.eq_ignore_ascii_case(b"chunked") => {
                    Codings::UnknownThenChunked
                }
                Codings::None | Codings::Unknown => Codings::Unknown,
                // Nothing may follow chunked, and chunked not twice (RFC 9112 6.1).
                Codings::Chunked | Codings::UnknownThenChunked | Codings::Invalid => {
                    Codings::Invalid
                }
            };
        }
    }

    /// The decision, when all lines have been added.
    pub(crate) fn decide(self, version: Version) -> Result<Framing, ClientFault> {
        if version != Version::HTTP_11 && version != Version::HTTP_10 {
            return Err(ClientFault::VersionUnsupported);
        }
        if !self.coded {
            return Ok(self.length.map_or(Framing::None, Framing::Length));
        }
        if self.length.is_some() {
            return Err(ClientFault::FramingConflicting);
        }
        if version == Version::HTTP_10 {
            // RFC 9112 6.1: such framing is faulty.
            return Err(ClientFault::TransferEncodingInvalid);
        }
        match self.codings {
            Codings::Chunked => Ok(Framing::Chunked),
            Codings::UnknownThenChunked => Err(ClientFault::TransferCodingUnknown),
            // RFC 9112 6.3: without chunked at its end a request's length
            // cannot be known, which is 400 and not 501.
            Codings::None | Codings::Unknown | Codings::Invalid => {
                Err(ClientFault::TransferEncodingInvalid)
            }
        }
    }
}

/// Digits only (RFC 9110 8.6): no sign, no list, no overflow.
fn parse_content_length(value: &[u8]) -> Result<u64, ClientFault> {
    if value.is_empty() {
        return Err(ClientFault::ContentLengthInvalid);
    }
    value
        .iter()
        .try_fold(0_u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(ClientFault::ContentLengthInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fields;

    const CL: &str = "content-length";
    const TE: &str = "transfer-encoding";

    #[test]
    fn framing_is_decided_as_rfc_9112_6_3_says() {
        let conflicting = Err(ClientFault::FramingConflicting);
        let length = Err(ClientFault::ContentLengthInvalid);
        let coding = Err(ClientFault::TransferEncodingInvalid);
        let unknown = Err(ClientFault::TransferCodingUnknown);
        for (lines, expected) in [
            (vec![], Ok(Framing::None)),
            (vec![(CL, "0")], Ok(Framing::Length(0))),
            (vec![(CL, "007")], Ok(Framing::Length(7))),
            (
                vec![(CL, "18446744073709551615")],
                Ok(Framing::Length(u64::MAX)),
            ),
            (vec![(CL, "18446744073709551616")], length),
            (vec![(CL, "")], length),
            (vec![(CL, "+5")], length),
            (vec![(CL, "-5")], length),
            (vec![(CL, "5, 5")], length),
            (vec![(CL, "5 5")], length),
            (vec![(CL, "0x5")], length),
            (vec![(CL, "5.0")], length),
            (vec![(CL, "5"), (CL, "5")], length),
            (vec![(CL, "5"), (CL, "6")], length),
            (vec![(TE, "chunked")], Ok(Framing::Chunked)),
            (vec![(TE, "Chunked")], Ok(Framing::Chunked)),
            (vec![(TE, "chunked"), (CL, "5")], conflicting),
            (vec![(CL, "5"), (TE, "identity")], conflicting),
            (vec![(TE, "")], coding),
            (vec![(TE, "identity")], coding),
            (vec![(TE, "gzip")], coding),
            (vec![(TE, "gzip, chunked")], unknown),
            (vec![(TE, "gzip"), (TE, "chunked")], unknown),
            (vec![(TE, "chunked, gzip")], coding),
            (vec![(TE, "chunked, chunked")], coding),
            (vec![(TE, "chunked"), (TE, "chunked")], coding),
            (vec![(TE, "gzip, chunked, chunked")], coding),
            (vec![(TE, "chunked;q=1")], coding),
            (vec![(TE, "chunked,")], coding),
            (vec![(TE, ", chunked")], coding),
            (vec![(TE, "\"chunked\"")], coding),
            (vec![(TE, "xchunked")], coding),
            (vec![(TE, "chun ked")], coding),
            (vec![(TE, "\u{a0}chunked")], coding),
        ] {
            let found = decide_request_framing(Version::HTTP_11, &fields(&lines));
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn transfer_encoding_is_refused_in_http_1_0() {
        let coded = fields(&[(TE, "chunked")]);
        assert_eq!(
            decide_request_framing(Version::HTTP_10, &coded),
            Err(ClientFault::TransferEncodingInvalid)
        );
        let counted = fields(&[(CL, "3")]);
        assert_eq!(
            decide_request_framing(Version::HTTP_10, &counted),
            Ok(Framing::Length(3))
        );
        assert_eq!(
            decide_request_framing(Version::HTTP_2, &counted),
            Err(ClientFault::VersionUnsupported)
        );
        assert_eq!(declared_length(&counted), Ok(Some(3)));
    }

    #[test]
    fn only_the_known_expectation_is_accepted() {
        let unknown = Err(ClientFault::ExpectationUnknown);
        for (version, lines, expected) in [
            (Version::HTTP_11, vec![], Ok(false)),
            (Version::HTTP_11, vec!["100-continue"], Ok(true)),
            (Version::HTTP_11, vec!["100-Continue"], Ok(true)),
            (Version::HTTP_10, vec!["100-continue"], Ok(false)),
            (Version::HTTP_2, vec!["100-continue"], Ok(true)),
            (Version::HTTP_11, vec!["x"], unknown),
            (Version::HTTP_11, vec!["100-continue, x"], unknown),
            (Version::HTTP_11, vec!["100-continue=1"], unknown),
            (Version::HTTP_11, vec!["100-continue", "x"], unknown),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|value| ("expect", value)).collect();
            let found = expects_continue(version, &fields(&lines));
            assert_eq!(found, expected, "{version:?} {lines:?}");
        }
    }

    #[test]
    fn connections_persist_as_rfc_9112_9_3_says() {
        for (version, connection, expected) in [
            (Version::HTTP_11, "", true),
            (Version::HTTP_11, "close", false),
            (Version::HTTP_11, "foo, Close", false),
            (Version::HTTP_11, "keep-alive", true),
            (Version::HTTP_11, "keep-alive, close", false),
            (Version::HTTP_10, "", false),
            (Version::HTTP_10, "Keep-Alive", true),
            (Version::HTTP_10, "keep-alive, close", false),
        ] {
            let found = keeps_alive(version, &fields(&[("connection", connection)]));
            assert_eq!(found, expected, "{version:?} {connection}");
        }
    }
}
