//! `transform`: security fields in, revealing fields out, on hits too.

use verge_tests::client::Client;
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, Reply};

const ORIGIN_FIELDS: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("server", "nginx/1.2.3"),
    ("x-powered-by", "PHP/5"),
    ("referrer-policy", "no-referrer"),
    ("x-old", "one"),
    ("x-old", "two"),
];

fn check(reply: &Reply, is_tls: bool) {
    let hsts = if is_tls {
        "max-age=31536000; includeSubDomains"
    } else {
        ""
    };
    for (name, value) in [
        ("strict-transport-security", hsts),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "SAMEORIGIN"),
        ("content-security-policy", "default-src 'self'"),
        ("server", ""),
        ("x-powered-by", ""),
        ("x-old", ""),
        ("x-new", "one, two"),
        ("x-served-by", "verge"),
    ] {
        assert_eq!(reply.field(name), value, "{name}");
    }
    assert_eq!(reply.text(), "content");
}

#[tokio::test]
async fn fields_are_edited_on_misses_and_hits_over_plaintext_and_tls() {
    let origin = Origin::start(async |_| respond(200, ORIGIN_FIELDS, "content")).await;
    let config = "config = { csp = \"default-src 'self'\", rename = \"x-old=x-new\", \
                  set = \"x-served-by: verge\" }";
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_response = [\"security\"]\n",
        runtime(),
        function("security", "transform", config),
        origin.address,
    );
    let node = Setup::new()
        .with_tls(&[&["shop.example"]])
        .start(&toml)
        .await;
    let roots = || node.authority.as_ref().unwrap().roots();
    let clients = [
        (Client::http1(node.http()).await, false),
        (Client::h2c(node.http()).await, false),
        (
            Client::https1(node.https(), "shop.example", roots()).await,
            true,
        ),
        (
            Client::https2(node.https(), "shop.example", roots()).await,
            true,
        ),
    ];
    for (mut client, is_tls) in clients {
        client.set_authority("shop.example");
        let first = client.get("/a").await;
        check(&first, is_tls);
        let second = client.get("/a").await;
        assert!(second.cache_status().starts_with("verge; hit"));
        check(&second, is_tls);
    }
    assert_eq!(origin.count(), 2, "one for each scheme");
}
