mod random;

use http::{Method, StatusCode};
use verge_http::cache_control::RequestDirectives;

use crate::policy::{RequestFacts, RoutePolicy};
use crate::testkit::*;
use crate::*;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[test]
fn age_counts_from_the_origin_and_ignores_the_wall_clock() {
    let kit = kit();
    let key = kit.key("/a");
    let mut permit = kit.lead(&key, &[]);
    permit.mark_sent();
    kit.time.advance(3 * SECOND);
    let response = [("cache-control", "max-age=60"), ("age", "10")];
    let filling = kit.begin(permit, &[], &response);
    filling.writer.finish(None).expect("complete");
    kit.time.advance(5 * SECOND);
    kit.time.set_wall(std::time::SystemTime::UNIX_EPOCH);
    let head = kit.selected(&key, &[]).expect("stored");
    let freshness = head.head().freshness(kit.clock.now());
    assert_eq!(freshness.age, 18 * SECOND);
    assert_eq!(freshness.ttl(), 42);
    assert!(head.head().fields().get("age").is_none());
}

#[test]
fn an_origin_that_takes_long_to_fail_counts_as_failing_for_as_long() {
    let kit = kit();
    let key = kit.key("/a");
    kit.store(&key, &[], FRESH, &"abcde".into());
    let stored = kit.selected(&key, &[]).expect("stored");
    let is_failing = || stored.is_origin_failing(kit.clock.now());
    assert!(!is_failing());
    kit.time.advance(70 * SECOND);
    // What fails at once keeps nobody waiting.
    stored.note_origin_failure(kit.clock.now(), SECOND / 2);
    assert!(!is_failing());
    stored.note_origin_failure(kit.clock.now(), 4 * SECOND);
    kit.time.advance(3 * SECOND);
    assert!(is_failing());
    kit.time.advance(SECOND);
    assert!(!is_failing());
    stored.note_origin_failure(kit.clock.now(), 600 * SECOND);
    kit.time.advance(31 * SECOND);
    assert!(!is_failing(), "the time is bounded");
}

#[test]
fn one_validation_in_the_background_at_a_time() {
    let kit = kit();
    let key = kit.key("/a");
    let fields = map(&[]);
    let directives = RequestDirectives::default();
    let seeker = Seeker {
        key: &key,
        fields: &fields,
        directives: &directives,
        seen: None,
        hint: None,
    };
    let permit = kit.cache.lead_in_background(&seeker).expect("the first");
    assert!(kit.cache.lead_in_background(&seeker).is_none());
    // A request that cannot be answered with what is stored takes part in it.
    assert!(matches!(kit.cache.join(&seeker), Join::Follower(_)));
    drop(permit);
    let permit = kit.cache.lead_in_background(&seeker).expect("the next");
    permit.refuse(crate::policy::RefuseReason::NoStore);
    assert!(
        kit.cache.lead_in_background(&seeker).is_none(),
        "its outcome could not be shared"
    );
}

