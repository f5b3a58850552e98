use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use verge_sdk::secret;
use verge_sdk::testing::{self, Host, effects, responded};

use super::*;
use crate::key::Key;

mod confusion;
mod issuer;
mod signed;

const KEY_BYTES: &[u8] = b"a key of at least thirty-two bytes";

/// The clock of a test host starts here.
const NOW: u64 = 1_767_225_600;

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn sign(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn token(claims: &Value) -> String {
    sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, KEY_BYTES)
}

fn host() -> Host {
    Host::new()
        .secret("jwt-key", KEY_BYTES)
        .config("audience", "shop")
}

fn good() -> Value {
    json!({"sub": "alice", "aud": "shop", "exp": NOW + 600, "scope": "read write"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn asking(token: &str) -> Request {
    let line = format!("Bearer {token}");
    testing::Request::get("/account")
        .header("authorization", &line)
        .build()
}

/// The error description of the refusal, or `None` when the request passed.
fn refusal(request: &mut Request) -> Option<String> {
    match authenticate(request).expect("the function works") {
        Verdict::Next => None,
        verdict => {
            let response = responded(verdict);
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.header("cache-control").expect("set"), "no-store");
            let challenge = response.header("www-authenticate").expect("a 401 has one");
            Some(challenge.to_str().expect("it is text").to_owned())
        }
    }
}

#[test]
fn valid_token_passes_with_its_claims_as_fields() {
    let _host = host().config("claims", "email,plan_level,nothing");
    let mut claims = with("email", json!("a@example.org"));
    claims["plan_level"] = json!(3);
    let mut request = asking(&token(&claims));
    assert_eq!(refusal(&mut request), None);
    let fields = request.headers_many([
        "x-auth-subject",
        "x-auth-scope",
        "x-auth-email",
        "x-auth-plan-level",
        "x-auth-nothing",
        "authorization",
    ]);
    let texts = fields.map(|field| field.map(|value| value.to_str().expect("text").to_owned()));
    let expected = [
        Some("alice"),
        Some("read write"),
        Some("a@example.org"),
        Some("3"),
        None,
        None,
    ];
    assert_eq!(texts.each_ref().map(Option::as_deref), expected);
    assert!(
        effects(&request).keys_by("x-auth-subject"),
        "one user's answer is not another's"
    );
}

#[test]
fn example_of_rfc_7515_appendix_a_1_verifies() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = URL_SAFE_NO_PAD.decode(key).expect("the RFC's key");
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                 dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let rules = Rules {
        audience: None,
        issuer: Some("joe".into()),
        skew: 0,
    };
    let _host = Host::new().secret("jwt-key", &key);
    let key = Key::Hs256(secret::get("jwt-key").expect("it was given"));
    let token = Token::read(token).expect("it has three parts");
    let claims = token.verify(&key, &rules, 1_300_819_379);
    let claims = claims.expect("it is valid");
    assert_eq!(claims.text("iss").as_deref(), Some("joe"));
    assert_eq!(
        claims.text("http://example.com/is_root").as_deref(),
        Some("true")
    );
    let late = token.verify(&key, &rules, 1_300_819_380);
    assert_eq!(late.expect_err("it ends"), Invalid::Expired);
}

#[test]
fn times_are_checked_with_the_skew() {
    let table = [
        (with("exp", json!(NOW + 1)), None),
        (with("exp", json!(NOW - 59)), None),
        (with("exp", json!(NOW - 60)), Some("has expired")),
        (with("exp", json!(0)), Some("has expired")),
        (with("exp", json!(NOW as f64 + 0.5)), None),
        (with("exp", json!("soon")), Some("malformed")),
        (with("exp", Value::Null), Some("malformed")),
        (
            json!({"sub": "alice", "aud": "shop"}),
            Some("does not expire"),
        ),
        (with("nbf", json!(NOW + 60)), None),
        (with("nbf", json!(NOW + 61)), Some("not valid yet")),
    ];
    let _host = host();
    for (claims, expected) in table {
        let challenge = refusal(&mut asking(&token(&claims)));
        match (challenge, expected) {
            (None, None) => {}
            (Some(challenge), Some(text)) => {
                assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
                assert!(challenge.contains(text), "{claims}: {challenge}");
            }
            (challenge, expected) => panic!("{claims}: {challenge:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn skew_is_a_setting() {
    let _host = host().config("skew", "0");
    let challenge = refusal(&mut asking(&token(&with("exp", json!(NOW)))));
    assert!(challenge.expect("refused").contains("has expired"));
}

#[test]
fn audience_and_issuer_must_be_ours() {
    let _host = host().config("issuer", "login.example");
    let table = [
        (json!("shop"), json!("login.example"), None),
        (json!(["blog", "shop"]), json!("login.example"), None),
        (
            json!("blog"),
            json!("login.example"),
            Some("another audience"),
        ),
        (
            json!(["blog"]),
            json!("login.example"),
            Some("another audience"),
        ),
        (
            json!({"shop": 1}),
            json!("login.example"),
            Some("another audience"),
        ),
        (json!("shop"), json!("evil.example"), Some("another issuer")),
        (json!("shop"), Value::Null, Some("another issuer")),
    ];
    for (audience, issuer, expected) in table {
        let mut claims = with("aud", audience);
        claims["iss"] = issuer;
        let challenge = refusal(&mut asking(&token(&claims)));
        assert_eq!(challenge.is_some(), expected.is_some(), "{claims}");
        assert!(
            challenge
                .unwrap_or_default()
                .contains(expected.unwrap_or_default())
        );
    }
}

#[test]
fn algorithm_is_not_the_tokens_choice() {
    let _host = host();
    let headers = [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "HS512"}),
        json!({"alg": "RS256"}),
        json!({"alg": "hs256"}),
        json!({"alg": ["HS256"]}),
        json!({"typ": "JWT"}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
    ];
    for header in headers {
        let challenge = refusal(&mut asking(&sign(&header, &good(), KEY_BYTES)));
        assert!(
            challenge.expect("refused").contains("algorithm"),
            "{header}"
        );
    }
    let unsigned = format!("{}.{}.", encode(&json!({"alg": "none"})), encode(&good()));
    assert!(refusal(&mut asking(&unsigned)).is_some());
}

#[test]
fn changed_tokens_and_other_keys_are_refused() {
    let _host = host();
    let valid = token(&good());
    let forged = sign(&json!({"alg": "HS256"}), &good(), b"another key");
    let (head, signature) = valid.rsplit_once('.').expect("three parts");
    let (header, _) = head.split_once('.').expect("three parts");
    let swapped = format!(
        "{header}.{}.{signature}",
        encode(&with("sub", json!("root")))
    );
    let cut = format!("{head}.{}", &signature[..20]);
    let padded = format!("{valid}=");
    let empty_signature = format!("{head}.");
    for bad in [&forged, &swapped, &cut, &padded, &empty_signature] {
        assert!(refusal(&mut asking(bad)).is_some(), "{bad}");
    }
}

#[test]
fn malformed_credentials_are_refused() {
    let _host = host();
    let huge = "a".repeat(9000);
    let tokens = [
        "",
        "x",
        "x.y",
        "x.y.z",
        "a.b.c.d",
        "....",
        "e30.e30.e30",
        &huge,
    ];
    for bad in tokens {
        let challenge = refusal(&mut asking(bad)).expect("refused");
        assert!(
            challenge.contains("invalid_token"),
            "{bad:.20}: {challenge}"
        );
    }
    let twice = format!("Bearer {}", token(&good()));
    let mut request = testing::Request::get("/account")
        .header("authorization", &twice)
        .header("authorization", &twice)
        .build();
    assert!(
        refusal(&mut request).is_some(),
        "two credentials are one too many"
    );
}

#[test]
fn missing_credentials_get_a_challenge_without_an_error_code() {
    let _host = host().config("realm", "sh\"op");
    for line in [None, Some("Basic YTpi")] {
        let mut request = testing::Request::get("/account");
        if let Some(line) = line {
            request = request.header("authorization", line);
        }
        let challenge = refusal(&mut request.build()).expect("refused");
        assert_eq!(challenge, "Bearer realm=\"shop\"");
    }
}

#[test]
fn scheme_has_no_case() {
    let _host = host();
    let line = format!("bEARER   {}", token(&good()));
    let mut request = testing::Request::get("/account")
        .header("authorization", &line)
        .build();
    assert_eq!(refusal(&mut request), None);
}

#[test]
fn fields_of_a_client_that_speaks_for_us_are_removed() {
    let _host = host().config("public", "/open");
    for (path, subject) in [("/account", Some("alice")), ("/open/x", None)] {
        let line = format!("Bearer {}", token(&good()));
        let mut request = testing::Request::get(path)
            .header("authorization", &line)
            .header("x-auth-subject", "root")
            .header("X-Auth-Subject", "root")
            .header("x-auth-admin", "yes")
            // One field for an origin that makes variables of them.
            .header("x_auth_subject", "root")
            .header("X-Auth_Scope", "all")
            .header("x-other", "stays")
            .build();
        assert_eq!(refusal(&mut request), None);
        let subjects = request.header_lines("x-auth-subject");
        assert_eq!(subjects, subject.into_iter().collect::<Vec<_>>(), "{path}");
        for name in ["x-auth-admin", "x_auth_subject", "x-auth_scope"] {
            assert_eq!(request.header(name), None, "{path} {name}");
        }
        assert_eq!(request.header("x-other").expect("it is not ours"), "stays");
    }
}

#[test]
fn public_paths_end_at_a_segment_and_hold_no_tricks() {
    let _host = host().config("public", "/open");
    let table = [
        ("/open", true),
        ("/open/x", true),
        ("/opened", false),
        ("/open/../account", false),
        ("/open/%2E%2e/account", false),
        ("/open/..%2faccount", false),
        ("/open/x%5c..%5caccount", false),
    ];
    for (path, passes) in table {
        let mut request = testing::Request::get(path).build();
        assert_eq!(refusal(&mut request).is_none(), passes, "{path}");
    }
}

#[test]
fn token_is_passed_on_only_if_asked() {
    let _host = host().config("pass-token", "true");
    let mut request = asking(&token(&good()));
    assert_eq!(refusal(&mut request), None);
    assert!(request.header("authorization").is_some());
}

#[test]
fn claim_that_no_field_can_carry_is_refused() {
    let _host = host();
    let challenge = refusal(&mut asking(&token(&with(
        "sub",
        json!("a\r\nx-admin: yes"),
    ))));
    assert!(challenge.expect("refused").contains("claim"));
}

#[test]
fn without_a_good_key_the_function_fails_and_nobody_passes() {
    for key in [None, Some(""), Some("short")] {
        let host = Host::new();
        let host = match key {
            None => host,
            Some(key) => host.secret("jwt-key", key),
        };
        let error = authenticate(&mut asking(&token(&good()))).expect_err("there is no key");
        assert!(error.to_string().contains("jwt-key"));
        drop(host);
    }
}
