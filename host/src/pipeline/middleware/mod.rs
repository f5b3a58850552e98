//! `wasi:http` middleware of a route: a chain of functions, each with the next
//! one behind it, and the rest of the request path behind the last.
//!
//! What a middleware sends on is checked and compared with what it was given: a
//! field that it changed is as one that a viewer-request function changed.

mod behind;
mod front;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HOST};
use http::uri::Authority as UriAuthority;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use parking_lot::Mutex;
use verge_cache::policy::is_safe;
use verge_http::authority::Scheme;
use verge_http::failure::{FunctionFault, NodeFault};
use verge_http::{Body, Failure};
use verge_runtime::{
    CallFailure, ContentChange, FetchError, FetchFuture, MiddlewareCall, Next, RequestEffects,
    Scope as _, Trigger, Unanswered,
};

pub(super) use self::behind::exchange;
pub(super) use self::front::fetch;
use super::conditions;
use super::fetch::uri;
use super::head::TrustedHead;
use super::routed::Routed;
use super::sanitize::{self, Arrival};
use super::triggers::{self, OF_EXCHANGE, RequestMarks, TriggerReceipts};
use crate::route::FunctionUse;

/// What the last middleware has behind it.
trait Rest: Send + Sync + 'static {
    /// Answers what came through the chain.
    fn answer(&self, asked: Asked) -> Running<Response<Body>>;
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// A request on its way through a chain.
struct Asked {
    head: TrustedHead,
    marks: RequestMarks,
    body: Body,
    /// A middleware changed something of it that may depend on the client.
    is_derived: bool,
}

/// A response on its way back.
struct Passed {
    response: Response<Body>,
    /// Its content is that of what the chain stands in front of.
    is_whole: bool,
}

/// The middleware of one place of a route, for one request.
struct Chain<R> {
    routed: Routed,
    trigger: Trigger,
    uses: Vec<FunctionUse>,
    rest: R,
    /// With the place in the chain.
    receipts: Mutex<Vec<(usize, TriggerReceipts)>>,
    /// Status and validator of the last response from behind.
    behind: Mutex<Option<(StatusCode, Option<HeaderValue>)>>,
    /// Whether a middleware failed and was left out.
    is_function_skipped: AtomicBool,
    /// Whether anything that one of them sent on was changed by what may depend on the client. Then
    /// whatever answers behind it may, be it the next middleware.
    is_derived: AtomicBool,
    /// Whether anything that one of them sent on had Authorization.
    has_authorization: AtomicBool,
    /// Requests that each of them sent on, whatever is around it and asked it how often.
    sent: Vec<AtomicU32>,
}

impl<R: Rest> Chain<R> {
    fn new(routed: &Routed, trigger: Trigger, uses: &[FunctionUse], rest: R) -> Arc<Self> {
        Arc::new(Self {
            routed: routed.clone(),
            trigger,
            uses: uses.to_vec(),
            rest,
            receipts: Mutex::default(),
            behind: Mutex::default(),
            is_function_skipped: AtomicBool::new(false),
            is_derived: AtomicBool::new(false),
            has_authorization: AtomicBool::new(false),
            sent: uses.iter().map(|_| AtomicU32::new(0)).collect(),
        })
    }

    /// Lets the whole chain answer.
    async fn answer(self: &Arc<Self>, asked: Asked) -> Result<Passed, Failure> {
        let mut passed = Arc::clone(self).run(0, asked).await?;
        if let Some((status, tag)) = self.behind.lock().take()
            && !passed.is_whole
        {
            if status == StatusCode::PARTIAL_CONTENT && passed.response.status() == status {
                // It is no longer what its Content-Range says, and there is no whole to send.
                tracing::warn!(
                    target: "function",
                    request = %self.routed.id,
                    "middleware changed the content of a part: it should take Range out of what \
                     it sends on, or the route should say `ranges = \"whole\"`"
                );
                return Err(FunctionFault::ResponseInvalid.into());
            }
            if tag.is_some() && passed.response.headers().get(ETAG) == tag.as_ref() {
                conditions::detach_content(passed.response.headers_mut());
            }
        }
        Ok(passed)
    }

    /// Whether what came out is without a middleware of the chain, as it failed.
    fn is_function_skipped(&self) -> bool {
        self.is_function_skipped.load(Ordering::Relaxed)
    }

