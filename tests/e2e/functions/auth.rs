//! `auth`: who passes, who does not, and that nobody gets what is another's.

use serde_json::{Value, json};
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

use super::token::{KEY, seconds, signed, unsigned};

/// An origin that greets whom `auth` names, and lets that be stored.
async fn greeting() -> Origin {
    Origin::start(async |request| {
        let who = request.field("x-auth-subject").unwrap_or("nobody");
        let content = format!("hello {who}");
        respond(200, &[("cache-control", "max-age=60")], content)
    })
    .await
}

async fn start(origin: &Origin) -> TestNode {
    let setup = Setup::new();
    setup.write("jwt-key", KEY);
    let keys = "grants = { secret = [\"jwt-key\"], fetch = [], cache = true }\n\
                config = { audience = \"shop\", public = \"/login\", claims = \"plan\", skew = \"5\" }";
    let toml = format!(
        "{}{}[secret.jwt-key]\nfile = \"jwt-key\"\n[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"auth\"]\n",
        runtime(),
        function("auth", "auth", keys),
        origin.address,
    );
    setup.start(&toml).await
}

fn claims(subject: &str) -> Value {
    json!({ "sub": subject, "aud": "shop", "exp": seconds(600), "plan": "gold", "scope": "read" })
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn valid_token_passes_with_its_claims_as_fields() {
    let origin = greeting().await;
    let node = start(&origin).await;
    let token = bearer(&signed(&claims("alice"), KEY));
    let fields = [
        ("authorization", token.as_str()),
        ("x-auth-subject", "root"),
        ("x-auth-admin", "yes"),
        ("x-other", "stays"),
    ];
    let reply = node.client().await.get_with("/account", &fields).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (200, "hello alice".into())
    );
    let seen = &origin.requests()[0];
    assert_eq!(seen.field("x-auth-subject"), Some("alice"));
    assert_eq!(seen.field("x-auth-scope"), Some("read"));
    assert_eq!(seen.field("x-auth-plan"), Some("gold"));
    assert_eq!(
        seen.field("x-auth-admin"),
        None,
        "a client cannot speak for the function"
    );
    assert_eq!(seen.field("authorization"), None, "the token stays here");
    assert_eq!(seen.field("x-other"), Some("stays"));
}

