//! What a successful unsafe request invalidates (RFC 9111 4.4).

use http::{HeaderMap, Method, StatusCode, header};
use smallvec::SmallVec;
use verge_http::path::decode_unreserved;
use verge_http::{Authority, Scheme};

use crate::key::Target;

/// Whether stored responses for a request's target URI are invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidation {
    /// They are, and so are those for [`select_related_targets`].
    Target,
    /// They are kept.
    Keep(InvalidationRefusal),
}

/// Why stored responses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidationRefusal {
    /// The method is safe (RFC 9110 9.2.1).
    MethodSafe,
    /// The request failed: 4xx or 5xx.
    StatusError,
}

/// The path and query of another URI that the response names, on the same origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedTarget {
    path: String,
    query: Option<String>,
}

/// Safe methods of other specifications (RFC 4918 9.1, RFC 3253 3.6, RFC 5323 2.2), as the registry
/// of RFC 9110 16.1 has them. Whatever else is not known counts as unsafe.
const SAFE_ELSEWHERE: [&str; 3] = ["PROPFIND", "REPORT", "SEARCH"];

/// Whether a method is known to be safe (RFC 9110 9.2.1).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    method.is_safe() || SAFE_ELSEWHERE.contains(&method.as_str())
}

/// Decides whether the response to a request invalidates (RFC 9111 4.4).
#[must_use]
pub fn decide_invalidation(method: &Method, status: StatusCode) -> Invalidation {
    if is_safe(method) {
        Invalidation::Keep(InvalidationRefusal::MethodSafe)
    } else if status.is_success() || status.is_redirection() {
        Invalidation::Target
    } else {
        Invalidation::Keep(InvalidationRefusal::StatusError)
    }
}

/// The URIs in Location and Content-Location that are on `target`'s origin;
/// others must not be invalidated, or one site could purge another (RFC 9111 4.4).
#[must_use]
pub fn select_related_targets(
    target: &Target<'_>,
    response: &HeaderMap,
) -> SmallVec<[RelatedTarget; 2]> {
    [header::LOCATION, header::CONTENT_LOCATION]
        .iter()
        .filter_map(|name| response.get(name)?.to_str().ok())
        .filter_map(|reference| same_origin_path(target, reference))
        .filter(|related| related.path != target.path || related.query.as_deref() != target.query)
        .collect()
}

/// Whether Content-Location names the request's own target URI, as it must for
/// the answer to a POST to be one to a later GET (RFC 9110 9.3.3).
#[must_use]
pub fn names_target(target: &Target<'_>, response: &HeaderMap) -> bool {
    let mut lines = response.get_all(header::CONTENT_LOCATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let named = line.to_str().ok();
    let named = named.and_then(|reference| same_origin_path(target, reference));
    named.is_some_and(|named| named.path == target.path && named.query.as_deref() == target.query)
}

/// What `reference` names on the target's origin (RFC 3986 5.2.2).
fn same_origin_path(target: &Target<'_>, reference: &str) -> Option<RelatedTarget> {
    let reference = reference.split('#').next()?;
    let (before_query, query) = match reference.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (reference, None),
    };
    let scheme = before_query.split_once(':').filter(|(scheme, _)| {
        // A colon after a slash belongs to a path.
        !scheme.contains('/')
    });
    let rest = match scheme {
        Some((scheme, _)) if !scheme.eq_ignore_ascii_case(target.scheme.as_str()) => return None,
        Some((_, rest)) if !rest.starts_with("//") => return None,
        Some((_, rest)) => rest,
        None => before_query,
    };
    let path = if let Some(rest) = rest.strip_prefix("//") {
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        let authority = Authority::parse(authority.as_bytes(), target.scheme).ok()?;
        if authority.as_str() != target.authority {
            return None;
        }
        normal(path)
    } else if rest.starts_with('/') {
        normal(rest)
    } else if rest.is_empty() {
        let query = query.or_else(|| target.query.map(str::to_owned));
        return Some(RelatedTarget {
            path: target.path.to_owned(),
            query,
        });
    } else {
        let (folder, _) = target.path.rsplit_once('/')?;
        normal(&format!("{folder}/{rest}"))
    };
    Some(RelatedTarget { path, query })
}

