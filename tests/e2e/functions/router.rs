//! `router`: by cookie, by path, and sticky A/B assignment, through the cache.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

/// An origin whose cacheable content is its name, the variant it was told, and the path.
async fn named(name: &'static str) -> Origin {
    Origin::start(move |request| async move {
        let variant = request.field("x-variant").unwrap_or("-");
        let content = format!("{name} {variant} {}", request.path());
        respond(200, &[("cache-control", "max-age=60")], content)
    })
    .await
}

async fn start(app: &Origin, other: &Origin, config: &str) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[origin.other]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"router\"]\nviewer_response = [\"router\"]\n",
        runtime(),
        function(
            "router",
            "router",
            &format!("config = {config}\ngrants = {{ origins = [\"other\"] }}")
        ),
        app.address,
        other.address,
    );
    TestNode::start(&toml).await
}

#[tokio::test]
async fn path_chooses_the_origin() {
    let (app, other) = (named("app").await, named("other").await);
    let node = start(&app, &other, "{ paths = \"/api=other\" }").await;
    let mut client = node.client().await;
    for (path, content) in [
        ("/", "app - /"),
        ("/api", "other - /api"),
        ("/api/x", "other - /api/x"),
        ("/apis", "app - /apis"),
    ] {
        assert_eq!(client.get(path).await.text(), content);
    }
}

#[tokio::test]
async fn cookie_chooses_the_origin_and_is_a_part_of_the_key() {
    let (app, other) = (named("app").await, named("other").await);
    let config = "{ cookie-name = \"preview\", cookie-values = \"yes=other\" }";
    let node = start(&app, &other, config).await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit"] {
        let plain = client.get("/p").await;
        let preview = client.get_with("/p", &[("cookie", "preview=yes")]).await;
        let unknown = client.get_with("/p", &[("cookie", "preview=maybe")]).await;
        assert_eq!(plain.text(), "app - /p");
        assert_eq!(preview.text(), "other - /p");
        assert_eq!(unknown.text(), "app - /p");
        assert!(plain.cache_status().contains(round), "{round}");
        assert!(preview.cache_status().contains(round), "{round}");
        assert!(unknown.cache_status().contains("hit"));
    }
    assert_eq!((app.count(), other.count()), (1, 1));
}

#[tokio::test]
async fn new_client_is_assigned_once_and_stays_in_its_variant() {
    let (app, other) = (named("app").await, named("other").await);
    let node = start(
        &app,
        &other,
        "{ variants = \"A:1:app, B:1:other\", keep-days = \"1\" }",
    )
    .await;
    let mut client = node.client().await;
    let mut seen = std::collections::BTreeSet::new();
    // Each variant has half: sixty-four clients that all came to one would be a wonder.
    for _ in 0..64 {
        let first = client.get("/s").await;
        let assigned = first.field("set-cookie");
        let (cookie, attributes) = assigned.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
        let again = client.get_with("/s", &[("cookie", cookie)]).await;
        assert_eq!(again.text(), first.text());
        assert_eq!(again.field("set-cookie"), "", "it has its cookie already");
        seen.insert(first.text());
        if seen.len() == 2 {
            break;
        }
    }
    let expected = ["app A /s", "other B /s"].map(str::to_owned);
    assert_eq!(seen, expected.into());
}

#[tokio::test]
async fn variants_never_share_a_stored_response() {
    // Both variants have one origin: only the key keeps them apart.
    let (app, other) = (named("app").await, named("other").await);
    let node = start(&app, &other, "{ variants = \"A:1, B:1\" }").await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit"] {
        for variant in ["A", "B"] {
            let cookie = format!("verge-variant={variant}");
            // What a client says about its variant is not believed.
            let fields = [("cookie", cookie.as_str()), ("x-variant", "forged")];
            let reply = client.get_with("/v", &fields).await;
            assert_eq!(reply.text(), format!("app {variant} /v"));
            assert!(reply.cache_status().contains(round), "{round} {variant}");
        }
    }
    assert_eq!(app.count(), 2);
}

#[tokio::test]
async fn assignment_is_made_on_hits_and_never_stored() {
    let (app, other) = (named("app").await, named("other").await);
    let node = start(&app, &other, "{ variants = \"A:1, B:0\" }").await;
    let mut client = node.client().await;
    let kept = ("cookie", "verge-variant=A");
    let first = client.get_with("/h", &[kept]).await;
    assert!(first.cache_status().contains("fwd=uri-miss"));
    let new = client.get("/h").await;
    assert!(new.cache_status().contains("hit"), "{}", new.cache_status());
    assert!(new.field("set-cookie").starts_with("verge-variant=A;"));
    let old = client.get_with("/h", &[kept]).await;
    assert_eq!(old.field("set-cookie"), "");
}

#[tokio::test]
async fn only_an_origin_of_the_site_or_a_granted_one_is_chosen() {
    let (app, other) = (named("app").await, named("other").await);
    for (grants, elsewhere, expected) in [
        ("", "", "refused"),
        ("grants = { origins = [\"other\"] }", "", "chosen"),
        ("grants = { fetch = [\"other\"] }", "", "chosen"),
        (
            "",
            "[[site.route]]\npath = \"/other\"\norigin = \"other\"\n",
            "chosen",
        ),
    ] {
        let toml = format!(
            "{}{}[origin.app]\naddresses = [\"{}\"]\n[origin.other]\naddresses = [\"{}\"]\n\
             [[site]]\nnames = [\"inner.example\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
             origin = \"other\"\n\
             [[site]]\nnames = [\"*\"]\n{elsewhere}[[site.route]]\npath = \"/{{*rest}}\"\n\
             origin = \"app\"\nviewer_request = [\"router\"]\n",
            runtime(),
            function(
                "router",
                "router",
                &format!("config = {{ paths = \"/api=other\" }}\n{grants}")
            ),
            app.address,
            other.address,
        );
        let node = TestNode::start(&toml).await;
        let reply = node.client().await.get("/api").await;
        match expected {
            "chosen" => assert_eq!(reply.text(), "other - /api", "{grants}{elsewhere}"),
            _ => assert_eq!(reply.status, 500, "{}", reply.text()),
        }
    }
}
