use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn selected(value: &str, total: u64) -> RangeSelection {
    select_ranges(&Method::GET, &fields(&[("range", value)]), true, total)
}

fn range(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

#[test]
fn single_ranges_are_selected_as_rfc_9110_14_1_2_says() {
    let unsatisfiable = RangeSelection::Unsatisfiable;
    for (value, expected) in [
        ("bytes=0-0", RangeSelection::Single(range(0, 0))),
        ("bytes=0-499", RangeSelection::Single(range(0, 499))),
        ("bytes=500-999", RangeSelection::Single(range(500, 999))),
        ("bytes=500-5000", RangeSelection::Single(range(500, 999))),
        ("bytes=999-", RangeSelection::Single(range(999, 999))),
        ("bytes=-500", RangeSelection::Single(range(500, 999))),
        ("bytes=-5000", RangeSelection::Single(range(0, 999))),
        ("BYTES=0-0", RangeSelection::Single(range(0, 0))),
        ("bytes= 0-0 ,", RangeSelection::Single(range(0, 0))),
        ("bytes=0-0,5000-", RangeSelection::Single(range(0, 0))),
        (
            "bytes=0-99999999999999999999999",
            RangeSelection::Single(range(0, 999)),
        ),
        ("bytes=1000-", unsatisfiable.clone()),
        ("bytes=99999999999999999999999-", unsatisfiable.clone()),
        ("bytes=-0", unsatisfiable.clone()),
        ("bytes=-0,1000-", unsatisfiable),
    ] {
        assert_eq!(selected(value, 1000), expected, "{value}");
    }
}

#[test]
fn several_ranges_keep_their_order_and_must_not_overlap() {
    let several = |list: &[(u64, u64)]| {
        RangeSelection::Multiple(list.iter().map(|(a, b)| range(*a, *b)).collect())
    };
    let overlapping = RangeSelection::Whole(WholeReason::Overlapping);
    for (value, expected) in [
        ("bytes=0-0,-1", several(&[(0, 0), (999, 999)])),
        ("bytes=500-600, 0-99", several(&[(500, 600), (0, 99)])),
        ("bytes=0-99,100-199", several(&[(0, 99), (100, 199)])),
        ("bytes=0-99,99-199", RangeSelection::Single(range(0, 199))),
        ("bytes=0-,0-", RangeSelection::Single(range(0, 999))),
        ("bytes=5-6,0-999", RangeSelection::Single(range(0, 999))),
        ("bytes=9-9,5-6,0-5", several(&[(9, 9), (0, 6)])),
        ("bytes=0-,0-,0-", overlapping.clone()),
        ("bytes=0-9,20-29,5-6,25-26", overlapping),
    ] {
        assert_eq!(selected(value, 1000), expected, "{value}");
    }
    let many = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
        selected(&format!("bytes={}", list.join(",")), 1000)
    };
    assert!(matches!(many(RANGES_MAX), RangeSelection::Multiple(_)));
    assert_eq!(
        many(RANGES_MAX + 1),
        RangeSelection::Whole(WholeReason::TooMany)
    );
}

#[test]
fn what_cannot_be_honoured_gets_the_whole_content() {
    for (value, reason) in [
        ("items=0-5", WholeReason::UnitUnknown),
        ("bytes =0-5", WholeReason::UnitUnknown),
        ("bytes", WholeReason::Malformed),
        ("bytes=", WholeReason::Malformed),
        ("bytes=,", WholeReason::Malformed),
        ("bytes=-", WholeReason::Malformed),
        ("bytes=5", WholeReason::Malformed),
        ("bytes=5-4", WholeReason::Malformed),
        ("bytes=a-b", WholeReason::Malformed),
        ("bytes=0 - 5", WholeReason::Malformed),
        ("bytes=0-5-9", WholeReason::Malformed),
        ("bytes=+0-5", WholeReason::Malformed),
        ("bytes=--5", WholeReason::Malformed),
        ("bytes=0-1,x", WholeReason::Malformed),
        ("bytes=0x0-5", WholeReason::Malformed),
    ] {
        assert_eq!(
            selected(value, 1000),
            RangeSelection::Whole(reason),
            "{value}"
        );
    }
}

#[test]
fn empty_content_has_no_parts() {
    assert_eq!(selected("bytes=0-", 0), RangeSelection::Unsatisfiable);
    assert_eq!(
        selected("bytes=-5", 0),
        RangeSelection::Whole(WholeReason::ContentEmpty)
    );
}

#[test]
fn range_is_for_get_and_for_the_right_validator() {
    let whole = RangeSelection::Whole;
    let asked = fields(&[("range", "bytes=0-0")]);
    let get = Method::GET;
    let found = select_ranges(&Method::HEAD, &asked, true, 9);
    assert_eq!(found, whole(WholeReason::NotAsked));
    let found = select_ranges(&get, &fields(&[]), true, 9);
    assert_eq!(found, whole(WholeReason::NotAsked));
    let found = select_ranges(&get, &asked, false, 9);
    assert_eq!(found, whole(WholeReason::IfRangeDiffers));
    let twice = fields(&[("range", "bytes=0-0"), ("range", "bytes=0-0")]);
    let found = select_ranges(&get, &twice, true, 9);
    assert_eq!(found, whole(WholeReason::Malformed));
}

#[test]
fn content_range_is_read_strictly() {
    let part = |first, last, total| Some(ContentRange::Part(range(first, last), total));
    for (value, expected) in [
        ("bytes 0-4/10", part(0, 4, Some(10))),
        ("Bytes 0-9/10", part(0, 9, Some(10))),
        ("bytes 0-4/*", part(0, 4, None)),
        ("bytes */10", Some(ContentRange::Unsatisfied(10))),
        ("bytes 0-10/10", None),
        ("bytes 5-4/10", None),
        ("bytes */*", None),
        ("bytes 0-4", None),
        ("bytes=0-4/10", None),
        ("items 0-4/10", None),
        ("bytes 0-4/99999999999999999999", None),
        ("bytes -4/10", None),
        ("", None),
    ] {
        assert_eq!(parse_content_range(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(content_range_unsatisfied(7), "bytes */7");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        total in any::<u64>(),
    ) {
        let _ = parse_content_range(&bytes);
        if let Ok(specs) = parse(&bytes) {
            let _ = select(&specs, total);
        }
    }

    #[test]
    fn what_is_selected_lies_within_the_content(
        specs in "bytes=([0-9]{0,3}-[0-9]{0,3},?){1,5}",
        total in 0_u64..500,
    ) {
        let ranges = match selected(&specs, total) {
            RangeSelection::Single(range) => vec![range],
            RangeSelection::Multiple(ranges) => {
                prop_assert!(ranges.len() > 1);
                ranges.to_vec()
            }
            RangeSelection::Whole(_) | RangeSelection::Unsatisfiable => vec![],
        };
        let sum: u64 = ranges.iter().map(|range| range.len()).sum();
        prop_assert!(sum <= total);
        for range in ranges {
            prop_assert!(range.first <= range.last && range.last < total);
        }
    }

    #[test]
    fn content_range_round_trips(first in 0_u64..1 << 60, len in 1_u64..1 << 60, more in 0_u64..1 << 60) {
        let range = range(first, first + len - 1);
        let total = first + len + more;
        let value = content_range(range, total);
        prop_assert_eq!(
            parse_content_range(value.as_bytes()),
            Some(ContentRange::Part(range, Some(total)))
        );
        // Asking for just that part gives it.
        let asked = format!("bytes={}-{}", range.first, range.last);
        prop_assert_eq!(selected(&asked, total), RangeSelection::Single(range));
    }
}
