//! Which bytes of a representation are there: intervals, and nothing else.

use smallvec::SmallVec;
use verge_http::range::ByteRange;

/// A set of byte positions: sorted intervals, none of which touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extents(SmallVec<[ByteRange; 2]>);

impl Extents {
    /// The positions of `range` alone.
    #[must_use]
    pub fn of(range: ByteRange) -> Self {
        let mut extents = Self::default();
        extents.insert(range);
        extents
    }

    /// The intervals, in order.
    #[must_use]
    pub fn ranges(&self) -> &[ByteRange] {
        &self.0
    }

    /// Adds the positions of `range`. What it overlaps or touches becomes one with it.
    pub fn insert(&mut self, range: ByteRange) {
        let mut union = range;
        let mut kept: SmallVec<[ByteRange; 2]> = SmallVec::new();
        let mut behind: SmallVec<[ByteRange; 2]> = SmallVec::new();
        for known in &self.0 {
            if known.last.saturating_add(1) < range.first {
                kept.push(*known);
            } else if range.last.saturating_add(1) < known.first {
                behind.push(*known);
            } else {
                union.first = union.first.min(known.first);
                union.last = union.last.max(known.last);
            }
        }
        kept.push(union);
        kept.extend(behind);
        self.0 = kept;
    }

    /// Whether all positions of `range` are there.
    #[must_use]
    pub fn contains(&self, range: ByteRange) -> bool {
        self.0.iter().any(|known| known.contains(range))
    }

    /// What of `range` is not there, in order.
    #[must_use]
    pub fn gaps(&self, range: ByteRange) -> SmallVec<[ByteRange; 2]> {
        let mut gaps = SmallVec::new();
        let mut next = range.first;
        for known in &self.0 {
            if known.last < next {
                continue;
            }
            if known.first > range.last {
                break;
            }
            if known.first > next {
                let last = known.first - 1;
                gaps.push(ByteRange { first: next, last });
            }
            next = known.last.saturating_add(1);
        }
        if next <= range.last {
            let last = range.last;
            gaps.push(ByteRange { first: next, last });
        }
        gaps
    }

    /// How many positions before `position` are there: where it stands in the
    /// bytes of all intervals one after the other.
    #[must_use]
    pub fn rank(&self, position: u64) -> u64 {
        let mut rank = 0_u64;
        for known in &self.0 {
            if known.first >= position {
                break;
            }
            let end = known.last.saturating_add(1).min(position);
            rank = rank.saturating_add(end - known.first);
        }
        rank
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 64;

    fn ranges() -> impl Strategy<Value = Vec<ByteRange>> {
        let range = (0..SIZE, 1..20_u64).prop_map(|(first, len)| ByteRange {
            first,
            last: (first + len - 1).min(SIZE - 1),
        });
        proptest::collection::vec(range, 0..12)
    }

    proptest! {
        #[test]
        fn the_union_is_what_a_bitmap_says(inserted in ranges(), asked in ranges()) {
            let mut extents = Extents::default();
            let mut bitmap = [false; SIZE as usize];
            for range in inserted {
                extents.insert(range);
                for position in range.first..=range.last {
                    bitmap[position as usize] = true;
                }
            }
            let held = |position: u64| bitmap[position as usize];
            for pair in extents.ranges().windows(2) {
                prop_assert!(pair[0].last + 1 < pair[1].first, "they touch");
            }
            for position in 0..SIZE {
                let one = ByteRange { first: position, last: position };
                prop_assert_eq!(extents.contains(one), held(position));
                let before = (0..position).filter(|before| held(*before)).count() as u64;
                prop_assert_eq!(extents.rank(position), before);
            }
            for range in asked {
                let mut missing = (range.first..=range.last).filter(|at| !held(*at));
                let gaps = extents.gaps(range);
                let mut listed = gaps.iter().flat_map(|gap| gap.first..=gap.last);
                prop_assert!(missing.by_ref().eq(listed.by_ref()));
                prop_assert_eq!(extents.contains(range), gaps.is_empty());
            }
        }
    }
}
