//! Requests that functions send: to origins that they were granted, past the
//! cache or through it, and to routes of their own site. They enter the
//! request path at stage 5, with the pools, timeouts and rules of any request.

mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{AGE, HOST};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Uri, Version};
use verge_http::authority::Scheme;
use verge_http::cache_status::CacheStatus;
use verge_http::{Body, age, fields, forwarded, via};
use verge_runtime::{CallId, Context, Fetch, FetchError, FetchFuture, Scope as _};

use self::target::{Denial, FetchTarget, Named, select_target};
use super::answer::{Answer, Source};
use super::routed::Routed;
use super::sanitize::{self, Arrival, Sanitized};
use super::scope::{Asked, SiteScope};
use super::triggers::{RequestMarks, ViewedRequest};
use super::{compress, fetch, ranges};
use crate::route::{FunctionEntry, OriginEntry, RangePolicy, Route, Target};
use crate::telemetry::{Receipt, RouteLabel, span};

/// What routes for requests to origins are called where routes have names.
const LABEL: &str = "fetch";

/// Sends the requests of one call.
pub(super) struct GuestFetch {
    scope: Arc<SiteScope>,
    function: Arc<FunctionEntry>,
    call: CallId,
    /// It was said in the log that a request was denied: once for each call, and so often for each
    /// function.
    has_told: AtomicBool,
}

impl GuestFetch {
    /// For a call within `scope`; `None` when the function is not of its generation.
    pub(super) fn new(scope: &SiteScope, call: &CallId) -> Option<Self> {
        Some(Self {
            function: Arc::clone(scope.generation.functions.get(&call.function)?),
            scope: Arc::new(scope.clone()),
            call: call.clone(),
            has_told: AtomicBool::new(false),
        })
    }

    /// Says once what was denied, and what would allow it.
    fn tell_denied(&self, uri: &Uri, denial: Denial<'_>) {
        let now = self.scope.node.clock.now();
        if self.has_told.swap(true, Ordering::Relaxed)
            || !self.function.metrics.denials().allows(now)
        {
            return;
        }
        let (function, request) = (&*self.call.function, &*self.call.request);
        let authority = uri.authority().map_or("", Authority::as_str);
        let remedy = match denial {
            Denial::Origin(name) => format!(
                "it is for origin `{name}`: `function.{function}.grants.fetch = [\"{name}\"]` \
                 would allow it"
            ),
            Denial::Site => {
                format!(
                    "it is for its own site: `function.{function}.grants.fetch_site = true` would allow it"
                )
            }
            Denial::Unknown => format!(
                "no origin has this name or authority: add it as [origin.NAME], and NAME to \
                 `function.{function}.grants.fetch`"
            ),
        };
        tracing::warn!(
            target: "function",
            function,
            request,
            authority = %authority.escape_debug(),
            "a request is denied: {remedy}"
        );
    }
}

impl Fetch for GuestFetch {
    fn send(&self, mut request: Request<Body>) -> FetchFuture {
        let generation = &self.scope.generation;
        via::remove_own(
            request.headers_mut(),
            &generation.settings.sanitize.pseudonym,
        );
        let origins = &generation.origins;
        let settings = &self.function.settings;
        let target = select_target(
            request.uri(),
            &settings.grants,
            origins
                .iter()
                .map(|(name, entry)| (name, entry.origin.settings())),
            |authority| self.scope.allows_authority(authority),
        );
        let scope = Arc::clone(&self.scope);
        match target {
            FetchTarget::Origin(name, named) => {
                let Some(entry) = origins.get(name) else {
                    return refuse(FetchError::Denied);
                };
                if named == Named::ByName && !address_by_own_name(&mut request, entry) {
                    return refuse(FetchError::Invalid);
                }
                let entry = Arc::clone(entry);
                if settings.fetch.cache {
                    Box::pin(through_cache(scope, entry, request))
                } else {
                    Box::pin(past_cache(scope, entry, request))
                }
            }
            FetchTarget::Route if scope.asked.depth >= settings.fetch.depth => {
                refuse(FetchError::TooDeep)
            }
            FetchTarget::Route => {
                let (function, call) = (Arc::clone(&self.function), self.call.clone());
                Box::pin(by_route(scope, request, (function, call)))
            }
            FetchTarget::Denied(denial) => {
                self.tell_denied(request.uri(), denial);
                refuse(FetchError::Denied)
            }
            FetchTarget::Invalid => refuse(FetchError::Invalid),
        }
    }
}

