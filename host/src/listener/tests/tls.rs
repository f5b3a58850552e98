//! TLS: certificates by name, protocols, resumption, clients that misbehave.

use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// An authority of this test, and what it has issued.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let root = params.self_signed(&key).expect("root").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    fn issue_with(&self, names: &[&str], key: &KeyPair) -> CertificateSource {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let file = names.first().cloned().unwrap_or_default();
        let params = CertificateParams::new(names).expect("params");
        let certificate = params.signed_by(key, &self.issuer).expect("certificate");
        CertificateSource {
            names: Vec::new(),
            certificate: certificate.pem().into_bytes(),
            certificate_file: format!("{file}.pem"),
            key: key.serialize_pem().into_bytes(),
            key_file: format!("{file}.key"),
        }
    }

    fn issue(&self, names: &[&str]) -> CertificateSource {
        self.issue_with(names, &KeyPair::generate().expect("key"))
    }

    fn client(
        &self,
        alpn: &[&str],
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn table(sources: Vec<CertificateSource>) -> Arc<CertificateTable> {
    Arc::new(CertificateTable::build(sources).expect("table"))
}

fn start(settings: ListenerSettings, sources: Vec<CertificateSource>) -> (Node, TlsTerminator) {
    let tls = TlsTerminator::new(table(sources)).expect("terminator");
    let node = Node::start_with(settings, Some(tls.clone()), 1000);
    (node, tls)
}

async fn connect(
    node: &Node,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(node.address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("name");
    TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
}

async fn fetch(mut stream: TlsStream<TcpStream>) -> String {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("a clean end (close_notify)");
    answer
}

#[tokio::test]
async fn exact_names_come_before_wildcards_and_the_default() {
    let authority = Authority::new();
    let sources = vec![
        authority.issue(&["default.example"]),
        authority.issue(&["*.shop.example", "shop.example"]),
        authority.issue(&["www.shop.example"]),
    ];
    let table = table(sources.clone());
    let served = |name: Option<&str>| {
        let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
        let key = table.select(name, &schemes).expect("certificate");
        let place = sources.iter().position(|source| {
            use rustls::pki_types::pem::PemObject;
            let own = CertificateDer::from_pem_slice(&source.certificate).expect("PEM");
            own == key.cert[0]
        });
        place.expect("one of the sources")
    };
    assert_eq!(served(Some("www.shop.example")), 2);
    assert_eq!(served(Some("WWW.Shop.Example")), 2);
    assert_eq!(served(Some("api.shop.example")), 1);
    assert_eq!(served(Some("shop.example")), 1);
    assert_eq!(served(Some("a.b.shop.example")), 0);
    assert_eq!(served(Some("other.example")), 0);
    assert_eq!(served(None), 0);

    let (node, _) = start(ListenerSettings::default(), sources);
    let config = authority.client(&["http/1.1"], &rustls::version::TLS13);
    for name in ["www.shop.example", "api.shop.example", "default.example"] {
        // The client verifies that the certificate carries the name.
        let stream = connect(&node, &config, name).await.expect("handshake");
        assert_eq!(status(&fetch(stream).await), 200);
    }
    let seen: Vec<_> = node.handler.connections.lock().clone();
    let Transport::Tls(tls) = &seen[0].transport else {
        panic!("not TLS");
    };
    assert_eq!(tls.server_name.as_deref(), Some("www.shop.example"));
    assert_eq!((tls.version, tls.resumed), (TlsVersion::V1_3, false));
    assert!(tls.handshake > Duration::ZERO);
}

#[tokio::test]
async fn a_name_may_have_certificates_with_several_kinds_of_key() {
    let authority = Authority::new();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("key");
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
    let table = table(vec![
        authority.issue_with(&["a.example"], &ed25519),
        authority.issue_with(&["a.example"], &p384),
    ]);
    let scheme_of = |scheme| {
        let key = table.select(Some("a.example"), &[scheme]).expect("some");
        key.key.choose_scheme(&[scheme]).is_some()
    };
    assert!(scheme_of(rustls::SignatureScheme::ED25519));
    assert!(scheme_of(rustls::SignatureScheme::ECDSA_NISTP384_SHA384));
}

#[tokio::test]
async fn both_versions_of_tls_resume_their_sessions() {
    let authority = Authority::new();
    let (node, tls) = start(
        ListenerSettings::default(),
        vec![authority.issue(&["a.example"])],
    );
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = authority.client(&["http/1.1"], version);
        let first = connect(&node, &config, "a.example")
            .await
            .expect("handshake");
        assert_eq!(
            first.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Full)
        );
        fetch(first).await;
        // A new certificate does not end the sessions.
        tls.replace_certificates(table(vec![authority.issue(&["a.example"])]));
        let second = connect(&node, &config, "a.example")
            .await
            .expect("handshake");
        let kind = second.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
        fetch(second).await;
    }
    let events = node.handler.events.lock();
    assert!(events.iter().any(|event| matches!(
        event,
        ConnectionEvent::HandshakeCompleted { resumed: true, .. }
    )));
}

