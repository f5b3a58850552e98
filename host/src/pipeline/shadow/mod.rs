//! Calls in the shadow: a version that nobody gets runs with the input of the live one, after it
//! and beside the request, and what it comes to is compared.
//!
//! The live call's answer is on its way before a shadow begins, and nothing waits for one.

mod compare;
mod scope;

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use verge_base::Clock;
use verge_http::Body;
use verge_runtime::{Call, EdgeRequest, HandlerCall, RequestCall, ResponseCall, Trigger};

use self::compare::Came;
use self::scope::ShadowScope;
use super::routed::Routed;
use crate::deploy::shadow::Rehearsed;
use crate::deploy::state::BesideMode;
use crate::route::{FunctionEntry, FunctionUse};

/// A call that is about to be made of the live version, and its input once more.
pub(super) struct Rehearsal {
    version: Arc<FunctionEntry>,
    scope: ShadowScope,
    input: Input,
    request: Arc<str>,
}

enum Input {
    Request(EdgeRequest),
    Response(EdgeRequest, Response<Body>),
    Handler(Request<Body>),
}

impl Rehearsal {
    /// Of a request trigger; `None` where nothing runs in the shadow.
    pub(super) fn of_request(
        routed: &Routed,
        used: &FunctionUse,
        request: &EdgeRequest,
    ) -> Option<Self> {
        let input = || Some(Input::Request(copy_request(request)?));
        Self::begin(routed, used, input)
    }

    /// Of a response trigger.
    pub(super) fn of_response(
        routed: &Routed,
        used: &FunctionUse,
        request: &EdgeRequest,
        response: &Response<Body>,
    ) -> Option<Self> {
        let input = || {
            Some(Input::Response(
                copy_request(request)?,
                copy_response(response)?,
            ))
        };
        Self::begin(routed, used, input)
    }

    /// Of a handler.
    pub(super) fn of_handler(
        routed: &Routed,
        used: &FunctionUse,
        request: &Request<Body>,
    ) -> Option<Self> {
        let input = || {
            let mut copy = Request::new(copy_body(request.body())?);
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.version_mut() = request.version();
            *copy.headers_mut() = request.headers().clone();
            Some(Input::Handler(copy))
        };
        Self::begin(routed, used, input)
    }

    fn begin(
        routed: &Routed,
        used: &FunctionUse,
        input: impl FnOnce() -> Option<Input>,
    ) -> Option<Self> {
        let beside = used.function.beside.as_ref()?;
        let (BesideMode::Shadow, Some(report)) = (&beside.mode, &beside.entry.shadow) else {
            return None;
        };
        let scope = ShadowScope::of(&*routed.scope()?);
        if !routed.node.shadows.has_room() {
            report.note(Rehearsed::Dropped, None);
            return None;
        }
        let Some(input) = input() else {
            report.note(Rehearsed::Skipped, None);
            return None;
        };
        Some(Self {
            version: Arc::clone(&beside.entry),
            scope,
            input,
            request: routed.id_text(),
        })
    }

    /// Runs it, now that the live call has come to `call`.
    pub(super) fn after_request(self, routed: &Routed, trigger: Trigger, call: &RequestCall) {
        let live = Came::of_request(call);
        self.spawn(routed, trigger, live);
    }

    /// The same for a response trigger.
    pub(super) fn after_response(self, routed: &Routed, trigger: Trigger, call: &ResponseCall) {
        let live = Came::of_response(call);
        self.spawn(routed, trigger, live);
    }

    /// The same for a handler.
    pub(super) fn after_handler(self, routed: &Routed, call: &HandlerCall) {
        let live = Came::of_handler(call);
        self.spawn(routed, Trigger::Handler, live);
    }

