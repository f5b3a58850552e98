//! Which tiers are asked for a request, one after another, and which of their responses is
//! looked at (RFC 9111 4). Nothing here asks them: what they have is told to it.

use super::TierName;
use crate::policy::{Reuse, TierFound};

/// A search through the tiers, by whoever asks them for a response and whoever tells what that
/// would come to.
///
/// Where a tier of this node alone has only what must be validated, or what cannot be used, those
/// that other nodes write to may have what is newer: of both, the most recent.
#[derive(Debug)]
pub struct TierSearch<T> {
    /// Something of this node's own is known: only others may have what is newer.
    is_known: bool,
    is_over: bool,
    selected: Option<Offered<T>>,
}

/// A response that a tier has, and that can be used.
#[derive(Clone, Debug)]
pub struct Offered<T> {
    /// Which tier.
    pub tier: TierName,
    /// What the policy looks at.
    pub found: TierFound,
    /// The response.
    pub response: T,
}

impl<T> TierSearch<T> {
    /// A search at its beginning; if `is_known`, memory has a response.
    #[must_use]
    pub const fn new(is_known: bool) -> Self {
        Self {
            is_known,
            is_over: false,
            selected: None,
        }
    }

    /// Whether `tier` is to be asked now.
    #[must_use]
    pub const fn asks(&self, tier: TierName) -> bool {
        !self.is_over && (tier.is_shared() || !self.is_known)
    }

    /// `tier` has a response for the request; `None` if that cannot be used.
    pub fn offer(&mut self, tier: TierName, offered: Option<(TierFound, T)>) {
        let is_last = match &offered {
            Some((found, _)) => !matches!(found.reuse, Reuse::Validate(_)),
            None => false,
        };
        self.is_over = is_last || tier.is_shared();
        self.is_known = true;
        let Some((found, response)) = offered else {
            return;
        };
        let known = self.selected.as_ref();
        if known.is_none_or(|known| found.date > known.found.date) {
            self.selected = Some(Offered {
                tier,
                found,
                response,
            });
        }
    }

    /// What was found.
    #[must_use]
    pub fn selected(self) -> Option<Offered<T>> {
        self.selected
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::policy::ValidateReason;

    const FRESH: Reuse = Reuse::Fresh;
    const STALE: Reuse = Reuse::Validate(ValidateReason::Stale);

    /// What a tier has: nothing, something that cannot be used, or a response with a date.
    #[derive(Clone, Copy)]
    enum Has {
        Nothing,
        Unusable,
        Response(Reuse, u64),
    }

    fn selected(is_known: bool, disk: Has, l2: Has) -> (Vec<&'static str>, Option<&'static str>) {
        let mut search = TierSearch::new(is_known);
        let mut asked = Vec::new();
        for (tier, has) in [(TierName::Disk, disk), (TierName::L2, l2)] {
            if !search.asks(tier) {
                continue;
            }
            asked.push(tier.label());
            match has {
                Has::Nothing => {}
                Has::Unusable => search.offer(tier, None),
                Has::Response(reuse, date) => {
                    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
                    search.offer(tier, Some((TierFound { reuse, date }, ())));
                }
            }
        }
        (asked, search.selected().map(|offered| offered.tier.label()))
    }

    #[test]
    fn tiers_are_asked_until_the_most_recent_that_can_be_used_is_known() {
        use Has::{Nothing, Response, Unusable};
        let (disk, l2, both) = (
            ["disk"].as_slice(),
            ["l2"].as_slice(),
            ["disk", "l2"].as_slice(),
        );
        let rows = [
            (false, Nothing, Nothing, both, None),
            (
                false,
                Response(FRESH, 1),
                Response(FRESH, 2),
                disk,
                Some("disk"),
            ),
            (false, Nothing, Response(STALE, 2), both, Some("l2")),
            (
                false,
                Response(STALE, 1),
                Response(STALE, 2),
                both,
                Some("l2"),
            ),
            (
                false,
                Response(STALE, 2),
                Response(FRESH, 2),
                both,
                Some("disk"),
            ),
            (false, Response(STALE, 2), Nothing, both, Some("disk")),
            (false, Response(STALE, 2), Unusable, both, Some("disk")),
            (false, Unusable, Response(FRESH, 1), both, Some("l2")),
            (false, Unusable, Unusable, both, None),
            (true, Response(FRESH, 1), Nothing, l2, None),
            (true, Response(FRESH, 1), Response(FRESH, 2), l2, Some("l2")),
        ];
        for (index, (is_known, has, shared, asked, expected)) in rows.into_iter().enumerate() {
            let (really, found) = selected(is_known, has, shared);
            assert_eq!((really.as_slice(), found), (asked, expected), "row {index}");
        }
    }
}