#[tokio::test]
async fn certificates_are_swapped_under_a_running_listener() {
    let authority = Authority::new();
    let (node, tls) = start(
        ListenerSettings::default(),
        vec![authority.issue(&["old.example"])],
    );
    let config = authority.client(&["http/1.1"], &rustls::version::TLS13);
    assert!(connect(&node, &config, "new.example").await.is_err());
    tls.replace_certificates(table(vec![authority.issue(&["new.example"])]));
    let stream = connect(&node, &config, "new.example")
        .await
        .expect("handshake");
    assert_eq!(status(&fetch(stream).await), 200);
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let authority = Authority::new();
    let (node, _) = start(
        ListenerSettings::default(),
        vec![authority.issue(&["a.example"])],
    );
    let config = authority.client(&["h2", "http/1.1"], &rustls::version::TLS13);
    let stream = connect(&node, &config, "a.example")
        .await
        .expect("handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .expect("handshake");
    tokio::spawn(connection);
    let request = Request::get("https://a.example/")
        .body(http_body_util::Empty::<Bytes>::new())
        .expect("request");
    let response = sender.send_request(request).await.expect("response");
    assert_eq!(response.status(), 200);
    assert_eq!(*node.handler.requests.lock(), ["h2 GET /"]);

    let config = authority.client(&[], &rustls::version::TLS13);
    let stream = connect(&node, &config, "a.example")
        .await
        .expect("handshake");
    assert_eq!(status(&fetch(stream).await), 200);
    let config = authority.client(&["smtp"], &rustls::version::TLS13);
    assert!(connect(&node, &config, "a.example").await.is_err());
}

#[tokio::test]
async fn http2_is_not_offered_where_it_is_switched_off() {
    let authority = Authority::new();
    let settings = ListenerSettings {
        http2_enabled: false,
        ..ListenerSettings::default()
    };
    let (node, _) = start(settings, vec![authority.issue(&["a.example"])]);
    let config = authority.client(&["h2", "http/1.1"], &rustls::version::TLS13);
    let stream = connect(&node, &config, "a.example")
        .await
        .expect("handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(status(&fetch(stream).await), 200);
}

#[tokio::test]
async fn a_bad_head_over_tls_gets_its_answer_too() {
    let authority = Authority::new();
    let (node, _) = start(
        ListenerSettings::default(),
        vec![authority.issue(&["a.example"])],
    );
    let config = authority.client(&["http/1.1"], &rustls::version::TLS13);
    let mut stream = connect(&node, &config, "a.example")
        .await
        .expect("handshake");
    stream.write_all(b"GET /\r\n\r\n").await.expect("write");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("a clean end");
    assert_eq!(status(&answer), 400);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut() {
    let authority = Authority::new();
    let settings = ListenerSettings {
        handshake_time: SHORT,
        ..ListenerSettings::default()
    };
    let (node, _) = start(settings, vec![authority.issue(&["a.example"])]);
    let mut silent = node.connect().await;
    assert_eq!(silent.rest().await, "");
    let expected = CloseReason::Limit(Limit::HandshakeTime);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_closed_and_counted() {
    let authority = Authority::new();
    let (node, _) = start(
        ListenerSettings::default(),
        vec![authority.issue(&["a.example"])],
    );
    let mut client = node.connect().await;
    client.send(GET).await;
    client.rest_bytes().await;
    node.all_closed(1).await;
    assert!(node.has_event(ConnectionEvent::HandshakeFailed));
}

fn problems(source: CertificateSource) -> Vec<(String, CertificateProblem)> {
    CertificateTable::build(vec![source])
        .expect_err("a broken source")
        .into_iter()
        .map(|error| (error.file, error.problem))
        .collect()
}

#[test]
fn every_problem_names_its_file() {
    let authority = Authority::new();
    let good = authority.issue(&["a.example"]);
    let both_missing = CertificateSource {
        certificate: good.key.clone(),
        key: good.certificate.clone(),
        ..good.clone()
    };
    assert_eq!(
        problems(both_missing),
        [
            (
                "a.example.pem".to_owned(),
                CertificateProblem::CertificateMissing
            ),
            ("a.example.key".to_owned(), CertificateProblem::KeyMissing),
        ]
    );
    let other_key = CertificateSource {
        key: authority.issue(&["b.example"]).key,
        ..good.clone()
    };
    let mismatch = CertificateProblem::KeyMismatch {
        certificate_file: "a.example.pem".to_owned(),
    };
    assert_eq!(
        problems(other_key),
        [("a.example.key".to_owned(), mismatch)]
    );
    let named = |names: &[&str]| CertificateSource {
        names: names.iter().map(ToString::to_string).collect(),
        ..good.clone()
    };
    let file = || "a.example.pem".to_owned();
    assert_eq!(
        problems(named(&["b.example", "not a name", "*.a.example"])),
        [
            (
                file(),
                CertificateProblem::NameNotCovered("b.example".to_owned())
            ),
            (
                file(),
                CertificateProblem::NameInvalid("not a name".to_owned())
            ),
            (
                file(),
                CertificateProblem::NameNotCovered("*.a.example".to_owned())
            ),
        ]
    );
    assert!(CertificateTable::build(vec![named(&["A.example"])]).is_ok());
    let garbage = CertificateSource {
        certificate: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
        ..good.clone()
    };
    let found = problems(garbage);
    assert!(
        matches!(found[..], [(_, CertificateProblem::CertificateInvalid(_))]),
        "{found:?}"
    );
    let nameless = authority.issue(&[]);
    assert_eq!(problems(nameless)[0].1, CertificateProblem::NameMissing);
    let twice = CertificateTable::build(vec![good.clone(), authority.issue(&["a.example"])]);
    let errors = twice.expect_err("taken");
    assert_eq!(
        errors[0].to_string(),
        "a.example.pem: is given the name `a.example`, which a.example.pem has already"
    );
    assert!(!format!("{good:?}").contains("PRIVATE"));
}
