//! The test host's key-value stores, sliding counters and penalty box.

use std::time::Duration;

use verge_sdk::kv::{Expected, KvError, Store, Swapped};
use verge_sdk::rate_limit;
use verge_sdk::testing::Host;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_store_must_be_granted() {
    let _host = Host::new().kv_store("granted");
    assert!(Store::open("granted").is_ok());
    assert_eq!(Store::open("other").unwrap_err(), KvError::NoSuchStore);
}

#[test]
fn entries_end_by_the_hosts_clock() {
    let host = Host::new().kv("s", "given", "value");
    let store = Store::open("s").unwrap();
    assert_eq!(store.text("given").unwrap().as_deref(), Some("value"));
    store.set_for("k", "v", MINUTE).unwrap();
    assert!(store.exists("k").unwrap());
    host.advance(MINUTE);
    assert!(!store.exists("k").unwrap());
    assert!(!store.delete("k").unwrap());
    assert!(store.delete("given").unwrap());
}

#[test]
fn numbers_keep_their_end_and_their_range() {
    let host = Host::new().kv("s", "text", "x");
    let store = Store::open("s").unwrap();
    assert_eq!(store.increment_for("n", 2, MINUTE), Ok(2));
    host.advance(MINUTE / 2);
    assert_eq!(store.increment_for("n", 2, MINUTE), Ok(4));
    host.advance(MINUTE / 2);
    assert_eq!(store.increment("n", -1), Ok(-1));
    assert_eq!(store.increment("text", 1), Err(KvError::NotANumber));
    assert_eq!(store.increment("n", i64::MIN), Err(KvError::NotANumber));
}

#[test]
fn a_swap_tells_what_is_there_instead() {
    let _host = Host::new().kv_store("s");
    let store = Store::open("s").unwrap();
    let swap = |expected, value: &str| store.swap("k", expected, value, None).unwrap();
    assert_eq!(swap(Expected::Version(1), "a"), Swapped::Conflict(None));
    let Swapped::Written(version) = swap(Expected::Absent, "a") else {
        panic!("it is absent");
    };
    let found = store.get("k").unwrap();
    assert_eq!(
        swap(Expected::Absent, "b"),
        Swapped::Conflict(found.clone())
    );
    assert!(matches!(
        swap(Expected::entry(found.as_ref()), "b"),
        Swapped::Written(_)
    ));
    assert!(matches!(
        swap(Expected::Version(version), "c"),
        Swapped::Conflict(Some(_))
    ));
    assert!(matches!(
        swap(Expected::Value(b"b"), "c"),
        Swapped::Written(_)
    ));
}

#[test]
fn keys_come_in_pages() {
    let host = Host::new().kv("s", "u:1", "").kv("s", "u:2", "");
    let _host = host.kv("s", "u:3", "").kv("s", "v", "");
    let store = Store::open("s").unwrap();
    let first = store.page("u:", None, 2).unwrap();
    assert_eq!(first.keys, ["u:1", "u:2"]);
    let rest = store.page("u:", first.cursor.as_deref(), 2).unwrap();
    assert_eq!((rest.keys, rest.cursor), (vec!["u:3".to_owned()], None));
    let many = store.get_many(&["u:1", "none", "v"]).unwrap();
    assert_eq!(
        many.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[test]
fn bounds_and_failures_are_those_that_are_told() {
    let _host = Host::new().kv_store("s");
    let store = Store::open("s").unwrap();
    assert_eq!(store.get(""), Err(KvError::KeyInvalid));
    assert_eq!(store.set(&"k".repeat(1025), ""), Err(KvError::KeyInvalid));
    let large = vec![0; (1 << 20) + 1];
    assert_eq!(store.set("k", &large), Err(KvError::ValueTooLarge));
    drop(_host);

    let _host = Host::new().kv_store("s").kv_fails(KvError::Busy);
    let store = Store::open("s").unwrap();
    assert_eq!(store.get("k"), Err(KvError::Busy));
    assert_eq!(store.increment("k", 1), Err(KvError::Busy));
}

#[test]
fn a_sliding_counter_forgets_what_is_older_than_its_window() {
    let host = Host::new();
    assert_eq!(rate_limit::count("k", MINUTE, 2), 2);
    host.advance(MINUTE / 2);
    assert_eq!(rate_limit::count("k", MINUTE, 3), 5);
    assert_eq!(rate_limit::count("k", 2 * MINUTE, 0), 0, "another counter");
    host.advance(MINUTE / 2);
    assert_eq!(rate_limit::count("k", MINUTE, 0), 3);
}

#[test]
fn a_penalty_ends_by_the_hosts_clock_and_is_never_shortened() {
    let host = Host::new();
    assert_eq!(rate_limit::penalty("k"), None);
    rate_limit::penalize("k", MINUTE);
    rate_limit::penalize("k", MINUTE / 2);
    host.advance(MINUTE / 2);
    assert_eq!(rate_limit::penalty("k"), Some(MINUTE / 2));
    host.advance(MINUTE / 2);
    assert_eq!(rate_limit::penalty("k"), None);
}
