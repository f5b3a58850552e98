//! Answers that the listener writes by itself, and closing a connection so
//! that the last answer arrives.

use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::Stream;

/// Bytes that a closed connection is read on for at most.
const CLOSE_BYTES: usize = 1024 * 1024;

/// Writes `response` as the last one of an HTTP/1 connection, and closes it.
/// All of it takes `time` at most for each of the two.
pub(super) async fn send_last(
    stream: &mut Stream,
    response: &Response<Bytes>,
    wall: SystemTime,
    time: Duration,
) {
    let bytes = encode(response, wall);
    let sent = tokio::time::timeout(time, async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    });
    match sent.await {
        Ok(Ok(())) => close(stream, time).await,
        Ok(Err(_)) | Err(_) => stream.reset_on_close(),
    }
}

/// Says that nothing more will be written, and reads on for a while: a socket
/// that is closed with unread bytes sends a reset, which can destroy what the
/// client has not read yet (RFC 9112 9.6).
pub(super) async fn close(stream: &mut Stream, time: Duration) {
    let drained = tokio::time::timeout(time, async {
        stream.shutdown().await?;
        let mut left = CLOSE_BYTES;
        let mut waste = [0; 4096];
        while left > 0 {
            let count = stream.read(&mut waste).await?;
            if count == 0 {
                break;
            }
            left = left.saturating_sub(count);
        }
        std::io::Result::Ok(())
    });
    // Whatever it came to, the connection is closed now.
    let _ = drained.await;
}

/// `response` as HTTP/1.1 that closes the connection.
fn encode(response: &Response<Bytes>, wall: SystemTime) -> BytesMut {
    let status = response.status();
    let body = response.body();
    let mut out = BytesMut::with_capacity(512 + body.len());
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in response.headers() {
        let is_framing = name == header::CONTENT_LENGTH
            || name == header::TRANSFER_ENCODING
            || name == header::CONNECTION;
        if !is_framing {
            put_field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    if !response.headers().contains_key(header::DATE) {
        put_field(&mut out, "date", httpdate::fmt_http_date(wall).as_bytes());
    }
    let length = itoa::Buffer::new().format(body.len()).to_owned();
    put_field(&mut out, "content-length", length.as_bytes());
    put_field(&mut out, "connection", b"close");
    out.put_slice(b"\r\n");
    out.put_slice(body);
    out
}

fn put_field(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_the_listeners_own() {
        let response = Response::builder()
            .status(400)
            .header("content-type", "text/plain")
            .header("content-length", "999")
            .header("transfer-encoding", "chunked")
            .header("connection", "keep-alive")
            .body(Bytes::from_static(b"no\n"))
            .expect("response");
        let text = encode(&response, SystemTime::UNIX_EPOCH);
        let text = std::str::from_utf8(&text).expect("ASCII");
        assert_eq!(
            text,
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
             date: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 3\r\n\
             connection: close\r\n\r\nno\n"
        );
    }
}
