//! Whether a request may be answered from the store at all.

use http::Method;
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Forward;

/// Whether the cache handles a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupDecision {
    /// Look it up.
    Allowed,
    /// Forward it, and store nothing of the answer.
    Bypass(BypassReason),
}

/// Why a request goes past the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BypassReason {
    /// Only responses to GET are stored, and only GET and HEAD are answered with them.
    Method,
    /// The request forbids to store anything of it (RFC 9111 5.2.1.5).
    NoStore,
    /// A GET or HEAD with content: the content is no part of the key, so its
    /// answer must not reach anyone else (RFC 9110 9.3.1).
    Content,
}

/// Decides whether the cache handles a request (RFC 9111 2, 4).
///
/// `has_content` says whether content comes with the request.
#[must_use]
pub fn decide_lookup(
    method: &Method,
    directives: &RequestDirectives,
    has_content: bool,
) -> LookupDecision {
    if *method != Method::GET && *method != Method::HEAD {
        return LookupDecision::Bypass(BypassReason::Method);
    }
    if has_content {
        return LookupDecision::Bypass(BypassReason::Content);
    }
    if directives.no_store {
        return LookupDecision::Bypass(BypassReason::NoStore);
    }
    LookupDecision::Allowed
}

impl BypassReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Method, Self::NoStore, Self::Content];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::NoStore => "request-no-store",
            Self::Content => "request-content",
        }
    }

    /// The word for Cache-Status (RFC 9211 2.2).
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::Method => Forward::Method,
            Self::NoStore => Forward::Request,
            Self::Content => Forward::Bypass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_follow_method_directives_and_content() {
        let plain = RequestDirectives::default();
        let no_store = RequestDirectives {
            no_store: true,
            ..RequestDirectives::default()
        };
        let bypass = LookupDecision::Bypass;
        let rows = [
            (Method::GET, &plain, false, LookupDecision::Allowed),
            (Method::HEAD, &plain, false, LookupDecision::Allowed),
            (Method::POST, &plain, true, bypass(BypassReason::Method)),
            (Method::OPTIONS, &plain, false, bypass(BypassReason::Method)),
            (Method::GET, &no_store, false, bypass(BypassReason::NoStore)),
            (Method::GET, &plain, true, bypass(BypassReason::Content)),
        ];
        for (method, directives, has_content, expected) in rows {
            assert_eq!(
                decide_lookup(&method, directives, has_content),
                expected,
                "{method} {has_content}"
            );
        }
    }
}
