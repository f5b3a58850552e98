use verge_http::Failure;
use verge_http::cache_control::RequestDirectives;
use verge_http::failure::OriginFault;

use crate::policy::RefuseReason;
use crate::testkit::*;
use crate::*;

mod interleaving;
mod validation;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[test]
fn one_leads_and_all_others_get_the_same_content() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiters: Vec<_> = (0..50).map(|_| kit.follow(&key, &[])).collect();
    assert!(wait(&mut waiters[0], &[]).is_none(), "nothing has come yet");
    let mut filling = kit.begin(permit, &[], FRESH);
    push(&mut filling.writer, "first ".into()).expect("it can be stored");
    let mut readers: Vec<_> = waiters
        .iter_mut()
        .map(|waiter| match wait(waiter, &[]) {
            Some(Followed::Filling { reader, .. }) => reader,
            other => panic!("{other:?}"),
        })
        .collect();
    // One comes late, one reads early, one goes away.
    let mut late = kit.follow(&key, &[]);
    assert_eq!(read(&mut readers[7]).0, b"first ");
    drop(readers.pop());
    push(&mut filling.writer, "second".into()).expect("it can be stored");
    let Some(Followed::Filling { reader, .. }) = wait(&mut late, &[]) else {
        panic!("the late one did not follow");
    };
    readers.push(reader);
    filling.writer.finish(None).expect("complete");
    for (index, reader) in readers.iter_mut().enumerate() {
        let expected: &[u8] = if index == 7 {
            b"second"
        } else {
            b"first second"
        };
        assert_eq!(read(reader), (expected.to_vec(), Some(Ok(()))));
    }
    assert_eq!(kit.cache.stats().collapsed, 51);
}

#[test]
fn a_second_leader_does_not_fit_between_the_end_of_a_fill_and_a_lookup() {
    let kit = kit();
    let key = kit.key("/a");
    // The request looked and found nothing; then the fill ended.
    assert!(kit.selected(&key, &[]).is_none());
    kit.store(&key, &[], FRESH, &"abc".into());
    let Join::Arrived(response) = kit.join(&key, &[]) else {
        panic!("leads although it is stored");
    };
    assert_eq!(content(response.body()), b"abc");
    assert_eq!(kit.cache.inner().flights.flights(), 0);
}

#[test]
fn an_outcome_that_is_not_stored_releases_all_and_leaves_a_marker_for_a_while() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiters: Vec<_> = (0..20).map(|_| kit.follow(&key, &[])).collect();
    permit.refuse(RefuseReason::Private);
    for waiter in &mut waiters {
        assert!(matches!(
            wait(waiter, &[]),
            Some(Followed::Released(Released::Refused(RefuseReason::Private)))
        ));
    }
    for _ in 0..3 {
        assert!(matches!(
            kit.join(&key, &[]),
            Join::Alone(_, AloneReason::Marker)
        ));
    }
    assert!(matches!(kit.join(&kit.key("/b"), &[]), Join::Leader(_)));
    assert_eq!(kit.cache.stats().uncollapsible, 1);
    kit.time.advance(kit.cache.settings().uncollapsible_for);
    assert!(matches!(kit.join(&key, &[]), Join::Leader(_)));
}

#[test]
fn a_response_that_is_stored_takes_the_marker_away() {
    let kit = kit();
    let key = kit.key("/a");
    kit.lead(&key, &[]).refuse(RefuseReason::NoStore);
    let Join::Alone(permit, AloneReason::Marker) = kit.join(&key, &[]) else {
        panic!("no marker");
    };
    let filling = kit.begin(permit, &[], FRESH);
    filling.writer.finish(None).expect("complete");
    assert_eq!(kit.cache.stats().uncollapsible, 0);
    assert!(kit.selected(&key, &[]).is_some());
}

#[test]
fn markers_are_bounded() {
    let kit = kit_with(CacheSettings {
        uncollapsible_max: 64,
        ..CacheSettings::with_memory(MIB)
    });
    for n in 0..1000 {
        let key = kit.key(&format!("/{n}"));
        kit.lead(&key, &[]).refuse(RefuseReason::NoStore);
    }
    let marked = kit.cache.stats().uncollapsible;
    assert!(marked > 0 && marked <= 64, "{marked}");
    kit.time.advance(kit.cache.settings().uncollapsible_for);
    for n in 0..1000 {
        let key = kit.key(&format!("/{n}"));
        assert!(matches!(kit.join(&key, &[]), Join::Leader(_)));
    }
}

