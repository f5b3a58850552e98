//! TLS towards origins: who is believed, and what a failure is called.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use verge_http::failure::{OriginFault, Progress};

use super::*;
use crate::{Roots, TlsSettings};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn settings(&self, server_name: Option<&str>) -> TlsSettings {
        TlsSettings {
            server_name: server_name.map(str::to_owned),
            roots: Roots::Pem(Arc::from(self.0.pem().into_bytes())),
        }
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a usable certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn secured(server: &Server, tls: TlsSettings) -> Origin {
    let mut settings = server.settings();
    settings.tls = Some(tls);
    origin(settings)
}

async fn accept(server: &Server, acceptor: &TlsAcceptor) -> Peer<TlsStream<TcpStream>> {
    let tcp = server.accept().await.io;
    Peer::new(acceptor.accept(tcp).await.expect("a handshake"))
}

#[tokio::test]
async fn a_certificate_for_the_configured_name_is_accepted_and_sessions_resume() {
    let server = Server::start().await;
    let authority = Authority::new();
    let acceptor = authority.acceptor("app.example");
    let origin = secured(&server, authority.settings(Some("app.example")));
    for resumed in [false, true] {
        let sending = send(&origin, get());
        let mut peer = accept(&server, &acceptor).await;
        let (_, session) = peer.io.get_ref();
        assert_eq!(session.server_name(), Some("app.example"));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let kind = session.handshake_kind();
        assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed);
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi")
            .await;
        let got = response(sending).await;
        assert!(!got.timing.tls.is_zero());
        assert_eq!(text(got.response.into_body()).await, "hi");
    }
}

#[tokio::test]
async fn an_ip_address_is_verified_where_no_name_is_configured() {
    let server = Server::start().await;
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1");
    let origin = secured(&server, authority.settings(None));
    let sending = send(&origin, get());
    let mut peer = accept(&server, &acceptor).await;
    peer.answer("hi").await;
    response(sending).await;
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let known = Authority::new();
    let unknown = Authority::new();
    for (signed_by, name) in [(&known, "other.example"), (&unknown, "app.example")] {
        let server = Server::start().await;
        let acceptor = signed_by.acceptor(name);
        let origin = secured(&server, known.settings(Some("app.example")));
        let sending = send(&origin, get());
        let tcp = server.accept().await.io;
        assert!(acceptor.accept(tcp).await.is_err());
        let expected = (OriginFault::TlsCertificateError, Progress::Unsent);
        assert_eq!(parts(failure(sending).await.failure), expected);
        until("the connection is gone", || open(&origin) == 0).await;
    }
}

#[tokio::test]
async fn an_alert_and_plain_text_are_told_apart() {
    let alert = "\x15\x03\x03\x00\x02\x02\x28";
    let table = [
        (alert, OriginFault::TlsAlertReceived),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            OriginFault::TlsProtocolError,
        ),
        ("", OriginFault::ConnectionTerminated),
    ];
    for (answer, expected) in table {
        let server = Server::start().await;
        let origin = secured(&server, Authority::new().settings(None));
        let sending = send(&origin, get());
        let mut peer = server.accept().await;
        // The record's header, then all of the hello that it announces.
        let mut header = [0; 5];
        peer.io.read_exact(&mut header).await.expect("a record");
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        peer.io.read_exact(&mut hello).await.expect("a hello");
        peer.write(answer).await;
        drop(peer);
        let failed = failure(sending).await.failure;
        assert_eq!(parts(failed), (expected, Progress::Unsent));
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_is_given_up() {
    let server = Server::start().await;
    let origin = secured(&server, Authority::new().settings(None));
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.io.read_buf(&mut peer.buffer).await.expect("a hello");
    tokio::time::pause();
    let expected = (OriginFault::ConnectionTimeout, Progress::Unsent);
    assert_eq!(parts(failure(sending).await.failure), expected);
}

#[tokio::test]
async fn an_end_without_notice_does_not_complete_a_response() {
    let server = Server::start().await;
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1");
    let origin = secured(&server, authority.settings(None));
    let sending = send(&origin, get());
    let mut peer = accept(&server, &acceptor).await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\npart").await;
    let got = response(sending).await.response;
    // The socket ends, and TLS has not said so: anybody may have cut it.
    drop(peer.io.into_inner());
    let failed = got.into_body().collect().await.expect_err("a failure");
    assert_eq!(parts(failed).0, OriginFault::ResponseIncomplete);
}
