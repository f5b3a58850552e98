//! Whether what a tier beside memory has answers a request (RFC 9111 4). Who asks the tiers goes
//! by it, and so does who tells what asking them would come to.

use std::time::SystemTime;

use super::reuse::Reuse;

/// What a tier has for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierFound {
    /// Whether it answers the request.
    pub reuse: Reuse,
    /// Its Date, or when it was received if it had none.
    pub date: SystemTime,
}

/// All that [`decide_tier`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct TierFacts {
    /// What of the tiers' responses was selected, if any was.
    pub found: Option<TierFound>,
    /// The date of what memory has and may not be reused as it is.
    pub known: Option<SystemTime>,
    /// Whether no client waits: what is to be validated anyway is replaced by what is fresh, and
    /// by nothing else.
    pub is_for_nobody: bool,
    /// Whether what is found is all that the request wants. Of a part that is being validated
    /// nobody knows whether it belongs to what the origin has of the rest (RFC 9111 3.4).
    pub is_all: bool,
}

/// What becomes of what a tier has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierDecision {
    /// It answers as it is.
    Answer(Reuse),
    /// It comes into memory, and the origin is asked whether it still holds.
    Validate(Reuse),
    /// It is left where it is: the origin is asked as if it were not there.
    Leave(TierRefusal),
}

/// Why what tiers have is of no use for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierRefusal {
    /// They have nothing that the request selects and that can be used.
    NotFound,
    /// Memory has one that is as recent.
    Superseded,
}

/// Decides what becomes of what tiers have: of several that match, the most recent is used
/// (RFC 9111 4); of one time, what memory has.
#[must_use]
pub fn decide_tier(facts: &TierFacts) -> TierDecision {
    let Some(found) = facts.found else {
        return TierDecision::Leave(TierRefusal::NotFound);
    };
    if facts.known.is_some_and(|known| found.date <= known) {
        return TierDecision::Leave(TierRefusal::Superseded);
    }
    match found.reuse {
        Reuse::Fresh => TierDecision::Answer(found.reuse),
        Reuse::RefreshAhead | Reuse::StaleAccepted if !facts.is_for_nobody => {
            TierDecision::Answer(found.reuse)
        }
        Reuse::StaleWhileRevalidate if !facts.is_for_nobody && facts.is_all => {
            TierDecision::Answer(found.reuse)
        }
        Reuse::RefreshAhead
        | Reuse::StaleWhileRevalidate
        | Reuse::StaleAccepted
        | Reuse::Validate(_) => TierDecision::Validate(found.reuse),
    }
}

impl TierDecision {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answer(reuse) | Self::Validate(reuse) => reuse.label(),
            Self::Leave(refusal) => refusal.label(),
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Answer(reuse) | Self::Validate(reuse) => reuse.section(),
            Self::Leave(refusal) => refusal.section(),
        }
    }
}

impl TierRefusal {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 2] = [Self::NotFound, Self::Superseded];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Superseded => "superseded",
        }
    }

    /// The rule's source.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::NotFound | Self::Superseded => "RFC 9111 4",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::reuse::ValidateReason;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_tier_has_answers_is_validated_or_left_rfc_9111_4() {
        use Reuse::{Fresh, RefreshAhead, StaleAccepted, StaleWhileRevalidate, Validate};
        let stale = Validate(ValidateReason::Stale);
        let left = TierDecision::Leave;
        // What is found, what memory has, and what becomes of it for a client and for nobody.
        let rows = [
            (
                Fresh,
                None,
                TierDecision::Answer(Fresh),
                TierDecision::Answer(Fresh),
            ),
            (
                RefreshAhead,
                None,
                TierDecision::Answer(RefreshAhead),
                TierDecision::Validate(RefreshAhead),
            ),
            (
                StaleWhileRevalidate,
                None,
                TierDecision::Answer(StaleWhileRevalidate),
                TierDecision::Validate(StaleWhileRevalidate),
            ),
            (
                StaleAccepted,
                None,
                TierDecision::Answer(StaleAccepted),
                TierDecision::Validate(StaleAccepted),
            ),
            (
                stale,
                None,
                TierDecision::Validate(stale),
                TierDecision::Validate(stale),
            ),
            (
                stale,
                Some(at(9)),
                TierDecision::Validate(stale),
                TierDecision::Validate(stale),
            ),
            (
                Fresh,
                Some(at(9)),
                TierDecision::Answer(Fresh),
                TierDecision::Answer(Fresh),
            ),
            (
                Fresh,
                Some(at(10)),
                left(TierRefusal::Superseded),
                left(TierRefusal::Superseded),
            ),
            (
                Fresh,
                Some(at(11)),
                left(TierRefusal::Superseded),
                left(TierRefusal::Superseded),
            ),
        ];
        for (reuse, known, for_a_client, for_nobody) in rows {
            for (is_for_nobody, expected) in [(false, for_a_client), (true, for_nobody)] {
                let facts = TierFacts {
                    found: Some(TierFound {
                        reuse,
                        date: at(10),
                    }),
                    known,
                    is_for_nobody,
                    is_all: true,
                };
                assert_eq!(decide_tier(&facts), expected, "{facts:?}");
                let of_part = TierFacts {
                    is_all: false,
                    ..facts
                };
                let expected = match reuse {
                    StaleWhileRevalidate => TierDecision::Validate(reuse),
                    _ => expected,
                };
                assert_eq!(decide_tier(&of_part), expected, "{of_part:?}");
            }
        }
        let nothing = TierFacts {
            found: None,
            known: Some(at(10)),
            is_for_nobody: false,
            is_all: true,
        };
        assert_eq!(decide_tier(&nothing), left(TierRefusal::NotFound));
    }

    #[test]
    fn labels_are_unique() {
        let [first, second] = TierRefusal::ALL.map(TierRefusal::label);
        assert_ne!(first, second);
    }
}
