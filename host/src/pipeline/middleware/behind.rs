//! Middleware behind the cache, around the exchange with the origin: what comes
//! out of it is what is stored.
//!
//! It is as the origin that it stands in front of: what its answer depends on is
//! for its Vary to say. What it derives for the origin from the client, nobody
//! can say: then the response is for that request alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Response;
use parking_lot::Mutex;
use verge_http::{Body, Failure};
use verge_runtime::Trigger;

use super::super::fetch::{ForwardNotes, send};
use super::super::routed::Routed;
use super::super::triggers::{OriginBound, RequestMarks, SeenInput};
use super::{Asked, Chain, Rest, Running};

/// Sends a request to where its route leads, through the middleware in front of that.
///
/// # Errors
/// Why there is no response.
pub(in crate::pipeline) async fn exchange(
    routed: &Routed,
    notes: &mut ForwardNotes,
    bound: &mut OriginBound,
) -> Result<Response<Body>, Failure> {
    let uses = &routed.route.origin_middleware;
    if uses.is_empty() {
        return send(routed, notes, bound).await;
    }
    let sent = Arc::new(Mutex::new(ForwardNotes::default()));
    let rest = Behind {
        routed: routed.clone(),
        origin: bound.origin.clone(),
        sent: Arc::clone(&sent),
    };
    let chain = Chain::new(routed, Trigger::OriginMiddleware, uses, rest);
    let asked = Asked {
        head: bound.head.clone(),
        marks: RequestMarks::default(),
        body: std::mem::take(&mut bound.body),
        is_derived: false,
    };
    let answered = chain.answer(asked).await;
    let sent = std::mem::take(&mut *sent.lock());
    notes.triggers.extend(chain.take_receipts());
    notes.triggers.extend(sent.triggers);
    notes.origin = sent.origin;
    notes.changed = sent.changed;
    notes.may_be_stale = sent.may_be_stale;
    notes.has_authorization |= chain.has_authorization.load(Ordering::Relaxed);
    bound.seen.everything |= chain.is_derived.load(Ordering::Relaxed);
    bound.seen.is_function_skipped |= chain.is_function_skipped();
    Ok(answered?.response)
}

struct Behind {
    routed: Routed,
    origin: Option<String>,
    /// What was sent; of several requests, the last one's.
    sent: Arc<Mutex<ForwardNotes>>,
}

impl Rest for Behind {
    fn answer(&self, asked: Asked) -> Running<Response<Body>> {
        let (routed, origin) = (self.routed.clone(), self.origin.clone());
        let sent = Arc::clone(&self.sent);
        Box::pin(async move {
            let mut notes = ForwardNotes::default();
            let mut bound = OriginBound {
                head: asked.head,
                body: asked.body,
                origin,
                seen: SeenInput::default(),
            };
            let response = send(&routed, &mut notes, &mut bound).await;
            let mut sent = sent.lock();
            sent.triggers.extend(notes.triggers);
            sent.origin = notes.origin;
            sent.changed = notes.changed.or(sent.changed);
            sent.may_be_stale = notes.may_be_stale;
            response
        })
    }
}
