//! Who the client is: what a connection shows, what trusted proxies say, and
//! nothing that anybody else claims.

use verge_tests::node::{Setup, route_to};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Recorded, TestNode};

/// What any client may claim.
const CLAIMS: [(&str, &str); 8] = [
    ("x-forwarded-for", "203.0.113.9"),
    (
        "forwarded",
        "for=203.0.113.10;host=evil.example;proto=https",
    ),
    ("x-real-ip", "203.0.113.11"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-original-url", "/admin"),
    ("x-rewrite-url", "/admin"),
    ("x-http-method-override", "DELETE"),
];

async fn origin() -> Origin {
    Origin::start(async |_| respond(200, &[], "content")).await
}

fn last(origin: &Origin) -> Recorded {
    origin.requests().pop().unwrap()
}

#[tokio::test]
async fn claims_of_untrusted_clients_are_written_afresh() {
    let origin = origin().await;
    let node = TestNode::before(&origin).await;
    for (version, mut client) in [
        ("1.1", Client::http1(node.http()).await),
        ("2", Client::h2c(node.http()).await),
    ] {
        client.set_authority("site.example");
        let path = format!("/{version}");
        assert_eq!(client.get_with(&path, &CLAIMS).await.status, 200);
        let asked = last(&origin);
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            ("GET", path.as_str())
        );
        assert_eq!(asked.field("host"), Some("site.example"));
        assert_eq!(asked.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(asked.field("x-real-ip"), Some("127.0.0.1"));
        assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
        assert_eq!(
            asked.field("forwarded"),
            Some("for=127.0.0.1;host=site.example;proto=http")
        );
        for gone in [
            "x-forwarded-host",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
        ] {
            assert_eq!(asked.field(gone), None, "{gone}");
        }
        assert_eq!(
            asked.field("via"),
            Some(format!("{version} verge").as_str())
        );
        assert_eq!(asked.field("cdn-loop"), Some("verge"));
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let origin = origin().await;
    let node = Setup::new()
        .listening("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .start(&route_to(&origin))
        .await;
    let mut client = node.client().await;
    // The last hop that no trusted proxy wrote: what stands before it is a claim.
    for (said, is) in [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("unknown", "127.0.0.1"),
        ("198.51.100.1, nonsense", "127.0.0.1"),
    ] {
        let fields = [("x-forwarded-for", said), ("forwarded", "for=192.0.2.1")];
        client.get_with("/", &fields).await;
        let asked = last(&origin);
        assert_eq!(asked.field("x-forwarded-for"), Some(is), "{said}");
        let named = asked.field("forwarded").unwrap().to_owned();
        let expected = if is.contains(':') {
            format!("for=\"[{is}]\";")
        } else {
            format!("for={is};")
        };
        assert!(named.starts_with(&expected), "{said}: {named}");
    }
    let clients: Vec<_> = node
        .receipts(5)
        .await
        .iter()
        .map(|line| line["client"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        clients,
        [
            "203.0.113.9",
            "203.0.113.9",
            "2001:db8::7",
            "127.0.0.1",
            "127.0.0.1"
        ]
    );
}

#[tokio::test]
async fn the_field_of_the_trusted_proxies_can_be_forwarded() {
    let origin = origin().await;
    let node = Setup::new()
        .listening("trusted_proxies = [\"127.0.0.1/32\"]\nproxy_field = \"forwarded\"")
        .start(&route_to(&origin))
        .await;
    let fields = [
        ("forwarded", "for=\"[2001:db8::7]:4711\";proto=https"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    node.client().await.get_with("/", &fields).await;
    let asked = last(&origin);
    assert_eq!(asked.field("x-forwarded-for"), Some("2001:db8::7"));
    // The scheme is that of the connection to this node.
    assert_eq!(asked.field("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn clients_of_ipv6_are_counted_by_their_64_bit_network() {
    let setup = Setup::new().listening("trusted_proxies = [\"127.0.0.0/8\"]");
    let function = verge_tests::guests::function(
        "limit",
        "rate-limit",
        "config = { limit = \"2\", window = \"600\" }\ngrants = { rate_limit = true }",
    );
    let node = setup
        .start(&format!(
            "{}{function}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/\"\n\
             viewer_request = [\"limit\"]\nstatic = {{ body = \"in\" }}\n",
            verge_tests::guests::runtime()
        ))
        .await;
    let mut client = node.client().await;
    let mut statuses = Vec::new();
    for address in [
        "2001:db8:0:1::1",
        "2001:db8:0:1:ffff::2",
        "2001:db8:0:1::3",
        "2001:db8:0:2::1",
    ] {
        let reply = client.get_with("/", &[("x-forwarded-for", address)]).await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 200]);
}
