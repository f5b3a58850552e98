use http_body_util::BodyExt as _;
use verge_base::Clock;

use super::*;
use crate::settings::CacheSettings;

const MIB: u64 = 1 << 20;

fn cache(memory: u64) -> Cache {
    Cache::new(CacheSettings::with_memory(memory), Clock::system())
}

const PLAN: DerivePlan = DerivePlan {
    coding: Coding::Gzip,
    kept_max: MIB,
    coder_bytes: 1000,
};

fn make(cache: &Cache, derived: &Arc<Derived>) -> (DerivedWriter, FillReader) {
    match cache.derive(derived, &PLAN) {
        Derive::Make(writer, reader) => (writer, reader),
        other => panic!("{other:?}"),
    }
}

async fn text(reader: FillReader) -> Result<Bytes, Failure> {
    Ok(reader.collect().await?.to_bytes())
}

#[tokio::test]
async fn one_makes_it_and_all_read_along() {
    let cache = cache(8 * MIB);
    let derived = Arc::new(Derived::default());
    let (mut writer, first) = make(&cache, &derived);
    writer.push(Bytes::from_static(b"ab")).await.expect("kept");
    let Derive::Following(second) = cache.derive(&derived, &PLAN) else {
        panic!("it is being made");
    };
    assert!(derived.ready(Coding::Gzip).is_none());
    writer.push(Bytes::from_static(b"cd")).await.expect("kept");
    assert!(writer.finish(100, None));
    assert_eq!(text(first).await.expect("complete"), "abcd");
    assert_eq!(text(second).await.expect("complete"), "abcd");
    let Derive::Ready(content) = cache.derive(&derived, &PLAN) else {
        panic!("it is made");
    };
    assert_eq!(content.len(), 4);
    let body = content.body().collect().await.expect("memory");
    assert_eq!(body.to_bytes(), "abcd");
    // Another coding is another representation.
    assert!(derived.ready(Coding::Brotli).is_none());
    let used = cache.stats().bytes;
    assert!(used >= 4, "{used}");
    drop((derived, content));
    assert_eq!(cache.stats().bytes, 0, "its bytes go with it");
}

#[tokio::test]
async fn what_gains_nothing_is_not_made_twice() {
    let cache = cache(8 * MIB);
    let derived = Arc::new(Derived::default());
    let (mut writer, reader) = make(&cache, &derived);
    writer
        .push(Bytes::from_static(b"abcd"))
        .await
        .expect("kept");
    assert!(!writer.finish(4, None));
    assert_eq!(text(reader).await.expect("complete"), "abcd");
    assert!(matches!(cache.derive(&derived, &PLAN), Derive::NoGain));
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_room_for_the_next() {
    let cache = cache(8 * MIB);
    let derived = Arc::new(Derived::default());
    let (mut writer, reader) = make(&cache, &derived);
    writer.push(Bytes::from_static(b"ab")).await.expect("kept");
    drop(writer);
    text(reader).await.expect_err("it was abandoned");
    let (writer, _reader) = make(&cache, &derived);
    writer.abort(NodeFault::FillAbandoned.into());
    assert_eq!(cache.stats().bytes, 0);
}

#[tokio::test]
async fn what_is_too_long_passes_and_is_not_kept() {
    let cache = cache(8 * MIB);
    let derived = Arc::new(Derived::default());
    let plan = DerivePlan {
        kept_max: 3,
        ..PLAN
    };
    let Derive::Make(mut writer, reader) = cache.derive(&derived, &plan) else {
        panic!("nothing is there");
    };
    let reading = tokio::spawn(text(reader));
    for _ in 0..100 {
        writer
            .push(Bytes::from_static(b"ab"))
            .await
            .expect("it is read");
    }
    assert!(matches!(cache.derive(&derived, &plan), Derive::Make(..)));
    assert!(!writer.finish(1000, None));
    assert_eq!(
        reading.await.expect("no panic").expect("complete").len(),
        200
    );
    assert!(derived.ready(Coding::Gzip).is_none());
}

#[tokio::test]
async fn what_nobody_reads_and_nobody_keeps_ends() {
    let cache = cache(8 * MIB);
    let Derive::Make(mut writer, reader) = cache.derive_once(&PLAN) else {
        panic!("there is memory");
    };
    drop(reader);
    writer.unread().await;
    let stopped = writer.push(Bytes::from_static(b"ab")).await;
    assert_eq!(stopped, Err(Stopped::NoReaders));
}

#[tokio::test]
async fn without_memory_nothing_is_made() {
    let cache = cache(MIB);
    let derived = Arc::new(Derived::default());
    let plan = DerivePlan {
        coder_bytes: 2 * MIB,
        ..PLAN
    };
    assert!(matches!(cache.derive(&derived, &plan), Derive::Refused));
    assert!(matches!(cache.derive(&derived, &PLAN), Derive::Make(..)));
}
