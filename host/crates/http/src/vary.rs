//! Vary and the variants it selects (RFC 9110 12.5.5, RFC 9111 4.1).
//!
//! Two requests select the same variant if the fields that the stored response
//! varies by are the same in a normal form, which changes nothing that could
//! mean anything (RFC 9111 4.1):
//! - lines are joined, whitespace around them and in lists that are known to be
//!   such is left out;
//! - of Accept-Encoding and Accept-Language the case of names, the spelling of
//!   weights and the order of members of different weight do not matter; the
//!   order of members of one weight does not matter in Accept-Encoding, and
//!   does in Accept-Language (RFC 9110 12.5.4). One that is malformed is
//!   compared as it is.
//!
//! An absent field differs from an empty one.

use std::cmp::Ordering;
use std::fmt;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, VARY};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::syntax::{field_members, is_token, list_members, trim_ows};

/// Most fields that a response may vary by; with more it counts as `*`.
pub const VARY_FIELDS_MAX: usize = 32;

/// What a response varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Things that no request shows (`*`): it is never reused without
    /// validation (RFC 9111 4.1).
    Any,
    /// These fields, sorted and each once; none if it does not vary.
    Fields(Box<[HeaderName]>),
}

/// The values that a request has for the fields of a [`Vary`], in normal form.
/// It may hold secrets (cookies), so `Debug` shows only its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VariantKey(Box<[u8]>);

/// Stands before the value of a field that is present.
const PRESENT: u8 = 1;
/// Stands in place of the value of a field that is absent.
const ABSENT: u8 = 0;
/// Ends a name and a value; no field value can hold it.
const END: u8 = 0;

impl Vary {
    /// From all Vary lines of a response. What is not a list of field names
    /// counts as `*`.
    #[must_use]
    pub fn parse(response: &HeaderMap) -> Self {
        let mut names = SmallVec::new();
        for member in field_members(response, &VARY) {
            if member == b"*" || names.len() == VARY_FIELDS_MAX {
                return Self::Any;
            }
            match HeaderName::from_bytes(member) {
                Ok(name) => names.push(name),
                Err(_) => return Self::Any,
            }
        }
        Self::sorted(names)
    }

    /// By the fields of these names.
    #[must_use]
    pub fn of_names(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self::sorted(names.into_iter().collect())
    }

    fn sorted(mut names: SmallVec<[HeaderName; 4]>) -> Self {
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        // Stored responses keep it, and most do not vary: it takes two words.
        Self::Fields(names.into_vec().into_boxed_slice())
    }

    /// Whether the response is the same for all requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Fields(names) => names.is_empty(),
        }
    }

    /// The fields; none for [`Vary::Any`].
    #[must_use]
    pub fn names(&self) -> &[HeaderName] {
        match self {
            Self::Any => &[],
            Self::Fields(names) => names,
        }
    }

    /// The key of the variant that `request` selects; None for [`Vary::Any`].
    #[must_use]
    pub fn variant_key(&self, request: &HeaderMap) -> Option<VariantKey> {
        match self {
            Self::Any => None,
            Self::Fields(names) => {
                let mut key = Vec::new();
                feed(names, request, &mut |piece| key.extend_from_slice(piece));
                Some(VariantKey(key.into_boxed_slice()))
            }
        }
    }

    /// Whether `request` selects the variant `key`; allocates nothing.
    #[must_use]
    pub fn selects(&self, key: &VariantKey, request: &HeaderMap) -> bool {
        match self {
            Self::Any => false,
            Self::Fields(names) => {
                let mut rest = Some(&*key.0);
                feed(names, request, &mut |piece| {
                    rest = rest.and_then(|rest| rest.strip_prefix(piece));
                });
                rest.is_some_and(<[u8]>::is_empty)
            }
        }
    }
}

impl VariantKey {
    /// A key that [`VariantKey::as_bytes`] gave; any other bytes are a key that no request has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The normal form: unambiguous, and equal for requests that select the
    /// same variant.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VariantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VariantKey({} bytes)", self.0.len())
    }
}

/// Gives `sink` the normal form of a request's fields, piece by piece.
fn feed(names: &[HeaderName], request: &HeaderMap, sink: &mut impl FnMut(&[u8])) {
    for name in names {
        sink(name.as_str().as_bytes());
        sink(&[END]);
        let lines = request.get_all(name);
        if !request.contains_key(name) {
            sink(&[ABSENT]);
            continue;
        }
        sink(&[PRESENT]);
        let mut separator: &[u8] = b"";
        if let Some(order) = Order::of(name)
            && let Some(members) = weighted_members(request, name, order)
        {
            for member in &members {
                sink(separator);
                member.feed(sink);
                separator = b",";
            }
        } else if is_list(name) {
            let members = lines.iter().flat_map(|line| list_members(line.as_bytes()));
            for member in members {
                sink(separator);
                sink(member);
                separator = b",";
            }
        } else {
            for line in lines {
                sink(separator);
                sink(trim_ows(line.as_bytes()));
                // What lines are joined by: RFC 9113 8.2.3 and RFC 9110 5.3.
                separator = if name == COOKIE { b"; " } else { b", " };
            }
        }
        sink(&[END]);
    }
}

