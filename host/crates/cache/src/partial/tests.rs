//! Pieces through the cache itself, against a reference that holds one flag for each byte.

use bytes::Bytes;
use http::{Method, StatusCode};
use proptest::prelude::*;
use verge_http::range::{ByteRange, content_range};

use super::*;
use crate::policy::{RequestFacts, RoutePolicy, StorageFacts};
use crate::testkit::{Kit, content, kit, map, push};
use crate::{Begun, FillStart, Finished, Key, ResponseHead};

const SIZE: u64 = 48;

fn bytes(range: ByteRange, tag: u8) -> Bytes {
    (range.first..=range.last)
        .map(|at| at as u8 ^ (tag << 6))
        .collect()
}

/// What the origin's answer to a request for a part comes to.
fn fill_piece(kit: &Kit, key: &Key, range: ByteRange, tag: u8) -> Finished {
    fill_piece_by(kit, key, range, tag, None)
}

/// The same, with the functions that had a part in it.
fn fill_piece_by(
    kit: &Kit,
    key: &Key,
    range: ByteRange,
    tag: u8,
    made_by: Option<&str>,
) -> Finished {
    let (etag, said) = (format!("\"{tag}\""), content_range(range, SIZE));
    let fields = map(&[
        ("cache-control", "max-age=60"),
        ("etag", &etag),
        ("content-range", said.to_str().expect("ASCII")),
    ]);
    let asked = said.as_bytes();
    let permit = kit.alone(&kit.cache.range_key(key, asked, None), &[]);
    let head = ResponseHead::new(StatusCode::PARTIAL_CONTENT, &fields, permit.received_now());
    let (request, route) = (map(&[]), RoutePolicy::default());
    let decided = decide_partial_storage(&StorageFacts {
        request: RequestFacts::of(&Method::GET, &request, false),
        status: head.status,
        fields: &fields,
        received_wall: head.times.received_wall,
        initial_age: head.initial_age,
        route: &route,
    });
    let PartialStorage::Store(part, plan) = decided else {
        panic!("not storable: {decided:?}");
    };
    let target = FillTarget::Piece {
        whole: key.clone(),
        request: request.clone(),
        part,
    };
    let start = FillStart {
        response: head,
        plan,
        request: &request,
        route: &route,
        made_by: made_by.map(Into::into),
    };
    let Begun::Filling(mut filling) = permit.begin_into(start, target) else {
        panic!("refused");
    };
    push(&mut filling.writer, bytes(range, tag)).expect("there is a reader");
    filling.writer.finish(None).expect("no length was promised")
}

