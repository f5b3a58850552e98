//! What is asked of the origin when a client asks for what is not, or not all,
//! stored.

use verge_http::range::{ByteRange, RangeSpec};

use super::pieces::Pieces;

/// What is asked of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartPlan {
    /// All of the response.
    Whole,
    /// The range that the client asks for, as it says it.
    AsAsked,
    /// What is missing of `want`, which is one part.
    Rest {
        /// What the answer will hold.
        want: ByteRange,
        /// What of it is asked for.
        gap: ByteRange,
    },
}

/// Decides what is asked of the origin.
///
/// `asked` is the one range that the client asks for; `None` if it is to have
/// all, or several. `pieces` are those stored that can be completed: they have
/// a strong validator and a known total. Where more than one part is missing,
/// one request cannot complete them, and what is stored does not help.
#[must_use]
pub fn decide_part_plan(asked: Option<RangeSpec>, pieces: Option<&Pieces>) -> PartPlan {
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
    match pieces.extents().gaps(want).as_slice() {
        [gap] if *gap != want => PartPlan::Rest { want, gap: *gap },
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    #[test]
    fn what_is_missing_is_asked_for_rfc_9111_3_4() {
        use PartPlan::{AsAsked, Rest, Whole};
        use RangeSpec::{Bounded, From, Suffix};
        let rest = |want: (u64, u64), gap: (u64, u64)| Rest {
            want: range(want.0, want.1),
            gap: range(gap.0, gap.1),
        };
        // Ten bytes, of which 2 to 4 are stored.
        let rows: [(&str, Option<RangeSpec>, PartPlan); 12] = [
            ("two gaps in the whole", None, Whole),
            ("all from the first byte on", Some(From(0)), Whole),
            (
                "one gap at the end",
                Some(Bounded(3, 6)),
                rest((3, 6), (5, 6)),
            ),
            (
                "one gap at the start",
                Some(Bounded(0, 3)),
                rest((0, 3), (0, 1)),
            ),
            ("open", Some(From(3)), rest((3, 9), (5, 9))),
            ("suffix", Some(Suffix(7)), rest((3, 9), (5, 9))),
            ("two gaps", Some(Bounded(0, 9)), AsAsked),
            ("apart", Some(Bounded(7, 8)), AsAsked),
            ("beside", Some(Bounded(5, 8)), AsAsked),
            ("stored, but stale", Some(Bounded(2, 4)), AsAsked),
            ("past the end", Some(From(10)), AsAsked),
            ("suffix of nothing", Some(Suffix(0)), AsAsked),
        ];
        let pieces = Pieces::of(range(2, 4), Some(10));
        for (name, asked, expected) in rows {
            assert_eq!(decide_part_plan(asked, Some(&pieces)), expected, "{name}");
        }
        let beginning = Pieces::of(range(0, 4), Some(10));
        let expected = rest((0, 9), (5, 9));
        assert_eq!(decide_part_plan(None, Some(&beginning)), expected);
        assert_eq!(decide_part_plan(Some(From(0)), Some(&beginning)), expected);
    }

    #[test]
    fn without_pieces_the_part_is_asked_for() {
        use RangeSpec::{Bounded, From, Suffix};
        for asked in [Bounded(0, 4), From(1), Suffix(5)] {
            assert_eq!(decide_part_plan(Some(asked), None), PartPlan::AsAsked);
            let unknown = Pieces::of(range(0, 1), None);
            assert_eq!(
                decide_part_plan(Some(asked), Some(&unknown)),
                PartPlan::AsAsked
            );
        }
        assert_eq!(decide_part_plan(None, None), PartPlan::Whole);
        assert_eq!(decide_part_plan(Some(From(0)), None), PartPlan::Whole);
    }
}