#[test]
fn a_failure_releases_all_at_once_and_the_next_request_leads() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiters: Vec<_> = (0..20).map(|_| kit.follow(&key, &[])).collect();
    let failure = Failure::unsent(OriginFault::ConnectionRefused);
    permit.fail(failure);
    for waiter in &mut waiters {
        assert!(matches!(
            wait(waiter, &[]),
            Some(Followed::Released(Released::Failed(found))) if found == failure
        ));
    }
    assert!(matches!(kit.join(&key, &[]), Join::Leader(_)));
}

#[test]
fn a_dropped_permit_releases_all_that_wait() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let (mut a, mut b) = (kit.follow(&key, &[]), kit.follow(&key, &[]));
    drop(permit);
    for waiter in [&mut a, &mut b] {
        assert!(matches!(
            wait(waiter, &[]),
            Some(Followed::Released(Released::Abandoned))
        ));
    }
    assert_eq!(kit.cache.inner().flights.flights(), 0);
}

#[test]
fn a_dropped_wait_leaves_the_others_alone() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let (mut gone, mut stays) = (kit.follow(&key, &[]), kit.follow(&key, &[]));
    assert!(wait(&mut gone, &[]).is_none());
    drop(gone);
    let _filling = kit.begin(permit, &[], FRESH);
    assert!(matches!(
        wait(&mut stays, &[]),
        Some(Followed::Filling { .. })
    ));
}

#[test]
fn a_follower_of_another_variant_goes_its_own_way() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[("accept-language", "en")]);
    let english = [("accept-language", "en")];
    let german = [("accept-language", "de")];
    let (mut same, mut other) = (kit.follow(&key, &english), kit.follow(&key, &german));
    let (mut other_too, response) = (
        kit.follow(&key, &german),
        [("cache-control", "max-age=60"), ("vary", "accept-language")],
    );
    let filling = kit.begin(permit, &english, &response);
    assert!(matches!(
        wait(&mut same, &english),
        Some(Followed::Filling { .. })
    ));
    let fields = map(&german);
    let mut seeker = Seeker {
        key: &key,
        fields: &fields,
        directives: &RequestDirectives::default(),
        seen: None,
        hint: None,
    };
    let Some(Followed::VariantDiffers(hint)) = wait(&mut other, &german) else {
        panic!("was given another variant");
    };
    seeker.hint = Some(hint);
    let Join::Leader(_german) = kit.cache.join(&seeker) else {
        panic!("the first of its variant leads");
    };
    let Some(Followed::VariantDiffers(hint)) = wait(&mut other_too, &german) else {
        panic!("was given another variant");
    };
    seeker.hint = Some(hint);
    assert!(matches!(kit.cache.join(&seeker), Join::Follower(_)));
    drop(filling);
}

#[test]
fn known_variants_are_collapsed_each_for_itself() {
    let kit = kit();
    let key = kit.key("/a");
    let response = [("cache-control", "max-age=60"), ("vary", "accept-language")];
    kit.store(&key, &[("accept-language", "en")], &response, &"en".into());
    let _german = kit.lead(&key, &[("accept-language", "de")]);
    let _french = kit.lead(&key, &[("accept-language", "fr")]);
    let _follows = kit.follow(&key, &[("accept-language", "de")]);
}

#[test]
fn a_response_that_is_stale_on_arrival_is_stored_but_not_shared() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut waiter = kit.follow(&key, &[]);
    let filling = kit.begin(
        permit,
        &[],
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
    );
    assert!(matches!(
        wait(&mut waiter, &[]),
        Some(Followed::Released(Released::NotFresh))
    ));
    filling.writer.finish(None).expect("complete");
    assert!(kit.selected(&key, &[]).is_some());
    assert!(matches!(
        kit.join(&key, &[]),
        Join::Alone(_, AloneReason::Marker)
    ));
}