fn range(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

proptest! {
    #[test]
    fn what_is_stored_is_what_came_of_one_representation_rfc_9111_3_4(
        pieces in proptest::collection::vec((0..SIZE, 1..20_u64, 0..8_u8), 1..14),
    ) {
        let kit = kit();
        let key = kit.key("/a");
        // The validator of what is stored, and which of its bytes are.
        let mut model: Option<(u8, [bool; SIZE as usize])> = None;
        for (first, len, kind) in pieces {
            let tag = u8::from(kind == 0);
            let piece = range(first, (first + len - 1).min(SIZE - 1));
            let finished = fill_piece(&kit, &key, piece, tag);
            let mut held = match model {
                Some((known, held)) if known == tag => held,
                _ => [false; SIZE as usize],
            };
            for at in piece.first..=piece.last {
                held[at as usize] = true;
            }
            let is_complete = held.iter().all(|held| *held);
            model = (!is_complete).then_some((tag, held));
            let incomplete = kit.cache.lookup_incomplete(&key, &map(&[]));
            if is_complete {
                prop_assert!(incomplete.is_none());
                let Finished::StoredWhole(place, _) = finished else {
                    panic!("not stored whole: {finished:?}");
                };
                prop_assert_eq!(&place, &key);
                let whole = kit.selected(&key, &[]).expect("it is complete");
                prop_assert_eq!(whole.head().status(), StatusCode::OK);
                prop_assert_eq!(&whole.head().fields()["content-length"], &SIZE.to_string());
                prop_assert!(!whole.head().fields().contains_key("content-range"));
                prop_assert_eq!(content(whole.body()), bytes(range(0, SIZE - 1), tag));
                // The next pieces are of a response that is not there.
                kit.cache.invalidate(&key);
                continue;
            }
            prop_assert!(kit.selected(&key, &[]).is_none(), "a piece is no whole");
            let stored = incomplete.expect("pieces are stored");
            for first in 0..SIZE {
                for last in first..SIZE {
                    let asked = range(first, last);
                    let expected = (first..=last).all(|at| held[at as usize]);
                    let found = stored.part(asked).map(content);
                    prop_assert_eq!(found, expected.then(|| bytes(asked, tag).to_vec()));
                }
            }
        }
    }
}

#[test]
fn a_purge_takes_pieces_along() {
    let kit = kit();
    let key = kit.key("/a");
    let found = || kit.cache.lookup_incomplete(&key, &map(&[]));
    fill_piece(&kit, &key, range(0, 4), 0);
    assert!(found().is_some());
    kit.cache.invalidate(&key);
    assert!(found().is_none());
    // What came before is not put together with what comes after.
    fill_piece(&kit, &key, range(5, 9), 0);
    let stored = found().expect("a piece");
    let ranges = stored.pieces().expect("incomplete").extents().ranges();
    assert_eq!(ranges, [range(5, 9)]);
}

#[test]
fn pieces_are_counted_and_given_back() {
    let kit = kit();
    let key = kit.key("/a");
    fill_piece(&kit, &key, range(0, 4), 0);
    assert!(kit.cache.stats().bytes > 5);
    let stored = kit.cache.lookup_incomplete(&key, &map(&[]));
    let stored = stored.expect("a piece");
    kit.cache.remove_incomplete(&key, &stored);
    drop(stored);
    assert_eq!(kit.cache.stats().bytes, 0);
}

/// RFC 9111 3.3: what has come of a response that was cut is an incomplete response, if the
/// rest can be asked for.
#[test]
fn the_beginning_of_what_was_cut_is_kept_if_it_can_be_completed() {
    const LENGTH: (&str, &str) = ("content-length", "10");
    const FRESH: (&str, &str) = ("cache-control", "max-age=60");
    const TAG: (&str, &str) = ("etag", "\"a\"");
    for (name, response, is_kept) in [
        ("a strong tag and a length", vec![FRESH, LENGTH, TAG], true),
        ("no validator", vec![FRESH, LENGTH], false),
        (
            "a weak tag",
            vec![FRESH, LENGTH, ("etag", "W/\"a\"")],
            false,
        ),
        ("no length", vec![FRESH, TAG], false),
    ] {
        let kit = kit();
        let key = kit.key("/a");
        let permit = kit.lead(&key, &[]);
        let mut filling = kit.begin(permit, &[], &response);
        push(&mut filling.writer, "01234".into()).expect("there is a reader");
        let cut = verge_http::failure::OriginFault::ResponseIncomplete;
        filling.writer.abort(verge_http::Failure::responding(cut));
        assert!(kit.selected(&key, &[]).is_none(), "{name}");
        let stored = kit.cache.lookup_incomplete(&key, &map(&[]));
        assert_eq!(stored.is_some(), is_kept, "{name}");
        if let Some(stored) = stored {
            let part = stored.part(range(1, 4)).map(content);
            assert_eq!(part.as_deref(), Some(&b"1234"[..]), "{name}");
            assert!(stored.part(range(4, 5)).is_none(), "{name}");
            let pieces = stored.pieces().expect("incomplete");
            assert_eq!(pieces.total(), Some(10), "{name}");
        }
    }
}

#[test]
fn functions_of_every_piece_are_named() {
    let kit = kit();
    let key = kit.key("/a");
    let names = |stored: &crate::StoredResponse| {
        let names = stored.head().made_by().expect("functions had a part");
        names.to_string()
    };
    fill_piece_by(&kit, &key, range(0, 9), 0, Some("f@1"));
    fill_piece_by(&kit, &key, range(10, 19), 0, Some("f@2"));
    let pieces = kit.cache.lookup_incomplete(&key, &map(&[]));
    assert_eq!(names(&pieces.expect("they are stored")), "f@1 f@2");
    fill_piece_by(&kit, &key, range(20, SIZE - 1), 0, Some("f@2"));
    let whole = kit.selected(&key, &[]).expect("it is complete");
    assert_eq!(names(&whole), "f@1 f@2");
}
