use bytes::Bytes;
use futures_util::FutureExt;
use http_body::Body as _;
use http_body_util::BodyExt;
use verge_http::Failure;
use verge_http::failure::{NodeFault, OriginFault};

use crate::policy::RefuseReason;
use crate::testkit::*;
use crate::{Filling, Finished, Stopped};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const CHUNK: usize = 64 * 1024;

fn begin(kit: &Kit, response: &[(&str, &str)]) -> Filling {
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    kit.begin(permit, &[], response)
}

#[test]
fn reader_gets_content_while_it_arrives() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    assert_eq!(read(&mut filling.reader), (vec![], None));
    push(&mut filling.writer, "ab".into()).expect("it can be stored");
    assert_eq!(read(&mut filling.reader), (b"ab".to_vec(), None));
    push(&mut filling.writer, "cd".into()).expect("it can be stored");
    filling.writer.finish(None).expect("complete");
    assert_eq!(read(&mut filling.reader), (b"cd".to_vec(), Some(Ok(()))));
    assert!(filling.reader.is_end_stream());
}

#[test]
fn reader_that_waits_is_woken() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    let waker = futures_util::task::noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut reader = std::pin::pin!(async move { filling.reader.frame().await });
    assert!(reader.as_mut().poll_unpin(&mut context).is_pending());
    push(&mut filling.writer, "x".into()).expect("it can be stored");
    assert!(reader.as_mut().poll_unpin(&mut context).is_ready());
}

#[test]
fn content_in_small_pieces_is_stored_in_few_segments() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    let content = pattern(100_000);
    for piece in content.chunks(37) {
        push(&mut filling.writer, Bytes::copy_from_slice(piece)).expect("it can be stored");
    }
    let (first, _) = read(&mut filling.reader);
    assert_eq!(first, content);
    let Ok(Finished::Stored(response)) = filling.writer.finish(None) else {
        panic!("not stored");
    };
    // Two segments of at most 64 KiB, of 37-byte pieces nothing is left.
    assert!(response.cost() < 112 * 1024, "{}", response.cost());
    assert_eq!(super::super::testkit::content(response.body()), content);
}

#[test]
fn a_small_response_is_one_segment_however_it_came() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    for piece in ["a", "b", "c"] {
        push(&mut filling.writer, piece.into()).expect("it can be stored");
    }
    let Ok(Finished::Stored(response)) = filling.writer.finish(None) else {
        panic!("not stored");
    };
    assert!(matches!(response.body(), verge_http::Body::Full(_)));
}

#[test]
fn trailers_reach_readers_and_are_not_stored() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    push(&mut filling.writer, "a".into()).expect("it can be stored");
    let trailers = map(&[("x-sum", "1")]);
    filling
        .writer
        .finish(Some(trailers.clone()))
        .expect("complete");
    assert!(!filling.reader.is_end_stream());
    let collected = filling.reader.collect().now_or_never().expect("complete");
    let collected = collected.expect("no failure");
    assert_eq!(collected.trailers(), Some(&trailers));
    let stored = kit.selected(&kit.key("/a"), &[]).expect("stored");
    assert_eq!(content(stored.body()), b"a");
}

#[test]
fn a_client_that_goes_away_does_not_end_a_fill_that_can_be_stored() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    drop(filling.reader);
    push(&mut filling.writer, "abc".into()).expect("it can be stored");
    assert!(matches!(
        filling.writer.finish(None),
        Ok(Finished::Stored(_))
    ));
    assert!(kit.selected(&kit.key("/a"), &[]).is_some());
}

#[test]
fn truncated_content_is_not_stored_and_readers_are_told() {
    let kit = kit();
    let mut filling = begin(
        &kit,
        &[("cache-control", "max-age=60"), ("content-length", "5")],
    );
    assert_eq!(filling.reader.size_hint().exact(), Some(5));
    push(&mut filling.writer, "abc".into()).expect("it can be stored");
    let failure = Failure::responding(OriginFault::ResponseIncomplete);
    assert_eq!(filling.writer.finish(None).err(), Some(failure));
    let (content, end) = read(&mut filling.reader);
    assert_eq!((content.as_slice(), end), (&b"abc"[..], Some(Err(failure))));
    assert!(kit.selected(&kit.key("/a"), &[]).is_none());
}

