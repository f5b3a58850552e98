//! HTTP/2 frame by frame (RFC 9113 4), for clients that break its rules.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::wire::Wire;

/// The client's connection preface (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;

/// Flags of HEADERS: the field section is complete, and so is the request.
pub const END_HEADERS: u8 = 4;
pub const END_STREAM: u8 = 1;

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    pub fn error_code(&self) -> u32 {
        let code = match self.kind {
            RST_STREAM => &self.payload[..4],
            GOAWAY => &self.payload[4..8],
            _ => panic!("no error code in {self:?}"),
        };
        u32::from_be_bytes(code.try_into().unwrap())
    }

    /// The status of a response's HEADERS, as far as HPACK's static table and
    /// plain literals name it (RFC 7541 A); 0 for what else there is.
    pub fn status(&self) -> u16 {
        let block = match self.payload.as_slice() {
            // A change of the dynamic table's size comes first.
            [0x20..=0x3f, rest @ ..] => rest,
            block => block,
        };
        match block {
            [0x88, ..] => 200,
            [0x89, ..] => 204,
            [0x8a, ..] => 206,
            [0x8b, ..] => 304,
            [0x8c, ..] => 400,
            [0x8d, ..] => 404,
            [0x8e, ..] => 500,
            _ => 0,
        }
    }
}

/// A plaintext HTTP/2 connection that a test writes by hand.
pub struct FrameWire(Wire<TcpStream>);

impl FrameWire {
    /// Connects and sends preface and SETTINGS.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut wire = Wire::connect(address).await;
        wire.send(PREFACE).await;
        wire.send(frame(SETTINGS, 0, 0, &[])).await;
        Self(wire)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes).await;
    }

    /// Sends, where the node may have closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.try_send(bytes).await
    }

    pub async fn frame(&mut self) -> Frame {
        let head = self.0.exactly(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload: self.0.exactly(length as usize).await,
        }
    }

    /// The next frame that `wanted` accepts; others are passed over.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.frame().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// What the node says to the request on `stream`: its HEADERS, its reset, or GOAWAY.
    pub async fn answer(&mut self, stream: u32) -> Frame {
        self.until(|frame| {
            frame.kind == GOAWAY
                || (frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))
        })
        .await
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HEADERS of a request without content. The field lines are literals without
/// indexing or Huffman coding (RFC 7541 6.2.2).
pub fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, END_HEADERS | END_STREAM, fields)
}

/// HEADERS with these flags.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Seven bits of length are enough for tests.
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, flags, stream, &block)
}
