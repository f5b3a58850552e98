//! Calls in the shadow: a version that nobody gets runs with the input of the live one, after it
//! and beside the request, and what it comes to is compared.
//!
//! The live call's answer is on its way before a shadow begins, and nothing waits for one.

mod compare;
mod scope;

use std::sync::Arc;

use http::{HeaderMap, Request, Response};
use verge_base::Permit;
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
    place: Permit,
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
        let input = |_: &FunctionEntry| Some(Input::Request(copy_request(request)?));
        Self::begin(routed, used, input)
    }

    /// Of a response trigger.
    pub(super) fn of_response(
        routed: &Routed,
        used: &FunctionUse,
        request: &EdgeRequest,
        response: &Response<Body>,
    ) -> Option<Self> {
        let input = |_: &FunctionEntry| {
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
        let input = |_: &FunctionEntry| {
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
        input: impl FnOnce(&FunctionEntry) -> Option<Input>,
    ) -> Option<Self> {
        let beside = used.function.beside.as_ref()?;
        let (BesideMode::Shadow, Some(report)) = (&beside.mode, &beside.entry.shadow) else {
            return None;
        };
        let scope = ShadowScope::of(&*routed.scope()?);
        let Some(place) = routed.node.shadows.places.try_acquire() else {
            report.note(Rehearsed::Dropped, None);
            return None;
        };
        let Some(input) = input(&beside.entry) else {
            report.note(Rehearsed::Skipped, None);
            return None;
        };
        Some(Self {
            version: Arc::clone(&beside.entry),
            scope,
            input,
            request: routed.id_text(),
            place,
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

    fn spawn(self, routed: &Routed, trigger: Trigger, live: Came) {
        routed.node.shadows.spawn(self.run(trigger, live));
    }

    async fn run(self, trigger: Trigger, live: Came) {
        let Self {
            version,
            scope,
            input,
            request: id,
            place,
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
        if let Some(report) = &version.shadow {
            if differences.is_empty() {
                report.note(Rehearsed::Same, None);
            } else {
                let told = format!("{}: {}", trigger.label(), differences.join(", "));
                tracing::warn!(
                    target: "function",
                    function = &*version.name,
                    request = &*id,
                    version = %version.function.digest().short(),
                    "the version in the shadow differs: {told}"
                );
                report.note(Rehearsed::Differing, Some(told));
            }
        }
        drop(place);
    }
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
