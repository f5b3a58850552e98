//! Whether a response may be stored, and what is kept of its rules (RFC 9111 3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use verge_http::cache_control::{Qualified, ResponseDirectives};
use verge_http::status;
use verge_http::surrogate::{SurrogateKey, SurrogateKeys, TooManyKeys};
use verge_http::targeted::EffectiveDirectives;
use verge_http::vary::Vary;

use super::freshen::Validators;
use super::lifetime::freshness_lifetime;
use super::reasons::{LifetimeSource, RefuseReason};
use super::route::{OriginDirectives, RoutePolicy, SetCookie};
use super::stale::{StaleWindows, refresh_at};

/// What storing depends on of the request that a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: RequestMethod,
    /// The request as it was sent to the origin, or as the client sent it, had
    /// Authorization (RFC 9111 3.5).
    pub has_authorization: bool,
    /// The request said no-store (RFC 9111 5.2.1.5).
    pub no_store: bool,
    /// The origin saw input that is no part of the key: what it answered is
    /// for this request alone.
    pub has_unkeyed_input: bool,
    /// A function that should have had a part in the response was left out: what it would have
    /// changed is not for others.
    pub is_function_skipped: bool,
    /// A version of a function had a part in the response that does not run any more for those
    /// who would find it.
    pub is_version_replaced: bool,
    /// A random number of the whole range, for the route's jitter.
    pub roll: u32,
    /// The surrogate keys that functions declared for what answers the request.
    pub declared_keys: &'a [SurrogateKey],
}

/// The methods that storing tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestMethod {
    /// GET.
    Get,
    /// POST; its answer can be one to a later GET (RFC 9110 9.3.3).
    Post {
        /// Content-Location of the response names the target URI;
        /// [`super::names_target`].
        is_of_target: bool,
    },
    /// Any other.
    Other,
}

/// All that [`decide_storage`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct StorageFacts<'a> {
    /// Of the request.
    pub request: RequestFacts<'a>,
    /// Of the response, after origin-response functions.
    pub status: StatusCode,
    /// Of the response, after origin-response functions.
    pub fields: &'a HeaderMap,
    /// When the response arrived, on the wall clock.
    pub received_wall: SystemTime,
    /// corrected_initial_age (RFC 9111 4.2.3).
    pub initial_age: Duration,
    /// Of the route.
    pub route: &'a RoutePolicy,
}

/// Whether a response is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It may be stored.
    Store(Box<StoragePlan>),
    /// It may not.
    Refuse(RefuseReason),
}

/// How a response is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePlan {
    /// freshness_lifetime (RFC 9111 4.2.1); zero if it is stale from the start.
    pub lifetime: Duration,
    /// Where the lifetime comes from.
    pub source: LifetimeSource,
    /// The directives that hold for it: of the first targeted field, or of
    /// Cache-Control (RFC 9213 2.2), as far as the route looks at them.
    pub directives: ResponseDirectives,
    /// The targeted field that the directives stand in.
    pub targeted: Option<HeaderName>,
    /// What the response varies by; never [`Vary::Any`].
    pub vary: Vary,
    /// The names by which it is purged.
    pub surrogate_keys: SurrogateKeys,
    /// For how long it may answer stale.
    pub stale: StaleWindows,
    /// The age from which it is validated ahead of need; `None` for never.
    pub refresh_at: Option<Duration>,
}

impl RequestFacts<'_> {
    /// The facts of a request; a POST's response is of another resource,
    /// `has_unkeyed_input`, `is_function_skipped` and `is_version_replaced` are false, `roll` is 0,
    /// and no key is declared.
    #[must_use]
    pub fn of(method: &Method, fields: &HeaderMap, no_store: bool) -> Self {
        Self {
            method: RequestMethod::of(method),
            has_authorization: fields.contains_key(header::AUTHORIZATION),
            no_store,
            has_unkeyed_input: false,
            is_function_skipped: false,
            is_version_replaced: false,
            roll: 0,
            declared_keys: &[],
        }
    }
}

