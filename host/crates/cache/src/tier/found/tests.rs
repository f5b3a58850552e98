use super::*;
use crate::policy::ValidateReason;
use crate::record::{ReadAt, decode, encode};
use crate::testkit::{SECOND, kit, map};

#[tokio::test]
async fn what_stands_in_memory_by_then_is_judged_for_itself_rfc_9111_5_2_2_4() {
    let kit = kit();
    let key = kit.key("/a");
    let old = [("cache-control", "max-age=60"), ("etag", "\"old\"")];
    kit.store(&key, &[], &old, &"old".into());
    let stored = kit.selected(&key, &[]).expect("it is stored");
    let walls = &kit.cache.inner().walls;
    let record = encode(stored.head(), 3, walls).expect("it is small");
    kit.cache.inner().store.remove(&key);
    kit.time.advance(100 * SECOND);
    let request = map(&[("cache-control", "max-stale=600")]);
    let directives = RequestDirectives::parse(&request);
    for newer in [None, Some(("no-cache", ValidateReason::NoCache))] {
        let permit = kit.alone(&key, &[]);
        let recorded = decode(&record, ReadAt::now(walls)).expect("it is whole");
        let found = permit.admit(recorded).expect("it can be used");
        if let Some((control, _)) = newer {
            let fields = [("cache-control", control), ("etag", "\"new\"")];
            kit.store(&key, &[], &fields, &"new".into());
        }
        let content = Body::Full(Bytes::from_static(b"old"));
        let restored = permit.restore(found, content, &directives).await;
        let Restored { response, reuse } = restored.expect("it can be used");
        let (etag, expected) = match newer {
            None => ("\"old\"", Reuse::StaleAccepted),
            Some((_, reason)) => ("\"new\"", Reuse::Validate(reason)),
        };
        assert_eq!(
            (&response.head().fields()["etag"], reuse),
            (&etag.parse().expect("a value"), expected)
        );
        kit.cache.inner().store.remove(&key);
    }
}