    /// Counts a request that the middleware at `position` sends on. The runtime counts for one call;
    /// but who is asked again by each that is around it may not multiply what comes out of the chain.
    fn take_turn(&self, position: usize) -> Result<(), FetchError> {
        let (Some(used), Some(sent)) = (self.uses.get(position), self.sent.get(position)) else {
            return Ok(());
        };
        let most = self.routed.version(used).function.limits().fetch.requests;
        match sent.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(()),
            false => Err(FetchError::TooMany),
        }
    }

    /// Receipts of the calls so far, the outermost first.
    fn take_receipts(&self) -> TriggerReceipts {
        let mut all = std::mem::take(&mut *self.receipts.lock());
        all.sort_by_key(|(position, _)| *position);
        all.into_iter().flat_map(|(_, receipts)| receipts).collect()
    }

    fn run(self: Arc<Self>, position: usize, asked: Asked) -> Running<Passed> {
        Box::pin(async move {
            let Some(used) = self.uses.get(position) else {
                let response = self.rest.answer(asked).await?;
                let tag = response.headers().get(ETAG).cloned();
                *self.behind.lock() = Some((response.status(), tag));
                let is_whole = true;
                return Ok(Passed { response, is_whole });
            };
            let step = Arc::new(Step {
                chain: Arc::clone(&self),
                position,
                head: asked.head,
                marks: asked.marks,
                is_derived: asked.is_derived,
                is_whole: Arc::new(AtomicBool::new(true)),
            });
            let request = request(&step.head, asked.body)?;
            let (call, id) = (self.routed.call(), self.routed.id_text());
            let next = Arc::clone(&step) as Arc<dyn Next>;
            let version = self.routed.version(used);
            let function = &version.function;
            let call = function.middleware(self.trigger, call, request, id, next);
            let call = call.await;
            let mut receipts = TriggerReceipts::new();
            triggers::note(&mut receipts, version, &call.receipt, call.pending.as_ref());
            self.receipts.lock().push((position, receipts));
            step.settle(used, call).await
        })
    }
}

/// One middleware of a chain, with the request that it was given.
struct Step<R> {
    chain: Arc<Chain<R>>,
    position: usize,
    head: TrustedHead,
    marks: RequestMarks,
    is_derived: bool,
    /// What is behind it left the content as it was.
    is_whole: Arc<AtomicBool>,
}

impl<R: Rest> Step<R> {
    async fn settle(&self, used: &FunctionUse, call: MiddlewareCall) -> Result<Passed, Failure> {
        let is_behind_whole = self.is_whole.load(Ordering::Relaxed);
        let failure = match call.response {
            Ok(response) => {
                let is_whole = call.is_whole && is_behind_whole;
                return Ok(Passed { response, is_whole });
            }
            Err(Unanswered::Behind(FetchError::Failed(failure))) => return Err(failure),
            Err(Unanswered::Behind(refused)) => CallFailure {
                fault: FunctionFault::Refused,
                detail: refused.to_string(),
            },
            Err(Unanswered::Failed(failure)) => failure,
        };
        // What changes something is not sent twice.
        let may_repeat = is_safe(&self.head.method) || !call.was_next_asked;
        let content = match (&call.given, &call.content) {
            (Some(_), _) => ContentChange::Untouched,
            (None, Some(_)) if may_repeat => ContentChange::Untouched,
            (None, _) => ContentChange::Consumed,
        };
        let settled = triggers::settle_failure(&self.chain.routed, used, &failure, content);
        settled.map_err(|stopped| stopped.failure)?;
        self.chain
            .is_function_skipped
            .store(true, Ordering::Relaxed);
        if let Some(response) = call.given {
            let is_whole = is_behind_whole;
            return Ok(Passed { response, is_whole });
        }
        let mut marks = self.marks.clone();
        marks.is_function_skipped = true;
        let asked = Asked {
            head: self.head.clone(),
            marks,
            body: call.content.unwrap_or_default(),
            is_derived: self.is_derived,
        };
        let chain = Arc::clone(&self.chain);
        chain.run(self.position.saturating_add(1), asked).await
    }

    /// The request that the middleware sends on, as later stages may rely on it.
    fn asked(&self, request: Request<Body>) -> Result<Asked, FetchError> {
        let given = &self.head;
        let given_uri = uri(given).map_err(FetchError::Failed)?;
        let is_retargeted = *request.method() != given.method || *request.uri() != given_uri;
        let changed = changed(&given.fields, request.headers());
        if !is_retargeted && changed.is_empty() {
            let mut head = given.clone();
            take_length(&mut head.fields, &request);
            return Ok(Asked {
                head,
                marks: self.marks.clone(),
                body: request.into_body(),
                is_derived: self.is_derived,
            });
        }
        let (head, body) = self.sanitized(request)?;
        let (routed, used) = (&self.chain.routed, self.chain.uses.get(self.position));
        let unkeyed = used.map(|used| routed.version(used).settings.unkeyed.as_slice());
        let derived: Vec<HeaderName> = changed
            .into_iter()
            .filter(|name| !OF_EXCHANGE.contains(name))
            .filter(|name| {
                let mut unkeyed = unkeyed.unwrap_or_default().iter();
                !unkeyed.any(|known| known.eq_ignore_ascii_case(name.as_str()))
            })
            .collect();
        let is_derived = self.is_derived || is_retargeted || !derived.is_empty();
        let mut marks = self.marks.clone();
        marks.add(RequestEffects {
            fields: derived,
            target: is_retargeted,
            ..RequestEffects::default()
        });
        Ok(Asked {
            head,
            marks,
            body,
            is_derived,
        })
    }

