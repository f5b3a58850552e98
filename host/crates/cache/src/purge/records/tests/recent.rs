//! What a hit asks before it looks at the records.

use super::*;

#[test]
fn a_hit_looks_at_the_records_only_for_what_may_concern_it() {
    let (hasher, purges) = kit(PURGE_RECORDS_MAX);
    let head = head_of(&Entry {
        site: "shop",
        tags: "red",
        groups: "",
        made_by: None,
    });
    let key = Key::new(&hasher, target("a.example", "/a", None), &[]);
    let subject = Subject {
        key: &key,
        head: Some(&head),
        is_stored: true,
    };
    let looks = |scope: &PurgeScope| {
        let seen = purges.sequence();
        purges.purge(scope, Hardness::Soft, at(1));
        purges.may_concern(subject, seen)
    };
    for scope in [
        uri("/a"),
        PurgeScope::SurrogateKey(name("red")),
        prefix("/x"),
        PurgeScope::Site("blog".into()),
        PurgeScope::Everything,
    ] {
        assert!(looks(&scope), "{scope}");
    }
    // Few of the others share a place with it.
    let others = (0..200).map(|number| uri(&format!("/{number}")));
    let keys = (0..200).map(|number| PurgeScope::SurrogateKey(name(&number.to_string())));
    let shared = others.chain(keys).filter(looks).count();
    assert!(shared < 10, "{shared} of 400");
    // What an earlier process forgot may have been about anything.
    let seen = purges.sequence();
    purges.begin_at(seen + 10, seen + 5);
    assert!(purges.may_concern(subject, seen));
    purges.restore(&uri("/a"), Hardness::Hard, at(1), seen + 20);
    assert!(purges.may_concern(subject, seen + 15));
}
