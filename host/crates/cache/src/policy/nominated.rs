//! What becomes of a stored response whose validation was answered with a full response, or for a
//! part with another one, that is not stored (RFC 9111 4.3.3). One that is stored takes its place.

use http::StatusCode;

use super::reasons::RefuseReason;

/// What becomes of the stored response that a conditional request nominated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nominated {
    /// The full response says that it is not what the origin answers with any more.
    Removed,
    /// The full response says something of this request only, or of this moment.
    Kept,
}

/// Decides what becomes of it after a full response with `status` that is refused for `reason`.
///
/// "None of the stored responses nominated in the conditional request are suitable": kept, it
/// would answer again where staleness is accepted, or for a client that did not ask for a reload.
/// An error other than that the resource is gone says nothing about what is stored.
#[must_use]
pub fn decide_nominated(status: StatusCode, reason: RefuseReason) -> Nominated {
    let is_of_resource = status.is_success()
        || status.is_redirection()
        || status == StatusCode::NOT_FOUND
        || status == StatusCode::GONE;
    let is_for_all = match reason {
        RefuseReason::NoStore
        | RefuseReason::VaryAny
        | RefuseReason::NotCacheable
        | RefuseReason::NoValidator
        | RefuseReason::StatusNotUnderstood
        | RefuseReason::SurrogateKeys
        | RefuseReason::Functions
        | RefuseReason::ObjectTooLarge
        | RefuseReason::MemoryExhausted => true,
        // What was asked for was a part: there is another one now, or none (RFC 9110 15.5.17).
        RefuseReason::StatusPartial => {
            return match status {
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                    Nominated::Removed
                }
                _ => Nominated::Kept,
            };
        }
        // For one client, or for one that is known.
        RefuseReason::Private
        | RefuseReason::Authorization
        | RefuseReason::SetCookie
        | RefuseReason::UnkeyedInput
        | RefuseReason::FunctionSkipped
        | RefuseReason::VersionReplaced
        | RefuseReason::RequestNoStore
        // Whatever purged it has purged what was stored.
        | RefuseReason::Purged
        // What took its place stays.
        | RefuseReason::Superseded
        // Not of a GET that asked for the whole, or of this moment.
        | RefuseReason::Method
        | RefuseReason::Post
        | RefuseReason::StatusInterim
        | RefuseReason::StatusNotModified
        | RefuseReason::StatusForbidden => false,
    };
    if is_of_resource && is_for_all {
        Nominated::Removed
    } else {
        Nominated::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_response_about_the_resource_takes_what_was_nominated_away_rfc_9111_4_3_3() {
        let rows = [
            (200, RefuseReason::NoStore, Nominated::Removed),
            (200, RefuseReason::NoValidator, Nominated::Removed),
            (200, RefuseReason::ObjectTooLarge, Nominated::Removed),
            (302, RefuseReason::NotCacheable, Nominated::Removed),
            (404, RefuseReason::NoValidator, Nominated::Removed),
            (410, RefuseReason::NoStore, Nominated::Removed),
            (403, RefuseReason::NotCacheable, Nominated::Kept),
            (429, RefuseReason::StatusForbidden, Nominated::Kept),
            (503, RefuseReason::NotCacheable, Nominated::Kept),
            (200, RefuseReason::Private, Nominated::Kept),
            (200, RefuseReason::SetCookie, Nominated::Kept),
            (200, RefuseReason::Authorization, Nominated::Kept),
            (200, RefuseReason::Purged, Nominated::Kept),
            (206, RefuseReason::NoStore, Nominated::Removed),
            (206, RefuseReason::StatusPartial, Nominated::Removed),
            (206, RefuseReason::Private, Nominated::Kept),
            (304, RefuseReason::StatusPartial, Nominated::Kept),
            (412, RefuseReason::StatusPartial, Nominated::Kept),
            (416, RefuseReason::StatusPartial, Nominated::Removed),
            (416, RefuseReason::NotCacheable, Nominated::Kept),
        ];
        for (status, reason, expected) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                decide_nominated(status, reason),
                expected,
                "{status} {reason:?}"
            );
        }
    }
}
