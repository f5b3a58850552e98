//! Whether a request may be answered from the store at all.

use http::{HeaderMap, Method};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Forward;

use super::route::{BypassRule, RoutePolicy};

/// All that [`decide_lookup`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct LookupFacts<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// Of the request.
    pub directives: &'a RequestDirectives,
    /// Whether content comes with the request.
    pub has_content: bool,
    /// Of the request.
    pub fields: &'a HeaderMap,
    /// Of the route.
    pub route: &'a RoutePolicy,
}

/// Whether the cache handles a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupDecision {
    /// Look it up.
    Allowed,
    /// Look it up; what does not answer as it is stays as it is, and the request is forwarded:
    /// nothing of the answer is stored.
    AnswerOnly(BypassReason),
    /// Forward it, and store nothing of the answer.
    Bypass(BypassReason),
}

/// Why a request goes past the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BypassReason {
    /// Only responses to GET are stored, and only GET and HEAD are answered with them.
    Method,
    /// The request forbids to store anything of it or of its response; what is stored
    /// already may answer it (RFC 9111 5.2.1.5).
    NoStore,
    /// A GET or HEAD with content: the content is no part of the key, so its
    /// answer must not reach anyone else (RFC 9110 9.3.1).
    Content,
    /// It has a field that the route sends past the cache.
    RouteField,
    /// It has a cookie that the route sends past the cache.
    RouteCookie,
}

/// Decides whether the cache handles a request (RFC 9111 2, 4).
#[must_use]
pub fn decide_lookup(facts: &LookupFacts<'_>) -> LookupDecision {
    if *facts.method != Method::GET && *facts.method != Method::HEAD {
        return LookupDecision::Bypass(BypassReason::Method);
    }
    if facts.has_content {
        return LookupDecision::Bypass(BypassReason::Content);
    }
    match facts.route.bypass_rule(facts.fields) {
        Some(BypassRule::Field(_)) => LookupDecision::Bypass(BypassReason::RouteField),
        Some(BypassRule::Cookie(_)) => LookupDecision::Bypass(BypassReason::RouteCookie),
        None if facts.directives.no_store => LookupDecision::AnswerOnly(BypassReason::NoStore),
        None => LookupDecision::Allowed,
    }
}

impl BypassReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 5] = [
        Self::Method,
        Self::NoStore,
        Self::Content,
        Self::RouteField,
        Self::RouteCookie,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::NoStore => "request-no-store",
            Self::Content => "request-content",
            Self::RouteField => "route-field",
            Self::RouteCookie => "route-cookie",
        }
    }

    /// The rule that it follows; empty where it is the route's.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Method => "RFC 9111 3",
            Self::NoStore => "RFC 9111 5.2.1.5",
            Self::Content => "RFC 9110 9.3.1",
            Self::RouteField | Self::RouteCookie => "",
        }
    }

    /// The word for Cache-Status (RFC 9211 2.2).
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::Method => Forward::Method,
            Self::NoStore => Forward::Request,
            Self::Content | Self::RouteField | Self::RouteCookie => Forward::Bypass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_follow_method_directives_content_and_route() {
        let plain = RequestDirectives::default();
        let no_store = RequestDirectives {
            no_store: true,
            ..RequestDirectives::default()
        };
        let route = RoutePolicy {
            bypass: vec![
                BypassRule::Field(http::header::RANGE),
                BypassRule::Cookie("s".to_owned()),
            ],
            ..RoutePolicy::default()
        };
        let bypass = LookupDecision::Bypass;
        let allowed = LookupDecision::Allowed;
        let rows = [
            (Method::GET, &plain, false, "", allowed),
            (Method::HEAD, &plain, false, "", allowed),
            (Method::POST, &plain, true, "", bypass(BypassReason::Method)),
            (
                Method::OPTIONS,
                &plain,
                false,
                "",
                bypass(BypassReason::Method),
            ),
            (
                Method::GET,
                &no_store,
                false,
                "",
                LookupDecision::AnswerOnly(BypassReason::NoStore),
            ),
            (
                Method::GET,
                &no_store,
                false,
                "cookie",
                bypass(BypassReason::RouteCookie),
            ),
            (Method::GET, &plain, true, "", bypass(BypassReason::Content)),
            (
                Method::GET,
                &plain,
                false,
                "range",
                bypass(BypassReason::RouteField),
            ),
            (
                Method::GET,
                &plain,
                false,
                "cookie",
                bypass(BypassReason::RouteCookie),
            ),
            (
                Method::PUT,
                &plain,
                false,
                "cookie",
                bypass(BypassReason::Method),
            ),
        ];
        for (method, directives, has_content, field, expected) in rows {
            let mut fields = HeaderMap::new();
            if !field.is_empty() {
                let name: http::HeaderName = field.parse().expect("a name");
                fields.insert(name, http::HeaderValue::from_static("s=1"));
            }
            let facts = LookupFacts {
                method: &method,
                directives,
                has_content,
                fields: &fields,
                route: &route,
            };
            assert_eq!(
                decide_lookup(&facts),
                expected,
                "{method} {has_content} {field}"
            );
        }
    }

    #[test]
    fn labels_are_unique() {
        let mut labels: Vec<_> = BypassReason::ALL.iter().map(|r| r.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), BypassReason::ALL.len());
    }
}
