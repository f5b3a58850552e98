//! Content codings (RFC 9110 8.4): which one a response is sent in, and what
//! becomes of its fields when this node applies it.
//!
//! A response has one representation for each coding, and each has a strong
//! validator of its own: the tag of a coded one is the origin's with the
//! coding's name at its end. Nothing here compresses.

mod accept;
mod tags;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use accept::AcceptedCodings;
pub use tags::{add_plain_tags, coded_tag, select_coded_tag};

use crate::syntax::{field_members, split_parameter, trim_ows};

/// A coding that this node can apply (RFC 9110 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in Content-Encoding and Accept-Encoding, in tags, metrics and logs.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// Its place in [`Coding::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Brotli => 0,
            Self::Zstd => 1,
            Self::Gzip => 2,
        }
    }
}

/// What is coded, as configured.
#[derive(Clone, Debug)]
pub struct CodingRules {
    /// The codings, the preferred one first.
    pub codings: Vec<Coding>,
    /// The media types.
    pub types: MediaTypes,
    /// Smallest content.
    pub min_size: u64,
    /// Largest content.
    pub max_size: u64,
}

/// In which coding a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodingDecision {
    /// As it is, whoever asks.
    Fixed(FixedReason),
    /// As it is, and coded for others: the response varies.
    Identity(IdentityReason),
    /// Coded; the response varies.
    Encode(Coding),
}

/// Why nobody gets a response coded by this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixedReason {
    /// Its status has no content, or content of a special form.
    Status,
    /// It has a coding (RFC 9110 8.4).
    AlreadyCoded,
    /// It says which parts there are (RFC 9110 14.4).
    Ranged,
    /// Its Cache-Control forbids it (RFC 9111 5.2.2.6).
    NoTransform,
    /// Its media type is none of those that are coded.
    MediaType,
    /// It is a stream of events, which must not be held up.
    EventStream,
    /// A field of it says what its content's digest is.
    Digest,
    /// Its content is too small to gain anything.
    TooSmall,
    /// Its content is over the limit.
    TooLarge,
}

/// Why this client gets a response as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityReason {
    /// Its Accept-Encoding names no coding of ours, or prefers none (RFC 9110 12.5.3).
    NotAccepted,
    /// It asks for a part, and parts are those of the response as it is (RFC 9110 14.2).
    Range,
    /// It asks for no transformation (RFC 9111 5.2.1.6).
    NoTransform,
}

impl CodingDecision {
    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fixed(reason) => reason.label(),
            Self::Identity(reason) => reason.label(),
            Self::Encode(coding) => coding.token(),
        }
    }
}

impl FixedReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Status,
        Self::AlreadyCoded,
        Self::Ranged,
        Self::NoTransform,
        Self::MediaType,
        Self::EventStream,
        Self::Digest,
        Self::TooSmall,
        Self::TooLarge,
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::AlreadyCoded => "already-coded",
            Self::Ranged => "ranged",
            Self::NoTransform => "no-transform",
            Self::MediaType => "media-type",
            Self::EventStream => "event-stream",
            Self::Digest => "digest",
            Self::TooSmall => "too-small",
            Self::TooLarge => "too-large",
        }
    }

    /// Where the rule stands.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Status => "RFC 9110 15",
            Self::AlreadyCoded => "RFC 9110 8.4",
            Self::Ranged => "RFC 9110 14.4",
            Self::NoTransform => "RFC 9111 5.2.2.6",
            Self::MediaType | Self::EventStream | Self::TooSmall | Self::TooLarge => {
                "RFC 9110 8.4.1"
            }
            Self::Digest => "RFC 9530 3",
        }
    }
}

impl IdentityReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 3] = [Self::NotAccepted, Self::Range, Self::NoTransform];

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAccepted => "not-accepted",
            Self::Range => "request-range",
            Self::NoTransform => "request-no-transform",
        }
    }

    /// Where the rule stands.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::NotAccepted => "RFC 9110 12.5.3",
            Self::Range => "RFC 9110 14.2",
            Self::NoTransform => "RFC 9111 5.2.1.6",
        }
    }
}

/// Decides in which coding a response with these fields and `length` bytes of content, if that
/// is known, answers `request` (RFC 9110 12.5.3).
#[must_use]
pub fn decide_coding(
    rules: &CodingRules,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    length: Option<u64>,
) -> CodingDecision {
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    // The length of a part says nothing of the whole, by which the response varies
    // (RFC 9110 15.3.7).
    let length = length.filter(|_| !is_part);
    if let Some(reason) = fixed_reason(rules, status, response, length) {
        return CodingDecision::Fixed(reason);
    }
    if is_part || request.contains_key(RANGE) {
        return CodingDecision::Identity(IdentityReason::Range);
    }
    if has_no_transform(request) {
        return CodingDecision::Identity(IdentityReason::NoTransform);
    }
    match AcceptedCodings::of(request).select(&rules.codings) {
        Some(coding) => CodingDecision::Encode(coding),
        None => CodingDecision::Identity(IdentityReason::NotAccepted),
    }
}

