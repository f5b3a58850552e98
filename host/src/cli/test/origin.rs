//! Origins that answer as a scenario says, and count what they are asked.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::sleep;
use verge_base::Clock;
use verge_config::{Answer, Failing};
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

use super::super::dev::put_date;
use super::judge::{Difference, field, wanted_fields};

/// Ends a connection without an answer, or in the middle of one.
const CUT: Failure = Failure::Client(ClientFault::Aborted);

/// What all origins of a scenario share.
pub(super) struct Script {
    /// The node's clock.
    clock: Clock,
    answers: Vec<Answer>,
    told: Mutex<Told>,
}

/// What happened so far.
#[derive(Default)]
struct Told {
    /// How often each answer was given.
    given: Vec<u32>,
    asked: u32,
    differences: Vec<Difference>,
}

impl Script {
    pub(super) fn new(answers: &[Answer], clock: Clock) -> Arc<Self> {
        let given = vec![0; answers.len()];
        Arc::new(Self {
            clock,
            answers: answers.to_vec(),
            told: Mutex::new(Told {
                given,
                ..Told::default()
            }),
        })
    }

    /// How often origins were asked since the last call, and what was wrong with it. A request
    /// that no answer fits is a difference at `line`.
    pub(super) fn take(&self, line: usize) -> (u32, Vec<Difference>) {
        let mut told = self.told.lock();
        let asked = std::mem::take(&mut told.asked);
        let mut differences = std::mem::take(&mut told.differences);
        for difference in &mut differences {
            if difference.line == 0 {
                difference.line = line;
            }
        }
        (asked, differences)
    }

    /// Starts the origin `name` on a free port of the loopback.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn serve(self: &Arc<Self>, name: &str) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (script, name): (_, Arc<str>) = (Arc::clone(self), name.into());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Without it a small answer waits for more of it.
                let _ = stream.set_nodelay(true);
                let (script, name) = (Arc::clone(&script), Arc::clone(&name));
                let service = service_fn(move |request| {
                    let (script, name) = (Arc::clone(&script), Arc::clone(&name));
                    async move { script.answer(&name, request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(address)
    }

    async fn answer(
        &self,
        name: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let (head, body) = request.into_parts();
        // All of the request is here before it is answered.
        body.collect().await.map_err(|_| CUT)?;
        let Some(answer) = self.select(name, &head) else {
            let mut response = Response::new(Body::from("no [[origin]] answers this\n"));
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            return Ok(response);
        };
        sleep(answer.delay).await;
        if answer.fail == Some(Failing::Close) {
            return Err(CUT);
        }
        let mut response = response(answer);
        // An origin in the node's own time (RFC 9110 6.6.1).
        if !response.headers().contains_key(header::DATE) {
            put_date(response.headers_mut(), header::DATE, self.clock.wall());
        }
        Ok(response)
    }

    /// The first answer that fits, counted; what the request lacks is noted.
    fn select(&self, name: &str, head: &http::request::Parts) -> Option<&Answer> {
        let mut told = self.told.lock();
        told.asked += 1;
        let mut answers = self.answers.iter().enumerate();
        let found = answers.find(|(index, answer)| {
            let given = told.given.get(*index).copied().unwrap_or_default();
            fits(answer, name, head) && answer.times.is_none_or(|times| given < times)
        });
        let Some((index, answer)) = found else {
            let asked = format!("{} {} at origin {name}", head.method, head.uri);
            told.differences.push(Difference::new(
                0,
                "origin",
                "an [[origin]] that answers",
                asked,
            ));
            return None;
        };
        if let Some(given) = told.given.get_mut(index) {
            *given += 1;
        }
        for (line, name, value) in wanted_fields(&answer.expect) {
            let found = field(&head.headers, name).unwrap_or_else(|| "absent".to_owned());
            if found != value {
                let what = format!("field {name} of the request to the origin");
                told.differences
                    .push(Difference::new(line, what, value, found));
            }
        }
        Some(answer)
    }
}

fn fits(answer: &Answer, name: &str, head: &http::request::Parts) -> bool {
    let path = head.uri.path();
    let has_path = match answer.path.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == answer.path,
    };
    has_path
        && answer.name.as_deref().is_none_or(|wanted| wanted == name)
        && answer
            .method
            .as_deref()
            .is_none_or(|wanted| wanted == head.method.as_str())
}

fn response(answer: &Answer) -> Response<Body> {
    let content = Bytes::from(answer.body.clone());
    let body = if answer.fail == Some(Failing::Cut) {
        let half = content.slice(..content.len() / 2);
        let frames = [Ok(Frame::data(half)), Err(CUT)];
        Body::stream(StreamBody::new(stream::iter(frames)))
    } else {
        Body::from(content)
    };
    let mut response = Response::new(body);
    // Its range was checked when it was read.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    for (name, value) in &answer.fields {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
