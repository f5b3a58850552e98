//! Clients for HTTP/1.1 and HTTP/2, with and without TLS, that do no more than
//! is needed to know that an answer is whole.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::load::Load;
use crate::origin::CONTENT_BYTES;
use crate::tls;

/// HTTP/2 connections that share the streams.
const HTTP2_CONNECTIONS: usize = 4;

/// The host that requests name.
const HOST: &str = "localhost";

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection, or one stream after the other on a shared one.
pub struct Client(Kind);

enum Kind {
    Http1(Http1),
    Http2(SendRequest<Empty<Bytes>>, Request<()>),
}

struct Http1 {
    stream: Box<dyn Stream>,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// Opens the connections of `load`; one client for each request at a time.
pub(crate) async fn connect(load: &Load) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    if !load.http2 {
        for _ in 0..load.parallel {
            clients.push(Client(Kind::Http1(Http1 {
                stream: open(load).await?,
                request: request_text(load),
                buffer: vec![0; 8192],
            })));
        }
        return Ok(clients);
    }
    for index in 0..HTTP2_CONNECTIONS.min(load.parallel) {
        let io = TokioIo::new(open(load).await?);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let streams = (index..load.parallel).step_by(HTTP2_CONNECTIONS);
        for _ in streams {
            let request = request_head(load)?;
            clients.push(Client(Kind::Http2(sender.clone(), request)));
        }
    }
    Ok(clients)
}

async fn open(load: &Load) -> Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect(load.address).await?;
    tcp.set_nodelay(true)?;
    let Some(config) = &load.tls else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(tls::NAME)?;
    let connector = TlsConnector::from(config.clone());
    Ok(Box::new(connector.connect(name, tcp).await?))
}

fn request_text(load: &Load) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nhost: {HOST}\r\n", load.path);
    for (name, value) in load.fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn request_head(load: &Load) -> Result<Request<()>> {
    let scheme = if load.tls.is_some() { "https" } else { "http" };
    let mut head = Request::get(format!("{scheme}://{HOST}{}", load.path));
    for (name, value) in load.fields {
        head = head.header(*name, *value);
    }
    Ok(head.body(())?)
}

impl Client {
    /// One request and its answer.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        match &mut self.0 {
            Kind::Http1(client) => client.exchange().await,
            Kind::Http2(sender, head) => {
                let request = head.clone().map(|()| Empty::new());
                let response = sender.send_request(request).await?;
                ensure!(
                    response.status() == 200,
                    "the answer is {}",
                    response.status()
                );
                let content = response.into_body().collect().await?.to_bytes();
                ensure!(content.len() == CONTENT_BYTES, "{} bytes", content.len());
                Ok(())
            }
        }
    }
}

impl Http1 {
    async fn exchange(&mut self) -> Result<()> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let count = self.stream.read(room).await?;
            ensure!(count > 0, "the server closed the connection");
            filled += count;
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            match head.map(|end| end + 4 + CONTENT_BYTES) {
                Some(length) if filled == length => {
                    ensure!(bytes.starts_with(b"HTTP/1.1 200"), "the answer is not 200");
                    return Ok(());
                }
                Some(length) if filled > length => bail!("more came than was asked for"),
                _ => ensure!(filled < self.buffer.len(), "the head is too long"),
            }
        }
    }
}

/// Whether `address` answers a GET of `path` with 200 now.
#[must_use]
pub fn answers(address: SocketAddr, path: &str) -> bool {
    ask(address, path).is_ok()
}

fn ask(address: SocketAddr, path: &str) -> Result<()> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n"
    )?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let status = response.get(..12).context("no answer")?;
    ensure!(
        status == b"HTTP/1.1 200",
        "{}",
        String::from_utf8_lossy(status)
    );
    Ok(())
}
