use std::time::UNIX_EPOCH;

use super::*;
use crate::testkit::map;

const TAG: (&str, &str) = ("etag", "\"a\"");
const WEAK: (&str, &str) = ("etag", "W/\"a\"");
const OTHER: (&str, &str) = ("etag", "\"b\"");
const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
const MADE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:38 GMT");
const MADE_AT_ONCE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[test]
fn pieces_combine_by_the_same_strong_validator_rfc_9111_3_4() {
    use Combination::{Combine, Replace};
    use ReplaceReason::{TotalDiffers, ValidatorDiffers, ValidatorWeak};
    type Fields = &'static [(&'static str, &'static str)];
    let rows: [(&str, Fields, Fields, Combination); 9] = [
        ("the same tag", &[TAG], &[TAG], Combine),
        ("another tag", &[TAG], &[OTHER], Replace(ValidatorDiffers)),
        ("weak tags", &[WEAK], &[WEAK], Replace(ValidatorWeak)),
        ("one weak tag", &[TAG], &[WEAK], Replace(ValidatorWeak)),
        ("no validator", &[], &[], Replace(ValidatorWeak)),
        (
            "the same strong date",
            &[MODIFIED, MADE],
            &[MODIFIED, MADE],
            Combine,
        ),
        (
            "a date that may hide a change",
            &[MODIFIED, MADE_AT_ONCE],
            &[MODIFIED, MADE],
            Replace(ValidatorWeak),
        ),
        (
            "a date does not help a weak tag",
            &[WEAK, MODIFIED, MADE],
            &[WEAK, MODIFIED, MADE],
            Replace(ValidatorWeak),
        ),
        (
            "a tag and a date",
            &[TAG, MODIFIED, MADE],
            &[MODIFIED, MADE],
            Replace(ValidatorDiffers),
        ),
    ];
    for (name, stored, new, expected) in rows {
        let (stored, new) = (map(stored), map(new));
        let decided = |total| decide_combination((&stored, Some(9)), (&new, total), now());
        assert_eq!(decided(Some(9)), expected, "{name}");
        if expected == Combine {
            assert_eq!(decided(Some(8)), Replace(TotalDiffers), "{name}");
        }
    }
}

#[test]
fn the_rest_is_asked_for_by_a_strong_validator_rfc_9110_13_1_5() {
    for (fields, expected) in [
        (vec![TAG], Some("\"a\"")),
        (vec![TAG, MODIFIED, MADE], Some("\"a\"")),
        (vec![WEAK], None),
        (vec![WEAK, MODIFIED, MADE], None),
        (vec![MODIFIED, MADE], Some(MODIFIED.1)),
        (vec![MODIFIED, MADE_AT_ONCE], None),
        (vec![MODIFIED], None),
        (vec![], None),
    ] {
        let value = if_range_value(&map(&fields), now());
        let value = value.as_ref().map(|value| value.to_str().expect("ASCII"));
        assert_eq!(value, expected, "{fields:?}");
    }
}

#[test]
fn a_206_is_read_strictly_rfc_9110_15_3_7() {
    const RANGE: (&str, &str) = ("content-range", "bytes 2-4/10");
    let part = |total| {
        let range = ByteRange { first: 2, last: 4 };
        Some(Part { range, total })
    };
    for (fields, expected) in [
        (vec![RANGE], part(Some(10))),
        (vec![("content-range", "bytes 2-4/*")], part(None)),
        (vec![RANGE, ("content-length", "3")], part(Some(10))),
        (vec![RANGE, ("content-length", "4")], None),
        (vec![RANGE, RANGE], None),
        (vec![], None),
        (vec![("content-range", "bytes */10")], None),
        (vec![("content-range", "items 2-4/10")], None),
        (
            vec![RANGE, ("content-type", "Multipart/ByteRanges; boundary=x")],
            None,
        ),
        (vec![RANGE, ("content-type", "multipart")], part(Some(10))),
    ] {
        let found = part_of(StatusCode::PARTIAL_CONTENT, &map(&fields));
        assert_eq!(found, expected, "{fields:?}");
    }
    assert_eq!(part_of(StatusCode::OK, &map(&[RANGE])), None);
}

#[test]
fn every_reason_has_a_word_and_a_section() {
    for reason in ReplaceReason::ALL {
        assert!(!reason.label().is_empty());
        assert!(reason.section().starts_with("RFC "));
    }
}
