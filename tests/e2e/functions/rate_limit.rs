//! `rate-limit`: 429 with its fields, for whom it is due and for nobody else.

use verge_tests::client::Client;
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

/// A node that believes the test's claims about who the client is.
async fn start(origin: &Origin, config: &str) -> TestNode {
    let keys = format!("config = {config}\ngrants = {{ rate_limit = true }}");
    let toml = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         trusted_proxies = [\"127.0.0.1/32\"]\nproxy_field = \"x-forwarded-for\"\n\
         [admin]\ntoken_file = \"admin-token\"\n[log]\naccess = \"off\"\n{}{}\
         [origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_request = [\"limit\"]\nviewer_response = [\"limit\"]\n",
        runtime(),
        function("limit", "rate-limit", &keys),
        origin.address,
    );
    Setup::new().start_exactly(&toml).await
}

async fn origin() -> Origin {
    Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await
}

async fn status_from(client: &mut Client, address: &str) -> u16 {
    let reply = client.get_with("/a", &[("x-forwarded-for", address)]).await;
    reply.status.as_u16()
}

#[tokio::test]
async fn client_over_its_limit_gets_429_and_is_told_when_to_return() {
    let origin = origin().await;
    let node = start(
        &origin,
        "{ limit = \"3\", window = \"600\", name = \"api\" }",
    )
    .await;
    let mut client = node.client().await;
    for remaining in [2, 1, 0] {
        let reply = client.get("/a").await;
        assert_eq!(reply.status, 200);
        let state = reply.field("ratelimit");
        assert!(
            state.starts_with(&format!("\"api\";r={remaining};t=")),
            "{state}"
        );
        assert_eq!(reply.field("ratelimit-policy"), "\"api\";q=3;w=600");
    }
    let refused = client.get("/a").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.field("retry-after").parse().unwrap();
    // One unit comes back each 200 s.
    assert!((190..=200).contains(&wait), "{wait}");
    assert!(refused.field("ratelimit").starts_with("\"api\";r=0;t="));
    assert_eq!(refused.field("ratelimit-policy"), "\"api\";q=3;w=600");
    assert_eq!(refused.field("cache-control"), "no-store");
    assert_eq!(origin.count(), 1, "two were hits, one was refused");
}

#[tokio::test]
async fn other_clients_are_unharmed_and_an_ipv6_client_is_its_network() {
    let origin = origin().await;
    let node = start(&origin, "{ limit = \"2\", window = \"600\" }").await;
    let mut client = node.client().await;
    let table = [
        ("192.0.2.1", 200),
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::ffff:3", 429),
        ("2001:db8:0:1::1", 200),
        ("192.0.2.2", 200),
        ("192.0.2.2", 429),
    ];
    for (step, (address, status)) in table.into_iter().enumerate() {
        assert_eq!(
            status_from(&mut client, address).await,
            status,
            "step {step}: {address}"
        );
    }
}

#[tokio::test]
async fn api_keys_are_counted_apart() {
    let origin = origin().await;
    let config = "{ limit = \"1\", window = \"600\", by = \"api-key\" }";
    let node = start(&origin, config).await;
    let mut client = node.client().await;
    for (key, status) in [("red", 200), ("red", 429), ("blue", 200), ("blue", 429)] {
        let reply = client.get_with("/a", &[("x-api-key", key)]).await;
        assert_eq!(reply.status, status, "{key}");
    }
    // Whoever shows no key is counted as a client.
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(client.get("/a").await.status, 429);
}
