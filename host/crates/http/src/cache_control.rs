//! Cache-Control (RFC 9111 5.2) and Pragma (RFC 9111 5.4).
//!
//! Whoever writes a directive wrongly gets the careful reading of it: an
//! argument that is no number is zero where zero restricts, of two that differ
//! the more restrictive counts, and a directive that would loosen something is
//! believed only if it is spelled as the RFC spells it. Of a response's repeated
//! lifetimes the first counts, well spelled or not (RFC 9111 4.2.1).

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use crate::age::{DELTA_SECONDS_MAX, parse_delta_seconds};
use crate::syntax::{field_members, is_token, list_members, split_parameter, token_len, unquote};

/// Most field names of `no-cache="..."` or `private="..."` that are told
/// apart; with more the directive holds for the whole response.
const QUALIFIED_FIELDS_MAX: usize = 32;

/// What max-stale allows (RFC 9111 5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// A stale response of any age.
    Any,
    /// A response that is stale for at most this long.
    Within(Duration),
}

/// The directives of a request (RFC 9111 5.2.1). Durations are whole seconds,
/// at most 2^31.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// RFC 9111 5.2.1.5.
    pub no_store: bool,
    /// RFC 9111 5.2.1.4, or Pragma (5.4).
    pub no_cache: bool,
    /// RFC 9111 5.2.1.6.
    pub no_transform: bool,
    /// RFC 9111 5.2.1.7.
    pub only_if_cached: bool,
    /// RFC 9111 5.2.1.1.
    pub max_age: Option<Duration>,
    /// RFC 9111 5.2.1.2.
    pub max_stale: Option<MaxStale>,
    /// RFC 9111 5.2.1.3.
    pub min_fresh: Option<Duration>,
    /// RFC 5861 4.
    pub stale_if_error: Option<Duration>,
}

/// A directive that may be restricted to some fields (RFC 9111 5.2.2.4 and
/// 5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    /// Not given.
    #[default]
    Absent,
    /// Holds for these fields only; never empty.
    Fields(Vec<HeaderName>),
    /// Holds for the whole response.
    Whole,
}

/// The directives of a response (RFC 9111 5.2.2). Durations are whole seconds,
/// at most 2^31.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// RFC 9111 5.2.2.5.
    pub no_store: bool,
    /// RFC 9111 5.2.2.4.
    pub no_cache: Qualified,
    /// RFC 9111 5.2.2.7.
    pub private: Qualified,
    /// RFC 9111 5.2.2.9.
    pub public: bool,
    /// RFC 9111 5.2.2.1.
    pub max_age: Option<Duration>,
    /// RFC 9111 5.2.2.10.
    pub s_maxage: Option<Duration>,
    /// RFC 9111 5.2.2.2.
    pub must_revalidate: bool,
    /// RFC 9111 5.2.2.8.
    pub proxy_revalidate: bool,
    /// RFC 9111 5.2.2.3.
    pub must_understand: bool,
    /// RFC 9111 5.2.2.6.
    pub no_transform: bool,
    /// RFC 8246 2.
    pub immutable: bool,
    /// RFC 5861 3.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 4.
    pub stale_if_error: Option<Duration>,
}

impl RequestDirectives {
    /// From all Cache-Control lines of a request; Pragma counts only where
    /// there is none (RFC 9111 5.4).
    #[must_use]
    pub fn parse(fields: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for member in field_members(fields, &CACHE_CONTROL) {
            directives.add(&Directive::read(member));
        }
        if !fields.contains_key(CACHE_CONTROL) && fields.contains_key(PRAGMA) {
            directives.no_cache = field_members(fields, &PRAGMA)
                .any(|member| split_parameter(member).0.eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn add(&mut self, directive: &Directive<'_>) {
        if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("no-cache") {
            self.no_cache = true;
        } else if directive.is("no-transform") {
            self.no_transform = true;
        } else if directive.is("only-if-cached") {
            self.only_if_cached = true;
        } else if directive.is("max-age") {
            self.max_age = shorter(self.max_age, directive.seconds_or_zero());
        } else if directive.is("max-stale") {
            self.max_stale = Some(match (self.max_stale, directive.argument) {
                (None | Some(MaxStale::Any), None) => MaxStale::Any,
                (Some(MaxStale::Within(limit)), None) => MaxStale::Within(limit),
                (None | Some(MaxStale::Any), Some(_)) => {
                    MaxStale::Within(directive.seconds_or_zero())
                }
                (Some(MaxStale::Within(limit)), Some(_)) => {
                    MaxStale::Within(limit.min(directive.seconds_or_zero()))
                }
            });
        } else if directive.is("min-fresh") {
            // Here the greatest number restricts most.
            let seconds = directive
                .seconds()
                .unwrap_or(Duration::from_secs(DELTA_SECONDS_MAX));
            self.min_fresh = Some(self.min_fresh.map_or(seconds, |known| known.max(seconds)));
        } else if directive.is("stale-if-error") {
            self.stale_if_error = shorter(self.stale_if_error, directive.seconds_or_zero());
        }
    }
}

impl ResponseDirectives {
    /// From all Cache-Control lines of a response.
    #[must_use]
    pub fn parse(fields: &HeaderMap) -> Self {
        Self::parse_values(fields.get_all(CACHE_CONTROL).iter().map(AsRef::as_ref))
    }

    /// From field values of the same syntax, in order.
    #[must_use]
    pub fn parse_values<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut directives = Self::default();
        for member in values.flat_map(list_members) {
            directives.add(&Directive::read(member));
        }
        directives
    }

    fn add(&mut self, directive: &Directive<'_>) {
        // What restricts holds whatever its argument.
        if directive.is("max-age") {
            self.max_age.get_or_insert(directive.seconds_or_zero());
        } else if directive.is("s-maxage") {
            self.s_maxage.get_or_insert(directive.seconds_or_zero());
        } else if directive.is("no-store") {
            self.no_store = true;
        } else if directive.is("no-cache") {
            self.no_cache.add(directive.argument);
        } else if directive.is("private") {
            self.private.add(directive.argument);
        } else if directive.is("must-revalidate") {
            self.must_revalidate = true;
        } else if directive.is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if directive.is("no-transform") {
            self.no_transform = true;
        } else if directive.is("stale-while-revalidate") {
            let seconds = directive.seconds_or_zero();
            self.stale_while_revalidate = shorter(self.stale_while_revalidate, seconds);
        } else if directive.is("stale-if-error") {
            self.stale_if_error = shorter(self.stale_if_error, directive.seconds_or_zero());
        } else if directive.argument.is_none() {
            // What loosens holds only as the RFCs spell it.
            self.public |= directive.is("public");
            self.must_understand |= directive.is("must-understand");
            self.immutable |= directive.is("immutable");
        }
    }
}

impl Qualified {
    /// The fields that it is restricted to; empty if there is no restriction.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Absent | Self::Whole => &[],
            Self::Fields(fields) => fields,
        }
    }

