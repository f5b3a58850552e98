//! The cache key of a request: what a response is stored under and found by.
//!
//! The one place where a route's key policy meets a request: lookups, fills,
//! invalidation and purge by URL all come through here, so that they mean the
//! same response. Nothing here asks the cache or the origin.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::COOKIE;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use smallvec::SmallVec;
use verge_cache::policy::{
    CookieChange, KeyPolicy, KeyRefusal, PolicyPart, UnkeyedInput, field_value,
};
use verge_cache::{Cache, Key, KeyPart, Target as KeyTarget};
use verge_runtime::Context;

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::routing::Sites;
use super::super::triggers::ViewedRequest;
use crate::route::Route;

/// A request with its key.
pub(super) struct Keyed {
    /// The key.
    pub(super) key: Key,
    /// The request as it goes on, if key policy took anything out of it.
    pub(super) reduced: Option<Box<ViewedRequest>>,
}

/// What of a request its key is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyInput<'a> {
    /// Its method.
    pub(crate) method: &'a Method,
    /// Its target URI, not yet reduced.
    pub(crate) target: KeyTarget<'a>,
    /// Its fields.
    pub(crate) fields: &'a HeaderMap,
}

impl<'a> KeyInput<'a> {
    fn of(head: &'a TrustedHead) -> Self {
        Self {
            method: &head.method,
            target: target_of(head),
            fields: &head.fields,
        }
    }
}

/// The target URI of a request.
pub(super) fn target_of(head: &TrustedHead) -> KeyTarget<'_> {
    KeyTarget {
        scheme: head.scheme,
        authority: head.authority.as_str(),
        path: head.path_and_query.path(),
        query: head.path_and_query.query(),
    }
}

/// The request as its route's key policy leaves it, with its key.
///
/// # Errors
/// It has no key: nothing is looked up for it, and nothing stored.
pub(super) fn keyed(routed: &Routed, viewed: &ViewedRequest) -> Result<Keyed, KeyRefusal> {
    let reduced = match &routed.route.key {
        Some(rule) if rule.policy.unkeyed == UnkeyedInput::AsKeyed => reduce(&rule.policy, viewed)?,
        Some(_) | None => None,
    };
    let key = key(routed, reduced.as_deref().unwrap_or(viewed))?;
    Ok(Keyed { key, reduced })
}

/// The cache key: the target URI, what policy names, what functions declared, and what they
/// changed.
///
/// A field that a function added or changed is a part of the key unless it was
/// declared unkeyed: what was derived for one client never answers another.
fn key(routed: &Routed, viewed: &ViewedRequest) -> Result<Key, KeyRefusal> {
    let head = &viewed.head;
    let mut named: SmallVec<[PolicyPart; 4]> = SmallVec::new();
    for name in viewed.marks.keyed_fields() {
        named.push((format!("field {name}"), field_value(&head.fields, name)));
    }
    for (name, value) in &viewed.marks.key_parts {
        named.push((format!("part {name}"), value.clone().into_bytes()));
    }
    if viewed.marks.is_retargeted && leads_elsewhere(routed, head, &head.method) {
        named.push(("route".to_owned(), routed.route.path.clone().into_bytes()));
    }
    for used in routed.route.fill_functions() {
        let version = routed.version(used);
        if !Arc::ptr_eq(version, &used.function) {
            // What another version made is not for those who get the live one.
            let digest = version.function.digest();
            named.push((
                format!("version of {}", version.name),
                digest.as_bytes().to_vec(),
            ));
        }
    }
    for (name, digest) in routed.nested_versions() {
        named.push((format!("version of {name}"), digest.as_bytes().to_vec()));
    }
    if let Some(site) = &viewed.marks.sent_by {
        named.push(("sent by a function of".to_owned(), site.as_bytes().to_vec()));
    }
    if let Some(origin) = &viewed.marks.origin {
        named.push(("origin".to_owned(), origin.clone().into_bytes()));
    }
    route_key(
        &routed.node.cache,
        &routed.route,
        &KeyInput::of(head),
        named,
    )
}