#[test]
fn a_stored_response_has_date_and_content_length() {
    let kit = kit();
    let key = kit.key("/a");
    kit.store(&key, &[], FRESH, &"abcde".into());
    let stored = kit.selected(&key, &[]).expect("stored");
    let fields = stored.head().fields();
    assert_eq!(
        fields.get("date").expect("added"),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    assert_eq!(fields.get("content-length").expect("added"), "5");
    assert_eq!(content(stored.slice(1, 3)), b"bcd");
    assert_eq!(content(stored.slice(9, 3)), b"");
}

#[test]
fn validation_asks_with_the_stored_validators_rfc_9111_4_3_1() {
    let kit = kit();
    let date = "Tue, 14 Nov 2023 22:00:00 GMT";
    let response = [
        ("cache-control", "max-age=60"),
        ("etag", "W/\"a\""),
        ("last-modified", date),
    ];
    kit.store(&kit.key("/a"), &[], &response, &"".into());
    let stored = kit.selected(&kit.key("/a"), &[]).expect("stored");
    let fields = validation_fields(stored.head());
    let expected = [("if-none-match", "W/\"a\""), ("if-modified-since", date)];
    let found: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn invalidation_reaches_all_variants_and_all_declared_parts() {
    let kit = kit();
    let (plain, one, two) = (
        kit.key("/a"),
        kit.parted_key("/a", "1"),
        kit.parted_key("/a", "2"),
    );
    let vary = [("cache-control", "max-age=60"), ("vary", "accept")];
    kit.store(&plain, &[("accept", "x")], &vary, &"x".into());
    kit.store(&plain, &[("accept", "y")], &vary, &"y".into());
    kit.store(&one, &[], FRESH, &"1".into());
    kit.store(&two, &[], FRESH, &"2".into());
    kit.store(&kit.parted_key("/b", "1"), &[], FRESH, &"b".into());
    kit.cache
        .invalidate_target(target("/a"), &mut kit.cache.sent_at());
    assert!(kit.selected(&plain, &[("accept", "x")]).is_none());
    assert!(kit.selected(&plain, &[("accept", "y")]).is_none());
    assert!(kit.selected(&one, &[]).is_none());
    assert!(kit.selected(&two, &[]).is_none());
    assert!(kit.selected(&kit.parted_key("/b", "1"), &[]).is_some());
    // What is stored after it stays.
    kit.store(&one, &[], FRESH, &"new".into());
    let found = kit.selected(&one, &[]).expect("stored again");
    assert_eq!(content(found.body()), b"new");
}

#[test]
fn users_never_share_what_stands_under_their_key_parts() {
    let kit = kit();
    kit.store(&kit.parted_key("/me", "alice"), &[], FRESH, &"alice".into());
    assert!(kit.selected(&kit.parted_key("/me", "bob"), &[]).is_none());
    assert!(kit.selected(&kit.key("/me"), &[]).is_none());
}

#[test]
fn a_response_to_head_freshens_or_removes_rfc_9111_4_3_5() {
    let kit = kit();
    let key = kit.key("/a");
    let response = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    kit.store(&key, &[], &response, &"abc".into());
    kit.time.advance(100 * SECOND);
    let request = map(&[]);
    let apply = |etag: &str| {
        let stored = kit.selected(&key, &[]).expect("stored");
        let fields = map(&[("etag", etag), ("cache-control", "max-age=30")]);
        let sent = kit.cache.sent_at();
        let times = ResponseTimes::received_now(&kit.clock, sent.requested);
        let head = ResponseHead::new(StatusCode::OK, &fields, times);
        kit.cache.freshen_by_head(
            &key,
            &stored,
            &Newer {
                response: &head,
                request: &request,
                facts: RequestFacts::of(&Method::HEAD, &request, false),
                route: &RoutePolicy::default(),
                made_by: Some("f@2"),
                sent,
            },
        )
    };
    let freshened = apply("\"a\"");
    assert!(matches!(freshened, FreshenedByHead::Stored(_)));
    let stored = kit.selected(&key, &[]).expect("still stored");
    assert_eq!(stored.head().freshness(kit.clock.now()).ttl(), 30);
    assert_eq!(content(stored.body()), b"abc");
    // What a function made of the newer head is found by that function.
    assert_eq!(stored.head().made_by().map(|names| &**names), Some("f@2"));
    assert!(matches!(apply("\"b\""), FreshenedByHead::Removed));
    assert!(kit.selected(&key, &[]).is_none());
}

#[test]
fn fields_share_no_memory_with_the_connection() {
    let kit = kit();
    let key = kit.key("/a");
    let buffer = bytes::Bytes::from(b"x".repeat(100_000));
    let mut fields = map(FRESH);
    for range in [0..10, 10..30] {
        let value = http::HeaderValue::from_maybe_shared(buffer.slice(range)).expect("a value");
        fields.append("x-slice", value);
    }
    let begun = kit.begin_fields(kit.lead(&key, &[]), &[], &fields);
    let Begun::Filling(filling) = begun else {
        panic!("{begun:?}");
    };
    let stored = filling.head.fields().get_all("x-slice");
    let lengths: Vec<_> = stored.iter().map(http::HeaderValue::len).collect();
    assert_eq!(lengths, [10, 20]);
    drop(fields);
    assert!(buffer.is_unique());
}

#[test]
fn without_memory_nothing_is_stored_and_everything_passes() {
    let kit = kit_with(CacheSettings::with_memory(0));
    let permit = kit.lead(&kit.key("/a"), &[]);
    assert!(matches!(
        kit.try_begin(permit, &[], FRESH),
        Begun::Refused(_)
    ));
    assert_eq!(kit.cache.stats().bytes_peak, 0);
}

#[test]
fn all_bytes_come_back_when_everything_is_gone() {
    let kit = kit();
    for n in 0..50_usize {
        let key = kit.key(&format!("/{n}"));
        kit.store(&key, &[], FRESH, &pattern(n * 5000));
        kit.cache.invalidate(&key);
    }
    assert_eq!(kit.cache.stats().entries, 0);
    assert_eq!(kit.cache.stats().bytes, 0);
}
