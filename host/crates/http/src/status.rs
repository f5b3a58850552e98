//! Facts about status codes (RFC 9110 15).

use http::{Method, StatusCode};

/// Whether a response with this status never has content (RFC 9110 6.4.1):
/// 1xx, 204 and 304.
#[must_use]
pub fn forbids_content(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Whether the response to `method` with `status` can have content
/// (RFC 9112 6.3): not to HEAD, not a 2xx to CONNECT, not where the status
/// forbids it.
#[must_use]
pub fn response_may_have_content(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD
        && !(method == Method::CONNECT && status.is_success())
        && !forbids_content(status)
}

/// Whether a response with this status may be given a heuristic freshness
/// lifetime (RFC 9110 15.1).
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Whether this cache understands the status and does what its definition asks
/// of caches (RFC 9111 3, and `must-understand` in 5.2.2.3).
///
/// They are those of RFC 9110 15 and RFC 7725, which ask nothing of caches but
/// what [`is_heuristically_cacheable`] says. 206 and 304 are not among them:
/// the one is a part of a response, the other updates one, and neither is
/// stored as it comes.
#[must_use]
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 451 | 500..=505
    )
}

/// Whether the definition of the status forbids caches to store it
/// (RFC 6585 3 to 6), whatever the response says.
#[must_use]
pub fn forbids_storing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 428 | 429 | 431 | 511)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).expect("a status code")
    }

    #[test]
    fn content_is_forbidden_where_rfc_9112_6_3_says_so() {
        for (method, code, expected) in [
            (Method::GET, 200, true),
            (Method::GET, 103, false),
            (Method::GET, 204, false),
            (Method::GET, 304, false),
            (Method::HEAD, 200, false),
            (Method::HEAD, 404, false),
            (Method::CONNECT, 200, false),
            (Method::CONNECT, 403, true),
            (Method::POST, 205, true),
        ] {
            let found = response_may_have_content(&method, status(code));
            assert_eq!(found, expected, "{method} {code}");
        }
    }

    #[test]
    fn parts_and_updates_are_not_stored_as_they_come() {
        assert!(is_heuristically_cacheable(status(206)));
        assert!(!is_understood(status(206)));
        assert!(!is_understood(status(304)));
        assert!(!is_heuristically_cacheable(status(302)));
        assert!(is_understood(status(302)));
        assert!(!is_understood(status(299)));
    }
}