fn refuse(error: FetchError) -> FetchFuture {
    Box::pin(std::future::ready(Err(error)))
}

/// The name of an origin is this node's: the origin itself is told its address, unless the
/// configuration says what it is called. False when that is no authority.
fn address_by_own_name(request: &mut Request<Body>, entry: &OriginEntry) -> bool {
    let settings = entry.origin.settings();
    let own = settings.host_authority.clone();
    let own = own.or_else(|| {
        settings
            .addresses
            .first()
            .map(|address| address.authority())
    });
    let mut parts = request.uri().clone().into_parts();
    parts.authority = own.and_then(|own| own.parse().ok());
    let renamed = parts.authority.is_some();
    match Uri::from_parts(parts) {
        Ok(uri) if renamed => *request.uri_mut() = uri,
        Ok(_) | Err(_) => return false,
    }
    request.headers_mut().remove(HOST);
    true
}

/// Straight to an origin's pool.
async fn past_cache(
    scope: Arc<SiteScope>,
    entry: Arc<OriginEntry>,
    mut request: Request<Body>,
) -> Result<Response<Body>, FetchError> {
    let rules = &scope.generation.settings.sanitize;
    let authority = request.uri().authority().map(ToString::to_string);
    let scheme = scheme_of(&request);
    let fields = request.headers_mut();
    // Who the client is, and what a request really asks for, is said by this node alone.
    fields::remove_override_fields(fields, |_| false);
    forwarded::remove_claims(fields);
    let host = authority.as_deref().unwrap_or_default();
    forwarded::write_fresh(fields, scope.asked.client, host, scheme);
    via::check_loop(fields, &rules.pseudonym, rules.loops).map_err(|_| FetchError::TooDeep)?;
    via::append_via(fields, Version::HTTP_11, &rules.pseudonym);
    via::append_cdn_loop(fields, &rules.pseudonym);
    fields.insert(span::REQUEST_ID, scope.asked.id.to_value());
    span::write_trace(scope.asked.trace.as_ref(), fields);
    let (response, _) = fetch::exchange_with(&entry, request).await;
    response.map_err(FetchError::Failed)
}

/// To an origin through the cache. What is stored is found by functions alone: the origin is a
/// part of the key, and so is every field that the function wrote.
async fn through_cache(
    scope: Arc<SiteScope>,
    entry: Arc<OriginEntry>,
    request: Request<Body>,
) -> Result<Response<Body>, FetchError> {
    let marks = RequestMarks::of_function(
        &scope.site.label,
        request.headers(),
        Some(entry.name.to_string()),
    );
    let route = Route {
        path: LABEL.to_owned(),
        patterns: Vec::new(),
        label: Arc::new(RouteLabel::new(
            Arc::clone(&scope.site.metrics),
            Some(LABEL),
        )),
        methods: Vec::new(),
        fields: Vec::new(),
        target: Target::Origin(entry),
        viewer_request: Vec::new(),
        origin_request: Vec::new(),
        origin_response: Vec::new(),
        viewer_response: Vec::new(),
        viewer_middleware: Vec::new(),
        origin_middleware: Vec::new(),
        cached: true,
        policy: Arc::clone(&scope.site.fetch_policy),
        ranges: RangePolicy::Whole,
        key: None,
        compresses: false,
    };
    let sanitized = sanitized(&scope, request)?;
    answer(scope, Arc::new(route), sanitized, marks).await
}

