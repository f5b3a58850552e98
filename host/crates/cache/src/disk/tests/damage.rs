//! What is damaged on disk is a miss, and never a wrong answer.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use super::super::*;
use super::FRESH;
use super::bench::bench;
use crate::disk::format::{Header, Kind};
use crate::testkit::{SECOND, pattern};
use crate::tier::Tier as _;

#[test]
fn a_byte_that_was_flipped_anywhere_is_a_miss_and_never_a_wrong_answer() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(200_000);
    bench.put(&tier, "/a", content.clone());
    drop(tier);
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).expect("readable");
    let places = (0..96)
        .step_by(5)
        .chain((96..700).step_by(29))
        .chain((700..whole.len()).step_by(19_973));
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&segment, &damaged).expect("writable");
        let tier = bench.start();
        let got = bench.got(&tier, "/a");
        assert!(got.is_err(), "{place}");
        // It is not asked for twice.
        assert_eq!(bench.got(&tier, "/a"), Err("miss"), "{place}");
        drop(tier);
        for left in bench.segments() {
            fs::remove_file(left).expect("removable");
        }
        fs::write(&segment, &whole).expect("writable");
    }
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Ok(content));
}

#[test]
fn a_torn_end_is_cut_and_what_stands_before_it_is_found() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(5000));
    let kept = bench.bytes_on_disk();
    bench.put(&tier, "/b", pattern(5000));
    let full = bench.bytes_on_disk();
    drop(tier);
    let segment = bench.segments().remove(0);
    for cut in [1, 4000, full - kept - 1] {
        let file = OpenOptions::new().write(true).open(&segment);
        file.and_then(|file| file.set_len(full - cut)).expect("cut");
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/a"), Ok(pattern(5000)));
        assert_eq!(bench.got(&tier, "/b"), Err("miss"));
        assert_eq!(fs::metadata(&segment).expect("there").len(), kept);
        bench.put(&tier, "/c", pattern(10));
        drop(tier);
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/c"), Ok(pattern(10)));
    }
}

#[test]
fn damage_behind_what_is_checked_ahead_ends_the_content() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(10 * 1024 * 1024);
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, content.clone());
    tier.save(&TierKey::of(&key), &stored);
    bench.flush(&tier);
    assert_eq!(bench.got(&tier, "/a"), Ok(content));
    let segment = bench.segments().remove(0);
    let file = OpenOptions::new().write(true).open(&segment).expect("open");
    file.write_all_at(b"damage", bench.bytes_on_disk() - 1000)
        .expect("written");
    assert_eq!(bench.got(&tier, "/a"), Err("cut"));
    // Who asks next gets it from elsewhere, also after a restart.
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    bench.put(&tier, "/a", pattern(10));
    drop(tier);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(10)));
}

#[test]
fn content_that_took_the_place_of_what_is_damaged_stays() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let content = pattern(10 * 1024 * 1024);
    let stored = bench.stored(&key, FRESH, content);
    tier.save(&TierKey::of(&key), &stored);
    bench.flush(&tier);
    let segment = bench.segments().remove(0);
    let file = OpenOptions::new().write(true).open(&segment).expect("open");
    file.write_all_at(b"damage", bench.bytes_on_disk() - 1000)
        .expect("written");
    let read_before = bench.ask(&tier, "/a");
    bench.put(&tier, "/a", pattern(20));
    assert_eq!(bench.content(read_before), Err("cut"));
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(20)));
}

#[test]
fn a_clock_that_went_back_empties_the_disk() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(10));
    drop(tier);
    let before = bench.kit.clock.wall();
    bench.kit.time.set_wall(before - 10 * SECOND);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.bytes_on_disk(), 0);
}

#[test]
fn lengths_that_cannot_be_are_no_record() {
    let bench = bench();
    let evil = TierKey::of(&bench.kit.key("/evil"));
    let header = |kind, head_len, content_len, segment| Header {
        kind,
        head_len,
        content_len,
        digest: *evil.digest(),
        uri: 1,
        variant: 2,
        segment,
        saved: 0,
        table_sum: 0,
    };
    // Each is sealed rightly, and says what cannot be.
    for (kind, head_len, content_len) in [
        (Kind::Whole, 10, u64::MAX),
        (Kind::Whole, 10, u64::MAX / 2),
        (Kind::Whole, u32::MAX, 10),
        (Kind::Whole, 0, 0),
        (Kind::Head, 0, u64::MAX),
        (Kind::Head, 10, 1 << 40),
    ] {
        let tier = bench.start();
        bench.put(&tier, "/a", pattern(5000));
        drop(tier);
        let segment = bench.segments().pop().expect("one");
        let name = segment.file_stem().and_then(|name| name.to_str());
        let id = u64::from_str_radix(name.expect("a name"), 16).expect("a number");
        let mut bytes = fs::read(&segment).expect("readable");
        bytes.extend_from_slice(&header(kind, head_len, content_len, id).to_bytes());
        bytes.extend_from_slice(&[7; 300]);
        fs::write(&segment, bytes).expect("writable");
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/a"), Ok(pattern(5000)));
        assert!(bench.got(&tier, "/evil").is_err());
        bench.put(&tier, "/b", pattern(10));
        assert_eq!(bench.got(&tier, "/b"), Ok(pattern(10)));
    }
}