#[test]
fn directives_of_a_request_hold_for_what_it_follows() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let choosy = [("cache-control", "min-fresh=100")];
    let mut waiter = kit.follow(&key, &choosy);
    assert!(matches!(
        kit.join(&key, &[("cache-control", "no-cache")]),
        Join::Alone(_, AloneReason::Directives)
    ));
    let _filling = kit.begin(permit, &[], FRESH);
    assert!(matches!(
        wait(&mut waiter, &choosy),
        Some(Followed::Released(Released::Directives))
    ));
}

#[test]
fn past_the_object_limit_requests_do_not_follow_any_more() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut early = kit.follow(&key, &[]);
    let mut filling = kit.begin(permit, &[], FRESH);
    for _ in 0..17 {
        push(&mut filling.writer, pattern(64 * 1024)).expect("it is read");
        read(&mut filling.reader);
    }
    assert!(matches!(
        kit.join(&key, &[]),
        Join::Alone(_, AloneReason::Marker)
    ));
    assert!(matches!(
        wait(&mut early, &[]),
        Some(Followed::Released(Released::WindowMoved))
    ));
}

#[test]
fn a_purge_during_a_fill_keeps_the_response_out_and_new_requests_apart() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let mut before = kit.follow(&key, &[]);
    kit.cache.invalidate(&key);
    let second = kit.lead(&key, &[]);
    let filling = kit.begin(permit, &[], FRESH);
    assert!(matches!(
        wait(&mut before, &[]),
        Some(Followed::Filling { .. })
    ));
    assert!(matches!(
        filling.writer.finish(None),
        Ok(Finished::Passed(RefuseReason::Purged))
    ));
    assert!(kit.selected(&key, &[]).is_none());
    // The second flight still stands, and what it fetches is stored.
    let _follows = kit.follow(&key, &[]);
    let filling = kit.begin(second, &[], FRESH);
    assert!(matches!(
        filling.writer.finish(None),
        Ok(Finished::Stored(_))
    ));
}

#[test]
fn a_response_that_was_asked_for_earlier_takes_no_newer_one_s_place() {
    let kit = kit();
    let key = kit.key("/a");
    let slow = kit.alone(&key, &[]);
    let slow = kit.begin(slow, &[], FRESH);
    kit.time.advance(SECOND);
    kit.store(&key, &[], FRESH, &"newer".into());
    assert!(matches!(
        slow.writer.finish(None),
        Ok(Finished::Passed(RefuseReason::Superseded))
    ));
    let found = kit.selected(&key, &[]).expect("stored");
    assert_eq!(content(found.body()), b"newer");
}

#[test]
fn a_purge_before_the_request_is_sent_does_not_concern_it() {
    let kit = kit();
    let key = kit.key("/a");
    let Join::Leader(mut permit) = kit.join(&key, &[]) else {
        panic!("did not lead");
    };
    kit.cache.invalidate(&key);
    let _follows = kit.follow(&key, &[]);
    permit.mark_sent();
    let filling = kit.begin(permit, &[], FRESH);
    assert!(matches!(
        filling.writer.finish(None),
        Ok(Finished::Stored(_))
    ));
}

#[test]
fn followers_see_the_end_of_a_fill_from_other_threads() {
    let kit = kit();
    let key = kit.key("/a");
    let permit = kit.lead(&key, &[]);
    let content = pattern(300_000);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
    };
    let waiters: Vec<_> = (0..8).map(|_| kit.follow(&key, &[])).collect();
    std::thread::scope(|scope| {
        for mut waiter in waiters {
            let expected = content.clone();
            scope.spawn(move || {
                runtime().block_on(async move {
                    let fields = map(&[]);
                    let followed = waiter.wait(&fields, &RequestDirectives::default()).await;
                    let Followed::Filling { reader, .. } = followed else {
                        panic!("{followed:?}");
                    };
                    let read = http_body_util::BodyExt::collect(reader).await;
                    assert_eq!(read.expect("no failure").to_bytes(), expected);
                });
            });
        }
        let mut filling = kit.begin(permit, &[], FRESH);
        runtime().block_on(async {
            for piece in content.chunks(1000) {
                let piece = bytes::Bytes::copy_from_slice(piece);
                filling.writer.push(piece).await.expect("it can be stored");
            }
        });
        filling.writer.finish(None).expect("complete");
    });
}