    fn sanitized(&self, mut request: Request<Body>) -> Result<(TrustedHead, Body), FetchError> {
        let routed = &self.chain.routed;
        let authority = request.uri().authority().ok_or(FetchError::Invalid)?;
        if authority.as_str() != self.head.authority.as_str() && !is_allowed(routed, authority) {
            return Err(FetchError::Denied);
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| FetchError::Invalid)?;
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some(_) | None => return Err(FetchError::Invalid),
        };
        request.headers_mut().insert(HOST, host);
        *request.version_mut() = Version::HTTP_11;
        let client = &self.head.client;
        let arrival = Arrival {
            peer: SocketAddr::from((client.address, client.port)),
            scheme,
            tls: None,
            handshake: None,
            interim: None,
        };
        // Or an address among the trusted proxies would let the function say who the client is.
        verge_http::forwarded::remove_claims(request.headers_mut());
        let rules = &routed.generation.settings.sanitize;
        let sanitized = sanitize::sanitize(rules, &arrival, request)
            .map_err(|fault| FetchError::Failed(fault.into()))?;
        let mut head = sanitized.head;
        head.client = Arc::clone(client);
        head.version = self.head.version;
        Ok((head, sanitized.body))
    }
}

impl<R: Rest> Next for Step<R> {
    fn handle(&self, request: Request<Body>) -> FetchFuture {
        let chain = Arc::clone(&self.chain);
        let asked = chain.take_turn(self.position);
        let asked = match asked.and_then(|()| self.asked(request)) {
            Ok(asked) => asked,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if asked.is_derived {
            chain.is_derived.store(true, Ordering::Relaxed);
        }
        if asked.head.fields.contains_key(AUTHORIZATION) {
            chain.has_authorization.store(true, Ordering::Relaxed);
        }
        let answering = chain.run(self.position.saturating_add(1), asked);
        let is_whole = Arc::clone(&self.is_whole);
        Box::pin(async move {
            let passed = answering.await.map_err(FetchError::Failed)?;
            if !passed.is_whole {
                is_whole.store(false, Ordering::Relaxed);
            }
            Ok(passed.response)
        })
    }
}

/// A request may be readdressed within its site only.
fn is_allowed(routed: &Routed, authority: &UriAuthority) -> bool {
    let scope = routed.scope();
    scope.is_some_and(|scope| scope.allows_authority(authority))
}

/// The request as a middleware gets it.
fn request(head: &TrustedHead, body: Body) -> Result<Request<Body>, Failure> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri(head)?;
    *request.headers_mut() = head.fields.clone();
    if request.uri().authority().is_none() {
        return Err(NodeFault::Internal.into());
    }
    Ok(request)
}

/// Fields that differ, each once. The length of the content is not the function's, and fields of
/// one hop alone never come to it.
fn changed(given: &HeaderMap, sent: &HeaderMap) -> Vec<HeaderName> {
    let is_shown = |name: &HeaderName| *name != CONTENT_LENGTH && !wasi_hides(name);
    let same = |name: &HeaderName| given.get_all(name).iter().eq(sent.get_all(name));
    let gone = given.keys().filter(|name| !sent.contains_key(*name));
    let all = sent.keys().filter(|name| !same(name)).chain(gone);
    all.filter(|name| is_shown(name)).cloned().collect()
}

/// The length of content is that of what is sent on, which may be other content than was given.
fn take_length(fields: &mut HeaderMap, request: &Request<Body>) {
    match request.headers().get(CONTENT_LENGTH) {
        Some(length) => {
            fields.insert(CONTENT_LENGTH, length.clone());
        }
        // Where there is none, `0` may say so, as it did.
        None if http_body::Body::is_end_stream(request.body())
            && fields
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length == "0") => {}
        None => {
            fields.remove(CONTENT_LENGTH);
        }
    }
}

/// Whether `wasi:http` keeps a field from its guests.
fn wasi_hides(name: &HeaderName) -> bool {
    verge_runtime::HIDDEN_FIELDS.contains(name)
}
