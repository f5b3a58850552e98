//! The cache key of a request: what a response is stored under and found by.
//!
//! Nothing here asks the cache or the origin.

use std::sync::Arc;

use smallvec::SmallVec;
use verge_cache::{Key, KeyPart, Target as KeyTarget};

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;

/// The cache key: the target URI, what functions declared, and what they changed.
///
/// A field that a function added or changed is a part of the key unless it was
/// declared unkeyed: what was derived for one client never answers another.
pub(in crate::pipeline) fn key(routed: &Routed, viewed: &ViewedRequest) -> Key {
    let head = &viewed.head;
    let mut named: SmallVec<[(String, Vec<u8>); 4]> = SmallVec::new();
    for name in viewed.marks.keyed_fields() {
        // A line feed cannot stand in a value: lines stay apart, and an absent field
        // differs from an empty one.
        let mut value = Vec::new();
        for line in head.fields.get_all(name) {
            value.extend_from_slice(line.as_bytes());
            value.push(b'\n');
        }
        named.push((format!("field {name}"), value));
    }
    for (name, value) in &viewed.marks.key_parts {
        named.push((format!("part {name}"), value.clone().into_bytes()));
    }
    if let Some(conditions) = routed.route.field_conditions() {
        named.push(("route fields".to_owned(), conditions.into_bytes()));
    }
    if viewed.marks.is_retargeted && leads_elsewhere(routed, head) {
        named.push(("route".to_owned(), routed.route.path.clone().into_bytes()));
    }
    if let Some(origin) = &viewed.marks.origin {
        named.push(("origin".to_owned(), origin.clone().into_bytes()));
    }
    let parts: SmallVec<[KeyPart<'_>; 4]> = named
        .iter()
        .map(|(name, value)| KeyPart { name, value })
        .collect();
    let target = KeyTarget {
        scheme: head.scheme,
        authority: head.authority.as_str(),
        path: head.path_and_query.path(),
        query: head.path_and_query.query(),
    };
    routed.node.cache.key(target, &parts)
}

/// Whether a client that asks for the target of `head` gets another route than this request,
/// whose target a function changed: then the two must not share a response.
fn leads_elsewhere(routed: &Routed, head: &TrustedHead) -> bool {
    let sites = &routed.generation.sites;
    let route = sites
        .select_site(head.authority.host())
        .and_then(|site| site.select_route(head.path(), &head.method, &head.fields));
    !route.is_ok_and(|route| Arc::ptr_eq(route, &routed.route))
}
