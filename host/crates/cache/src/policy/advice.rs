//! What would have to change so that a response is stored, in a sentence: for
//! operators, beside [`RefuseReason::label`] and [`RefuseReason::section`].

use super::reasons::RefuseReason;

impl RefuseReason {
    /// What would have to change so that such a response is stored: a line for each reason.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Method => "Only responses to GET, and POST as RFC 9110 9.3.3 says, are stored.",
            Self::Post => {
                "The response to a POST needs explicit freshness and a Content-Location that is \
                 the URL itself."
            }
            Self::RequestNoStore => {
                "The client sent `Cache-Control: no-store`; others may be answered from store."
            }
            Self::UnkeyedInput => {
                "The response depends on input that is no part of the key: name it in Vary, or \
                 make it a part of the key."
            }
            Self::FunctionSkipped => {
                "A function of the route failed and was left out (`on_failure`): what it did not touch \
                 answers this request alone."
            }
            Self::VersionReplaced => {
                "Another version of a function of the route took its place while the response was \
                 on its way: the next response will be stored."
            }
            Self::StatusInterim => "Interim responses are never stored.",
            Self::StatusPartial => {
                "The part has no strong validator or no valid Content-Range: a strong ETag would \
                 make it storable."
            }
            Self::StatusNotModified => "A 304 only freshens what is stored, and nothing is.",
            Self::StatusForbidden => "Responses with this status are never stored.",
            Self::StatusNotUnderstood => {
                "The response says `must-understand` and its status is not known here."
            }
            Self::NoStore => "The origin sends `no-store`: it would have to leave it out.",
            Self::Private => {
                "The origin sends `private`: it would have to leave it out, or name the fields \
                 that are private."
            }
            Self::Authorization => {
                "The request has Authorization: the response needs `public`, `s-maxage` or \
                 `must-revalidate`."
            }
            Self::VaryAny => {
                "The origin sends `Vary: *`: it would have to name the fields that matter."
            }
            Self::SetCookie => {
                "The response sets a cookie: it needs explicit freshness as `max-age` or \
                 `s-maxage`, and a route that does not refuse cookies."
            }
            Self::SurrogateKeys => {
                "The response has more than 128 surrogate keys, or more than 8 KiB of them."
            }
            Self::Functions => {
                "More than 64 versions of functions had a part in it: the next response will be \
                 stored."
            }
            Self::NotCacheable => {
                "The response names no freshness: the origin could send `Cache-Control: max-age`, \
                 or the route set a lifetime."
            }
            Self::NoValidator => {
                "The response is stale at once and cannot be validated: it needs freshness, an \
                 ETag or a Last-Modified."
            }
            Self::ObjectTooLarge => {
                "It is larger than `cache.max_object`; see also the route's slices."
            }
            Self::MemoryExhausted => {
                "There was no memory: `cache.memory` is too small for what is in flight."
            }
            Self::Purged => {
                "It was purged while it was on its way: the next response will be stored."
            }
            Self::Superseded => "A response that was asked for later had been stored already.",
        }
    }
}
