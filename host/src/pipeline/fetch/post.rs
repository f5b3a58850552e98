//! Responses to POST that answer a later GET, too: explicitly fresh, and by their
//! Content-Location the representation of the target itself (RFC 9110 9.3.3).

use http::header::CONTENT_LOCATION;
use http::{HeaderMap, Method, Response};
use verge_cache::partial::FillTarget;
use verge_cache::policy::{RequestMethod, Storage, decide_storage, names_target};
use verge_cache::{Key, ResponseHead, ResponseTimes, Seeker, SentAt};
use verge_http::cache_control::RequestDirectives;
use verge_http::{Body, Failure};
use verge_runtime::Context;

use super::super::answer::{Answer, Source};
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::fill::{FillJob, FillOutcome};
use super::forward::{ForwardNotes, Forwarded};
use super::part::Aim;
use super::{Search, key, pass};
use crate::telemetry::{CacheReceipt, Receipt};

/// Whether a later GET of the same target would come to the same cache and the same route, and
/// find a `response` there that nothing has purged since it was asked for.
pub(super) fn may_be_stored(
    routed: &Routed,
    viewed: &ViewedRequest,
    response: &HeaderMap,
    sent: &SentAt,
) -> bool {
    let head = &viewed.head;
    head.method == Method::POST
        && routed.route.cached
        && response.contains_key(CONTENT_LOCATION)
        && !key::leads_elsewhere(routed, head, &Method::GET)
        && key::keyed(routed, &as_get(viewed))
            .is_ok_and(|keyed| routed.node.cache.is_unpurged_since(&keyed.key, sent))
}

/// It answers a GET, so it is kept where one is looked for.
fn as_get(viewed: &ViewedRequest) -> ViewedRequest {
    let mut head = viewed.head.clone();
    head.method = Method::GET;
    ViewedRequest {
        head,
        marks: viewed.marks.clone(),
        context: Context::default(),
    }
}

/// The origin's response as it came, stored on its way if it may be.
pub(super) fn answer(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    forwarded: Forwarded,
    arrived: (SentAt, ResponseTimes),
    facts: CacheReceipt,
) -> Result<Answer, Failure> {
    let Forwarded { response, notes } = forwarded;
    let as_get = as_get(viewed);
    let Ok(keyed) = key::keyed(routed, &as_get) else {
        return pass::answer(receipt, Forwarded { response, notes }, facts);
    };
    let search = Search {
        key: keyed.key,
        directives: RequestDirectives::parse(&viewed.head.fields),
        stale: None,
        variants: Vec::new(),
        pieces: None,
        aim: Aim::Whole,
        facts,
    };
    let key = search.key.clone();
    let job = FillJob::new(routed, keyed.reduced.as_deref().unwrap_or(&as_get), search);
    let mut is_stored = false;
    let response = response.map(|response| {
        let status = response.status();
        let fields = response.headers().clone();
        let is_of_target = names_target(&key::target_of(&viewed.head), &fields);
        match job.store_post(&key, response, arrived, &notes, is_of_target) {
            FillOutcome::Filling { reader, .. } => {
                is_stored = true;
                let mut response = Response::new(Body::stream(reader));
                *response.status_mut() = status;
                *response.headers_mut() = fields;
                response
            }
            FillOutcome::Passed { response, .. } => response,
            // Not reached: nothing was validated.
            _ => Response::new(Body::Empty),
        }
    });
    let mut answer = pass::answer(receipt, Forwarded { response, notes }, facts)?;
    answer.source = Source::Forwarded;
    if is_stored {
        if let Some(origin) = &mut receipt.origin {
            origin.is_filling = true;
        }
        if let Some(facts) = &mut answer.cache {
            facts.stored = true;
        }
    }
    Ok(answer)
}

impl FillJob {
    /// A POST's response, stored as one to GET if it may be; no request waits for it.
    fn store_post(
        mut self,
        key: &Key,
        response: Response<Body>,
        (sent, times): (SentAt, ResponseTimes),
        notes: &ForwardNotes,
        is_of_target: bool,
    ) -> FillOutcome {
        let head = ResponseHead::new(response.status(), response.headers(), times);
        let mut facts = self.storage_facts(&head, notes);
        facts.request.method = RequestMethod::Post { is_of_target };
        if let Storage::Refuse(reason) = decide_storage(&facts) {
            return FillOutcome::Passed { response, reason };
        }
        let cache = self.routed.node.cache.clone();
        let mut permit = cache.alone(&Seeker {
            key,
            fields: &self.head.fields,
            directives: &self.directives,
            seen: None,
            hint: None,
        });
        permit.mark_sent_at(sent);
        self.store(permit, response, times, notes, FillTarget::Own)
    }
}