    /// Takes a place, now that the live call has ended: one that takes long keeps none.
    fn spawn(self, routed: &Routed, trigger: Trigger, live: Came) {
        let (node, version) = (Arc::clone(&routed.node), Arc::clone(&self.version));
        let Some(place) = node.shadows.try_enter() else {
            return dropped(&version);
        };
        routed.node.shadows.spawn(async move {
            let slots = node.foundation.engine.slots();
            // Those that wait give way to whoever needs an instance.
            let idle = node.generation.load().idle_instances();
            let idle: u64 = idle.iter().map(|sample| sample.instances).sum();
            let in_use = (slots.in_use() as u64).saturating_sub(idle);
            if leaves_room(in_use, slots.limit() as u64) {
                self.run(&node.clock, trigger, live).await;
            } else {
                dropped(&version);
            }
            drop(place);
        });
    }

    async fn run(self, clock: &Clock, trigger: Trigger, live: Came) {
        let Self {
            version,
            scope,
            input,
            request: id,
        } = self;
        let function = &version.function;
        let call = Call {
            scope: Arc::new(scope),
        };
        let came = match (input, trigger) {
            (Input::Request(request), Trigger::OriginRequest) => {
                Came::of_request(&function.origin_request(call, request).await)
            }
            (Input::Request(request), _) => {
                Came::of_request(&function.viewer_request(call, request).await)
            }
            (Input::Response(request, response), Trigger::OriginResponse) => {
                Came::of_response(&function.origin_response(call, request, response).await)
            }
            (Input::Response(request, response), _) => {
                Came::of_response(&function.viewer_response(call, request, response).await)
            }
            (Input::Handler(request), _) => {
                Came::of_handler(&function.handle(call, request, Arc::clone(&id)).await)
            }
        };
        let differences = live.differences(&came);
        let Some(report) = &version.shadow else {
            return;
        };
        if differences.is_empty() {
            return report.note(Rehearsed::Same, None);
        }
        let told = format!("{}: {}", trigger.label(), differences.join(", "));
        if report.may_tell(clock.now()) {
            tracing::warn!(
                target: "function",
                function = &*version.name,
                request = &*id,
                version = %version.function.digest().short(),
                "the version in the shadow differs: {told}"
            );
        }
        report.note(Rehearsed::Differing, Some(told));
    }
}

/// Notes a call for which there is no room.
fn dropped(version: &FunctionEntry) {
    if let Some(report) = &version.shadow {
        report.note(Rehearsed::Dropped, None);
    }
}

/// Whether a call in the shadow may have one more instance: half of them are for requests.
const fn leaves_room(in_use: u64, limit: u64) -> bool {
    in_use.saturating_add(1).saturating_mul(2) <= limit
}

fn copy_request(request: &EdgeRequest) -> Option<EdgeRequest> {
    Some(EdgeRequest {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        authority: request.authority.clone(),
        path_and_query: request.path_and_query.clone(),
        fields: request.fields.clone(),
        client: Arc::clone(&request.client),
        id: Arc::clone(&request.id),
        body: copy_body(&request.body)?,
        context: request.context.clone(),
    })
}

/// A response to the shadow is its head; the content only where it is held whole.
fn copy_response(response: &Response<Body>) -> Option<Response<Body>> {
    let mut copy = Response::new(copy_body(response.body())?);
    *copy.status_mut() = response.status();
    *copy.headers_mut() = HeaderMap::clone(response.headers());
    Some(copy)
}

/// The same content once more; `None` while it is on its way.
fn copy_body(body: &Body) -> Option<Body> {
    match body {
        Body::Empty => Some(Body::Empty),
        Body::Full(bytes) => Some(Body::Full(bytes.clone())),
        Body::Stored(stored) => Some(Body::Stored(stored.clone())),
        Body::Stream(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_instances_are_for_requests() {
        for (in_use, limit, expected) in [
            (0, 4, true),
            (1, 4, true),
            (2, 4, false),
            (4, 4, false),
            (0, 2, true),
            (0, 1, false),
            (0, 0, false),
        ] {
            assert_eq!(leaves_room(in_use, limit), expected, "{in_use} of {limit}");
        }
    }
}
