//! What a response is found by. Path, query and Vary are in the table of
//! `conformance/rfc9111.rs`.

use verge_cache::{Hardness, PurgeScope};
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, node};

use super::kit::{MINUTE, assert_cache, settled};

/// An origin whose content is how many requests it had.
async fn counting() -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |_| {
        let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move { respond(200, MINUTE, count.to_string()) }
    })
    .await
}

#[tokio::test]
async fn scheme_is_a_part_and_the_version_is_none() {
    let origin = counting().await;
    let setup = Setup::new().with_tls(&[&["shop.example"]]);
    let node = setup.start(&node::route_to(&origin)).await;
    let roots = || node.authority.as_ref().unwrap().roots();
    let mut clients = [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
        Client::https1(node.https(), "shop.example", roots()).await,
        Client::https2(node.https(), "shop.example", roots()).await,
    ];
    for (client, expected) in clients.iter_mut().zip([
        ("1", "fwd=uri-miss"),
        ("1", "hit"),
        ("2", "fwd=uri-miss"),
        ("2", "hit"),
    ]) {
        client.set_authority("shop.example");
        let reply = client.get("/a").await;
        assert_eq!(reply.text(), expected.0);
        assert_cache(&reply, expected.1);
        settled(&node).await;
    }
}

#[tokio::test]
async fn authority_is_a_part_in_its_normal_form() {
    let origin = counting().await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    for (authority, content) in [
        ("shop.example", "1"),
        ("SHOP.example", "1"),
        ("shop.example:80", "1"),
        ("shop.example.", "1"),
        ("shop.example:8080", "2"),
        ("shop.example:443", "3"),
        ("other.example", "4"),
        ("www.shop.example", "5"),
        ("shop.example", "1"),
    ] {
        client.set_authority(authority);
        assert_eq!(client.get("/a").await.text(), content, "{authority}");
        settled(&node).await;
    }
}

#[tokio::test]
async fn no_field_of_a_client_stands_in_for_the_target() {
    let origin = Origin::start(async |request| {
        let host = request.field("host").unwrap_or_default();
        respond(200, MINUTE, format!("{host}{}", request.target))
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    client.set_authority("shop.example");
    let fields = [
        ("x-forwarded-host", "evil.example"),
        ("x-host", "evil.example"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "host=evil.example"),
    ];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.text(), "shop.example/a");
    let seen = &origin.requests()[0];
    for (name, value) in fields {
        let passed = seen.field(name).unwrap_or_default();
        assert!(!passed.contains(value), "{name}: {passed}");
    }
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "shop.example/a");
}

#[tokio::test]
async fn what_varies_by_the_client_is_for_that_client_alone() {
    for vary in ["X-Forwarded-For", "accept, Forwarded", "x-real-ip"] {
        let origin = Origin::start(async move |request| {
            let seen = request.field("x-forwarded-for").unwrap_or_default();
            let fields = [("cache-control", "max-age=60"), ("vary", vary)];
            respond(200, &fields, format!("for {seen}"))
        })
        .await;
        let node = TestNode::before(&origin).await;
        for _ in 0..2 {
            let reply = node.get("/a").await;
            assert_cache(&reply, "fwd=uri-miss");
            assert_eq!(reply.text(), "for 127.0.0.1");
            settled(&node).await;
        }
        assert_eq!(origin.count(), 2, "{vary}");
    }
}

/// Good until 2100: `{"sub":"ada"}` and `{"sub":"bob"}`, signed with the key below.
const TOKENS: [(&str, &str); 2] = [
    (
        "ada",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9.\
         oPPa0XrsyR2ZZj4uVC0K7DZr7Vu3ppACcqnYKCbKmRI",
    ),
    (
        "bob",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.\
         5EXHIwiKAxvqNLtDiF53s5ivG4LlyVd0S6uQRovC_r4",
    ),
];
const KEY: &str = "a-test-key-of-at-least-32-bytes!";