    /// One more directive of the same name; the wider of the two counts.
    pub(crate) fn add(&mut self, argument: Option<&[u8]>) {
        self.add_names(argument.and_then(|argument| match unquote(argument) {
            Some(list) => field_names(&list),
            // A single name need not be quoted (RFC 9111 5.2).
            None if is_token(argument) && !is_answer(argument) => field_names(argument),
            None => None,
        }));
    }

    /// The same, with the names read already; `None` for the whole response.
    pub(crate) fn add_names(&mut self, names: Option<Vec<HeaderName>>) {
        *self = match (std::mem::take(self), names) {
            (Self::Whole, _) | (_, None) => Self::Whole,
            (Self::Absent, Some(names)) => Self::Fields(names),
            (Self::Fields(mut fields), Some(names)) => {
                fields.extend(names);
                fields.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
                fields.dedup();
                if fields.len() > QUALIFIED_FIELDS_MAX {
                    Self::Whole
                } else {
                    Self::Fields(fields)
                }
            }
        };
    }
}

/// Whether an argument says yes or no, and so means the directive as a whole.
fn is_answer(argument: &[u8]) -> bool {
    const ANSWERS: [&[u8]; 6] = [b"true", b"false", b"yes", b"no", b"on", b"off"];
    let is_known = |answer: &&[u8]| answer.eq_ignore_ascii_case(argument);
    argument.iter().all(u8::is_ascii_digit) || ANSWERS.iter().any(is_known)
}

/// A list of field names; None if it is anything else, also empty.
pub(crate) fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for member in list_members(list) {
        if names.len() == QUALIFIED_FIELDS_MAX {
            return None;
        }
        names.push(HeaderName::from_bytes(member).ok()?);
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// `name [ "=" argument ]`.
struct Directive<'a> {
    name: &'a [u8],
    argument: Option<&'a [u8]>,
}

impl<'a> Directive<'a> {
    /// The token at the member's start is the name, whatever follows it:
    /// `max-age =5` and `no-store;x` are malformed, and yet it is clear what
    /// they are about. Their argument is one that no directive takes.
    fn read(member: &'a [u8]) -> Self {
        let at = token_len(member);
        let (name, rest) = member.split_at_checked(at).unwrap_or((member, b""));
        let argument = match rest.split_first() {
            None => None,
            Some((b'=', argument)) => Some(argument),
            Some(_) => Some(b"".as_slice()),
        };
        Self { name, argument }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The argument in seconds; quoted or not (RFC 9111 5.2).
    fn seconds(&self) -> Option<Duration> {
        let argument = self.argument?;
        match unquote(argument) {
            Some(plain) => parse_delta_seconds(&plain),
            None => parse_delta_seconds(argument),
        }
    }

    /// As [`Self::seconds`]; what is no number counts as zero, so that the
    /// response is stale (RFC 9111 4.2.1).
    fn seconds_or_zero(&self) -> Duration {
        self.seconds().unwrap_or(Duration::ZERO)
    }
}

/// The shorter of what is known and what is new.
fn shorter(known: Option<Duration>, new: Duration) -> Option<Duration> {
    Some(known.map_or(new, |known| known.min(new)))
}

#[cfg(test)]
mod tests;
