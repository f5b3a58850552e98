//! What the host of one test keeps: settings, secrets, counters, context, log, clock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::rate_limit::{Decision, Policy};
use crate::testing::LogLine;

/// Limits of the context, as `wit/types.wit` states them.
const CONTEXT_VALUES: usize = 32;
const CONTEXT_BYTES: usize = 4096;

/// Where the clock of a test starts: 2026-01-01T00:00:00Z.
const START: Duration = Duration::from_secs(1_767_225_600);

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::new());
}

/// Runs `use_state` on this thread's host.
pub(crate) fn with<T>(use_state: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(use_state)
}

pub(crate) struct State {
    pub(crate) config: HashMap<String, String>,
    pub(crate) secrets: HashMap<String, Vec<u8>>,
    pub(crate) context: HashMap<String, Vec<u8>>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) now: SystemTime,
    /// For each counter the theoretical arrival time of its next unit.
    counters: HashMap<String, SystemTime>,
    /// Set to refuse whatever is asked.
    pub(crate) exhausted_for: Option<Duration>,
    random: u64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            config: HashMap::new(),
            secrets: HashMap::new(),
            context: HashMap::new(),
            log: Vec::new(),
            now: SystemTime::UNIX_EPOCH + START,
            counters: HashMap::new(),
            exhausted_for: None,
            random: 0,
        }
    }

    pub(super) fn set_context(&mut self, name: &str, value: &[u8]) -> bool {
        let others = self.context.iter().filter(|(key, _)| *key != name);
        let (mut values, mut bytes) = (1, name.len() + value.len());
        for (key, value) in others {
            values += 1;
            bytes += key.len() + value.len();
        }
        let fits = values <= CONTEXT_VALUES && bytes <= CONTEXT_BYTES;
        if fits {
            self.context.insert(name.to_owned(), value.to_owned());
        }
        fits
    }

    /// The generic cell rate algorithm: a counter is the time at which its bucket is full again.
    pub(super) fn take(&mut self, key: &str, policy: &Policy, cost: u32) -> Decision {
        if let Some(retry_after) = self.exhausted_for {
            return Decision {
                allowed: false,
                remaining: 0,
                reset_after: retry_after,
                retry_after,
            };
        }
        let interval = policy.window() / policy.limit();
        let capacity = interval.saturating_mul(policy.burst());
        let full_at = self.counters.get(key).copied().unwrap_or(self.now);
        let owed = full_at.duration_since(self.now).unwrap_or_default();
        let wanted = owed.saturating_add(interval.saturating_mul(cost));
        let retry_after = if cost > policy.burst() {
            // It would never be allowed: the longest time that the contract can say.
            Duration::from_millis(u32::MAX.into())
        } else {
            wanted.saturating_sub(capacity)
        };
        let allowed = retry_after.is_zero();
        let owed = if allowed { wanted } else { owed };
        if allowed {
            self.counters.insert(key.to_owned(), self.now + owed);
        }
        let free = capacity.saturating_sub(owed).as_nanos();
        let units = free / interval.as_nanos().max(1);
        Decision {
            allowed,
            remaining: u32::try_from(units).unwrap_or(u32::MAX),
            reset_after: owed,
            retry_after,
        }
    }

    /// SplitMix64: the same sequence in every test.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