/// What the order of list members of the same weight means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing (RFC 9110 12.5.3).
    Meaningless,
    /// A preference, to some recipients (RFC 9110 12.5.4).
    Preference,
}

impl Order {
    /// Of the fields whose members are compared by what they mean.
    fn of(name: &HeaderName) -> Option<Self> {
        match *name {
            ACCEPT_ENCODING => Some(Self::Meaningless),
            ACCEPT_LANGUAGE => Some(Self::Preference),
            _ => None,
        }
    }
}

/// Most members that are put in order; a longer list is compared as it is.
const WEIGHTED_MAX: usize = 16;

/// A list member with its weight in thousandths (RFC 9110 12.4.2).
#[derive(Clone, Copy)]
struct Weighted<'a> {
    value: &'a [u8],
    weight: u16,
}

/// The members of a field in normal form, the greatest weight first; `None` if
/// any is malformed, or if there are too many.
fn weighted_members<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
    order: Order,
) -> Option<SmallVec<[Weighted<'a>; WEIGHTED_MAX]>> {
    let mut members = SmallVec::new();
    for member in field_members(request, name) {
        if members.len() == WEIGHTED_MAX {
            return None;
        }
        let member = Weighted::read(member)?;
        // Which of two weights of one name counts is nowhere said.
        if members
            .iter()
            .any(|known: &Weighted<'_>| known.contradicts(&member))
        {
            return None;
        }
        members.push(member);
    }
    // Stable: equal members keep the order that they came in.
    members.sort_by(|a: &Weighted<'_>, b| {
        b.weight.cmp(&a.weight).then_with(|| match order {
            Order::Meaningless => compare_words(a.value, b.value),
            Order::Preference => Ordering::Equal,
        })
    });
    members.dedup_by(|later: &mut Weighted<'_>, earlier: &mut Weighted<'_>| {
        later.weight == earlier.weight && later.value.eq_ignore_ascii_case(earlier.value)
    });
    Some(members)
}

fn compare_words(a: &[u8], b: &[u8]) -> Ordering {
    let lower = |word: &[u8]| word.iter().map(u8::to_ascii_lowercase).collect::<Word>();
    lower(a).cmp(&lower(b))
}

/// A coding or a language range in lower case; seldom longer than this.
type Word = SmallVec<[u8; 32]>;

impl<'a> Weighted<'a> {
    /// `gzip`, `gzip;q=0.5`, `*;q=0`: a coding or a language range, and at most
    /// a weight.
    fn read(member: &'a [u8]) -> Option<Self> {
        let (value, weight) = match memchr::memchr(b';', member) {
            None => (member, 1000),
            Some(at) => {
                let (value, rest) = member.split_at_checked(at)?;
                (trim_ows(value), weight(trim_ows(rest.get(1..)?))?)
            }
        };
        is_token(value).then_some(Self { value, weight })
    }

    fn contradicts(&self, other: &Self) -> bool {
        self.weight != other.weight && self.value.eq_ignore_ascii_case(other.value)
    }

    fn feed(&self, sink: &mut impl FnMut(&[u8])) {
        let lower: Word = self.value.iter().map(u8::to_ascii_lowercase).collect();
        sink(&lower);
        if self.weight < 1000 {
            let digit = |place: u16| b'0' + u8::try_from(self.weight / place % 10).unwrap_or(0);
            sink(&[
                b';',
                b'q',
                b'=',
                b'0',
                b'.',
                digit(100),
                digit(10),
                digit(1),
            ]);
        }
    }
}

/// `q=0.5` in thousandths (RFC 9110 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole, fraction @ ..] = parameter else {
        return None;
    };
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = match digits.get(place) {
            Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
            Some(_) => return None,
            None => 0,
        };
        thousandths = thousandths * 10 + digit;
    }
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

/// Whether the field is known to be a list, where whitespace around commas and
/// empty members mean nothing (RFC 9111 4.1). Case and order are kept.
fn is_list(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept"
            | "accept-charset"
            | "accept-encoding"
            | "accept-language"
            | "access-control-request-headers"
            | "cache-control"
            | "prefer"
            | "sec-ch-ua"
    )
}

#[cfg(test)]
mod tests;