/// To a route of the site, as that route says: through the cache, its origin triggers, its
/// function. Its viewer triggers are for clients.
async fn by_route(
    scope: Arc<SiteScope>,
    request: Request<Body>,
    (function, call): (Arc<FunctionEntry>, CallId),
) -> Result<Response<Body>, FetchError> {
    let marks = RequestMarks::of_function(&scope.site.label, request.headers(), None);
    let sanitized = sanitized(&scope, request)?;
    let head = &sanitized.head;
    let sites = &scope.generation.sites;
    let route = sites
        .select_site(head.authority.host())
        .and_then(|site| site.select_route(head.path(), &head.method, &head.fields))
        .map_err(|fault| FetchError::Failed(fault.into()))?;
    let route = Arc::clone(route);
    if scope.asked.rehearses && route.has_functions() {
        // They are live, and so would be all that they do.
        if function.metrics.denials().allows(scope.node.clock.now()) {
            tracing::warn!(
                target: "function",
                function = &*call.function,
                request = &*call.request,
                route = route.path,
                "a request is denied: this version runs in the shadow, and no other function for it"
            );
        }
        return Err(FetchError::Denied);
    }
    answer(scope, route, sanitized, marks).await
}

fn scheme_of(request: &Request<Body>) -> Scheme {
    match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The request as later stages may rely on it.
fn sanitized(scope: &SiteScope, mut request: Request<Body>) -> Result<Sanitized, FetchError> {
    let scheme = scheme_of(&request);
    // Or an address among the trusted proxies would let the function say who the client is.
    forwarded::remove_claims(request.headers_mut());
    let authority = request.uri().authority().map_or("", Authority::as_str);
    let host = HeaderValue::from_str(authority).map_err(|_| FetchError::Invalid)?;
    request.headers_mut().insert(HOST, host);
    *request.version_mut() = Version::HTTP_11;
    let arrival = Arrival {
        peer: SocketAddr::from((scope.asked.client, 0)),
        scheme,
        tls: None,
        handshake: None,
        interim: None,
    };
    sanitize::sanitize(&scope.generation.settings.sanitize, &arrival, request)
        .map_err(|fault| FetchError::Failed(fault.into()))
}

/// Stages 5 and 6.
async fn answer(
    scope: Arc<SiteScope>,
    route: Arc<Route>,
    request: Sanitized,
    marks: RequestMarks,
) -> Result<Response<Body>, FetchError> {
    let node = Arc::clone(&scope.node);
    let asked = Asked {
        depth: scope.asked.depth.saturating_add(1),
        ..scope.asked
    };
    let routed = Routed::new(
        Arc::clone(&node),
        Arc::clone(&scope.generation),
        Arc::clone(&scope.site),
        route,
        asked,
    );
    let viewed = ViewedRequest {
        head: request.head,
        marks,
        context: Context::default(),
    };
    // The function's own request has the receipt that is kept.
    let mut receipt = Receipt::begin(asked.id, node.clock.now(), node.clock.wall());
    let answered = fetch::fetch(&routed, &mut receipt, &viewed, request.body).await;
    let mut answer = answered.map_err(FetchError::Failed)?;
    let now = node.clock.wall();
    compress::apply_preconditions(&routed, &viewed.head, &mut answer, now);
    let facts = ranges::RangeFacts {
        is_replaced: false,
        now,
        random: &node.random,
        metrics: Some(node.telemetry.metrics()),
    };
    ranges::settle_range(&viewed.head, &mut answer, facts)
        .map_err(|fault| FetchError::Failed(fault.into()))?;
    Ok(response(&scope, answer))
}

/// The answer as its function sees it.
fn response(scope: &SiteScope, mut answer: Answer) -> Response<Body> {
    if let Source::Stored { age: current } = answer.source {
        // RFC 9111 5.1: what comes out of a cache says how old it is.
        answer.fields.insert(AGE, age::fmt(current));
    }
    if let Some(facts) = &answer.cache {
        CacheStatus {
            cache: scope.generation.settings.name.as_str(),
            outcome: facts.outcome,
            fwd_status: facts.forward_status,
            ttl: facts.ttl_seconds,
            stored: facts.stored,
            collapsed: facts.collapsed,
            key: None,
            detail: facts.detail,
        }
        .append_to(&mut answer.fields);
    }
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.fields;
    response
}
