//! The response on its way to the client, with what the later stages need to
//! know of where it came from.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use verge_cache::StoredHead;
use verge_http::Body;

use crate::telemetry::CacheReceipt;

/// A response before the stages behind the cache.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields; `Age`, `Cache-Status`, `Via` and framing are added by `finish`.
    pub fields: HeaderMap,
    /// Its content.
    pub body: Body,
    /// Where it came from.
    pub source: Source,
    /// What the cache did; `None` when it was not asked.
    pub cache: Option<CacheReceipt>,
    /// The stored head that it comes from, to which what is made of its content belongs.
    pub stored: Option<Arc<StoredHead>>,
}

/// Where an answer came from, and so what may still be done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The selected response of the cache, stored or being stored: the client's
    /// preconditions and ranges are this node's to apply.
    Stored {
        /// Its current age (RFC 9111 4.2.3).
        age: Duration,
    },
    /// A response that passes through: the origin saw the preconditions and ranges.
    Forwarded,
    /// A response that passes through because it could not be stored: the origin was asked
    /// for all of it, so the client's preconditions and ranges are this node's to apply.
    Fetched,
    /// Made by this node or by a function.
    Generated,
}

impl Source {
    /// Whether the client's preconditions and ranges are this node's to apply.
    #[must_use]
    pub const fn is_selected(self) -> bool {
        match self {
            Self::Stored { .. } | Self::Fetched => true,
            Self::Forwarded | Self::Generated => false,
        }
    }
}

impl Answer {
    /// An answer made by this node or by a function.
    #[must_use]
    pub fn generated(status: StatusCode, fields: HeaderMap, body: Body) -> Self {
        Self {
            status,
            fields,
            body,
            source: Source::Generated,
            cache: None,
            stored: None,
        }
    }

    /// A function's own answer.
    #[must_use]
    pub fn from_function(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self::generated(head.status, head.headers, body)
    }

    /// An origin's response that passes through.
    #[must_use]
    pub fn forwarded(response: Response<Body>, cache: Option<CacheReceipt>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            fields: head.headers,
            body,
            source: Source::Forwarded,
            cache,
            stored: None,
        }
    }
}