fn fixed_reason(
    rules: &CodingRules,
    status: StatusCode,
    response: &HeaderMap,
    length: Option<u64>,
) -> Option<FixedReason> {
    const DIGESTS: [HeaderName; 4] = [
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-md5"),
    ];
    if status != StatusCode::PARTIAL_CONTENT && response.contains_key(CONTENT_RANGE) {
        return Some(FixedReason::Ranged);
    }
    if crate::status::forbids_content(status)
        || matches!(status, StatusCode::RESET_CONTENT | StatusCode::IM_USED)
    {
        return Some(FixedReason::Status);
    }
    if response.contains_key(CONTENT_ENCODING) {
        return Some(FixedReason::AlreadyCoded);
    }
    let Some(media_type) = media_type(response) else {
        return Some(FixedReason::MediaType);
    };
    if media_type.eq_ignore_ascii_case(b"text/event-stream") {
        return Some(FixedReason::EventStream);
    }
    if !rules.types.have(media_type) {
        return Some(FixedReason::MediaType);
    }
    if length.is_some_and(|length| length < rules.min_size) {
        return Some(FixedReason::TooSmall);
    }
    if length.is_some_and(|length| length > rules.max_size) {
        return Some(FixedReason::TooLarge);
    }
    if has_no_transform(response) {
        return Some(FixedReason::NoTransform);
    }
    DIGESTS
        .iter()
        .any(|name| response.contains_key(name))
        .then_some(FixedReason::Digest)
}

fn has_no_transform(fields: &HeaderMap) -> bool {
    // Whatever its argument: what restricts holds.
    field_members(fields, &CACHE_CONTROL)
        .any(|member| trim_ows(split_parameter(member).0).eq_ignore_ascii_case(b"no-transform"))
}

/// `type/subtype` of the one Content-Type.
fn media_type(response: &HeaderMap) -> Option<&[u8]> {
    let mut lines = response.get_all(CONTENT_TYPE).iter();
    let value = lines.next()?.as_bytes();
    if lines.next().is_some() {
        return None;
    }
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    value.get(..end).map(trim_ows)
}

/// Media types by name: `type/subtype`, `type/*` and `type/*+suffix`, in lower case.
#[derive(Clone, Debug, Default)]
pub struct MediaTypes(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    start: Box<[u8]>,
    /// What stands behind a `*`; `None` if there is none.
    end: Option<Box<[u8]>>,
}

impl MediaTypes {
    /// From their names.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let pattern = |name: &str| match name.split_once('*') {
            Some((start, end)) => Pattern {
                start: start.as_bytes().into(),
                end: Some(end.as_bytes().into()),
            },
            None => Pattern {
                start: name.as_bytes().into(),
                end: None,
            },
        };
        Self(names.into_iter().map(pattern).collect())
    }

    /// Whether `media_type`, without parameters, is one of them.
    #[must_use]
    pub fn have(&self, media_type: &[u8]) -> bool {
        self.0.iter().any(|pattern| match &pattern.end {
            None => pattern.start.eq_ignore_ascii_case(media_type),
            Some(end) => {
                let fits = media_type.len() > pattern.start.len() + end.len();
                let (start, rest) = media_type
                    .split_at_checked(pattern.start.len())
                    .unwrap_or_default();
                let tail = rest
                    .len()
                    .checked_sub(end.len())
                    .and_then(|at| rest.get(at..));
                fits && start.eq_ignore_ascii_case(&pattern.start)
                    && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }
        })
    }
}

/// Adds Accept-Encoding to what a response varies by (RFC 9110 12.5.5).
pub fn add_vary(fields: &mut HeaderMap) {
    let is_named = field_members(fields, &VARY)
        .any(|member| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding"));
    if is_named {
        return;
    }
    let own = HeaderValue::from_static("Accept-Encoding");
    let joined = fields
        .get(VARY)
        .filter(|line| !trim_ows(line.as_bytes()).is_empty())
        .and_then(|line| {
            HeaderValue::from_bytes(&[line.as_bytes(), b", Accept-Encoding"].concat()).ok()
        });
    match joined {
        Some(joined) => {
            // Only the first of several lines grows.
            if let Some(line) = fields.get_mut(VARY) {
                *line = joined;
            }
        }
        None => drop(fields.insert(VARY, own)),
    }
}

/// Makes of a response's fields those of its representation in `coding`. Whoever sends it
/// sets Content-Length, if the length is known.
pub fn mark_coded(fields: &mut HeaderMap, coding: Coding) {
    fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    if let Some(tag) = fields.get(ETAG) {
        match coded_tag(tag, coding) {
            Some(tag) => fields.insert(ETAG, tag),
            // What is no tag is no validator, and must not become one.
            None => fields.remove(ETAG),
        };
    }
    fields.remove(CONTENT_LENGTH);
    // Parts are those of the response as it is.
    fields.remove(ACCEPT_RANGES);
    add_vary(fields);
}

#[cfg(test)]
mod tests;
