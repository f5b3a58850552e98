//! Records round trip; anything else is refused without a panic.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::testkit::{Kit, SECOND, kit, map};
use crate::{Begun, ResponseHead, ResponseTimes};

const RESPONSE: &[(&str, &str)] = &[
    ("cache-control", "max-age=60, must-revalidate, immutable"),
    ("etag", "\"a\""),
    ("last-modified", "Tue, 14 Nov 2023 00:00:00 GMT"),
    ("age", "7"),
    ("vary", "accept-language, x"),
    ("content-type", "text/plain"),
    ("surrogate-key", "one two"),
    ("cache-groups", "\"three\""),
    ("link", "</a>"),
    ("link", "</b>"),
];

const REQUEST: &[(&str, &str)] = &[("accept-language", "en"), ("x", "1")];

fn head(kit: &Kit, response: &[(&str, &str)]) -> StoredHead {
    let permit = kit.lead(&kit.key("/a"), REQUEST);
    match kit.try_begin(permit, REQUEST, response) {
        Begun::Filling(filling) => StoredHead::clone(&filling.head),
        Begun::Refused(reason) => panic!("refused: {reason:?}"),
    }
}

fn walls(kit: &Kit) -> Walls {
    Walls::new(kit.clock.clone())
}

fn assert_same(one: &StoredHead, other: &StoredHead) {
    assert_eq!(one.status(), other.status());
    assert_eq!(one.fields(), other.fields());
    assert_eq!(one.date(), other.date());
    assert_eq!(one.lifetime(), other.lifetime());
    assert_eq!(one.lifetime_source(), other.lifetime_source());
    assert_eq!(one.vary(), other.vary());
    assert!(one.is_same_variant(other));
    assert_eq!(one.surrogate_keys(), other.surrogate_keys());
    assert_eq!(one.made_by(), other.made_by());
    assert_eq!(one.site(), other.site());
    assert_eq!(one.sequence(), other.sequence());
    assert_eq!(one.validators(), other.validators());
}

#[test]
fn what_is_read_is_what_was_written_and_its_age_goes_on() {
    let kit = kit();
    let written = head(&kit, RESPONSE);
    let walls = walls(&kit);
    let bytes = encode(&written, 5, &walls).expect("short");
    kit.time.advance(20 * SECOND);
    let read = decode(&bytes, ReadAt::now(&walls)).expect("a record");
    assert_same(&written, &read.head);
    assert_eq!(read.head.cost(), written.cost());
    assert_eq!(read.content_length, 5);
    let now = kit.clock.now();
    assert_eq!(read.head.freshness(now), written.freshness(now));
    assert_eq!(read.head.age(now), 27 * SECOND);
    assert!(read.head.is_selected_by(&map(REQUEST)));
    assert!(!read.head.is_selected_by(&map(&[("x", "1")])));
}

#[test]
fn what_is_written_again_was_asked_for_as_long_ago() {
    let kit = kit();
    let walls = walls(&kit);
    let asked = kit.clock.wall();
    let mut bytes = encode(&head(&kit, RESPONSE), 5, &walls).expect("short");
    for _ in 0..3 {
        kit.time.advance(10 * SECOND);
        let read = decode(&bytes, ReadAt::now(&walls)).expect("a record");
        assert_eq!(read.sent_wall, Some(asked));
        bytes = encode(&read.head, 5, &walls).expect("short");
    }
}

#[test]
fn another_process_goes_by_the_wall_clock() {
    let kit = kit();
    let bytes = encode(&head(&kit, RESPONSE), 5, &walls(&kit)).expect("short");
    kit.time.advance(5 * SECOND);
    // The other process has been started since, and knows nothing of this one's clock.
    let other = walls(&kit);
    kit.time.advance(20 * SECOND);
    let read = decode(&bytes, ReadAt::now(&other)).expect("a record");
    assert_eq!(read.head.age(kit.clock.now()), 32 * SECOND);
}

#[test]
fn a_clock_that_went_back_makes_nothing_fresher() {
    let kit = kit();
    let walls_before = walls(&kit);
    let bytes = encode(&head(&kit, RESPONSE), 5, &walls_before).expect("short");
    kit.time.advance(20 * SECOND);
    kit.time.set_wall(kit.clock.wall() - 1000 * SECOND);
    // The process that wrote it knows better than the wall clock.
    let read = decode(&bytes, ReadAt::now(&walls_before)).expect("a record");
    assert_eq!(read.head.age(kit.clock.now()), 27 * SECOND);
    // One that was started after the clock was set cannot know the age.
    let after = walls(&kit);
    let refused = decode(&bytes, ReadAt::now(&after)).err();
    assert_eq!(refused, Some(RecordError::FromTheFuture));
    let tolerant = ReadAt {
        tolerance: 1000 * SECOND,
        ..ReadAt::now(&after)
    };
    assert!(decode(&bytes, tolerant).is_ok());
}

