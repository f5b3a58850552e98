//! What follows where neither memory nor stored pieces answer a request: the order of the steps
//! for a request that is answered, and for one that is explained.

use http::Method;

use super::lookup::{BypassReason, LookupDecision};

/// All that [`decide_onward`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct OnwardFacts<'a> {
    /// What was decided about looking it up.
    pub lookup: LookupDecision,
    /// Of the request.
    pub method: &'a Method,
    /// Whether it takes what is stored or nothing.
    pub only_if_cached: bool,
    /// Whether what is stored elsewhere, in tiers or as slices, may answer it yet; looked at for
    /// `only_if_cached` alone.
    pub may_be_stored: bool,
    /// Whether it has a precondition that only an origin evaluates.
    pub is_for_origin_to_check: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Onward {
    /// 504: it wants what is stored, and nothing is (RFC 9111 5.2.1.7).
    OnlyIfCached,
    /// It is forwarded as it is, and nothing of the answer is stored.
    Bypass(BypassReason),
    /// It is forwarded as it is, because of preconditions that no cache evaluates (RFC 9111 4.3.2).
    OriginChecks,
    /// A tier is asked and then the origin, by HEAD: its answer freshens what is stored
    /// (RFC 9111 4.3.5).
    Head,
    /// A tier is asked and then the origin, for what is to be stored (RFC 9111 4).
    Fetch,
}

/// Decides what follows.
#[must_use]
pub fn decide_onward(facts: &OnwardFacts<'_>) -> Onward {
    let bypass = match facts.lookup {
        LookupDecision::Allowed => None,
        LookupDecision::AnswerOnly(reason) | LookupDecision::Bypass(reason) => Some(reason),
    };
    let goes_past = bypass.is_some() || facts.is_for_origin_to_check;
    if facts.only_if_cached && (goes_past || !facts.may_be_stored) {
        return Onward::OnlyIfCached;
    }
    match bypass {
        Some(reason) => Onward::Bypass(reason),
        None if facts.is_for_origin_to_check => Onward::OriginChecks,
        None if *facts.method == Method::HEAD => Onward::Head,
        None => Onward::Fetch,
    }
}

impl Onward {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OnlyIfCached => "only-if-cached",
            Self::Bypass(reason) => reason.label(),
            Self::OriginChecks => "origin-checks",
            Self::Head => "head",
            Self::Fetch => "fetch",
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::OnlyIfCached => "RFC 9111 5.2.1.7",
            Self::Bypass(reason) => reason.section(),
            Self::OriginChecks => "RFC 9111 4.3.2",
            Self::Head => "RFC 9111 4.3.5",
            Self::Fetch => "RFC 9111 4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_in_one_order() {
        let (get, head) = (Method::GET, Method::HEAD);
        let (allowed, no_store) = (
            LookupDecision::Allowed,
            LookupDecision::AnswerOnly(BypassReason::NoStore),
        );
        // Lookup, method, only-if-cached, may be stored, for the origin to check.
        let rows = [
            (allowed, &get, false, false, false, Onward::Fetch),
            (allowed, &head, false, false, false, Onward::Head),
            (allowed, &head, false, false, true, Onward::OriginChecks),
            (allowed, &get, true, false, false, Onward::OnlyIfCached),
            (allowed, &get, true, true, false, Onward::Fetch),
            (allowed, &head, true, true, false, Onward::Head),
            (allowed, &get, true, true, true, Onward::OnlyIfCached),
            (no_store, &get, true, true, false, Onward::OnlyIfCached),
            (
                no_store,
                &get,
                false,
                true,
                true,
                Onward::Bypass(BypassReason::NoStore),
            ),
        ];
        for (lookup, method, only_if_cached, may_be_stored, is_for_origin_to_check, expected) in
            rows
        {
            let facts = OnwardFacts {
                lookup,
                method,
                only_if_cached,
                may_be_stored,
                is_for_origin_to_check,
            };
            assert_eq!(decide_onward(&facts), expected, "{facts:?}");
            assert!(expected.section().starts_with("RFC 9111"));
        }
    }
}
