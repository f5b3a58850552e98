//! An origin that answers as a test tells it, and remembers what it was asked.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What ends a scripted body early: the connection is cut without a proper end.
#[derive(Debug, thiserror::Error)]
#[error("cut short by the test")]
pub struct CutShort;

pub type OriginBody = UnsyncBoxBody<Bytes, CutShort>;
pub type OriginResponse = Response<OriginBody>;
type Answer = Pin<Box<dyn Future<Output = OriginResponse> + Send>>;
type Handler = dyn Fn(Recorded) -> Answer + Send + Sync;

/// One request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub target: String,
    pub fields: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Recorded {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|v| v.to_str().unwrap())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
}

/// A scripted origin on a port of its own; it ends with the test's runtime.
pub struct Origin {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Origin {
    /// Answers each request with what `handler` makes of it.
    pub async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Recorded) -> A + Send + Sync + 'static,
        A: Future<Output = OriginResponse> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Recorded>>> = Arc::default();
        let handler: Arc<Handler> = Arc::new(move |recorded| Box::pin(handler(recorded)));
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                let service = service_fn(move |request| {
                    serve(Arc::clone(&handler), Arc::clone(&log), connection, request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
                connection += 1;
            }
        });
        Self { address, requests }
    }

    /// Everything it was asked so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().len()
    }
}

async fn serve(
    handler: Arc<Handler>,
    log: Arc<Mutex<Vec<Recorded>>>,
    connection: usize,
    request: Request<Incoming>,
) -> Result<OriginResponse, CutShort> {
    let (head, body) = request.into_parts();
    let Ok(collected) = body.collect().await else {
        return Ok(respond(400, &[], ""));
    };
    let recorded = Recorded {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        fields: head.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes(),
        connection,
    };
    log.lock().push(recorded.clone());
    let response = handler(recorded).await;
    if response.extensions().get::<HangUp>().is_some() {
        return Err(CutShort);
    }
    Ok(response)
}

/// A response with these fields and this content.
pub fn respond(status: u16, fields: &[(&str, &str)], body: impl Into<Bytes>) -> OriginResponse {
    let body = Full::new(body.into()).map_err(|never| match never {});
    head(status, fields).body(body.boxed_unsync()).unwrap()
}

/// No response: the connection is closed.
pub fn hang_up() -> OriginResponse {
    let mut response = respond(500, &[], "");
    response.extensions_mut().insert(HangUp);
    response
}

/// Marks [`hang_up`].
#[derive(Clone)]
struct HangUp;

/// A response whose content the test sends piece by piece: `None` ends it well,
/// dropping the sender without it cuts it short.
pub fn respond_in_steps(
    status: u16,
    fields: &[(&str, &str)],
) -> (mpsc::UnboundedSender<Option<Bytes>>, OriginResponse) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Option<Bytes>>();
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|step| match step {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => None,
            None => Some(Err(CutShort)),
        })
    });
    let response = head(status, fields)
        .body(StreamBody::new(stream).boxed_unsync())
        .unwrap();
    (sender, response)
}

fn head(status: u16, fields: &[(&str, &str)]) -> http::response::Builder {
    let mut head = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in fields {
        head = head.header(*name, *value);
    }
    head
}
