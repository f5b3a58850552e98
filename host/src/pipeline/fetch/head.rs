//! HEAD of which a response to GET is stored that would have to be validated:
//! the origin is asked, and its answer freshens or removes what is stored
//! (RFC 9111 4.3.5). The answer itself is never stored.

use verge_cache::policy::{OriginError, RequestFacts};
use verge_cache::{Newer, ResponseHead};
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::forward::forward;
use super::storing::{depends_on_unkeyed, jitter_roll};
use super::{Search, from_stored, pass, stale};
use crate::telemetry::Receipt;

/// Forwards the HEAD as it is.
pub(super) async fn ask(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: &Search,
) -> Result<Answer, Failure> {
    let cache = &routed.node.cache;
    let head = &viewed.head;
    let sent = cache.sent_at();
    let origin = viewed.marks.origin.clone();
    let (forwarded, arrived) = forward(routed, head.clone(), Body::Empty, origin).await;
    let mut request = RequestFacts::of(&head.method, &head.fields, search.directives.no_store);
    request.roll = jitter_roll(routed);
    request.has_authorization |= forwarded.notes.has_authorization;
    if let (Ok(response), Some(stale)) = (&forwarded.response, &search.stale) {
        let (seen, fields) = (&forwarded.notes.seen, response.headers());
        request.has_unkeyed_input = depends_on_unkeyed(routed, &viewed.marks, seen, fields);
        let times = arrived.after(&sent);
        let newer = Newer {
            response: &ResponseHead::new(response.status(), fields, times),
            request: &head.fields,
            facts: request,
            route: &routed.route.policy,
            sent,
        };
        // Its decision is the cache's affair: the client gets the origin's answer.
        let _ = cache.freshen_by_head(&search.key, stale, &newer);
    }
    let error = match &forwarded.response {
        Ok(response) => OriginError::of_status(response.status()),
        Err(failure) => Some(OriginError::Failed(*failure)),
    };
    if let (Some(error), Some(stored)) = (error, &search.stale)
        && let Some(grant) = stale::grant(routed, stored, &search.directives, error)
    {
        let mut facts = search.facts;
        facts.detail = Some(grant.label());
        if let Ok(passed) = pass::answer(receipt, forwarded, facts) {
            facts.forward_status = Some(passed.status);
        }
        return Ok(from_stored(routed, stored, facts));
    }
    pass::answer(receipt, forwarded, search.facts).map_err(|failure| {
        let stored = search.stale.as_ref();
        stale::explained(routed, stored, &search.directives, failure)
    })
}
