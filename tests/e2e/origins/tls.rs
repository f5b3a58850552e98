//! TLS to origins: always verified, and a failure is the origin's, not the
//! client's to see through.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use verge_tests::certificates::Authority;
use verge_tests::client::provider;
use verge_tests::node::Setup;
use verge_tests::{Reply, TestNode, Wire};

use super::script::{Script, config};

/// An origin that speaks TLS with a certificate for `name` and tells the server
/// name that it was asked for.
async fn tls_origin(authority: &Authority, name: &str) -> SocketAddr {
    let (certificate, key) = authority.issue(&[name]);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let asked = stream.get_ref().1.server_name().unwrap_or("").to_owned();
                let mut wire = Wire::over(stream);
                wire.message().await;
                let length = asked.len();
                wire.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{asked}"
                ))
                .await;
            });
        }
    });
    address
}

async fn ask(trusted: &Authority, origin: SocketAddr, keys: &str) -> (TestNode, Reply) {
    let setup = Setup::new();
    setup.write("origin-ca.pem", trusted.pem());
    let keys = format!("[origin.app.tls]\nca = \"origin-ca.pem\"\n{keys}");
    let node = setup.start(&config(&[origin], &keys)).await;
    let reply = node.get("/").await;
    (node, reply)
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_right_name_is_taken() {
    let authority = Authority::new();
    let origin = tls_origin(&authority, "app.internal").await;
    let (node, reply) = ask(&authority, origin, "name = \"app.internal\"").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "app.internal")
    );
    let log = node.receipts(1).await;
    assert!(log[0]["origin"]["tls_us"].as_f64() > Some(0.0), "{log:?}");
    // By default the name is the address's host.
    let origin = tls_origin(&authority, "127.0.0.1").await;
    assert_eq!(ask(&authority, origin, "").await.1.status, 200);
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_a_bad_gateway_that_says_why() {
    let authority = Authority::new();
    let origin = tls_origin(&authority, "app.internal").await;
    let stranger = Authority::new();
    for (trusted, name) in [(&authority, "other.internal"), (&stranger, "app.internal")] {
        let (node, reply) = ask(trusted, origin, &format!("name = \"{name}\"")).await;
        assert_eq!(reply.status, 502, "{name}");
        assert_eq!(
            reply.field("proxy-status"),
            "verge; error=tls_certificate_error"
        );
        // The field says which kind of failure it is; the rest is the operator's to know.
        assert!(
            reply
                .text()
                .starts_with("502 Bad Gateway: the origin could not answer\nrequest id "),
            "{}",
            reply.text()
        );
        let failures =
            "verge_origin_failures_total{origin=\"app\",failure=\"tls-certificate-error\"}";
        verge_tests::eventually(failures, async || node.metric(failures).await >= 1.0).await;
    }
}

#[tokio::test]
async fn an_origin_that_speaks_no_tls_is_a_bad_gateway() {
    let authority = Authority::new();
    let plain = Script::start(|_, mut wire| async move {
        wire.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        wire.rest().await;
    })
    .await;
    let (_node, reply) = ask(&authority, plain.address, "name = \"app.internal\"").await;
    assert_eq!(reply.status, 502);
    assert!(
        reply.field("proxy-status").starts_with("verge; error="),
        "{}",
        reply.field("proxy-status")
    );
}
