//! Clients: HTTP/1.1 and HTTP/2, with and without TLS, and raw bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::PATIENCE;

pub type ClientBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// A whole response.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    /// The field's lines, joined; empty if it is absent.
    pub fn field(&self, name: &str) -> String {
        let lines = self.fields.get_all(name).iter();
        let lines: Vec<_> = lines
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect();
        lines.join(", ")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn cache_status(&self) -> String {
        self.field("cache-status")
    }
}

enum Sender {
    H1(http1::SendRequest<ClientBody>),
    H2(http2::SendRequest<ClientBody>),
}

/// One connection to a node.
pub struct Client {
    sender: Sender,
    scheme: &'static str,
    authority: String,
}

impl Client {
    /// HTTP/1.1 without TLS.
    pub async fn http1(address: SocketAddr) -> Self {
        let stream = connect(address).await;
        Self::handshake_http1(stream, "http", address.to_string()).await
    }

    /// HTTP/2 without TLS, by prior knowledge.
    pub async fn h2c(address: SocketAddr) -> Self {
        let stream = connect(address).await;
        Self::handshake_http2(stream, "http", address.to_string()).await
    }

    /// HTTP/1.1 over TLS to the host `name`.
    pub async fn https1(address: SocketAddr, name: &str, roots: RootCertStore) -> Self {
        let stream = tls(address, name, roots, b"http/1.1").await;
        Self::handshake_http1(stream, "https", name.to_owned()).await
    }

    /// HTTP/2 over TLS to the host `name`.
    pub async fn https2(address: SocketAddr, name: &str, roots: RootCertStore) -> Self {
        let stream = tls(address, name, roots, b"h2").await;
        Self::handshake_http2(stream, "https", name.to_owned()).await
    }

    async fn handshake_http1<S>(stream: S, scheme: &'static str, authority: String) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender: Sender::H1(sender),
            scheme,
            authority,
        }
    }

    async fn handshake_http2<S>(stream: S, scheme: &'static str, authority: String) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            sender: Sender::H2(sender),
            scheme,
            authority,
        }
    }

    /// The authority of later requests.
    pub fn set_authority(&mut self, authority: &str) {
        self.authority = authority.to_owned();
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub async fn get_with(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send("GET", path, fields, "").await
    }

    /// Sends a request and collects the whole response.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let body = Full::new(body.into()).map_err(|never| match never {});
        self.try_send(method, path, fields, body.boxed_unsync())
            .await
            .unwrap()
    }

    /// The same, where a failure is an outcome.
    pub async fn try_send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: ClientBody,
    ) -> hyper::Result<Reply> {
        collect(self.begin(method, path, fields, body).await?).await
    }

    /// Sends a request and returns with the response head.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: ClientBody,
    ) -> hyper::Result<http::Response<Incoming>> {
        let request = self.request(method, path, fields, body);
        let response = async {
            match &mut self.sender {
                Sender::H1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::H2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        timeout(PATIENCE, response)
            .await
            .expect("a response head within the patience of the tests")
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: ClientBody,
    ) -> Request<ClientBody> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        request = match &self.sender {
            Sender::H1(_) => {
                let request = request.uri(path);
                let own_host = fields.iter().any(|(n, _)| n.eq_ignore_ascii_case("host"));
                if own_host {
                    request
                } else {
                    request.header("host", &self.authority)
                }
            }
            Sender::H2(_) => request.uri(format!("{}://{}{path}", self.scheme, self.authority)),
        };
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }
}

/// Collects the rest of a response.
pub async fn collect(response: http::Response<Incoming>) -> hyper::Result<Reply> {
    let (head, body) = response.into_parts();
    let collected = timeout(PATIENCE, body.collect())
        .await
        .expect("a response body within the patience of the tests")?;
    Ok(Reply {
        status: head.status,
        fields: head.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes(),
    })
}

pub fn empty() -> ClientBody {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Writes `bytes` and reads until the node closes the connection.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.unwrap();
    read_to_close(&mut stream).await
}

/// All that comes until the other side closes; a reset ends it likewise.
pub async fn read_to_close(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match timeout(PATIENCE, stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return String::from_utf8_lossy(&all).into_owned(),
            Ok(Ok(n)) => all.extend_from_slice(&piece[..n]),
            Err(_) => panic!(
                "the node did not close; it sent {:?}",
                String::from_utf8_lossy(&all)
            ),
        }
    }
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A TLS connection that offers one protocol.
pub async fn tls(
    address: SocketAddr,
    name: &str,
    roots: RootCertStore,
    protocol: &[u8],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, connect(address).await)
        .await
        .unwrap()
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
