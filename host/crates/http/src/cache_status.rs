//! Cache-Status (RFC 9211): what the cache did with a request, in the words of
//! the RFC, which are also the metric labels and the access-log words.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::structured::Writer;

/// The field of RFC 9211.
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went forward (RFC 9211 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was configured not to handle it.
    Bypass,
    /// The method's semantics require it to be forwarded.
    Method,
    /// Nothing was stored for the URI.
    UriMiss,
    /// Something was stored, but not for the fields that Vary names.
    VaryMiss,
    /// Nothing that could be used was stored, for one of the former reasons.
    Miss,
    /// A fresh response could be used, but the request asked for another.
    Request,
    /// A response was stored, but it was stale.
    Stale,
    /// A response was stored, but not all of it.
    Partial,
}

impl Forward {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Bypass,
        Self::Method,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Request,
        Self::Stale,
        Self::Partial,
    ];

    /// The word of RFC 9211 2.2.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What the cache did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered from a stored response without going forward.
    Hit,
    /// It went forward to the origin.
    Forward(Forward),
}

impl Outcome {
    /// Every outcome, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Forward(Forward::Bypass),
        Self::Forward(Forward::Method),
        Self::Forward(Forward::UriMiss),
        Self::Forward(Forward::VaryMiss),
        Self::Forward(Forward::Miss),
        Self::Forward(Forward::Request),
        Self::Forward(Forward::Stale),
        Self::Forward(Forward::Partial),
    ];

    /// Its place in [`Outcome::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Forward(Forward::Bypass) => 1,
            Self::Forward(Forward::Method) => 2,
            Self::Forward(Forward::UriMiss) => 3,
            Self::Forward(Forward::VaryMiss) => 4,
            Self::Forward(Forward::Miss) => 5,
            Self::Forward(Forward::Request) => 6,
            Self::Forward(Forward::Stale) => 7,
            Self::Forward(Forward::Partial) => 8,
        }
    }

    /// `hit`, or why it went forward.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Forward(reason) => reason.label(),
        }
    }
}

/// Our member of Cache-Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The cache's name; any text.
    pub cache: &'a str,
    /// Hit, or why it went forward.
    pub outcome: Outcome,
    /// The status that the origin answered with (2.3).
    pub fwd_status: Option<StatusCode>,
    /// Freshness left in seconds; negative if stale (2.4).
    pub ttl: Option<i64>,
    /// Whether the response was stored; only if it went forward (2.5).
    pub stored: bool,
    /// Whether the request was collapsed with others; only if it went forward
    /// (2.6).
    pub collapsed: bool,
    /// The cache key, where it may be shown (2.7).
    pub key: Option<&'a str>,
    /// Anything else that is useful to know (2.8).
    pub detail: Option<&'a str>,
}

impl<'a> CacheStatus<'a> {
    /// A member that says no more than the outcome.
    #[must_use]
    pub const fn new(cache: &'a str, outcome: Outcome) -> Self {
        Self {
            cache,
            outcome,
            fwd_status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            key: None,
            detail: None,
        }
    }

    /// The member as a field value; one small allocation.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut value = Writer::default();
        value.token_or_string(self.cache);
        match self.outcome {
            Outcome::Hit => value.raw("; hit"),
            Outcome::Forward(reason) => {
                value.raw("; fwd=");
                value.raw(reason.label());
                if let Some(status) = self.fwd_status {
                    value.raw("; fwd-status=");
                    value.integer(i64::from(status.as_u16()));
                }
            }
        }
        if let Some(ttl) = self.ttl {
            value.raw("; ttl=");
            value.integer(ttl);
        }
        match self.outcome {
            Outcome::Hit => {}
            Outcome::Forward(_) => {
                if self.stored {
                    value.raw("; stored");
                }
                if self.collapsed {
                    value.raw("; collapsed");
                }
            }
        }
        if let Some(key) = self.key {
            value.raw("; key=");
            value.string(key);
        }
        if let Some(detail) = self.detail {
            value.raw("; detail=");
            value.token_or_string(detail);
        }
        value.finish()
    }

    /// Appends the member after those of caches closer to the origin
    /// (RFC 9211 2).
    pub fn append_to(&self, fields: &mut HeaderMap) {
        fields.append(CACHE_STATUS.clone(), self.to_value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fields;

    #[test]
    fn members_read_as_in_rfc_9211() {
        let forward = |reason| CacheStatus::new("verge", Outcome::Forward(reason));
        for (status, expected) in [
            (CacheStatus::new("verge", Outcome::Hit), "verge; hit"),
            (
                CacheStatus {
                    ttl: Some(-30),
                    stored: true,
                    collapsed: true,
                    fwd_status: Some(StatusCode::OK),
                    ..CacheStatus::new("Verge Edge", Outcome::Hit)
                },
                "\"Verge Edge\"; hit; ttl=-30",
            ),
            (forward(Forward::UriMiss), "verge; fwd=uri-miss"),
            (
                CacheStatus {
                    fwd_status: Some(StatusCode::NOT_MODIFIED),
                    ttl: Some(60),
                    stored: true,
                    collapsed: true,
                    key: Some("https|a.example|/\"x\""),
                    detail: Some("ttl-jitter"),
                    ..forward(Forward::Stale)
                },
                "verge; fwd=stale; fwd-status=304; ttl=60; stored; collapsed; \
                 key=\"https|a.example|/\\\"x\\\"\"; detail=ttl-jitter",
            ),
        ] {
            assert_eq!(status.to_value(), expected);
        }
    }

    #[test]
    fn labels_are_the_words_of_the_field() {
        for reason in Forward::ALL {
            let value = CacheStatus::new("c", Outcome::Forward(reason)).to_value();
            assert_eq!(value, format!("c; fwd={}", reason.label()).as_str());
            assert_eq!(Outcome::Forward(reason).label(), reason.label());
        }
        assert_eq!(Outcome::Hit.label(), "hit");
    }

    #[test]
    fn members_of_other_caches_are_kept_before_ours() {
        let mut response = fields(&[("cache-status", "origin; hit")]);
        CacheStatus::new("verge", Outcome::Forward(Forward::Miss)).append_to(&mut response);
        let members: Vec<_> = response.get_all("cache-status").iter().collect();
        assert_eq!(members, ["origin; hit", "verge; fwd=miss"]);
    }

    #[test]
    fn hostile_keys_stay_within_their_string() {
        let status = CacheStatus {
            key: Some("a\"; hit\r\nset-cookie: x\\"),
            ..CacheStatus::new("verge", Outcome::Hit)
        };
        assert_eq!(
            status.to_value(),
            "verge; hit; key=\"a\\\"; hit??set-cookie: x\\\\\""
        );
    }
}
