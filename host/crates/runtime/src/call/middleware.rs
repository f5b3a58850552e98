//! Calls of `wasi:http` 0.3 middleware: a handler that has the rest of the
//! request path behind it.

use std::sync::Arc;

use verge_http::Body;

use super::handler::Reply;
use super::next::Behind;
use crate::function::Function;
use crate::message::{Call, MiddlewareCall, Next, Unanswered};
use crate::outcome::Trigger;

impl Function {
    /// Lets a `wasi:http` middleware answer, in front of `next`. The request's URI has scheme and
    /// authority; its fields have no connection-specific ones. `id` is the request id for the log.
    pub async fn middleware(
        &self,
        trigger: Trigger,
        call: Call,
        mut request: http::Request<Body>,
        id: Arc<str>,
        next: Arc<dyn Next>,
    ) -> MiddlewareCall {
        let has_content = !http_body::Body::is_end_stream(request.body());
        let behind = Arc::new(Behind::new(next, request.uri()));
        request.extensions_mut().insert(Arc::clone(&behind));
        let answered = self.answer(trigger, call, request, id, Some(&behind)).await;
        let (response, is_whole) = match answered.reply {
            Ok(Reply::Response(response, is_whole)) => (Ok(response), is_whole),
            Ok(Reply::Behind(error)) => (Err(Unanswered::Behind(error)), false),
            Err(failure) => (Err(Unanswered::Failed(failure)), false),
        };
        let has_failed = response.is_err();
        MiddlewareCall {
            response,
            is_whole,
            was_next_asked: behind.was_asked(),
            // Content that was handed on is with whom it was handed to.
            content: match has_content {
                true if has_failed => answered.not_given.or_else(|| behind.unread.take()),
                true => None,
                false => Some(Body::Empty),
            },
            given: has_failed.then(|| behind.take_given()).flatten(),
            receipt: answered.receipt,
            pending: answered.pending,
        }
    }
}