/// An absolute path as targets have it (RFC 3986 6.2.2).
fn normal(path: &str) -> String {
    match path.contains('%') {
        true => without_dots(&decode_unreserved(path)),
        false => without_dots(path),
    }
}

/// An absolute path without its dot segments (RFC 3986 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split('/').skip(1) {
        ends_open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut plain = String::with_capacity(path.len() + 1);
    for segment in &kept {
        plain.push('/');
        plain.push_str(segment);
    }
    if ends_open || kept.is_empty() {
        plain.push('/');
    }
    plain
}

impl RelatedTarget {
    /// The target URI on the origin of `scheme` and `authority`.
    #[must_use]
    pub fn on<'a>(&'a self, scheme: Scheme, authority: &'a str) -> Target<'a> {
        Target {
            scheme,
            authority,
            path: &self.path,
            query: self.query.as_deref(),
        }
    }
}

impl InvalidationRefusal {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MethodSafe => "method-safe",
            Self::StatusError => "status-error",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_successful_unsafe_requests_invalidate_rfc_9111_4_4() {
        let keep = Invalidation::Keep;
        let rows = [
            ("POST", 200, Invalidation::Target),
            ("PUT", 204, Invalidation::Target),
            ("DELETE", 303, Invalidation::Target),
            ("PURGE-ISH", 200, Invalidation::Target),
            ("POST", 404, keep(InvalidationRefusal::StatusError)),
            ("POST", 500, keep(InvalidationRefusal::StatusError)),
            ("GET", 200, keep(InvalidationRefusal::MethodSafe)),
            ("OPTIONS", 200, keep(InvalidationRefusal::MethodSafe)),
            ("PROPFIND", 207, keep(InvalidationRefusal::MethodSafe)),
            ("REPORT", 200, keep(InvalidationRefusal::MethodSafe)),
            ("SEARCH", 200, keep(InvalidationRefusal::MethodSafe)),
            ("M-SEARCH", 200, Invalidation::Target),
            ("propfind", 200, Invalidation::Target),
        ];
        for (method, status, expected) in rows {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                decide_invalidation(&method, status),
                expected,
                "{method} {status}"
            );
        }
    }

    #[test]
    fn related_uris_are_invalidated_only_on_the_same_origin_rfc_9111_4_4() {
        let target = Target {
            scheme: Scheme::Https,
            authority: "shop.example",
            path: "/cart",
            query: None,
        };
        let rows = [
            ("/items?a=1", Some(("/items", Some("a=1")))),
            ("https://SHOP.example:443/x#part", Some(("/x", None))),
            ("https://shop.example", Some(("/", None))),
            ("https://shop.example?q", Some(("/", Some("q")))),
            ("http://shop.example/x", None),
            ("https://other.example/x", None),
            ("https://shop.example:8443/x", None),
            ("//other.example/x", None),
            ("//shop.example/y", Some(("/y", None))),
            ("relative", Some(("/relative", None))),
            ("./a/../b?x", Some(("/b", Some("x")))),
            ("../../c/.", Some(("/c/", None))),
            ("?q", Some(("/cart", Some("q")))),
            ("/%7Ea%2fb", Some(("/~a%2Fb", None))),
            ("/x/%2e%2e/y", Some(("/y", None))),
            ("/c%61rt", None),
            ("at:noon", None),
            ("mailto:a@shop.example", None),
            ("", None),
            ("/cart", None),
        ];
        for (location, expected) in rows {
            let mut fields = HeaderMap::new();
            fields.insert(header::LOCATION, location.parse().expect("a value"));
            let found = select_related_targets(&target, &fields);
            let found = found
                .first()
                .map(|related| (related.path.as_str(), related.query.as_deref()));
            assert_eq!(found, expected, "{location}");
        }
    }

    proptest! {
        #[test]
        fn references_never_leave_the_origin(reference in "[a-z:/.?#@%0-9 -]{0,40}") {
            let target = Target {
                scheme: Scheme::Https,
                authority: "shop.example",
                path: "/a/b",
                query: Some("q"),
            };
            if let Some(related) = same_origin_path(&target, &reference) {
                prop_assert!(related.path.starts_with('/'), "{:?}", related);
                let has_dots = related.path.split('/').any(|part| part == "." || part == "..");
                prop_assert!(!has_dots, "{:?}", related);
            }
        }
    }
}
