//! What the cache makes of a request, told and not done: by the same key, the
//! same lookup and the same decisions that a request meets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ETAG, HOST};
use http::{HeaderName, HeaderValue, Method, Request};
use verge_cache::policy::{
    BypassReason, LookupDecision, LookupFacts, Reuse, ValidateReason, decide_lookup, decide_reuse,
};
use verge_cache::{Key, LastRefusal, Lookup, MissReason, NotStored, StoredResponse};
use verge_http::Body;
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Forward;
use verge_runtime::Context;

use super::super::routed::Routed;
use super::super::sanitize::{self, Arrival};
use super::super::triggers::{RequestMarks, ViewedRequest};
use super::super::url::OperatorUrl;
use super::key;
use crate::admin::ScopeProblem;
use crate::admin::explain::{
    ExplainRequest, ExplainedKey, ExplainedNext, ExplainedRefusal, ExplainedResponse, Explanation,
};
use crate::node::NodeState;
use crate::route::Target;
use crate::telemetry::RequestId;

/// Explains `request`.
///
/// # Errors
/// It is no request that this node would look up.
pub(crate) fn explain(
    node: &Arc<NodeState>,
    request: &ExplainRequest,
) -> Result<Explanation, ScopeProblem> {
    let url = OperatorUrl::parse(&request.url).map_err(|problem| ScopeProblem {
        what: problem.what,
        expected: problem.expected.to_owned(),
    })?;
    let (routed, viewed) = routed(node, request, &url)?;
    let route = &routed.route;
    let answered_by = match &route.target {
        Target::Origin(origin) => format!("origin {}", origin.name),
        Target::Function(used) => format!("function {}", used.function.name),
        Target::Redirect { .. } => "redirect".to_owned(),
        Target::Static { .. } => "static answer".to_owned(),
    };
    let mut explanation = Explanation {
        method: viewed.head.method.to_string(),
        url: verge_cache::PurgeTarget::new(url.target())
            .map_or_else(|_| request.url.clone(), |target| target.to_string()),
        site: routed.site.label.to_string(),
        route: route.path.clone(),
        answered_by,
        functions: route
            .viewer_request
            .iter()
            .map(|used| used.function.name.to_string())
            .collect(),
        key: None,
        next: fixed(),
        stored: Vec::new(),
        last_refusal: None,
    };
    if matches!(route.target, Target::Origin(_) | Target::Function(_)) {
        look(&routed, &viewed, &mut explanation);
    }
    Ok(explanation)
}

/// The request behind the stages before the cache; functions are not run.
fn routed(
    node: &Arc<NodeState>,
    request: &ExplainRequest,
    url: &OperatorUrl,
) -> Result<(Routed, ViewedRequest), ScopeProblem> {
    let generation = node.generation.load_full();
    let built = as_sent(request, url)?;
    let arrival = Arrival {
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        scheme: url.scheme,
        tls: None,
        handshake: None,
        interim: None,
    };
    let refused = |fault: verge_http::failure::ClientFault| {
        let failure = verge_http::Failure::from(fault);
        let (status, label) = (failure.status().as_u16(), failure.label());
        problem(
            format!("the node answers such a request with {status}: {label}"),
            "a request that reaches a route",
        )
    };
    let head = sanitize::sanitize(&generation.settings.sanitize, &arrival, built)
        .map_err(refused)?
        .head;
    let sites = &generation.sites;
    let entry = sites.select_site(head.authority.host()).map_err(refused)?;
    let site = Arc::clone(entry.site());
    let route = entry.select_route(head.path(), &head.method, &head.fields);
    let route = Arc::clone(route.map_err(refused)?);
    let id = RequestId::new(&node.random);
    let routed = Routed::new(Arc::clone(node), generation, site, route, id, None);
    let viewed = ViewedRequest {
        head,
        marks: RequestMarks::default(),
        context: Context::default(),
    };
    Ok((routed, viewed))
}

fn problem(what: String, expected: &str) -> ScopeProblem {
    ScopeProblem {
        what,
        expected: expected.to_owned(),
    }
}