#[tokio::test]
async fn what_auth_derived_for_one_user_never_answers_another() {
    let origin = Origin::start(async |request| {
        assert_eq!(
            request.field("authorization"),
            None,
            "auth took the token away"
        );
        let user = request.field("x-auth-subject").unwrap_or("nobody");
        // Careless: nothing here says that it is for one user.
        respond(200, MINUTE, format!("the account of {user}"))
    })
    .await;
    let setup = Setup::new().with_tls(&[&["shop.example"]]);
    setup.write("jwt-key", KEY);
    let grants = "config = { public = \"/public\" }\ngrants = { secret = [\"jwt-key\"], fetch = [], cache = true }";
    let toml = format!(
        "{}{}[secret.jwt-key]\nfile = \"jwt-key\"\n[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"auth\"]\n",
        runtime(),
        function("auth", "auth", grants),
        origin.address
    );
    let node = setup.start(&toml).await;
    let roots = node.authority.as_ref().unwrap().roots();
    let mut clients = [
        Client::http1(node.http()).await,
        Client::https2(node.https(), "shop.example", roots).await,
    ];
    for client in &mut clients {
        client.set_authority("shop.example");
        for outcome in ["fwd=uri-miss", "hit"] {
            for (user, token) in TOKENS {
                // A client that claims to be another changes nothing.
                let fields = [("authorization", token), ("x-auth-subject", "root")];
                let reply = client.get_with("/account", &fields).await;
                assert_eq!(reply.text(), format!("the account of {user}"));
                assert_cache(&reply, outcome);
                settled(&node).await;
            }
            let fields = [("x-auth-subject", "ada")];
            let reply = client.get_with("/account", &fields).await;
            assert_eq!(reply.status, 401);
            assert!(!reply.text().contains("ada"), "{}", reply.text());
        }
        // Where anybody may look, nobody gets what was derived for a user.
        let reply = client
            .get_with("/public", &[("x-auth-subject", "ada")])
            .await;
        assert_eq!(reply.text(), "the account of nobody");
    }
}

/// A route on which a viewer-request function derives a field, and so a part of the key.
fn derived(origin: &Origin) -> String {
    format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"derive\"]\n",
        runtime(),
        function("derive", "keyed-field", ""),
        origin.address
    )
}

#[tokio::test]
async fn invalidation_reaches_what_every_user_was_given() {
    let origin = Origin::start(async |request| match request.method.as_str() {
        "POST" => respond(204, &[], ""),
        _ => respond(200, MINUTE, "content"),
    })
    .await;
    let node = TestNode::start(&derived(&origin)).await;
    let mut client = node.client().await;
    let users = ["user=ada", "user=bob"];
    for outcome in ["fwd=uri-miss", "hit"] {
        for user in users {
            let reply = client.get_with("/a", &[("cookie", user)]).await;
            assert_cache(&reply, outcome);
            settled(&node).await;
        }
    }
    client
        .send("POST", "/a", &[("cookie", users[0])], "x")
        .await;
    for user in users {
        let reply = client.get_with("/a", &[("cookie", user)]).await;
        assert_cache(&reply, "fwd=uri-miss");
    }
}

#[tokio::test]
async fn purge_of_a_function_takes_what_it_made_of_requests() {
    let origin = counting().await;
    let node = TestNode::start(&derived(&origin)).await;
    let mut client = node.client().await;
    for (outcome, function) in [("fwd=uri-miss", "other"), ("hit", "derive")] {
        let reply = client.get_with("/a", &[("cookie", "user=ada")]).await;
        assert_cache(&reply, outcome);
        settled(&node).await;
        let scope = PurgeScope::Function(function.into());
        node.state().cache.purge(scope, Hardness::Hard);
    }
    let reply = client.get_with("/a", &[("cookie", "user=ada")]).await;
    assert_cache(&reply, "fwd=uri-miss");
}
