//! Why a use of Redis came to nothing. None of it is ever a request's failure:
//! each use has its fallback.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// There is no connection.
    Disconnected,
    /// The circuit breaker of this use is open.
    BreakerOpen,
    /// As many commands are under way as may be.
    Busy,
    /// No reply in time.
    TimedOut,
    /// The connection broke.
    Broken,
    /// Redis has no room (`maxmemory` without eviction).
    Full,
    /// It is a replica, or one that does not serve now.
    ReadOnly,
    /// Redis refused the command.
    Refused,
    /// What came back is no reply to what was asked.
    Garbage,
}

impl Trouble {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Disconnected,
        Self::BreakerOpen,
        Self::Busy,
        Self::TimedOut,
        Self::Broken,
        Self::Full,
        Self::ReadOnly,
        Self::Refused,
        Self::Garbage,
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::BreakerOpen => "breaker-open",
            Self::Busy => "busy",
            Self::TimedOut => "timeout",
            Self::Broken => "broken",
            Self::Full => "full",
            Self::ReadOnly => "read-only",
            Self::Refused => "refused",
            Self::Garbage => "garbage",
        }
    }

    /// Whether the connection is of no use any more.
    pub(crate) const fn ends_connection(self) -> bool {
        matches!(self, Self::Broken | Self::ReadOnly | Self::Garbage)
    }

    /// What an error of the library means.
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Garbage,
            ErrorKind::Io if error.is_timeout() => Self::TimedOut,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Broken,
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading,
            ) => Self::ReadOnly,
            _ => match error.code() {
                Some("OOM") => Self::Full,
                // A replica that lost its master, or one that may not lose it.
                Some("NOREPLICAS" | "MISCONF" | "UNBLOCKED") => Self::ReadOnly,
                Some(_) => Self::Refused,
                None => Self::Broken,
            },
        }
    }
}