/// The request as a client would send it.
fn as_sent(request: &ExplainRequest, url: &OperatorUrl) -> Result<Request<Body>, ScopeProblem> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| problem(format!("`{}` is no method", request.method), "GET or HEAD"))?;
    let target = match &url.query {
        Some(query) => format!("{}?{query}", url.path),
        None => url.path.clone(),
    };
    let mut built = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, url.authority.as_str())
        .body(Body::Empty)
        .map_err(|error| problem(error.to_string(), "a URL that can be requested"))?;
    for (name, value) in &request.fields {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) = parsed.ok_or_else(|| {
            problem(
                format!("`{name}: {value}` is no field"),
                "a name and a value",
            )
        })?;
        if name == HOST {
            let what = "the authority stands in the URL".to_owned();
            return Err(problem(what, "no field `Host`"));
        }
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

/// Fills in what the cache says.
fn look(routed: &Routed, viewed: &ViewedRequest, explanation: &mut Explanation) {
    let cache = &routed.node.cache;
    let now = routed.node.clock.now();
    let keyed = match key::keyed(routed, viewed) {
        Ok(keyed) => keyed,
        Err(refusal) => {
            let what = "The request has no key: it goes past the cache.";
            explanation.next = told("bypass", refusal.label(), refusal.section(), what);
            return;
        }
    };
    // From here on the request is what its key says of it.
    let viewed = keyed.reduced.as_deref().unwrap_or(viewed);
    let key = keyed.key;
    let found = cache.peek(&key, &viewed.head.fields);
    let selected = match &found {
        Lookup::Selected(stored) => Some(stored),
        Lookup::Miss(_) => None,
    };
    explanation.stored = cache
        .stored(&key)
        .iter()
        .map(|stored| {
            let is_selected = selected.is_some_and(|selected| Arc::ptr_eq(selected, stored));
            response(stored, is_selected, now)
        })
        .collect();
    explanation.last_refusal = cache.last_refusal(&key).map(|last| refusal(last, now));
    explanation.next = next(routed, viewed, &found, now);
    explanation.key = Some(explained_key(&key));
}

fn next(routed: &Routed, viewed: &ViewedRequest, found: &Lookup, now: Instant) -> ExplainedNext {
    let head = &viewed.head;
    let directives = RequestDirectives::parse(&head.fields);
    if !routed.route.cached {
        let what = "The route does not use the cache: the request goes to the origin.";
        return told("bypass", "route", "", what);
    }
    let lookup = decide_lookup(&LookupFacts {
        method: &head.method,
        directives: &directives,
        has_content: false,
        fields: &head.fields,
        route: &routed.route.policy,
    });
    let past = |reason: BypassReason| {
        let what = "The request goes past the cache, and nothing of its response is stored.";
        told("bypass", reason.label(), reason.section(), what)
    };
    if let LookupDecision::Bypass(reason) = lookup {
        return past(reason);
    }
    let decided = match found {
        Lookup::Selected(stored) => match decide_reuse(&directives, &stored.freshness(now)) {
            Reuse::Validate(reason) => {
                Err((reason.label(), reason.section(), validation(reason, stored)))
            }
            reuse => Ok((reuse.label(), reuse.section(), answered(reuse))),
        },
        Lookup::Miss(MissReason::VaryMiss) => {
            let what =
                "Responses are stored for the URL, and none for these fields: the origin is asked.";
            Err((Forward::VaryMiss.label(), "RFC 9111 4.1", ("miss", what)))
        }
        Lookup::Miss(_) => {
            let what = "Nothing is stored: the origin is asked.";
            Err((Forward::UriMiss.label(), "RFC 9111 4", ("miss", what)))
        }
    };
    match decided {
        Ok((reason, section, what)) => told("hit", reason, section, what),
        Err(_) if directives.only_if_cached => {
            let what = "The request wants what is stored or nothing: 504.";
            told("error", "only-if-cached", "RFC 9111 5.2.1.7", what)
        }
        Err((reason, section, (outcome, what))) => match lookup {
            LookupDecision::AnswerOnly(reason) => past(reason),
            LookupDecision::Allowed | LookupDecision::Bypass(_) => {
                told(outcome, reason, section, what)
            }
        },
    }
}

