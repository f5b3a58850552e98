//! What is asked of the origin when a client asks for what is not, or not all,
//! stored.

use verge_http::range::{ByteRange, RangeSpec};

use smallvec::SmallVec;

use super::pieces::Pieces;

/// Most gaps that are asked for one by one. Where there are more, those that are nearest to each
/// other are asked for together with what is stored between them.
pub const GAPS_MAX: usize = 4;

/// What is asked of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartPlan {
    /// All of the response.
    Whole,
    /// The range that the client asks for, as it says it.
    AsAsked,
    /// What is missing of `want`.
    Rest {
        /// What the answer will hold.
        want: ByteRange,
        /// What of it is asked for, in order: one at least, at most [`GAPS_MAX`].
        gaps: SmallVec<[ByteRange; 2]>,
    },
}

/// Decides what is asked of the origin.
///
/// `asked` is the one range that the client asks for; `None` if it is to have
/// all, or several. `pieces` are those stored that can be completed: they have
/// a strong validator and a known total. Each part that is missing costs a
/// request, so gaps with less than `apart` stored bytes between them are asked
/// for together with those.
#[must_use]
pub fn decide_part_plan(asked: Option<RangeSpec>, pieces: Option<&Pieces>, apart: u64) -> PartPlan {
    // From the first byte on is all of it.
    let asked = asked.filter(|spec| *spec != RangeSpec::From(0));
    let otherwise = match asked {
        Some(_) => PartPlan::AsAsked,
        None => PartPlan::Whole,
    };
    let Some((pieces, whole)) = pieces.and_then(|pieces| Some((pieces, pieces.whole()?))) else {
        return otherwise;
    };
    let want = match asked {
        Some(spec) => spec.within(whole.len()),
        None => Some(whole),
    };
    let Some(want) = want else {
        return otherwise;
    };
    let gaps = bounded(merged(pieces.extents().gaps(want), apart));
    match gaps.as_slice() {
        [] => otherwise,
        [gap] if *gap == want => otherwise,
        _ => PartPlan::Rest { want, gaps },
    }
}

/// The gaps, those with less than `apart` bytes between them as one.
fn merged(gaps: SmallVec<[ByteRange; 2]>, apart: u64) -> SmallVec<[ByteRange; 2]> {
    let mut merged: SmallVec<[ByteRange; 2]> = SmallVec::new();
    for gap in gaps {
        match merged.last_mut() {
            Some(before) if gap.first.saturating_sub(before.last) <= apart => {
                before.last = gap.last
            }
            _ => merged.push(gap),
        }
    }
    merged
}

