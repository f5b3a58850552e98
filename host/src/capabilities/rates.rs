//! The counters of one function: those of this node, or those of the region.
//!
//! What the region lets through is also counted here, at the time it was asked.
//! So a node never lets through more by itself than the limit, whatever becomes
//! of Redis: who is over it here is refused without asking anybody, and where
//! Redis does not answer in time, or has lost what it knew, N nodes together
//! let through at most N times as much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use verge_base::Clock;
use verge_runtime::Digest;
use verge_runtime::capabilities::{RateAnswer, RateCounters, RateDecision, RatePolicy, Rates};
use verge_shared::{CounterId, RateReply, RegionRates};

use crate::telemetry::{FunctionMetrics, RatesBy};

/// See the module.
#[derive(Clone)]
pub(crate) struct FunctionRates {
    /// The function's name, which owns its counters.
    pub owner: Arc<str>,
    /// Those of this node; they outlive a reload.
    pub counters: Arc<RateCounters>,
    /// What they run on.
    pub clock: Clock,
    /// Those of the region, if they are what decides.
    pub region: Option<RegionRates>,
    /// Where it is told who decided.
    pub metrics: Arc<FunctionMetrics>,
}

impl FunctionRates {
    fn id(&self, sort: &str, key: &str) -> CounterId {
        let owner = &self.owner;
        *Digest::of(format!("{sort}\0{owner}\0{key}").as_bytes()).as_bytes()
    }

    /// The region's counters, together with what a future needs of these.
    fn region(&self) -> Option<(RegionRates, Self)> {
        let region = self.region.clone();
        if region.is_none() {
            self.metrics.record_rate(RatesBy::Node);
        }
        Some((region?, self.clone()))
    }

    /// Notes who decided.
    fn decided<T, E>(&self, answer: Result<T, E>) -> Option<T> {
        self.metrics.record_rate(match &answer {
            Ok(_) => RatesBy::Region,
            Err(_) => RatesBy::Fallback,
        });
        answer.ok()
    }
}

impl Rates for FunctionRates {
    fn check(&self, key: &str, policy: RatePolicy, cost: u32) -> RateAnswer<RateDecision> {
        let now = self.clock.now();
        let Some((region, here)) = self.region() else {
            let decision = self.counters.check(&self.owner, key, policy, cost, now);
            return RateAnswer::Now(decision);
        };
        let expected = self.counters.peek(&self.owner, key, policy, cost, now);
        if !expected.allowed {
            // So much has come through this node alone.
            self.metrics.record_rate(RatesBy::Node);
            return RateAnswer::Now(expected);
        }
        let id = self.id("rate", key);
        let owed = Owed {
            key: key.to_owned(),
            policy,
            cost,
            now,
            here: Some(here),
        };
        RateAnswer::Later(Box::pin(async move {
            let burst = match policy.burst {
                0 => policy.limit,
                burst => burst,
            };
            let asked = region.check(&id, policy.limit, policy.window, burst, cost);
            match asked.await {
                Ok(reply) => {
                    owed.settle(RatesBy::Region, reply.allowed);
                    decision(reply)
                }
                Err(_) => owed.settle(RatesBy::Fallback, true).unwrap_or(expected),
            }
        }))
    }

    fn count(&self, key: &str, window: Duration, amount: u32) -> RateAnswer<u64> {
        let now = self.clock.now();
        let counted = self.counters.count(&self.owner, key, window, amount, now);
        let Some((region, here)) = self.region() else {
            return RateAnswer::Now(counted);
        };
        let id = self.id(&format!("count {}", window.as_millis()), key);
        RateAnswer::Later(Box::pin(async move {
            let told = here.decided(region.count(&id, window, amount).await);
            told.map_or(counted, |told| told.max(counted))
        }))
    }

    fn penalize(&self, key: &str, duration: Duration) -> RateAnswer<()> {
        let now = self.clock.now();
        self.counters.penalize(&self.owner, key, duration, now);
        let Some((region, here)) = self.region() else {
            return RateAnswer::Now(());
        };
        let id = self.id("box", key);
        RateAnswer::Later(Box::pin(async move {
            here.decided(region.penalize(&id, duration).await);
        }))
    }

    fn penalty(&self, key: &str) -> RateAnswer<Option<Duration>> {
        let now = self.clock.now();
        let known = self.counters.penalty(&self.owner, key, now);
        let Some((region, here)) = self.region() else {
            return RateAnswer::Now(known);
        };
        if known.is_some() {
            self.metrics.record_rate(RatesBy::Node);
            return RateAnswer::Now(known);
        }
        let (id, key) = (self.id("box", key), key.to_owned());
        RateAnswer::Later(Box::pin(async move {
            let left = here.decided(region.penalty(&id).await).flatten();
            if let Some(left) = left {
                // Until then nobody needs to be asked again.
                here.counters.penalize(&here.owner, &key, left, now);
            }
            left
        }))
    }
}

/// A question to the region that has not been answered. What passes is counted here once: when the
/// answer comes, or when nobody waits for it any more, because the region may have let it through.
struct Owed {
    key: String,
    policy: RatePolicy,
    cost: u32,
    /// When it was asked.
    now: Instant,
    here: Option<FunctionRates>,
}

impl Owed {
    /// Notes who decided, and counts here what passes.
    fn settle(mut self, by: RatesBy, passes: bool) -> Option<RateDecision> {
        let here = self.here.take()?;
        here.metrics.record_rate(by);
        passes.then(|| self.count(&here))
    }

    fn count(&self, here: &FunctionRates) -> RateDecision {
        let Self { key, policy, .. } = self;
        here.counters
            .check(&here.owner, key, *policy, self.cost, self.now)
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(here) = self.here.take() {
            let _counted = self.count(&here);
        }
    }
}

fn decision(reply: RateReply) -> RateDecision {
    RateDecision {
        allowed: reply.allowed,
        remaining: u32::try_from(reply.remaining).unwrap_or(u32::MAX),
        reset_after: reply.reset_after,
        retry_after: reply.retry_after.unwrap_or(Duration::MAX),
    }
}
