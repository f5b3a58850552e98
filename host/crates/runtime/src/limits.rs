//! What one call of a function may use, and the part of it that wasmtime asks
//! about: memory and tables. Time is counted in `call/meter.rs`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Elements that all tables of one component instance may have together, unless a function's limit
/// says less; large enough for interpreters that are compiled to wasm.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// What one call may use. Every limit has its own outcome when it is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of linear memory, all memories of the instance together; no more than
    /// [`EngineSettings::memory`](crate::EngineSettings::memory).
    pub memory: u64,
    /// Elements of tables, all tables of the instance together; no more than 20000, which is what
    /// the engine's slots hold.
    pub table_elements: u32,
    /// CPU time that the guest itself may use; what counts is said at
    /// [`CallReceipt::cpu`](crate::CallReceipt::cpu). It is checked at each tick, so that a guest
    /// gets at most a millisecond more.
    pub cpu: Duration,
    /// Time from the start of the call until the function must have answered. While the function
    /// waits for its reader, or within `peer_wait` for a peer, this clock stands still.
    pub deadline: Duration,
    /// Time, in all, that it may wait for content to arrive and for what is behind a middleware
    /// without that counting to the deadline.
    pub peer_wait: Duration,
    /// Calls into the host.
    pub hostcalls: u32,
    /// Bytes of content that may be read, and that may be written.
    pub body: u64,
    /// Field lines that a message may have after an edit.
    pub fields: usize,
    /// Bytes of names and values that the fields of a message may have after an edit.
    pub field_bytes: usize,
    /// Bytes of log, stdout and stderr together; lines over it are dropped and counted.
    pub log_bytes: u64,
    /// Requests to others.
    pub fetch: FetchLimits,
}

/// What the requests of one call may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchLimits {
    /// Requests that it may send.
    pub requests: u32,
    /// Requests whose responses have not ended, at once.
    pub concurrent: u32,
    /// Bytes of content, of requests and responses together.
    pub bytes: u64,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            requests: 32,
            concurrent: 8,
            bytes: 16 << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            table_elements: 20_000,
            cpu: Duration::from_millis(10),
            deadline: Duration::from_millis(100),
            peer_wait: Duration::from_secs(60),
            hostcalls: 10_000,
            body: 1 << 20,
            fields: 100,
            field_bytes: 64 << 10,
            log_bytes: 16 << 10,
            fetch: FetchLimits::default(),
        }
    }
}

/// Keeps one instance's memories and tables within their limit, and remembers the peak.
#[derive(Debug, Default)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    peak: usize,
    table_elements: usize,
    table_limit: usize,
    /// The guest asked for more than it may have. It may have coped; if it traps later, this is why.
    refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limit: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            used: 0,
            peak: 0,
            table_elements: 0,
            table_limit: usize::try_from(limits.table_elements)
                .unwrap_or(TABLE_ELEMENTS)
                .min(TABLE_ELEMENTS),
            refused: false,
        }
    }

    /// Another call begins with what there is.
    pub(crate) fn begin(&mut self) {
        self.peak = self.used;
        self.refused = false;
    }

    /// Bytes of linear memory that there are.
    pub(crate) fn used(&self) -> u64 {
        self.used as u64
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }

    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.used.saturating_add(desired.saturating_sub(current));
        if total > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.used = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if total > self.table_limit {
            self.refused = true;
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory: u64) -> MemoryLimiter {
        MemoryLimiter::new(&Limits {
            memory,
            ..Limits::default()
        })
    }

    #[test]
    fn memories_share_one_limit_and_the_peak_is_kept() {
        let mut limiter = limiter(3 << 16);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert!(limiter.refused());
        assert_eq!(limiter.peak(), 3 << 16);
    }

    #[test]
    fn growth_past_a_memorys_own_maximum_is_refused() {
        let mut limiter = limiter(u64::MAX);
        assert!(!limiter.memory_growing(0, 2 << 16, Some(1 << 16)).unwrap());
        assert!(limiter.refused());
    }

    #[test]
    fn tables_share_one_limit() {
        for (limit, most) in [(7, 7), (u32::MAX, TABLE_ELEMENTS)] {
            let mut limiter = MemoryLimiter::new(&Limits {
                table_elements: limit,
                ..Limits::default()
            });
            assert!(limiter.table_growing(0, most, None).unwrap());
            assert!(!limiter.table_growing(0, 1, None).unwrap());
            assert!(limiter.refused());
        }
    }

    #[test]
    fn another_call_has_what_is_left_and_no_old_refusal() {
        let mut limiter = limiter(3 << 16);
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(!limiter.memory_growing(2 << 16, 4 << 16, None).unwrap());
        limiter.begin();
        assert!(!limiter.refused());
        assert_eq!(limiter.peak(), 2 << 16);
        assert!(limiter.memory_growing(2 << 16, 3 << 16, None).unwrap());
        assert!(!limiter.memory_growing(3 << 16, 4 << 16, None).unwrap());
    }
}
