//! Newer heads of content that is there: written without it, found with it, gone with it.

use std::fs;

use super::super::*;
use super::bench::{Bench, bench};
use super::{FRESH, MIB};
use crate::testkit::pattern;
use crate::tier::{Saved, Tier as _};

/// The same content under a newer head.
const NEWER: &[(&str, &str)] = &[
    ("cache-control", "max-age=900"),
    ("etag", "\"a\""),
    ("x-newer", "yes"),
];

impl Bench {
    fn put_with(&self, tier: &DiskTier, fields: &[(&str, &str)], content: Bytes) {
        let key = self.kit.key("/a");
        let stored = self.stored(&key, fields, content);
        assert_eq!(tier.save(&TierKey::of(&key), &stored), Saved::Queued);
        self.flush(tier);
    }

    /// Whether the newer head is found, and the content with it.
    fn found(&self, tier: &DiskTier) -> Result<(bool, Bytes), &'static str> {
        let answer = self.ask(tier, "/a");
        let is_newer = match &answer {
            TierAnswer::Hit(hit) => hit.recorded.head.fields().contains_key("x-newer"),
            TierAnswer::Miss(_) | TierAnswer::Off(_) => false,
        };
        self.content(answer).map(|content| (is_newer, content))
    }
}

#[test]
fn content_that_is_there_is_not_written_again() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(2_000_000);
    bench.put_with(&tier, FRESH, content.clone());
    let before = bench.bytes_on_disk();
    bench.put_with(&tier, NEWER, content.clone());
    assert!(bench.bytes_on_disk() < before + 1000);
    assert_eq!(bench.found(&tier), Ok((true, content.clone())));
    assert_eq!(tier.stats().records, 1);
    drop(tier);
    let tier = bench.start();
    assert_eq!(tier.stats().records, 1);
    assert_eq!(bench.found(&tier), Ok((true, content.clone())));
    // And once more, on top of the newer head.
    bench.put_with(&tier, FRESH, content.clone());
    assert!(bench.bytes_on_disk() < before + 2000);
    assert_eq!(bench.found(&tier), Ok((false, content)));
}

#[test]
fn other_content_of_the_same_length_is_written() {
    let bench = bench();
    let tier = bench.start();
    bench.put_with(&tier, FRESH, pattern(100_000));
    let mut other = pattern(100_000).to_vec();
    other[99_999] ^= 1;
    bench.put_with(&tier, NEWER, other.clone().into());
    assert_eq!(bench.found(&tier), Ok((true, other.into())));
    assert!(bench.bytes_on_disk() > 200_000);
}

#[test]
fn newer_head_stays_with_its_content_when_segments_go() {
    let bench = bench();
    let (tier, _) = bench.start_with(DiskSettings {
        size: 4 * MIB,
        ..bench.settings()
    });
    let content = pattern(60_000);
    bench.put_with(&tier, FRESH, content.clone());
    for number in 0..200 {
        bench.put(&tier, &format!("/{number}"), pattern(60_000));
        if number % 10 == 0 {
            bench.put_with(&tier, NEWER, content.clone());
        }
        // Whatever was evicted meanwhile: the newer head, and the whole content.
        assert_eq!(bench.found(&tier), Ok((true, content.clone())), "{number}");
        assert!(bench.bytes_on_disk() <= 4 * MIB);
    }
    assert!(tier.stats().evicted > 0);
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.found(&tier), Ok((true, content)));
}

#[test]
fn newer_head_without_its_content_is_nothing() {
    let bench = bench();
    let tier = bench.start();
    bench.put_with(&tier, FRESH, pattern(900_000));
    // The next record begins another segment.
    bench.put(&tier, "/b", pattern(900_000));
    bench.put_with(&tier, NEWER, pattern(900_000));
    assert!(bench.found(&tier).is_ok_and(|(is_newer, _)| is_newer));
    drop(tier);
    let segments = bench.segments();
    assert!(segments.len() > 1, "{segments:?}");
    fs::remove_file(&segments[0]).expect("removable");
    let tier = bench.start();
    assert_eq!(bench.found(&tier), Err("miss"));
    assert_eq!(bench.got(&tier, "/b"), Ok(pattern(900_000)));
}

#[test]
fn damaged_link_of_a_newer_head_brings_no_older_one_back() {
    let bench = bench();
    let tier = bench.start();
    bench.put_with(&tier, FRESH, pattern(70_000));
    bench.put_with(&tier, NEWER, pattern(70_000));
    drop(tier);
    let segment = bench.segments().remove(0);
    let mut damaged = fs::read(&segment).expect("readable");
    // The link stands at the end.
    *damaged.last_mut().expect("not empty") ^= 0x10;
    fs::write(&segment, &damaged).expect("writable");
    let tier = bench.start();
    assert_eq!(bench.found(&tier), Err("miss"));
    assert_eq!(tier.stats().records, 0);
}

#[test]
fn damaged_newer_head_is_a_miss_and_never_a_wrong_answer() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(70_000);
    bench.put_with(&tier, FRESH, content.clone());
    let base = usize::try_from(bench.bytes_on_disk()).expect("small");
    bench.put_with(&tier, NEWER, content.clone());
    drop(tier);
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).expect("readable");
    for place in (base..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&segment, &damaged).expect("writable");
        let tier = bench.start();
        match bench.found(&tier) {
            // Where the head cannot be followed to, the older one stands as it did.
            Ok((is_newer, found)) => {
                assert!(!is_newer, "{place}");
                assert_eq!(found, content, "{place}");
            }
            Err(label) => assert_ne!(label, "cut", "{place}"),
        }
        drop(tier);
        for left in bench.segments() {
            fs::remove_file(left).expect("removable");
        }
        fs::write(&segment, &whole).expect("writable");
    }
    let tier = bench.start();
    assert_eq!(bench.found(&tier), Ok((true, content)));
}