/// At most [`GAPS_MAX`] gaps, in which all of `gaps` lie.
fn bounded(mut gaps: SmallVec<[ByteRange; 2]>) -> SmallVec<[ByteRange; 2]> {
    while gaps.len() > GAPS_MAX {
        let between = gaps.windows(2).enumerate().filter_map(|(index, pair)| {
            let [before, behind] = pair else { return None };
            Some((behind.first.saturating_sub(before.last), index))
        });
        let Some((_, nearest)) = between.min() else {
            break;
        };
        let last = gaps.remove(nearest + 1).last;
        if let Some(gap) = gaps.get_mut(nearest) {
            gap.last = last;
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    #[test]
    fn gaps_near_to_each_other_cost_one_request() {
        let mut pieces = Pieces::of(range(10, 19), Some(100));
        for piece in [range(30, 59), range(80, 89)] {
            let combined = pieces.combined(&[], piece, &[], 8);
            pieces = combined.expect("room for it").0;
        }
        let gaps = |apart| match decide_part_plan(None, Some(&pieces), apart) {
            PartPlan::Rest { gaps, .. } => gaps.iter().map(|gap| (gap.first, gap.last)).collect(),
            PartPlan::Whole => vec![(0, 99)],
            PartPlan::AsAsked => Vec::new(),
        };
        let all = [(0, 9), (20, 29), (60, 79), (90, 99)];
        assert_eq!(gaps(0), all);
        assert_eq!(gaps(10), all, "ten bytes lie between");
        assert_eq!(gaps(11), [(0, 29), (60, 99)]);
        assert_eq!(
            gaps(31),
            [(0, 99)],
            "all of it is one request without a range"
        );
    }

    #[test]
    fn what_is_missing_is_asked_for_rfc_9111_3_4() {
        use PartPlan::{AsAsked, Rest};
        use RangeSpec::{Bounded, From, Suffix};
        let rest = |want: (u64, u64), gaps: &[(u64, u64)]| Rest {
            want: range(want.0, want.1),
            gaps: gaps.iter().map(|gap| range(gap.0, gap.1)).collect(),
        };
        // Ten bytes, of which 2 to 4 are stored.
        let rows: [(&str, Option<RangeSpec>, PartPlan); 12] = [
            (
                "two gaps in the whole",
                None,
                rest((0, 9), &[(0, 1), (5, 9)]),
            ),
            (
                "all from the first byte on",
                Some(From(0)),
                rest((0, 9), &[(0, 1), (5, 9)]),
            ),
            (
                "one gap at the end",
                Some(Bounded(3, 6)),
                rest((3, 6), &[(5, 6)]),
            ),
            (
                "one gap at the start",
                Some(Bounded(0, 3)),
                rest((0, 3), &[(0, 1)]),
            ),
            ("open", Some(From(3)), rest((3, 9), &[(5, 9)])),
            ("suffix", Some(Suffix(7)), rest((3, 9), &[(5, 9)])),
            (
                "two gaps",
                Some(Bounded(1, 8)),
                rest((1, 8), &[(1, 1), (5, 8)]),
            ),
            ("apart", Some(Bounded(7, 8)), AsAsked),
            ("beside", Some(Bounded(5, 8)), AsAsked),
            ("stored, but stale", Some(Bounded(2, 4)), AsAsked),
            ("past the end", Some(From(10)), AsAsked),
            ("suffix of nothing", Some(Suffix(0)), AsAsked),
        ];
        let pieces = Pieces::of(range(2, 4), Some(10));
        for (name, asked, expected) in rows {
            assert_eq!(
                decide_part_plan(asked, Some(&pieces), 0),
                expected,
                "{name}"
            );
        }
        let beginning = Pieces::of(range(0, 4), Some(10));
        let expected = rest((0, 9), &[(5, 9)]);
        assert_eq!(decide_part_plan(None, Some(&beginning), 0), expected);
        assert_eq!(
            decide_part_plan(Some(From(0)), Some(&beginning), 0),
            expected
        );
    }

    #[test]
    fn gaps_are_few_and_hold_all_that_is_missing() {
        let gap = |first, last| range(first, last);
        let many = [
            gap(0, 0),
            gap(10, 10),
            gap(13, 13),
            gap(20, 20),
            gap(30, 31),
        ];
        let few: Vec<ByteRange> = bounded(many.into_iter().collect()).to_vec();
        assert_eq!(few, [gap(0, 0), gap(10, 13), gap(20, 20), gap(30, 31)]);
        let more = many.into_iter().chain([gap(33, 40), gap(90, 99)]);
        let few: Vec<ByteRange> = bounded(more.collect()).to_vec();
        assert_eq!(few, [gap(0, 0), gap(10, 20), gap(30, 40), gap(90, 99)]);
        assert_eq!(bounded(SmallVec::new()).len(), 0);
    }

    #[test]
    fn without_pieces_the_part_is_asked_for() {
        use RangeSpec::{Bounded, From, Suffix};
        for asked in [Bounded(0, 4), From(1), Suffix(5)] {
            assert_eq!(decide_part_plan(Some(asked), None, 0), PartPlan::AsAsked);
            let unknown = Pieces::of(range(0, 1), None);
            assert_eq!(
                decide_part_plan(Some(asked), Some(&unknown), 0),
                PartPlan::AsAsked
            );
        }
        assert_eq!(decide_part_plan(None, None, 0), PartPlan::Whole);
        assert_eq!(decide_part_plan(Some(From(0)), None, 0), PartPlan::Whole);
    }
}
