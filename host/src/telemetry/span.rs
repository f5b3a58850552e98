//! The ids that tie a request's traces together: the request id and the W3C
//! trace context.
//!
//! Both come from outside only through a peer that configuration trusts. A
//! trace is carried on, never begun here: a `traceparent` that we made up
//! would override the origin's own sampling.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use verge_base::Random;

/// The field that carries the request id, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The field of W3C Trace Context 3.2.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The field of W3C Trace Context 3.3.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Names one request: 128 bits, printed as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// A new id.
    #[must_use]
    pub fn new(random: &Random) -> Self {
        Self(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
    }

    /// The id as 32 hex digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        hex(self.0)
    }

    /// The id as a field value.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        hex_value(&self.to_hex())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Our place in a trace (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    parent: u64,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// The flags that version 00 gives a meaning: sampled (3.2.2.5), random (level 2).
    const KNOWN_FLAGS: u8 = 0x03;

    /// Continues the trace that `fields` carry, with a span of our own; `None`
    /// if `traceparent` is absent, repeated or malformed (3.2.2), in which
    /// case `tracestate` means nothing either (3.3.1).
    #[must_use]
    pub fn continued(fields: &HeaderMap, random: &Random) -> Option<Self> {
        let (trace, parent, flags) = parse_traceparent(single(fields, &TRACEPARENT)?)?;
        Some(Self {
            trace,
            parent,
            span: random.next_u64() | 1,
            flags: flags & Self::KNOWN_FLAGS,
        })
    }

    /// The trace id as 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 32] {
        hex(self.trace)
    }

    /// The span of the peer that sent the request.
    #[must_use]
    pub fn parent(&self) -> u64 {
        self.parent
    }

    /// Our own span.
    #[must_use]
    pub fn span(&self) -> u64 {
        self.span
    }

    /// The `traceparent` that makes the receiver a child of our span.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut text = [0; 55];
        let trace = hex(self.trace);
        let span = hex(u128::from(self.span));
        let flags = hex(u128::from(self.flags));
        let bytes = b"00-"
            .iter()
            .chain(&trace)
            .chain(b"-")
            .chain(span.iter().skip(16))
            .chain(b"-")
            .chain(flags.iter().skip(30));
        for (to, from) in text.iter_mut().zip(bytes) {
            *to = *from;
        }
        hex_value(&text)
    }
}

/// Sets what the origin is told about the trace: our span if the trace is
/// carried on, and otherwise nothing of what the client said.
pub fn write_trace(trace: Option<&TraceContext>, fields: &mut HeaderMap) {
    match trace {
        Some(trace) => {
            fields.insert(TRACEPARENT, trace.to_value());
        }
        None => {
            fields.remove(TRACEPARENT);
            fields.remove(TRACESTATE);
        }
    }
}

/// The value of a field that must stand once.
fn single<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = fields.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// W3C Trace Context 3.2.2: `version "-" trace-id "-" parent-id "-" flags`,
/// lower-case hex. A version above 00 may go on after another dash (4.3).
fn parse_traceparent(text: &[u8]) -> Option<(u128, u64, u8)> {
    let (head, rest) = text.split_at_checked(55)?;
    let mut parts = head.split(|byte| *byte == b'-');
    let version = lower_hex(parts.next()?, 2)?;
    let trace = lower_hex(parts.next()?, 32)?;
    let parent = lower_hex(parts.next()?, 16)?;
    let flags = lower_hex(parts.next()?, 2)?;
    let ends_well = match version {
        0xff => false,
        0 => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    if parts.next().is_some() || !ends_well || trace == 0 || parent == 0 {
        return None;
    }
    Some((
        trace,
        u64::try_from(parent).ok()?,
        u8::try_from(flags).ok()?,
    ))
}

fn lower_hex(digits: &[u8], length: usize) -> Option<u128> {
    if digits.len() != length || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    parse_hex(digits)
}

/// A number of at most 32 hex digits.
fn parse_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u128::from(value))
    })
}

fn hex(number: u128) -> [u8; 32] {
    let mut digits = [b'0'; 32];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        let value = (rest & 0xf) as u8;
        *digit = if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        };
        rest >>= 4;
    }
    digits
}

fn hex_value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("hex digits and dashes are valid in a field value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(&name, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn traceparent_is_continued_with_a_span_of_our_own() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let fields = fields(TRACEPARENT, &[sent]);
        let trace = TraceContext::continued(&fields, &Random::seeded(1)).unwrap();
        assert_eq!(trace.parent(), 0x00f0_67aa_0ba9_02b7);
        assert_ne!(trace.span(), trace.parent());
        assert_eq!(trace.flags & 1, 1);
        let value = trace.to_value();
        let text = value.to_str().unwrap();
        let expected = format!(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01",
            trace.span()
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn malformed_traceparent_is_no_trace() {
        // W3C Trace Context 3.2.2 and 4.3.
        let table = [
            ("", false),
            ("00", false),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                true,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
        ];
        for (text, valid) in table {
            let fields = fields(TRACEPARENT, &[text]);
            let trace = TraceContext::continued(&fields, &Random::seeded(1));
            assert_eq!(trace.is_some(), valid, "{text}");
        }
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let twice = fields(TRACEPARENT, &[good, good]);
        assert_eq!(TraceContext::continued(&twice, &Random::seeded(1)), None);
    }

    #[test]
    fn unknown_flags_are_cleared() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fd";
        let trace = TraceContext::continued(&fields(TRACEPARENT, &[sent]), &Random::seeded(1));
        assert!(trace.unwrap().to_value().to_str().unwrap().ends_with("-01"));
    }

    #[test]
    fn trace_that_is_not_carried_on_is_removed() {
        let mut fields = fields(TRACESTATE, &["vendor=1"]);
        fields.insert(TRACEPARENT, "nonsense".parse().unwrap());
        write_trace(None, &mut fields);
        assert!(fields.is_empty());
    }

    #[test]
    fn id_prints_alike_everywhere() {
        let id = RequestId::new(&Random::seeded(3));
        assert_eq!(id.to_string().as_bytes(), id.to_hex());
        assert_eq!(id.to_value().as_bytes(), id.to_hex());
    }
}
