//! Why a response is not stored, and where the lifetime of a stored one comes
//! from: the words of metrics and logs, and the rules behind them.

/// Where a freshness lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifetimeSource {
    /// s-maxage (RFC 9111 5.2.2.10).
    SMaxage,
    /// max-age (RFC 9111 5.2.2.1).
    MaxAge,
    /// Expires less Date (RFC 9111 5.3).
    Expires,
    /// A tenth of the time since it was modified (RFC 9111 4.2.2).
    Heuristic,
    /// The route's lifetime for the status.
    RouteStatus,
    /// The route's default.
    Route,
    /// Nowhere: stored for its validator.
    Nowhere,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// The method is neither GET nor POST (RFC 9111 3).
    Method,
    /// The answer to a POST that names no lifetime or not the target URI (RFC 9110 9.3.3).
    Post,
    /// The request said no-store (RFC 9111 5.2.1.5).
    RequestNoStore,
    /// The origin saw input that is no part of the key.
    UnkeyedInput,
    /// A function that should have had a part in it failed, and was left out.
    FunctionSkipped,
    /// A version of a function had a part in it that does not run any more for those who would
    /// find it.
    VersionReplaced,
    /// An interim response (RFC 9111 3).
    StatusInterim,
    /// A part of a representation (RFC 9111 3.3).
    StatusPartial,
    /// 304 freshens what is stored, it is not stored itself (RFC 9111 4.3.3).
    StatusNotModified,
    /// The definition of the status forbids it (RFC 6585 3 to 6).
    StatusForbidden,
    /// must-understand, and the status is not understood (RFC 9111 5.2.2.3).
    StatusNotUnderstood,
    /// The response said no-store (RFC 9111 5.2.2.5).
    NoStore,
    /// The response is for one user (RFC 9111 5.2.2.7).
    Private,
    /// The request was authorised and the response does not allow to share it (RFC 9111 3.5).
    Authorization,
    /// It varies by more than the request (RFC 9111 4.1).
    VaryAny,
    /// It sets a cookie and is not explicitly fresh, or the route refuses it (RFC 9111 7.3).
    SetCookie,
    /// It has more surrogate keys than are kept: a purge could miss it.
    SurrogateKeys,
    /// More functions had a part in it than are kept: a purge could miss it.
    Functions,
    /// It says nothing about freshness and its status is not heuristically cacheable (RFC 9111 3).
    NotCacheable,
    /// It could not be reused without validation, and has no validator.
    NoValidator,
    /// It is larger than a stored response may be.
    ObjectTooLarge,
    /// There is no memory for it.
    MemoryExhausted,
    /// Its URI was purged after the origin had been asked.
    Purged,
    /// A response that was asked for later has been stored meanwhile (RFC 9111 4).
    Superseded,
}

impl LifetimeSource {
    /// Every source, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::SMaxage,
        Self::MaxAge,
        Self::Expires,
        Self::Heuristic,
        Self::RouteStatus,
        Self::Route,
        Self::Nowhere,
    ];

    /// Whether the origin named it (RFC 9111 4.2.1).
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        match self {
            Self::SMaxage | Self::MaxAge | Self::Expires => true,
            Self::Heuristic | Self::RouteStatus | Self::Route | Self::Nowhere => false,
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SMaxage => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Heuristic => "heuristic",
            Self::RouteStatus => "route-status",
            Self::Route => "route",
            Self::Nowhere => "nowhere",
        }
    }

    /// The rule that it follows.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::SMaxage => "RFC 9111 5.2.2.10",
            Self::MaxAge => "RFC 9111 5.2.2.1",
            Self::Expires => "RFC 9111 5.3",
            Self::Heuristic | Self::RouteStatus | Self::Route => "RFC 9111 4.2.2",
            Self::Nowhere => "RFC 9111 4.2",
        }
    }
}

impl RefuseReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 24] = [
        Self::Method,
        Self::Post,
        Self::RequestNoStore,
        Self::UnkeyedInput,
        Self::FunctionSkipped,
        Self::VersionReplaced,
        Self::StatusInterim,
        Self::StatusPartial,
        Self::StatusNotModified,
        Self::StatusForbidden,
        Self::StatusNotUnderstood,
        Self::NoStore,
        Self::Private,
        Self::Authorization,
        Self::VaryAny,
        Self::SetCookie,
        Self::SurrogateKeys,
        Self::Functions,
        Self::NotCacheable,
        Self::NoValidator,
        Self::ObjectTooLarge,
        Self::MemoryExhausted,
        Self::Purged,
        Self::Superseded,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Post => "post",
            Self::RequestNoStore => "request-no-store",
            Self::UnkeyedInput => "unkeyed-input",
            Self::FunctionSkipped => "function-skipped",
            Self::VersionReplaced => "version-replaced",
            Self::StatusInterim => "status-interim",
            Self::StatusPartial => "status-partial",
            Self::StatusNotModified => "status-not-modified",
            Self::StatusForbidden => "status-forbidden",
            Self::StatusNotUnderstood => "status-not-understood",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::VaryAny => "vary-any",
            Self::SetCookie => "set-cookie",
            Self::SurrogateKeys => "surrogate-keys",
            Self::Functions => "functions",
            Self::NotCacheable => "not-cacheable",
            Self::NoValidator => "no-validator",
            Self::ObjectTooLarge => "object-too-large",
            Self::MemoryExhausted => "memory-exhausted",
            Self::Purged => "purged",
            Self::Superseded => "superseded",
        }
    }

    /// The rule that it follows; empty where it is a limit of this node.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Method | Self::StatusInterim | Self::NotCacheable => "RFC 9111 3",
            Self::Post => "RFC 9110 9.3.3",
            Self::RequestNoStore => "RFC 9111 5.2.1.5",
            Self::UnkeyedInput | Self::FunctionSkipped | Self::VersionReplaced => "RFC 9111 2",
            Self::StatusPartial => "RFC 9111 3.3",
            Self::StatusNotModified => "RFC 9111 4.3.3",
            Self::StatusForbidden => "RFC 6585 3-6",
            Self::StatusNotUnderstood => "RFC 9111 5.2.2.3",
            Self::NoStore => "RFC 9111 5.2.2.5",
            Self::Private => "RFC 9111 5.2.2.7",
            Self::Authorization => "RFC 9111 3.5",
            Self::VaryAny => "RFC 9111 4.1",
            Self::Superseded => "RFC 9111 4",
            Self::SetCookie => "RFC 9111 7.3",
            Self::NoValidator => "RFC 9111 4.3.1",
            Self::SurrogateKeys
            | Self::Functions
            | Self::ObjectTooLarge
            | Self::MemoryExhausted
            | Self::Purged => "",
        }
    }
}
