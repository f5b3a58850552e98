//! Those that follow: what they wait for, and what they get.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use verge_http::Failure;
use verge_http::cache_control::RequestDirectives;

use crate::body::{Attach, Fill, FillReader};
use crate::cache::Inner;
use crate::key::Key;
use crate::policy::{RefuseReason, decide_reuse};
use crate::purge::Purged;
use crate::response::{StoredHead, StoredResponse};
use crate::store::VariantHint;

/// What a leader says to all that follow.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Pending,
    /// The response's head has arrived, and its content is arriving.
    Filling(Arc<StoredHead>, Arc<Fill>),
    /// The response is stored.
    Stored(Arc<StoredResponse>),
    /// There is nothing to share.
    Released(Released),
}

/// Why a follower has nothing to wait for any more. All of them are released
/// at once, and each asks the origin for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The response is not stored.
    Refused(RefuseReason),
    /// The response has to be validated for every request.
    NotFresh,
    /// The response is not what this request's directives ask for.
    Directives,
    /// The content is too large to be kept, and its beginning is gone.
    WindowMoved,
    /// The fetch failed; all that waited may be answered alike.
    Failed(Failure),
    /// The origin answered with an error in whose place the leader took what is stored.
    ErrorStatus(StatusCode),
    /// The leader went away.
    Abandoned,
}

/// What a follower gets.
#[derive(Debug)]
pub enum Followed {
    /// The response that is arriving; `reader` reads it from its beginning.
    Filling {
        /// The head, without Age.
        head: Arc<StoredHead>,
        /// The content.
        reader: FillReader,
    },
    /// A response that was stored meanwhile.
    Stored(Arc<StoredResponse>),
    /// The response is of another variant than this request selects: it may
    /// join once more with this hint.
    VariantDiffers(VariantHint),
    /// The response was purged before this request came, which only its head
    /// told: the request joins once more.
    Purged,
    /// It asks the origin for itself; see [`crate::Cache::alone`].
    Released(Released),
}

/// A follower's wait. Cancel safe: dropping it, or the future of
/// [`Waiter::wait`], leaves the leader and other followers alone.
pub struct Waiter {
    inner: Arc<Inner>,
    outcome: watch::Receiver<Outcome>,
    key: Key,
    /// The last purge when this request began to follow.
    joined: u64,
}

impl Waiter {
    pub(crate) fn new(inner: Arc<Inner>, key: &Key, outcome: watch::Receiver<Outcome>) -> Self {
        Self {
            joined: inner.purges.sequence(),
            inner,
            outcome,
            key: key.clone(),
        }
    }

    /// Waits for the leader, however long that takes: the caller sets a bound.
    ///
    /// What it returns answers the request with `fields` and `directives`.
    pub async fn wait(&mut self, fields: &HeaderMap, directives: &RequestDirectives) -> Followed {
        let waited = self
            .outcome
            .wait_for(|outcome| !matches!(outcome, Outcome::Pending))
            .await;
        let outcome = waited.map_or(Outcome::Released(Released::Abandoned), |o| o.clone());
        self.followed(outcome, fields, directives)
    }

    fn followed(
        &self,
        outcome: Outcome,
        fields: &HeaderMap,
        directives: &RequestDirectives,
    ) -> Followed {
        let head = match &outcome {
            Outcome::Pending => return Followed::Released(Released::Abandoned),
            Outcome::Released(released) => return Followed::Released(*released),
            Outcome::Filling(head, _) => Arc::clone(head),
            Outcome::Stored(response) => Arc::clone(response.head()),
        };
        if self.is_purged(&head) {
            return Followed::Purged;
        }
        if !head.is_selected_by(fields) {
            let hint = VariantHint::of(&self.inner.hasher, head.vary(), fields);
            return Followed::VariantDiffers(hint);
        }
        let freshness = head.freshness(self.inner.clock.now());
        if !decide_reuse(directives, &freshness).is_sharable() {
            return Followed::Released(Released::Directives);
        }
        match outcome {
            Outcome::Stored(response) => Followed::Stored(response),
            Outcome::Filling(_, fill) => match FillReader::attach(&fill) {
                Ok(reader) => Followed::Filling { head, reader },
                Err(Attach::Failed(failure)) => Followed::Released(Released::Failed(failure)),
                Err(Attach::WindowMoved | Attach::Attached(_)) => {
                    Followed::Released(Released::WindowMoved)
                }
            },
            Outcome::Pending | Outcome::Released(_) => Followed::Released(Released::Abandoned),
        }
    }
}

impl Waiter {
    /// Whether the response was asked for before a purge that this request came after.
    fn is_purged(&self, head: &StoredHead) -> bool {
        let sent = head.sequence();
        sent < self.joined && self.inner.decide_arriving(&self.key, Some(head), sent) != Purged::No
    }
}

impl Released {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Refused(reason) => reason.label(),
            Self::NotFresh => "not-fresh",
            Self::Directives => "directives",
            Self::WindowMoved => "window-moved",
            Self::Failed(failure) => failure.label(),
            Self::ErrorStatus(_) => "origin-error",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Waiter").finish_non_exhaustive()
    }
}
