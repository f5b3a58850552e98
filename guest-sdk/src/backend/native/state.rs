//! What the host of one test keeps: the clock, randomness, and one value for each capability,
//! whose file has its rules.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use super::{acl, cache, config, context, defer, fetch, geo, kv, log, metrics, rate_limit, secret};

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
    pub(crate) now: SystemTime,
    random: u64,
    pub(crate) acls: acl::Acls,
    pub(crate) cache: cache::Entries,
    pub(crate) config: config::Settings,
    pub(crate) context: context::Context,
    pub(crate) kv: kv::Stores,
    pub(crate) fetch: fetch::Origins,
    pub(crate) left: defer::Left,
    pub(crate) log: log::Lines,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) places: geo::Places,
    pub(crate) rates: rate_limit::Counters,
    pub(crate) secrets: secret::Secrets,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            now: SystemTime::UNIX_EPOCH + START,
            random: 0,
            acls: Default::default(),
            cache: Default::default(),
            config: Default::default(),
            context: Default::default(),
            kv: Default::default(),
            fetch: Default::default(),
            left: Default::default(),
            log: Default::default(),
            metrics: Default::default(),
            places: Default::default(),
            rates: Default::default(),
            secrets: Default::default(),
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
