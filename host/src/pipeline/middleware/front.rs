//! Middleware in front of the cache: stages 5 and 6 as one thing that can be
//! asked, more than once or not at all.

use std::sync::Arc;

use http::Response;
use http::header::AGE;
use parking_lot::Mutex;
use verge_http::{Body, Failure, age};
use verge_runtime::{Context, Trigger};

use super::super::answer::{Answer, Source};
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::super::{compress, fetch as stage, ranges};
use super::{Asked, Chain, Rest, Running};
use crate::telemetry::{CacheReceipt, OriginReceipt, Receipt, TriggerReceipt};

/// Stage 5, through the middleware in front of it, if the route has any.
///
/// # Errors
/// Why there is no response.
pub(in crate::pipeline) async fn fetch(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
) -> Result<Answer, Failure> {
    if routed.route.viewer_middleware.is_empty() {
        return stage::fetch(routed, receipt, viewed, body).await;
    }
    Box::pin(through(routed, receipt, viewed, body)).await
}

async fn through(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    body: Body,
) -> Result<Answer, Failure> {
    let notes = Arc::new(Mutex::new(Notes::default()));
    let rest = Front {
        routed: routed.clone(),
        notes: Arc::clone(&notes),
    };
    let uses = &routed.route.viewer_middleware;
    let chain = Chain::new(routed, Trigger::ViewerMiddleware, uses, rest);
    let asked = Asked {
        head: viewed.head.clone(),
        marks: viewed.marks.clone(),
        body,
        is_derived: false,
    };
    let answered = chain.answer(asked).await;
    let notes = std::mem::take(&mut *notes.lock());
    receipt.triggers.extend(chain.take_receipts());
    receipt.triggers.extend(notes.triggers);
    receipt.origin = notes.origin;
    receipt.cache = notes.cache;
    let response = answered?.response;
    Ok(match notes.source {
        // Preconditions and ranges of the client were settled behind the middleware.
        Some(Source::Stored { .. } | Source::Forwarded | Source::Fetched) => {
            Answer::forwarded(response, notes.cache)
        }
        Some(Source::Generated) | None => Answer::from_function(response),
    })
}

/// What was behind the middleware; of several requests, the last one's.
#[derive(Default)]
struct Notes {
    source: Option<Source>,
    cache: Option<CacheReceipt>,
    origin: Option<OriginReceipt>,
    triggers: Vec<TriggerReceipt>,
}

struct Front {
    routed: Routed,
    notes: Arc<Mutex<Notes>>,
}

impl Rest for Front {
    fn answer(&self, asked: Asked) -> Running<Response<Body>> {
        let (routed, notes) = (self.routed.clone(), Arc::clone(&self.notes));
        Box::pin(async move {
            let node = &routed.node;
            let mut receipt = Receipt::begin(routed.id, node.clock.now(), node.clock.wall());
            let answered = stages(&routed, &mut receipt, asked).await;
            let mut notes = notes.lock();
            notes.triggers.extend(receipt.triggers);
            notes.cache = receipt.cache;
            notes.origin = receipt.origin;
            let mut answer = answered?;
            notes.source = Some(answer.source);
            notes.cache = answer.cache;
            if let Source::Stored { age: current } = answer.source {
                // RFC 9111 5.1: what comes out of a cache says how old it is.
                answer.fields.insert(AGE, age::fmt(current));
            }
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.fields;
            Ok(response)
        })
    }
}

/// Stages 5 and 6, and ranges.
async fn stages(routed: &Routed, receipt: &mut Receipt, asked: Asked) -> Result<Answer, Failure> {
    let node = &routed.node;
    let viewed = ViewedRequest {
        head: asked.head,
        marks: asked.marks,
        context: Context::default(),
    };
    let mut answer = stage::fetch(routed, receipt, &viewed, asked.body).await?;
    let now = node.clock.wall();
    compress::apply_preconditions(routed, &viewed.head, &mut answer, now);
    let facts = ranges::RangeFacts {
        is_replaced: false,
        now,
        random: &node.random,
        metrics: Some(node.telemetry.metrics()),
    };
    ranges::settle_range(&viewed.head, &mut answer, facts)?;
    Ok(answer)
}
