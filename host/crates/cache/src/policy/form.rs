//! Whether a route in slices answers with the whole that a tier beside memory has, or with slices.
//! Who asks the tiers goes by it, and so does who tells what asking them would come to.

use std::time::SystemTime;

use super::tier::TierDecision;

/// In which form a request on a route in slices is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// In one, out of the tier that has it, validated if need be.
    Whole,
    /// In slices.
    Slices,
}

/// Decides between the whole that tiers have, what would become of it and its date, and a slice of
/// the date `slice`, which is stored and may not be reused as it is. The more recent one is used
/// (RFC 9111 4); of one time, the one that asks the origin for less.
#[must_use]
pub fn decide_form(whole: Option<(TierDecision, SystemTime)>, slice: Option<SystemTime>) -> Form {
    let is_whole = match whole {
        Some((TierDecision::Answer(_), date)) => slice.is_none_or(|slice| slice <= date),
        Some((TierDecision::Validate(_), date)) => slice.is_none_or(|slice| slice < date),
        Some((TierDecision::Leave(_), _)) | None => false,
    };
    if is_whole { Form::Whole } else { Form::Slices }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::reuse::{Reuse, ValidateReason};
    use super::super::tier::TierRefusal;
    use super::*;

    #[test]
    fn more_recent_form_answers_rfc_9111_4() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fresh = TierDecision::Answer(Reuse::Fresh);
        let stale = TierDecision::Validate(Reuse::Validate(ValidateReason::Stale));
        let left = TierDecision::Leave(TierRefusal::Superseded);
        let (older, same, newer) = (Some(at(9)), Some(at(10)), Some(at(11)));
        let rows = [
            (fresh, None, Form::Whole),
            (fresh, older, Form::Whole),
            (fresh, same, Form::Whole),
            (fresh, newer, Form::Slices),
            (stale, None, Form::Whole),
            (stale, older, Form::Whole),
            (stale, same, Form::Slices),
            (stale, newer, Form::Slices),
            (left, None, Form::Slices),
        ];
        for (decision, slice, expected) in rows {
            let whole = Some((decision, at(10)));
            assert_eq!(
                decide_form(whole, slice),
                expected,
                "{decision:?} {slice:?}"
            );
        }
        assert_eq!(decide_form(None, None), Form::Slices);
    }
}
