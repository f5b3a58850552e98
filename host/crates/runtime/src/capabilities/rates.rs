//! What a function may ask about rates. The node answers for itself at once, or
//! for its region after a while.

use std::pin::Pin;
use std::time::Duration;

use super::gcra::{RateDecision, RatePolicy};

/// The counters of one function.
pub trait Rates: Send + Sync {
    /// Takes `cost` units from the counter `key`.
    fn check(&self, key: &str, policy: RatePolicy, cost: u32) -> RateAnswer<RateDecision>;

    /// Adds `amount` to the sliding counter `key`, and tells how much came within the last
    /// `window`.
    fn count(&self, key: &str, window: Duration, amount: u32) -> RateAnswer<u64>;

    /// Puts `key` into the penalty box.
    fn penalize(&self, key: &str, duration: Duration) -> RateAnswer<()>;

    /// How much longer `key` is in the penalty box.
    fn penalty(&self, key: &str) -> RateAnswer<Option<Duration>>;
}

/// An answer, or the way to it. One that comes later always comes, within a time that the node
/// bounds.
pub enum RateAnswer<T> {
    /// It is known.
    Now(T),
    /// Somebody else is asked.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> RateAnswer<T> {
    /// The answer. The waiting counts to the call's deadline, and not to its CPU budget.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

impl<T> std::fmt::Debug for RateAnswer<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Now(_) => "Now(..)",
            Self::Later(_) => "Later(..)",
        })
    }
}
