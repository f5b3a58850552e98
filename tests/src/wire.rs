//! One connection byte by byte: what no HTTP library would send, and what one
//! would hide of the answer.

use std::net::SocketAddr;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::connect;

/// A connection over which a test says exactly what it wants.
pub struct Wire<S = TcpStream> {
    stream: S,
    held: BytesMut,
}

/// One HTTP/1 message as it came: the head's text, and the content after framing.
#[derive(Clone, Debug)]
pub struct WireMessage {
    /// From the first line to the empty one.
    pub head: String,
    pub body: Vec<u8>,
}

impl WireMessage {
    /// The status of a response.
    pub fn status(&self) -> u16 {
        status_of(&self.head)
    }

    /// The value of the first field line of that name, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field_of(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// The status in a response head's first line.
pub fn status_of(head: &str) -> u16 {
    head.strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("no response: {head:?}"))
}

/// The value of a head's first field line of that name, which is in lower case.
pub fn field_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Wire<TcpStream> {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(connect(address).await)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            held: BytesMut::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends, where the other side may have closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref()))
            .await
            .expect("the other side reads within the patience of the tests")?;
        self.stream.flush().await
    }

    /// Sends a request and reads its whole response.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> WireMessage {
        self.send(request).await;
        self.message().await
    }

    /// The next head, from its first line to the empty one.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let head = self.held.split_to(end + 4);
                return String::from_utf8_lossy(&head).into_owned();
            }
            self.more().await;
        }
    }

    /// The next message, with the content that its fields announce.
    pub async fn message(&mut self) -> WireMessage {
        let head = self.head().await;
        let body = if let Some(length) = field_of(&head, "content-length") {
            self.exactly(length.parse().unwrap()).await
        } else if field_of(&head, "transfer-encoding").is_some() {
            self.chunked().await
        } else {
            Vec::new()
        };
        WireMessage { head, body }
    }

    /// So many bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            self.more().await;
        }
        self.held.split_to(count).to_vec()
    }

    async fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = line.split(';').next().unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                // The trailer section.
                while !self.line().await.is_empty() {}
                return body;
            }
            body.extend(self.exactly(size).await);
            assert_eq!(self.exactly(2).await, b"\r\n");
        }
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.held, b"\r\n") {
                let line = self.held.split_to(end);
                self.held.advance(2);
                return String::from_utf8_lossy(&line).into_owned();
            }
            self.more().await;
        }
    }

    /// Whether the other side closes without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }

    /// All that comes until the other side closes; a reset ends it likewise.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read().await > 0 {}
        self.held.split().to_vec()
    }

    async fn more(&mut self) {
        assert!(
            self.read().await > 0,
            "the other side closed after {:?}",
            String::from_utf8_lossy(&self.held)
        );
    }

    async fn read(&mut self) -> usize {
        timeout(PATIENCE, self.stream.read_buf(&mut self.held))
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "nothing came and nothing closed after {:?}",
                    String::from_utf8_lossy(&self.held)
                )
            })
            .unwrap_or(0)
    }

    pub fn into_inner(self) -> S {
        self.stream
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