impl RequestMethod {
    /// The method; a POST's response is of another resource.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::POST => Self::Post {
                is_of_target: false,
            },
            _ => Self::Other,
        }
    }
}

/// Decides whether a shared cache may store a response (RFC 9111 3).
#[must_use]
pub fn decide_storage(facts: &StorageFacts<'_>) -> Storage {
    match plan(facts) {
        Ok(plan) => Storage::Store(Box::new(plan)),
        Err(reason) => Storage::Refuse(reason),
    }
}

fn plan(facts: &StorageFacts<'_>) -> Result<StoragePlan, RefuseReason> {
    check_request(facts.request)?;
    let EffectiveDirectives {
        directives,
        targeted,
    } = effective_directives(facts.fields, facts.route);
    check_status(facts, &directives)?;
    check_directives(facts, &directives)?;
    let vary = Vary::parse(facts.fields);
    if vary == Vary::Any {
        return Err(RefuseReason::VaryAny);
    }
    let surrogate_keys = SurrogateKeys::of(facts.fields)
        .and_then(|keys| keys.with_declared(facts.request.declared_keys))
        .map_err(|TooManyKeys| RefuseReason::SurrogateKeys)?;
    let sets_cookie = sets_cookie(facts, &directives);
    let (named, source) = freshness_lifetime(facts, &directives, targeted.is_some(), sets_cookie);
    if sets_cookie {
        check_cookie(facts, &directives, named, source)?;
    }
    if matches!(facts.request.method, RequestMethod::Post { .. }) && !source.is_explicit() {
        return Err(RefuseReason::Post);
    }
    if source == LifetimeSource::Nowhere
        && !directives.public
        && !status::is_heuristically_cacheable(facts.status)
    {
        return Err(RefuseReason::NotCacheable);
    }
    let lifetime = facts.route.bounded(named, facts.request.roll);
    if !is_ever_reusable(facts, &directives, lifetime)
        && !Validators::of(facts.fields, facts.received_wall).is_any()
    {
        return Err(RefuseReason::NoValidator);
    }
    Ok(StoragePlan {
        stale: StaleWindows::of(&directives, facts.route),
        refresh_at: refresh_at(lifetime, facts.route.refresh_ahead),
        lifetime,
        source,
        directives,
        targeted,
        vary,
        surrogate_keys,
    })
}

/// The directives of a response that the route looks at: of the first targeted field, or of
/// Cache-Control (RFC 9213 2.2).
#[must_use]
pub fn directives_of(response: &HeaderMap, route: &RoutePolicy) -> ResponseDirectives {
    effective_directives(response, route).directives
}

fn effective_directives(response: &HeaderMap, route: &RoutePolicy) -> EffectiveDirectives {
    match route.origin_directives {
        OriginDirectives::Follow | OriginDirectives::Override => {
            EffectiveDirectives::of(response, &route.targets)
        }
        OriginDirectives::Ignore => {
            let said = EffectiveDirectives::of(response, &route.targets).directives;
            EffectiveDirectives {
                directives: ResponseDirectives {
                    no_store: said.no_store && !said.must_understand,
                    private: said.private,
                    no_transform: said.no_transform,
                    ..ResponseDirectives::default()
                },
                targeted: None,
            }
        }
        OriginDirectives::IgnoreAll => EffectiveDirectives::default(),
    }
}

/// Whether there can be a request that the response answers without the
/// origin's word: fresh, within a stale window (RFC 5861), or accepted by
/// max-stale (RFC 9111 5.2.1.2).
fn is_ever_reusable(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
    lifetime: Duration,
) -> bool {
    if directives.no_cache == Qualified::Whole {
        return false;
    }
    if lifetime > facts.initial_age {
        return true;
    }
    let is_stale_forbidden =
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some();
    let windows = [
        directives.stale_while_revalidate,
        directives.stale_if_error,
        facts.route.stale_while_revalidate,
        facts.route.stale_if_error,
    ];
    let has_window = windows.iter().flatten().any(|window| !window.is_zero());
    !is_stale_forbidden && (has_window || !lifetime.is_zero())
}

