//! The demo's origins: a real HTTP/1.1 server with pages that are worth
//! caching, and some that are not. It counts what it is asked, so that a
//! visitor sees which requests the cache answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

const LARGE_BYTES: usize = 8 * 1024 * 1024;
const SLOW: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One origin: its name shows in its pages.
pub(crate) struct DemoOrigin {
    name: &'static str,
    answered: AtomicU64,
    large: Bytes,
}

impl DemoOrigin {
    /// Binds `address` and serves until the process ends.
    pub(crate) async fn start(name: &'static str, address: SocketAddr) -> std::io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        let origin = Arc::new(Self {
            name,
            answered: AtomicU64::new(0),
            large: Bytes::from(vec![b'v'; LARGE_BYTES]),
        });
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // Out of open files, most likely: some are given back soon.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let origin = Arc::clone(&origin);
                let service = service_fn(move |request| {
                    let origin = Arc::clone(&origin);
                    async move { Ok::<_, Infallible>(origin.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let number = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        let served_by = format!("origin {}, its request number {number}", self.name);
        let mut response = match request.uri().path() {
            "/" => html(&served_by),
            "/json" => json(&served_by),
            "/large" => cached(self.large.clone(), "application/octet-stream", 300),
            "/slow" => {
                tokio::time::sleep(SLOW).await;
                cached(
                    Bytes::from(format!("slow page of {served_by}\n")),
                    "text/plain",
                    30,
                )
            }
            "/fail" => plain(StatusCode::SERVICE_UNAVAILABLE, "this page always fails\n"),
            "/etag" => validated(&request, &served_by),
            "/echo" => echo(request).await,
            _ => page(&request, &served_by),
        };
        if let Ok(value) = HeaderValue::from_str(self.name) {
            response.headers_mut().insert("x-served-by", value);
        }
        response
    }
}

fn html(served_by: &str) -> Response<Full<Bytes>> {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><title>Verge demo</title></head>\n<body><h1>Verge demo</h1>\n<p>Made by {served_by}.</p>\n</body></html>\n"
    );
    cached(Bytes::from(text), "text/html; charset=utf-8", 60)
}

fn json(served_by: &str) -> Response<Full<Bytes>> {
    let text = format!("{{\"made_by\":\"{served_by}\"}}\n");
    cached(Bytes::from(text), "application/json", 10)
}

/// Any other page: shows the fields that functions added on the way.
fn page(request: &Request<Incoming>, served_by: &str) -> Response<Full<Bytes>> {
    let mut text = format!("{} made by {served_by}\n", request.uri().path());
    for (name, value) in request.headers() {
        if name.as_str().starts_with("x-") {
            let value = String::from_utf8_lossy(value.as_bytes());
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    let mut response = plain(StatusCode::OK, "");
    *response.body_mut() = Full::new(Bytes::from(text));
    response
}

fn validated(request: &Request<Incoming>, served_by: &str) -> Response<Full<Bytes>> {
    const TAG: HeaderValue = HeaderValue::from_static("\"v1\"");
    let mut response = if request.headers().get(IF_NONE_MATCH) == Some(&TAG) {
        plain(StatusCode::NOT_MODIFIED, "")
    } else {
        cached(
            Bytes::from(format!("validated page of {served_by}\n")),
            "text/plain",
            0,
        )
    };
    response.headers_mut().insert(ETAG, TAG);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
    response
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    match request.into_body().collect().await {
        Ok(body) => Response::new(Full::new(body.to_bytes())),
        Err(_) => plain(StatusCode::BAD_REQUEST, "the body ended early\n"),
    }
}

fn cached(body: Bytes, content_type: &'static str, seconds: u32) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}")) {
        fields.insert(CACHE_CONTROL, value);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