#[test]
fn content_beyond_its_length_fails_the_fill() {
    let kit = kit();
    let mut filling = begin(
        &kit,
        &[("cache-control", "max-age=60"), ("content-length", "2")],
    );
    let failure = Failure::responding(OriginFault::ResponseMalformed);
    assert_eq!(
        push(&mut filling.writer, "abc".into()),
        Err(Stopped::Failed(failure))
    );
    assert_eq!(read(&mut filling.reader).1, Some(Err(failure)));
    drop(filling.writer);
    assert!(kit.selected(&kit.key("/a"), &[]).is_none());
}

#[test]
fn an_aborted_or_dropped_fill_is_not_stored() {
    let kit = kit();
    let key = kit.key("/a");
    for is_dropped in [true, false] {
        let mut filling = begin(&kit, FRESH);
        push(&mut filling.writer, "abc".into()).expect("it can be stored");
        let expected = if is_dropped {
            drop(filling.writer);
            Failure::Node(NodeFault::FillAbandoned)
        } else {
            let failure = Failure::responding(OriginFault::ConnectionReadTimeout);
            filling.writer.abort(failure);
            failure
        };
        assert_eq!(
            read(&mut filling.reader),
            (b"abc".to_vec(), Some(Err(expected)))
        );
        assert_eq!(read(&mut filling.reader), (vec![], Some(Ok(()))));
        assert!(kit.selected(&key, &[]).is_none());
        assert_eq!(kit.cache.inner().flights.flights(), 0);
    }
    assert_eq!(kit.cache.stats().fills_in_progress, 0);
}

/// Pushes chunks as long as the writer takes them, reading from nobody; the
/// chunk at which it would wait is lost, and so is the writer after that.
fn push_until_it_waits(filling: &mut Filling, chunks: usize) -> usize {
    let mut taken = 0;
    while taken < chunks {
        match try_push(&mut filling.writer, pattern(CHUNK)) {
            Some(Ok(())) => taken += 1,
            Some(Err(stopped)) => panic!("{stopped:?}"),
            None => break,
        }
    }
    taken
}

#[test]
fn past_the_object_limit_the_writer_waits_for_the_furthest_reader() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    // 1 MiB is kept; the window begins when nothing is ahead of the reader
    // by more than half of it, so the writer waits at once.
    assert_eq!(push_until_it_waits(&mut filling, 100), 16);
    let (content, end) = read(&mut filling.reader);
    assert_eq!((content.len(), end), (16 * CHUNK, None));
    // Half the window of 256 KiB.
    assert_eq!(push_until_it_waits(&mut filling, 100), 2);
    assert!(kit.cache.stats().bytes <= 3 * 64 * KIB + 8 * KIB);
    assert_eq!(kit.cache.stats().fills_given_up, 1);
}

#[test]
fn a_lone_slow_reader_is_never_cut() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    let (mut written, mut received) = (0, 0);
    for _ in 0..200 {
        match try_push(&mut filling.writer, pattern(CHUNK)) {
            Some(Ok(())) => written += CHUNK,
            Some(Err(stopped)) => panic!("{stopped:?}"),
            None => {
                let frame = filling.reader.frame().now_or_never().expect("data waits");
                let data = frame.expect("not over").expect("not cut").into_data();
                received += data.expect("data").len();
            }
        }
    }
    assert!(written > received && received > 0);
    let finished = filling.writer.finish(None).expect("complete");
    assert!(matches!(
        finished,
        Finished::Passed(RefuseReason::ObjectTooLarge)
    ));
    let (rest, end) = read(&mut filling.reader);
    assert_eq!((received + rest.len(), end), (written, Some(Ok(()))));
}