fn answered(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::RefreshAhead => {
            "What is stored answers, and is validated in the background ahead of need."
        }
        Reuse::StaleWhileRevalidate => {
            "What is stored answers although it is stale, and is validated in the background."
        }
        Reuse::StaleAccepted => {
            "What is stored answers although it is stale: the request takes that."
        }
        Reuse::Fresh | Reuse::Validate(_) => "What is stored answers.",
    }
}

fn validation(reason: ValidateReason, stored: &StoredResponse) -> (&'static str, &'static str) {
    let validators = stored.head().validators();
    if validators.entity_tag.is_none() && validators.last_modified.is_none() {
        return (
            "miss",
            "What is stored cannot be validated: the origin is asked for all of it.",
        );
    }
    let what = match reason {
        ValidateReason::Stale if stored.is_soft_purged() => {
            "What is stored was purged softly: the origin is asked whether it still holds."
        }
        ValidateReason::Stale => {
            "What is stored is stale: the origin is asked whether it still holds."
        }
        ValidateReason::NoCache => {
            "What is stored says `no-cache`: the origin is asked whether it still holds."
        }
        _ => "The request wants the origin to be asked whether what is stored still holds.",
    };
    ("validate", what)
}

fn fixed() -> ExplainedNext {
    told(
        "fixed",
        "route",
        "",
        "The route answers by itself; the cache is not asked.",
    )
}

fn told(outcome: &str, reason: &str, section: &str, what: &str) -> ExplainedNext {
    ExplainedNext {
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        section: section.to_owned(),
        what: what.to_owned(),
    }
}

fn explained_key(key: &Key) -> ExplainedKey {
    let digest = key.digest();
    ExplainedKey {
        text: key.to_string(),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn refusal(last: LastRefusal, now: Instant) -> ExplainedRefusal {
    let (reason, section, advice) = match last.reason {
        NotStored::Refused(reason) => (reason.label(), reason.section(), reason.advice()),
        NotStored::Failed(failure) => (
            failure.label(),
            "",
            "There was no response: see the failure in the access log.",
        ),
    };
    ExplainedRefusal {
        reason: reason.to_owned(),
        section: section.to_owned(),
        advice: advice.to_owned(),
        seconds_ago: now.saturating_duration_since(last.at).as_secs(),
    }
}

fn response(stored: &StoredResponse, is_selected: bool, now: Instant) -> ExplainedResponse {
    let head = stored.head();
    let freshness = stored.freshness(now);
    let seconds = |window: Option<Duration>| window.map(|window| window.as_secs());
    let flags = [
        (freshness.is_no_cache, "no-cache"),
        (freshness.is_stale_forbidden, "no-stale"),
        (freshness.is_immutable, "immutable"),
    ];
    let texts = |keys: &[verge_http::surrogate::SurrogateKey]| {
        keys.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let text = |is: bool, yes: &str, no: &str| if is { yes } else { no }.to_owned();
    let etag = head.fields().get(ETAG).and_then(|tag| tag.to_str().ok());
    ExplainedResponse {
        is_selected,
        state: text(freshness.is_fresh(), "fresh", "stale"),
        tier: "memory".to_owned(),
        status: head.status().as_u16(),
        age_seconds: freshness.age.as_secs(),
        lifetime_seconds: freshness.lifetime.as_secs(),
        lifetime_source: head.lifetime_source().label().to_owned(),
        lifetime_section: head.lifetime_source().section().to_owned(),
        ttl_seconds: freshness.ttl(),
        stale_while_revalidate_seconds: seconds(freshness.stale.while_revalidate),
        stale_if_error_seconds: seconds(freshness.stale.if_error),
        flags: flags
            .into_iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, word)| word.to_owned())
            .collect(),
        varies_by: head
            .vary()
            .names()
            .iter()
            .map(ToString::to_string)
            .collect(),
        etag: etag.map(str::to_owned),
        surrogate_keys: texts(head.surrogate_keys().tags()),
        groups: texts(head.surrogate_keys().groups()),
        site: head.site().map(ToString::to_string),
        made_by: head
            .made_by()
            .map(|made_by| made_by.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        purged: text(stored.is_soft_purged(), "soft", "none"),
        content_bytes: stored.content_length(),
        is_incomplete: stored.pieces().is_some(),
    }
}
