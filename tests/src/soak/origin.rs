//! The soak's origin: the path says how large the content is, and how long it
//! may be stored. It remembers nothing.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The largest content.
pub const CONTENT_MAX: usize = 4 * 1024 * 1024;

/// Bytes of content of the path `/KIND/NUMBER`.
pub fn length(path: &str) -> usize {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let kind = parts.next().unwrap_or_default();
    let number: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    match kind {
        "large" => 1024 * 1024 + number * 70_001 % (CONTENT_MAX - 1024 * 1024),
        "miss" => 1000 + number * 7919 % 20_000,
        _ => 500 + number * 997 % 16_000,
    }
}

/// The byte at `place` of all contents.
pub fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

/// Starts it; it ends with the runtime.
pub async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let content: Bytes = (0..CONTENT_MAX).map(byte_at).collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let content = content.clone();
            let service = service_fn(move |request| answer(request, content.clone()));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    content: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let content = content.slice(..length(path));
    let response = Response::builder()
        .header("cache-control", "max-age=5, stale-while-revalidate=5")
        .header("etag", format!("\"{}\"", content.len()));
    Ok(response.body(Full::new(content)).unwrap())
}