#[test]
fn what_is_written_after_the_clock_was_set_is_not_younger_for_it() {
    let kit = kit();
    let before = walls(&kit);
    let start = kit.clock.wall();
    kit.time.advance(10 * SECOND);
    // Forth by an hour: a response received now is written as of ten seconds after the start,
    // and the next process takes it for an hour old, which is safe.
    kit.time.set_wall(start + 3600 * SECOND);
    assert_eq!(before.of(kit.clock.now()), start + 10 * SECOND);
    assert_eq!(before.now(), start + 3600 * SECOND);
    // Back by an hour.
    kit.time.set_wall(start - 3600 * SECOND);
    assert_eq!(before.of(kit.clock.now()), start - 3600 * SECOND);
    assert_eq!(before.now(), start + 10 * SECOND);
}

#[test]
fn other_versions_and_formats_are_refused() {
    let kit = kit();
    let walls = walls(&kit);
    let bytes = encode(&head(&kit, RESPONSE), 5, &walls).expect("short");
    let at = ReadAt::now(&walls);
    let mut version = bytes.clone();
    version[3] += 1;
    let rows: [(&[u8], RecordError); 5] = [
        (b"", RecordError::Malformed),
        (b"VRH", RecordError::Version),
        (&version, RecordError::Version),
        (&bytes[..bytes.len() - 1], RecordError::Checksum),
        (&vec![0; HEAD_BYTES_MAX + 1], RecordError::TooLarge),
    ];
    for (bytes, expected) in rows {
        assert_eq!(decode(bytes, at).err(), Some(expected));
    }
}

#[test]
fn a_head_that_is_too_large_is_not_written() {
    let kit = kit();
    let long = "a".repeat(HEAD_BYTES_MAX);
    let head = head(&kit, &[("cache-control", "max-age=9"), ("x-long", &long)]);
    assert_eq!(
        encode(&head, 5, &walls(&kit)).err(),
        Some(RecordError::TooLarge)
    );
}

/// `bytes` with the checksum that fits to them, so that what stands behind it is tested.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - CHECKSUM_BYTES;
    let sum = checksum(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn at() -> (Kit, ReadAt) {
    let kit = kit();
    let at = ReadAt::now(&walls(&kit));
    (kit, at)
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (_kit, at) = at();
        let _ = decode(&bytes, at);
        let mut framed = MAGIC.to_vec();
        framed.push(VERSION);
        framed.extend_from_slice(&bytes);
        framed.extend_from_slice(&[0; CHECKSUM_BYTES]);
        let _ = decode(&sealed(framed), at);
    }

    #[test]
    fn a_changed_byte_is_refused(place in 0_usize..10_000, mask in 1_u8..) {
        let (kit, at) = at();
        let mut bytes = encode(&head(&kit, RESPONSE), 5, &walls(&kit)).expect("short");
        let place = place % bytes.len();
        bytes[place] ^= mask;
        prop_assert!(decode(&bytes, at).is_err());
        // Behind a checksum that fits it may be another record, but never a panic.
        let _ = decode(&sealed(bytes), at);
    }

    #[test]
    fn a_record_that_was_cut_is_refused(cut in 1_usize..10_000) {
        let (kit, at) = at();
        let mut bytes = encode(&head(&kit, RESPONSE), 5, &walls(&kit)).expect("short");
        let left = bytes.len() - 1 - cut % bytes.len().min(cut);
        bytes.truncate(left);
        prop_assert!(decode(&bytes, at).is_err());
    }

    #[test]
    fn any_fields_round_trip(
        values in proptest::collection::vec(("[a-z]{1,8}", "[ -~]{0,40}"), 0..12),
        status in 200_u16..999,
        age in 0_u64..1_000_000,
    ) {
        let kit = kit();
        let mut fields = map(&[("cache-control", "max-age=5")]);
        for (name, value) in &values {
            let name = http::HeaderName::from_bytes(format!("x-{name}").as_bytes());
            let value = http::HeaderValue::from_str(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                fields.append(name, value);
            }
        }
        let times = ResponseTimes::received_now(&kit.clock, kit.clock.now());
        let mut response = ResponseHead::new(
            StatusCode::from_u16(status).expect("in range"), &fields, times);
        response.initial_age = Duration::from_secs(age);
        let template = head(&kit, RESPONSE);
        let mut written = StoredHead {
            status: response.status,
            initial_age: response.initial_age,
            fields,
            ..template
        };
        written.date = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
        let walls = walls(&kit);
        let bytes = encode(&written, age, &walls).expect("short");
        let read = decode(&bytes, ReadAt::now(&walls)).expect("a record");
        assert_same(&written, &read.head);
        prop_assert_eq!(read.head.age(kit.clock.now()), written.age(kit.clock.now()));
    }
}
