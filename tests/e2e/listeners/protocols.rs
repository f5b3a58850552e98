//! HTTP/1.1 and HTTP/2, with TLS 1.3, TLS 1.2 and without; certificates by
//! name; sessions that are resumed.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use verge_tests::client::{connect, provider};
use verge_tests::node::{Setup, route_to};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, Wire, eventually};

fn tls_config(
    roots: RootCertStore,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn shake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, connect(address).await)
        .await
}

fn roots(node: &TestNode) -> RootCertStore {
    node.authority.as_ref().unwrap().roots()
}

const STATIC_SITE: &str = "[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{*rest}\"\n\
                           static = { body = \"here\" }\n";

#[tokio::test]
async fn every_protocol_is_served_with_and_without_tls() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = Setup::new()
        .with_tls(&[&["site.example"]])
        .start(&route_to(&origin))
        .await;
    let clients = [
        ("HTTP/1.1", "http", Client::http1(node.http()).await),
        ("HTTP/2", "http", Client::h2c(node.http()).await),
        (
            "HTTP/1.1",
            "https",
            Client::https1(node.https(), "site.example", roots(&node)).await,
        ),
        (
            "HTTP/2",
            "https",
            Client::https2(node.https(), "site.example", roots(&node)).await,
        ),
    ];
    for (index, (protocol, scheme, mut client)) in clients.into_iter().enumerate() {
        let path = format!("/{index}");
        let reply = client
            .send("POST", &path, &[("content-type", "text/plain")], "question")
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (200, "content"),
            "{protocol} {scheme}"
        );
        let asked = origin.requests().pop().unwrap();
        assert_eq!(asked.path(), path);
        assert_eq!(&asked.body[..], b"question");
        assert_eq!(asked.field("x-forwarded-proto"), Some(scheme));
        let via = if protocol == "HTTP/2" {
            "2 verge"
        } else {
            "1.1 verge"
        };
        assert_eq!(asked.field("via"), Some(via));
    }
    let log = node.receipts(4).await;
    let mut seen: Vec<_> = log
        .iter()
        .map(|line| {
            (
                line["protocol"].as_str().unwrap(),
                line["tls"]["version"].as_str(),
            )
        })
        .collect();
    // Each worker writes its own lines.
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("HTTP/1.1", None),
            ("HTTP/1.1", Some("tls1.3")),
            ("HTTP/2", None),
            ("HTTP/2", Some("tls1.3")),
        ]
    );
}

#[tokio::test]
async fn tls_1_2_is_served_like_tls_1_3() {
    let node = Setup::new()
        .with_tls(&[&["site.example"]])
        .start(STATIC_SITE)
        .await;
    for (version, is) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = tls_config(roots(&node), version, &["h2", "http/1.1"]);
        let stream = shake(node.https(), "site.example", &config).await.unwrap();
        // ALPN: HTTP/2 is what the node prefers (RFC 9113 3.2).
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(is));
        let config = tls_config(roots(&node), version, &[]);
        let stream = shake(node.https(), "site.example", &config).await.unwrap();
        let mut wire = Wire::over(stream);
        let answer = wire
            .ask("GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
            .await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "here"));
    }
}

#[tokio::test]
async fn certificates_are_found_by_exact_name_then_wildcard_then_default() {
    let node = Setup::new()
        .with_tls(&[
            &["default.example"],
            &["*.shop.example"],
            &["special.shop.example"],
        ])
        .start(STATIC_SITE)
        .await;
    let certificate = |index: usize| {
        let pem = std::fs::read(node.file(&format!("cert-{index}.pem"))).unwrap();
        CertificateDer::from_pem_slice(&pem).unwrap().into_owned()
    };
    let config = tls_config(roots(&node), &rustls::version::TLS13, &[]);
    for (name, index) in [
        ("default.example", 0),
        ("any.shop.example", 1),
        ("SPECIAL.shop.example", 2),
    ] {
        let stream = shake(node.https(), name, &config).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown[0], certificate(index), "{name}");
    }
    // A wildcard stands for one label (RFC 6125 6.4.3); who is unknown sees the default.
    for name in ["shop.example", "a.b.shop.example", "other.example"] {
        let error = shake(node.https(), name, &config).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("default.example"), "{name}: {text}");
    }
    let metric = "verge_connection_ends_total{listener=\"https\",reason=\"handshake-failed\"";
    verge_tests::eventually("failed handshakes are counted", async || {
        node.metric(metric).await >= 3.0
    })
    .await;
}

#[tokio::test]
async fn sessions_are_resumed() {
    let node = Setup::new()
        .with_tls(&[&["site.example"]])
        .start(STATIC_SITE)
        .await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = tls_config(roots(&node), version, &[]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = shake(node.https(), "site.example", &config).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            // Tickets of TLS 1.3 come with the first answer.
            let mut wire = Wire::over(stream);
            wire.ask("GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
                .await;
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
    // Each worker writes its own lines.
    let log = node.receipts(4).await;
    let resumed = log.iter().filter(|line| line["tls"]["resumed"] == true);
    assert_eq!((log.len(), resumed.count()), (4, 2));
    for resumed in ["true", "false"] {
        let series = format!(
            "verge_tls_handshake_seconds_count{{listener=\"https\",resumed=\"{resumed}\"}}"
        );
        eventually(&series, async || node.metric(&series).await >= 2.0).await;
    }
}

#[tokio::test]
async fn open_connections_are_counted() {
    let node = TestNode::start(STATIC_SITE).await;
    let open = "verge_open_connections{listener=\"http\"}";
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::connect(node.http()).await;
        wire.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        wires.push(wire);
    }
    node.settles(open, 3.0).await;
    drop(wires);
    verge_tests::eventually("connections are closed", async || {
        node.metric(open).await == 0.0
    })
    .await;
    node.settles("verge_connections_total{listener=\"http\"}", 3.0)
        .await;
}
