//! The query of a target, reduced to what counts: parameters are what stands
//! between ampersands, named by what stands before the first `=`.
//!
//! What is kept is kept byte for byte. Names are compared with their
//! percent-encoding decoded, because an origin decodes them: `%71=1` and `q=1`
//! are parameters of one name, and stay two different texts.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{ParameterRule, QueryRule};

/// The parameters that the preset `tracking` drops: they tell an analytics or advertising
/// service where a visitor came from, and change nothing of the content.
pub const TRACKING_PARAMETERS: [&str; 34] = [
    "utm_*",
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "srsltid",
    "_ga",
    "_gl",
    "fbclid",
    "igshid",
    "igsh",
    "msclkid",
    "yclid",
    "ysclid",
    "twclid",
    "ttclid",
    "li_fat_id",
    "rdt_cid",
    "epik",
    "sccid",
    "mc_cid",
    "mc_eid",
    "_hsenc",
    "_hsmi",
    "__hstc",
    "__hssc",
    "__hsfp",
    "mkt_tok",
    "vero_id",
    "oly_anon_id",
    "oly_enc_id",
];

/// A parameter's name, or with a `*` at its end the beginning of one. Case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    text: Box<str>,
    is_prefix: bool,
}

/// A query as it stands in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedQuery<'q> {
    /// What is kept; `None` if nothing is, or if there was no query.
    pub kept: Option<Cow<'q, str>>,
    /// The names of the parameters that are not, as they were written; one of each parameter.
    pub dropped: SmallVec<[&'q str; 4]>,
}

impl NamePattern {
    /// From `utm_*` or `q`.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let (text, is_prefix) = match pattern.strip_suffix('*') {
            Some(text) => (text, true),
            None => (pattern, false),
        };
        Self {
            text: text.into(),
            is_prefix,
        }
    }

    /// Whether a parameter's name, as it was written, is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut name = decoded(name);
        let begins = self.text.bytes().all(|byte| name.next() == Some(byte));
        begins && (self.is_prefix || name.next().is_none())
    }
}

impl ReducedQuery<'_> {
    /// Whether this is another query than the one that came.
    #[must_use]
    pub fn differs_from(&self, query: Option<&str>) -> bool {
        self.kept.as_deref() != query
    }
}

/// See [`super::KeyPolicy::reduce_query`].
pub(super) fn reduce<'q>(
    rule: QueryRule,
    parameters: &ParameterRule,
    query: Option<&'q str>,
) -> ReducedQuery<'q> {
    let as_is = |query: Option<&'q str>| ReducedQuery {
        kept: query.map(Cow::Borrowed),
        dropped: SmallVec::new(),
    };
    let Some(text) = query else {
        return as_is(query);
    };
    let keeps = |name: &str| match (rule, parameters) {
        (QueryRule::None, _) => false,
        (_, ParameterRule::All) => true,
        (_, ParameterRule::Allow(allowed)) => allowed.iter().any(|known| known.matches(name)),
        (_, ParameterRule::Drop(dropped)) => !dropped.iter().any(|known| known.matches(name)),
    };
    let mut dropped = SmallVec::new();
    let mut kept: SmallVec<[&'q str; 16]> = SmallVec::new();
    for parameter in text.split('&') {
        let name = name_of(parameter);
        if keeps(name) {
            kept.push(parameter);
        } else if !parameter.is_empty() {
            dropped.push(name);
        }
    }
    if rule == QueryRule::Sorted {
        // Stable: parameters of one name keep their order, which origins may go by.
        kept.sort_by(|a, b| decoded(name_of(a)).cmp(decoded(name_of(b))));
    }
    ReducedQuery {
        kept: join(text, &kept),
        dropped,
    }
}

/// `kept` with ampersands between; `text` itself if they are all of it in its order.
fn join<'q>(text: &'q str, kept: &[&'q str]) -> Option<Cow<'q, str>> {
    if kept.is_empty() {
        return None;
    }
    if text.split('&').eq(kept.iter().copied()) {
        return Some(Cow::Borrowed(text));
    }
    Some(Cow::Owned(kept.join("&")))
}

fn name_of(parameter: &str) -> &str {
    parameter
        .split_once('=')
        .map_or(parameter, |(name, _)| name)
}

/// The bytes of a name, decoded as an origin decodes a form (`+` is a space).
fn decoded(name: &str) -> impl Iterator<Item = u8> {
    let mut rest = name.as_bytes();
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        match (first, tail) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    Some(high << 4 | low)
                }
                _ => Some(b'%'),
            },
            _ => Some(*first),
        }
    })
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