#[tokio::test]
async fn whoever_has_no_valid_token_is_refused_and_told_why() {
    let origin = greeting().await;
    let node = start(&origin).await;
    let with = |name: &str, value: Value| {
        let mut claims = claims("alice");
        claims[name] = value;
        claims
    };
    let mut endless = claims("alice");
    endless.as_object_mut().unwrap().remove("exp");
    let good = signed(&claims("alice"), KEY);
    let (text, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = text.split_once('.').unwrap();
    let forged_text = signed(&claims("root"), "another-key-of-at-least-32-bytes");
    let forged_claims = forged_text.split('.').nth(1).unwrap();
    let table = [
        (
            "expired",
            bearer(&signed(&with("exp", json!(seconds(-60))), KEY)),
            "expired",
        ),
        (
            "not yet",
            bearer(&signed(&with("nbf", json!(seconds(60))), KEY)),
            "not valid yet",
        ),
        ("endless", bearer(&signed(&endless, KEY)), "does not expire"),
        (
            "audience",
            bearer(&signed(&with("aud", json!("bank")), KEY)),
            "audience",
        ),
        ("alg none", bearer(&unsigned(&claims("root"))), "algorithm"),
        ("other key", bearer(&forged_text), "signature"),
        (
            "other claims",
            bearer(&format!("{head}.{forged_claims}.{signature}")),
            "signature",
        ),
        ("no signature", bearer(&format!("{text}.")), "signature"),
        ("garbage", bearer("garbage"), "malformed"),
        ("empty", "Bearer ".to_owned(), "malformed"),
    ];
    let mut client = node.client().await;
    for (case, authorization, why) in &table {
        let reply = client
            .get_with("/account", &[("authorization", authorization)])
            .await;
        assert_eq!(reply.status, 401, "{case}");
        let challenge = reply.field("www-authenticate");
        assert!(
            challenge.starts_with("Bearer realm=\"verge\", error=\"invalid_token\""),
            "{case}: {challenge}"
        );
        assert!(challenge.contains(why), "{case}: {challenge}");
        assert_eq!(reply.field("cache-control"), "no-store", "{case}");
    }
    for authorization in [&[][..], &[("authorization", "Basic YTpi")][..]] {
        let reply = client.get_with("/account", authorization).await;
        assert_eq!(reply.status, 401);
        // RFC 6750 3.1: no error code where no token was sent.
        assert_eq!(reply.field("www-authenticate"), "Bearer realm=\"verge\"");
    }
    let token = bearer(&good);
    let twice = [
        ("authorization", token.as_str()),
        ("authorization", token.as_str()),
    ];
    assert_eq!(client.get_with("/account", &twice).await.status, 401);
    assert_eq!(origin.count(), 0, "no refused request reaches the origin");
}

#[tokio::test]
async fn clocks_may_differ_by_the_configured_skew() {
    let origin = greeting().await;
    let node = start(&origin).await;
    let mut late = claims("alice");
    late["exp"] = json!(seconds(-1));
    let token = bearer(&signed(&late, KEY));
    let reply = node
        .client()
        .await
        .get_with("/", &[("authorization", &token)])
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn stored_response_of_one_user_is_never_anothers() {
    let origin = greeting().await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    let alice = bearer(&signed(&claims("alice"), KEY));
    let bob = bearer(&signed(&claims("bob"), KEY));
    for round in ["fwd=uri-miss", "hit"] {
        for (token, name) in [(&alice, "alice"), (&bob, "bob")] {
            let reply = client.get_with("/me", &[("authorization", token)]).await;
            assert_eq!(reply.text(), format!("hello {name}"));
            assert!(
                reply.cache_status().contains(round),
                "{name}: {}",
                reply.cache_status()
            );
        }
    }
    // A stored response opens nothing to whoever shows no token, or a bad one.
    assert_eq!(client.get("/me").await.status, 401);
    let forged = bearer(&unsigned(&claims("alice")));
    let reply = client.get_with("/me", &[("authorization", &forged)]).await;
    assert_eq!(reply.status, 401);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn public_path_needs_no_token_and_still_loses_claims() {
    let origin = greeting().await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    let reply = client
        .get_with("/login/form", &[("x-auth-subject", "root")])
        .await;
    assert_eq!(reply.text(), "hello nobody");
    for trick in ["/login%2f..%2faccount", "/loginx"] {
        assert_eq!(client.get(trick).await.status, 401, "{trick}");
    }
    // Dot segments do not even reach the function, and end the connection.
    for trick in ["/login/../account", "/login/%2e%2e/account"] {
        assert_eq!(node.get(trick).await.status, 400, "{trick}");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn function_without_its_secret_lets_nobody_in() {
    let origin = greeting().await;
    let setup = Setup::new();
    setup.write("jwt-key", "too short");
    let toml = format!(
        "{}{}[secret.jwt-key]\nfile = \"jwt-key\"\n[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"auth\"]\n",
        runtime(),
        function(
            "auth",
            "auth",
            "config = {}\ngrants = { secret = [\"jwt-key\"], fetch = [], cache = true }"
        ),
        origin.address,
    );
    let node = setup.start(&toml).await;
    let token = bearer(&signed(&claims("alice"), KEY));
    let reply = node
        .client()
        .await
        .get_with("/", &[("authorization", &token)])
        .await;
    assert_eq!(reply.status, 500);
    assert!(
        !reply.text().contains("jwt-key"),
        "the inside is not for clients"
    );
    assert_eq!(origin.count(), 0);
}
