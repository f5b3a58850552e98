//! Facts about status codes (RFC 9110 15).

use http::StatusCode;

/// Whether a response with this status never has content (RFC 9110 6.4.1):
/// 1xx, 204 and 304.
#[must_use]
pub fn forbids_content(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
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
    fn content_is_forbidden_where_rfc_9110_6_4_1_says_so() {
        for code in [100, 103, 204, 304] {
            assert!(forbids_content(status(code)), "{code}");
        }
        for code in [200, 205, 206, 301, 404, 500] {
            assert!(!forbids_content(status(code)), "{code}");
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