/// The key of a request that takes `route`, with the parts that functions `declared` for it.
///
/// # Errors
/// It has no key.
pub(crate) fn route_key(
    cache: &Cache,
    route: &Route,
    input: &KeyInput<'_>,
    declared: SmallVec<[PolicyPart; 4]>,
) -> Result<Key, KeyRefusal> {
    let mut named = declared;
    if let Some(conditions) = route.field_conditions() {
        named.push(("route fields".to_owned(), conditions.into_bytes()));
    }
    let mut query = input.target.query.map(Cow::Borrowed);
    if let Some(rule) = &route.key {
        query = rule.policy.reduce_query(input.target.query).kept;
        named.extend(rule.policy.parts(input.method, input.fields)?);
    }
    let parts: SmallVec<[KeyPart<'_>; 4]> = named
        .iter()
        .map(|(name, value)| KeyPart { name, value })
        .collect();
    let target = KeyTarget {
        query: query.as_deref(),
        ..input.target
    };
    Ok(cache.key(target, &parts))
}

/// The request without what is no part of its key; `None` if it has nothing of the kind.
fn reduce(
    policy: &KeyPolicy,
    viewed: &ViewedRequest,
) -> Result<Option<Box<ViewedRequest>>, KeyRefusal> {
    let target = &viewed.head.path_and_query;
    let reduced = policy.reduce_query(target.query());
    let cookies = policy.reduce_cookies(&viewed.head.fields);
    if !reduced.differs_from(target.query()) && cookies.is_none() {
        return Ok(None);
    }
    let mut head = viewed.head.clone();
    head.path_and_query = match reduced.kept {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", target.path())),
        None => PathAndQuery::try_from(target.path()),
    }
    .map_err(|_| KeyRefusal::TargetInvalid)?;
    match cookies {
        None => {}
        Some(CookieChange::Removed) => drop(head.fields.remove(COOKIE)),
        Some(CookieChange::Reduced(value)) => drop(head.fields.insert(COOKIE, value)),
    }
    Ok(Some(Box::new(ViewedRequest {
        head,
        marks: viewed.marks.clone(),
        context: Context::default(),
    })))
}

/// Gives `visit` every target under which responses for the URI `target` can be stored: the
/// URI as it stands, and as the key policies of its site's routes reduce it, each once.
///
/// All policies of the site count, because functions can lead a request for this URI to any
/// of its routes; one too many costs a removal of nothing.
pub(crate) fn each_stored_target(
    sites: &Sites,
    target: KeyTarget<'_>,
    mut visit: impl FnMut(KeyTarget<'_>),
) {
    visit(target);
    let host = verge_http::Authority::parse(target.authority.as_bytes(), target.scheme);
    let Ok(site) = host.map(|authority| authority.host().to_owned()) else {
        return;
    };
    let Ok(site) = sites.select_site(&site) else {
        return;
    };
    let mut visited: SmallVec<[Option<Cow<'_, str>>; 4]> = SmallVec::new();
    for policy in site.key_policies() {
        let query = policy.reduce_query(target.query).kept;
        if query.as_deref() == target.query || visited.contains(&query) {
            continue;
        }
        visit(KeyTarget {
            query: query.as_deref(),
            ..target
        });
        visited.push(query);
    }
}

/// Whether a client that asks for the target of `head` with `method` gets another route than
/// this request, whose target a function changed, or whose method was another: then the two must
/// not share a response.
pub(super) fn leads_elsewhere(routed: &Routed, head: &TrustedHead, method: &Method) -> bool {
    let sites = &routed.generation.sites;
    let route = sites
        .select_site(head.authority.host())
        .and_then(|site| site.select_route(head.path(), method, &head.fields));
    !route.is_ok_and(|route| Arc::ptr_eq(route, &routed.route))
}