#[test]
fn a_reader_that_falls_out_of_the_window_is_cut_and_others_read_on() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut slow = kit.follow(&key, &[]);
    let mut filling = kit.begin(permit, &[], FRESH);
    let Some(crate::Followed::Filling {
        reader: mut slow, ..
    }) = wait(&mut slow, &[])
    else {
        panic!("did not follow");
    };
    let mut received = 0;
    for _ in 0..40 {
        push(&mut filling.writer, pattern(CHUNK)).expect("the fast one reads");
        received += read(&mut filling.reader).0.len();
    }
    assert_eq!(received, 40 * CHUNK);
    let too_slow = Failure::Node(NodeFault::ReaderTooSlow);
    assert_eq!(read(&mut slow), (vec![], Some(Err(too_slow))));
    assert!(kit.cache.stats().bytes < 256 * KIB);
    filling.writer.finish(None).expect("complete");
    assert_eq!(read(&mut filling.reader).1, Some(Ok(())));
}

#[test]
fn a_reader_within_the_window_is_not_cut() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut second = kit.follow(&key, &[]);
    let mut filling = kit.begin(permit, &[], FRESH);
    let Some(crate::Followed::Filling {
        reader: mut second, ..
    }) = wait(&mut second, &[])
    else {
        panic!("did not follow");
    };
    let mut received = 0;
    for _ in 0..40 {
        // The second reader is one chunk behind all the time.
        push(&mut filling.writer, pattern(CHUNK)).expect("the fast one reads");
        let frame = second.frame().now_or_never().expect("data is there");
        received += frame
            .expect("not over")
            .expect("not cut")
            .into_data()
            .expect("data")
            .len();
        read(&mut filling.reader);
    }
    assert_eq!(received, 40 * CHUNK);
}

#[test]
fn the_writer_stops_when_nobody_reads_what_cannot_be_stored() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    drop(filling.reader);
    for _ in 0..16 {
        push(&mut filling.writer, pattern(CHUNK)).expect("it can still be stored");
    }
    assert_eq!(
        push(&mut filling.writer, pattern(1)),
        Err(Stopped::NoReaders)
    );
}

#[test]
fn a_writer_that_waits_is_woken_when_its_reader_goes() {
    let kit = kit();
    let mut filling = begin(&kit, FRESH);
    let waker = futures_util::task::noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut push = std::pin::pin!(filling.writer.push(pattern(32 * CHUNK)));
    assert!(push.as_mut().poll(&mut context).is_pending());
    drop(filling.reader);
    assert_eq!(
        push.as_mut().poll(&mut context),
        std::task::Poll::Ready(Err(Stopped::NoReaders))
    );
}

#[test]
fn content_known_to_be_too_large_is_refused_before_it_begins() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiter = kit.follow(&key, &[]);
    let response = [
        ("cache-control", "max-age=60"),
        ("content-length", "1048577"),
    ];
    let begun = kit.try_begin(permit, &[], &response);
    assert!(matches!(
        begun,
        crate::Begun::Refused(RefuseReason::ObjectTooLarge)
    ));
    let released = crate::Released::Refused(RefuseReason::ObjectTooLarge);
    assert!(matches!(
        wait(&mut waiter, &[]),
        Some(crate::Followed::Released(found)) if found == released
    ));
}

#[test]
fn without_memory_content_passes_piece_by_piece() {
    let kit = kit_with(crate::CacheSettings {
        max_object: 64 * KIB,
        ..crate::CacheSettings::with_memory(128 * KIB)
    });
    let mut filling = begin(&kit, FRESH);
    let hog = kit
        .cache
        .inner()
        .ledger
        .try_reserve(120 * KIB)
        .expect("room");
    push(&mut filling.writer, pattern(16 * 1024)).expect("passes");
    assert!(try_push(&mut filling.writer, pattern(16 * 1024)).is_none());
    assert_eq!(read(&mut filling.reader).0.len(), 16 * 1024);
    push(&mut filling.writer, pattern(16 * 1024)).expect("passes");
    let finished = filling.writer.finish(None).expect("complete");
    assert!(matches!(
        finished,
        Finished::Passed(RefuseReason::MemoryExhausted)
    ));
    assert!(kit.cache.stats().ledger_refusals > 0);
    drop(hog);
}
