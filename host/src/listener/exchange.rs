//! One request and its response, between an HTTP library and the [`Handler`]: what is
//! the same for HTTP/1 and HTTP/2.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{Request, Response};
use verge_http::failure::NodeFault;
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure};

use super::event::ConnectionEvent;
use super::facts::ConnectionFacts;
use super::handler::Handler;

/// The part of a [`Handler`] that can be a trait object.
pub(super) trait EventSink: Send + Sync {
    fn event(&self, event: ConnectionEvent);
}

impl<H: Handler> EventSink for H {
    fn event(&self, event: ConnectionEvent) {
        Handler::event(self, event);
    }
}

/// Lets `handler` answer `request`. A panic, and an answer that HTTP cannot
/// carry, become an answer that says that this server made a mistake.
pub(super) async fn answer<H: Handler>(
    handler: &H,
    facts: &Arc<ConnectionFacts>,
    interim: Option<InterimSender>,
    request: Request<Body>,
) -> Response<H::ResponseBody> {
    // The handler's own state is its own to keep consistent; nothing of the
    // listener is reachable from inside.
    let handled = AssertUnwindSafe(async { handler.handle(facts, interim, request).await });
    match handled.catch_unwind().await {
        // Informational responses have a way of their own, and 101 would switch
        // protocols, which nothing here supports.
        Ok(response) if response.status().is_informational() => internal(handler, facts),
        Ok(response) => response,
        Err(_panic) => {
            Handler::event(handler, ConnectionEvent::HandlerPanicked);
            internal(handler, facts)
        }
    }
}

fn internal<H: Handler>(handler: &H, facts: &ConnectionFacts) -> Response<H::ResponseBody> {
    handler
        .refuse(facts, Failure::Node(NodeFault::Internal))
        .map(|text| Body::from(text).into())
}
