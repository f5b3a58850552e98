//! Middleware behind the cache, around the exchange with the origin: what comes
//! out of it is what is stored.
//!
//! It is as the origin that it stands in front of: what its answer depends on is
//! for its Vary to say. What it derives for the origin from the client, nobody
//! can say: then the response is for that request alone.

use std::sync::Arc;

use http::Response;
use http::header::AUTHORIZATION;
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
    let sent = Arc::new(Mutex::new(Sent::default()));
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
    notes.triggers.extend(sent.notes.triggers);
    notes.origin = sent.notes.origin;
    notes.has_authorization |= sent.notes.has_authorization;
    notes.may_be_stale = sent.notes.may_be_stale;
    bound.seen.everything |= sent.is_derived;
    bound.seen.is_function_skipped |= chain.is_function_skipped();
    Ok(answered?.response)
}

/// What was sent; of several requests, the last one's.
#[derive(Default)]
struct Sent {
    notes: ForwardNotes,
    is_derived: bool,
}

struct Behind {
    routed: Routed,
    origin: Option<String>,
    sent: Arc<Mutex<Sent>>,
}

impl Rest for Behind {
    fn answer(&self, asked: Asked) -> Running<Response<Body>> {
        let (routed, origin) = (self.routed.clone(), self.origin.clone());
        let sent = Arc::clone(&self.sent);
        Box::pin(async move {
            let mut notes = ForwardNotes::default();
            let has_authorization = asked.head.fields.contains_key(AUTHORIZATION);
            let mut bound = OriginBound {
                head: asked.head,
                body: asked.body,
                origin,
                seen: SeenInput::default(),
            };
            let response = send(&routed, &mut notes, &mut bound).await;
            let mut sent = sent.lock();
            sent.is_derived |= asked.is_derived;
            sent.notes.triggers.extend(notes.triggers);
            sent.notes.origin = notes.origin;
            sent.notes.may_be_stale = notes.may_be_stale;
            sent.notes.has_authorization |= has_authorization;
            response
        })
    }
}