fn check_request(request: RequestFacts<'_>) -> Result<(), RefuseReason> {
    match request.method {
        RequestMethod::Get | RequestMethod::Post { is_of_target: true } => {}
        RequestMethod::Post {
            is_of_target: false,
        } => return Err(RefuseReason::Post),
        RequestMethod::Other => return Err(RefuseReason::Method),
    }
    if request.no_store {
        return Err(RefuseReason::RequestNoStore);
    }
    if request.has_unkeyed_input {
        return Err(RefuseReason::UnkeyedInput);
    }
    if request.is_function_skipped {
        return Err(RefuseReason::FunctionSkipped);
    }
    if request.is_version_replaced {
        return Err(RefuseReason::VersionReplaced);
    }
    Ok(())
}

fn check_status(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
) -> Result<(), RefuseReason> {
    let status = facts.status;
    if status.is_informational() {
        return Err(RefuseReason::StatusInterim);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        return Err(RefuseReason::StatusPartial);
    }
    if status == StatusCode::NOT_MODIFIED {
        return Err(RefuseReason::StatusNotModified);
    }
    if status::forbids_storing(status) && facts.route.statuses.of(status).is_none() {
        return Err(RefuseReason::StatusForbidden);
    }
    if directives.must_understand && !status::is_understood(status) {
        return Err(RefuseReason::StatusNotUnderstood);
    }
    Ok(())
}

fn check_directives(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
) -> Result<(), RefuseReason> {
    // A cache that understands the status ignores no-store beside
    // must-understand (RFC 9111 5.2.2.3); other statuses were refused before.
    if directives.no_store && !directives.must_understand {
        return Err(RefuseReason::NoStore);
    }
    if directives.private == Qualified::Whole {
        return Err(RefuseReason::Private);
    }
    // RFC 9111 3.5.
    if facts.request.has_authorization
        && !directives.public
        && !directives.must_revalidate
        && directives.s_maxage.is_none()
    {
        return Err(RefuseReason::Authorization);
    }
    Ok(())
}

/// Whether the response sets a cookie that would be stored: one that `private`
/// or `no-cache` names is not.
fn sets_cookie(facts: &StorageFacts<'_>, directives: &ResponseDirectives) -> bool {
    facts.fields.contains_key(header::SET_COOKIE)
        && !directives.private.fields().contains(&header::SET_COOKIE)
        && !directives.no_cache.fields().contains(&header::SET_COOKIE)
}

/// Whether a response sets a cookie that would be stored, and does not itself say that it is for
/// all. What freshens a stored response cannot borrow those words from it: its cookie is for the
/// client that asked.
pub(crate) fn sets_own_cookie(facts: &StorageFacts<'_>) -> bool {
    let EffectiveDirectives {
        directives,
        targeted,
    } = effective_directives(facts.fields, facts.route);
    if !sets_cookie(facts, &directives) {
        return false;
    }
    let (named, source) = freshness_lifetime(facts, &directives, targeted.is_some(), true);
    check_cookie(facts, &directives, named, source).is_err()
}

/// RFC 9111 7.3: Set-Cookie does not inhibit caching, and whoever wants that
/// says so. Who said nothing of freshness said nothing of sharing, either: a
/// cookie is stored only with a response that its origin called fresh or public.
fn check_cookie(
    facts: &StorageFacts<'_>,
    directives: &ResponseDirectives,
    named: Duration,
    source: LifetimeSource,
) -> Result<(), RefuseReason> {
    let is_called_fresh =
        source.is_explicit() && !named.is_zero() && directives.no_cache != Qualified::Whole;
    if facts.route.set_cookie == SetCookie::Refuse || !(is_called_fresh || directives.public) {
        return Err(RefuseReason::SetCookie);
    }
    Ok(())
}

#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod tests;
