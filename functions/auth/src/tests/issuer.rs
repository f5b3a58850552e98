//! Keys that an issuer publishes: fetched once for all, rotated, and used on while it is down.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use verge_sdk::cache::{self, Hardness};
use verge_sdk::fetch::FetchError;

use super::signed::{ec_jwk, es256, rs256, rsa_jwk, set, verdict};
use super::*;

const URL: &str = "http://issuer/jwks.json";

/// What the issuer answers.
type Answer = Rc<RefCell<Result<testing::Response, FetchError>>>;

fn keys(jwks: &[Value]) -> Result<testing::Response, FetchError> {
    Ok(testing::Response::ok().body(set(jwks)))
}

fn published(first: Result<testing::Response, FetchError>) -> (Host, Answer) {
    let answer: Answer = Rc::new(RefCell::new(first));
    let given = Rc::clone(&answer);
    let host = Host::new()
        .config("audience", "shop")
        .config("jwks-url", URL)
        .fetch_with(URL, move |_| given.borrow().clone());
    (host, answer)
}

/// A token that is good for days, signed by the key of that name.
fn signed_by(kid: &str) -> String {
    let claims = with("exp", json!(NOW + 1_000_000));
    es256(&json!({"alg": "ES256", "kid": kid}), &claims)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn set_is_fetched_once_and_again_when_it_is_no_longer_fresh() {
    let (host, _) = published(keys(&[ec_jwk("one"), rsa_jwk("two")]));
    let rsa = rs256(&json!({"alg": "RS256", "kid": "two"}), &good());
    for _ in 0..3 {
        assert_eq!(verdict(&signed_by("one")), None);
        assert_eq!(verdict(&rsa), None);
    }
    assert_eq!(host.fetched().len(), 1);
    let asked = &host.fetched()[0];
    assert_eq!((asked.method.as_str(), asked.uri.as_str()), ("GET", URL));
    host.advance(seconds(299));
    assert_eq!(verdict(&signed_by("one")), None);
    assert_eq!(host.fetched().len(), 1);
    host.advance(seconds(2));
    assert_eq!(verdict(&signed_by("one")), None);
    assert_eq!(host.fetched().len(), 2);
}

#[test]
fn new_key_is_fetched_when_a_token_names_it() {
    let (host, answer) = published(keys(&[ec_jwk("one")]));
    assert_eq!(verdict(&signed_by("one")), None);
    *answer.borrow_mut() = keys(&[ec_jwk("one"), ec_jwk("two")]);
    host.advance(seconds(31));
    assert_eq!(verdict(&signed_by("two")), None);
    assert_eq!(verdict(&signed_by("one")), None);
    assert_eq!(host.fetched().len(), 2);
    // One that is no longer published is no key any more.
    *answer.borrow_mut() = keys(&[ec_jwk("two")]);
    host.advance(seconds(301));
    assert!(verdict(&signed_by("one")).is_some());
    assert_eq!(verdict(&signed_by("two")), None);
    assert_eq!(host.fetched().len(), 3);
}

#[test]
fn names_that_nobody_knows_make_one_fetch_in_an_interval() {
    let (host, _) = published(keys(&[ec_jwk("one")]));
    assert_eq!(verdict(&signed_by("one")), None);
    for fetches in [1, 2, 3] {
        for name in 0..20 {
            let refused = verdict(&signed_by(&format!("made-up-{name}")));
            assert!(refused.expect("refused").contains("key of the token"));
        }
        assert_eq!(host.fetched().len(), fetches);
        assert_eq!(verdict(&signed_by("one")), None);
        host.advance(seconds(31));
    }
}

#[test]
fn interval_is_a_setting() {
    let (host, _) = published(keys(&[ec_jwk("one")]));
    let host = host.config("jwks-interval", "5s").config("jwks-ttl", "1h");
    assert_eq!(verdict(&signed_by("one")), None);
    host.advance(seconds(6));
    assert!(verdict(&signed_by("other")).is_some());
    assert_eq!(host.fetched().len(), 2);
    let (_host, _) = published(keys(&[ec_jwk("one")]));
    let _host = _host.config("jwks-interval", "0s");
    let error = authenticate(&mut asking(&signed_by("one"))).expect_err("it bounds nothing");
    assert!(error.to_string().contains("jwks-interval"), "{error}");
}

#[test]
fn old_set_is_used_while_the_issuer_fails() {
    let failures = [
        Err(FetchError::TimedOut),
        Ok(testing::Response::new(StatusCode::BAD_GATEWAY).body(set(&[]))),
        Ok(testing::Response::ok().body("<html>")),
        Ok(testing::Response::ok().body(vec![b' '; 65 * 1024])),
        Ok(testing::Response::ok().incomplete_body(set(&[ec_jwk("one")]))),
    ];
    for failure in failures {
        let (host, answer) = published(keys(&[ec_jwk("one")]));
        assert_eq!(verdict(&signed_by("one")), None);
        *answer.borrow_mut() = failure;
        host.advance(seconds(301));
        for _ in 0..5 {
            assert_eq!(verdict(&signed_by("one")), None);
            assert!(verdict(&signed_by("other")).is_some());
        }
        assert_eq!(host.fetched().len(), 2, "one more in this interval");
        // A day and no longer.
        host.advance(seconds(86_401));
        let error = authenticate(&mut asking(&signed_by("one"))).expect_err("nobody passes");
        assert!(error.to_string().contains(URL), "{error}");
        // And when the issuer is well again.
        *answer.borrow_mut() = keys(&[ec_jwk("one")]);
        host.advance(seconds(31));
        assert_eq!(verdict(&signed_by("one")), None);
    }
}

#[test]
fn issuer_that_never_answered_lets_nobody_pass_and_is_asked_seldom() {
    let (host, answer) = published(Err(FetchError::Failed("connection-refused".into())));
    let error = authenticate(&mut asking(&signed_by("one"))).expect_err("there is no key");
    assert!(error.to_string().contains("connection-refused"), "{error}");
    for _ in 0..5 {
        authenticate(&mut asking(&signed_by("one"))).expect_err("there is no key");
    }
    assert_eq!(host.fetched().len(), 1);
    // What needs no key of its own is judged without.
    assert!(verdict("x.y.z").is_some());
    assert!(
        verdict(&token(&good()))
            .expect("refused")
            .contains("algorithm")
    );
    *answer.borrow_mut() = keys(&[ec_jwk("one")]);
    host.advance(seconds(30));
    assert_eq!(verdict(&signed_by("one")), None);
}

#[test]
fn empty_set_takes_all_keys_back() {
    let (host, answer) = published(keys(&[ec_jwk("one")]));
    assert_eq!(verdict(&signed_by("one")), None);
    *answer.borrow_mut() = keys(&[]);
    host.advance(seconds(301));
    assert!(verdict(&signed_by("one")).is_some());
}

/// The key of RFC 7517 appendix A.1, which has signed nothing here.
fn other_ec_jwk() -> Value {
    json!({"kty": "EC", "crv": "P-256",
           "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
           "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
}

fn named(mut jwk: Value, kid: &str) -> Value {
    jwk["kid"] = json!(kid);
    jwk
}

fn nameless(mut jwk: Value) -> Value {
    let fields = jwk.as_object_mut().expect("it is an object");
    fields.remove("kid");
    jwk
}

#[test]
fn new_key_is_fetched_also_under_the_old_name_and_without_one() {
    let claims = with("exp", json!(NOW + 1_000_000));
    let without = es256(&json!({"alg": "ES256"}), &claims);
    for (old, new, token) in [
        (
            named(other_ec_jwk(), "one"),
            ec_jwk("one"),
            signed_by("one"),
        ),
        (rsa_jwk("one"), ec_jwk("one"), signed_by("one")),
        (other_ec_jwk(), nameless(ec_jwk("")), without.clone()),
        (nameless(rsa_jwk("")), nameless(ec_jwk("")), without.clone()),
    ] {
        let (host, answer) = published(keys(&[old]));
        let host = host.config("jwks-ttl", "1h");
        for _ in 0..20 {
            assert!(verdict(&token).is_some(), "it is another key");
        }
        assert_eq!(host.fetched().len(), 1, "one in an interval");
        *answer.borrow_mut() = keys(&[new]);
        host.advance(seconds(31));
        assert_eq!(verdict(&token), None);
        assert_eq!(host.fetched().len(), 2);
    }
}

/// A set that the node has no room for is right for each call that fetches it.
#[test]
fn set_that_is_not_kept_is_fetched_again() {
    let (host, answer) = published(keys(&[ec_jwk("one")]));
    for fetches in 1..=3 {
        assert_eq!(verdict(&signed_by("one")), None);
        assert_eq!(host.fetched().len(), fetches);
        cache::purge("jwks", Hardness::Hard).expect("it is a name");
    }
    // Not so while that fails: then it is tried once in an interval.
    *answer.borrow_mut() = Err(FetchError::TimedOut);
    for _ in 0..5 {
        authenticate(&mut asking(&signed_by("one"))).expect_err("there is no key");
    }
    assert_eq!(host.fetched().len(), 4);
}
