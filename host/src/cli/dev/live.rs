//! The live-reload signal: browsers that look at a page of `verge dev` load it
//! again when there is a new version. A stream of events at [`EVENTS`], and a
//! script that listens to it, which pages of HTML are given at their end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::StreamBody;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;
use verge_base::Permits;
use verge_http::{Body, Failure};

use crate::node::Front;
use crate::pipeline::ExchangeBody;

/// Where the events are.
const EVENTS: &str = "/.verge/live";
/// Where the script is.
const SCRIPT: &str = "/.verge/live.js";
/// What a page of HTML is given.
const SNIPPET: &[u8] = b"<script src=\"/.verge/live.js\" async></script>\n";
/// Browsers that may listen at once.
const LISTENERS_MAX: usize = 64;
/// How often a silent stream shows that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Tells browsers which version is live.
pub(super) struct Live {
    version: Mutex<Option<watch::Sender<String>>>,
    listeners: Permits,
}

impl Live {
    /// No version yet.
    pub(super) fn new() -> Self {
        Self {
            version: Mutex::new(Some(watch::channel(String::new()).0)),
            listeners: Permits::new("live-listeners", LISTENERS_MAX),
        }
    }

    /// Says that `version` is live; browsers with another one load their page again.
    pub(super) fn tell(&self, version: String) {
        if let Some(sender) = &*self.version.lock() {
            sender.send_if_modified(|now| {
                let is_new = *now != version;
                *now = version;
                is_new
            });
        }
    }

    /// Ends all streams, so that a stop does not wait for them.
    pub(super) fn end(&self) {
        *self.version.lock() = None;
    }

    fn events(&self) -> Response<Body> {
        let receiver = self.version.lock().as_ref().map(watch::Sender::subscribe);
        let (Some(receiver), Some(permit)) = (receiver, self.listeners.try_acquire()) else {
            let mut response = Response::new(Body::from("too many listeners\n"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        };
        let first = format!("retry: 300\n{}", event(&receiver.borrow()));
        let state = (receiver, permit, Some(first));
        let events = stream::unfold(state, |(mut receiver, permit, first)| async move {
            let text = match first {
                Some(first) => first,
                None => tokio::select! {
                    changed = receiver.changed() => {
                        // The sender is gone: this node stops.
                        changed.ok()?;
                        event(&receiver.borrow_and_update())
                    }
                    () = sleep(ALIVE_EVERY) => ":\n\n".to_owned(),
                },
            };
            let frame = Frame::data(Bytes::from(text));
            Some((Ok::<_, Failure>(frame), (receiver, permit, None)))
        });
        let mut response = Response::new(Body::stream(StreamBody::new(events)));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn event(version: &str) -> String {
    format!("event: live\ndata: {version}\n\n")
}

fn script() -> Response<Body> {
    let mut response = Response::new(Body::from(include_str!("live.js")));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Front for Live {
    fn intercept(&self, request: &mut Request<Body>) -> Option<Response<Body>> {
        match request.uri().path() {
            EVENTS => Some(self.events()),
            SCRIPT => Some(script()),
            _ => {
                // The snippet can be given to what is not coded only.
                if has(request.headers(), ACCEPT, "text/html") {
                    request.headers_mut().remove(ACCEPT_ENCODING);
                }
                None
            }
        }
    }

    fn finish(
        &self,
        method: &Method,
        mut response: Response<ExchangeBody>,
    ) -> Response<ExchangeBody> {
        let takes_it = *method == Method::GET
            && response.status() != StatusCode::PARTIAL_CONTENT
            && has(response.headers(), CONTENT_TYPE, "text/html")
            && !response.headers().contains_key(CONTENT_ENCODING)
            && !http_body::Body::is_end_stream(response.body());
        if !takes_it {
            return response;
        }
        let length = response.headers().get(CONTENT_LENGTH);
        if let Some(length) = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) {
            let longer = HeaderValue::from(length + SNIPPET.len() as u64);
            response.headers_mut().insert(CONTENT_LENGTH, longer);
        }
        response.map(|body| {
            let snippet = Some(Bytes::from_static(SNIPPET));
            ExchangeBody::from(Body::stream(WithSnippet { body, snippet }))
        })
    }
}

fn has(fields: &HeaderMap, name: http::HeaderName, word: &str) -> bool {
    fields
        .get_all(name)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains(word)))
}

/// A page with the snippet behind it: a script behind `</html>` is a part of the body all the
/// same (HTML, "after after body").
struct WithSnippet {
    body: ExchangeBody,
    snippet: Option<Bytes>,
}

impl http_body::Body for WithSnippet {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            None => self.snippet.take().map(|snippet| Ok(Frame::data(snippet))),
            // Nothing can follow trailers.
            Some(Ok(frame)) if frame.is_trailers() => match self.snippet.take() {
                Some(snippet) => Some(Ok(Frame::data(snippet))),
                None => Some(Ok(frame)),
            },
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.snippet.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(length) => {
                let more = self
                    .snippet
                    .as_ref()
                    .map_or(0, |snippet| snippet.len() as u64);
                SizeHint::with_exact(length + more)
            }
            None => SizeHint::default(),
        }
    }
}
