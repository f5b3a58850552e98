//! WASI 0.2 for functions: clocks, randomness and output, no files, no
//! network. Made when a guest first calls one of its imports.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use verge_base::Clock;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, OutputStream, Pollable, StreamResult,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::call::next::Behind;
use crate::call::{FetchSender, Shared};
use crate::capabilities::{CallId, LogLevel};
use crate::function::Inner;
use crate::record::{Deck, Drawn};
use crate::state::{CallState, Data};
use crate::wasi_http::Hooks;

/// Resources that a guest may hold at once, by its memory limit: what they hold in the host, fields or two
/// chunks of content each, comes to no more than that once again.
const RESOURCES: std::ops::RangeInclusive<u64> = 64..=1024;
const RESOURCE_BYTES: u64 = 128 << 10;
/// Resources that a guest's standard library may keep from call to call.
const STANDARD_HANDLES: usize = 16;
/// Random bytes in one call; more is had by asking again, which is counted.
const RANDOM_BYTES: u64 = 64 << 10;
/// The longest line of output; a longer one is split.
const LINE_BYTES: usize = 4096;
/// What a field line costs in wasmtime's account beyond its name and value.
const FIELD_OVERHEAD: usize = 128;
/// Bytes of content that a handler may write in one call.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The WASI side of one call.
pub(crate) struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    output: [Arc<Lines>; 2],
    /// What is behind a middleware.
    behind: Option<Arc<Behind>>,
    /// Clocks and randomness of a function whose calls are recorded, or of a repeated call.
    deck: Option<Arc<Deck>>,
}

impl Wasi {
    fn new(state: &CallState) -> Self {
        let lines = |level| {
            Arc::new(Lines {
                level,
                function: Arc::clone(&state.function),
                open: Mutex::new(Open::of(state)),
            })
        };
        let output = [lines(LogLevel::Info), lines(LogLevel::Warn)];
        let [stdout, stderr] = &output;
        let clock = state.function.engine.clock.clone();
        let tape = state.shared.tape.as_ref();
        let is_taped = state.function.tapes.are_on();
        let deck = is_taped.then(|| Deck::new(tape));
        let mut context = WasiCtx::builder();
        context
            .stdout(Output(Arc::clone(stdout)))
            .stderr(Output(Arc::clone(stderr)))
            .wall_clock(WallClock {
                clock: clock.clone(),
                deck: deck.clone(),
            })
            .monotonic_clock(MonotonicClock {
                start: state.shared.meter.start(),
                clock,
                deck: deck.clone(),
            })
            .max_random_size(RANDOM_BYTES)
            .allow_tcp(false)
            .allow_udp(false);
        if let Some(deck) = &deck {
            context
                .secure_random(Drawn(Arc::clone(deck)))
                .insecure_random(Drawn(Arc::clone(deck)))
                .insecure_random_seed(deck.insecure_seed());
        }
        let mut table = ResourceTable::new();
        let limits = state.limits();
        table.set_max_capacity(resources(limits.memory));
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.field_bytes + limits.fields * FIELD_OVERHEAD);
        Self {
            context: context.build(),
            http,
            hooks: Hooks(FetchSender::of(state)),
            table,
            output,
            behind: None,
            deck,
        }
    }

    /// Makes `next` the call that this is the WASI side of.
    pub(crate) fn serve(&mut self, next: &CallState) {
        self.hooks = Hooks(FetchSender::of(next));
        if let Some(deck) = &self.deck {
            deck.serve(next.shared.tape.as_ref());
        }
        for lines in &self.output {
            *lines.open.lock() = Open::of(next);
        }
    }

    /// Whether the guest holds nothing but standard streams and what waits for them, as its standard
    /// library keeps it: nothing of a request. Streams and waits of other things stand beside those.
    pub(crate) fn holds_output_only(&mut self) -> bool {
        let mut left = STANDARD_HANDLES;
        self.table.iter_mut().all(|entry| {
            left = left.saturating_sub(1);
            left > 0
                && (entry.is::<DynInputStream>()
                    || entry.is::<DynOutputStream>()
                    || entry.is::<DynPollable>())
        })
    }

    /// Logs what was written without a line end.
    pub(crate) fn flush(&self) {
        for lines in &self.output {
            lines.flush();
        }
    }
}

fn resources(memory: u64) -> usize {
    let most = (memory / RESOURCE_BYTES).clamp(*RESOURCES.start(), *RESOURCES.end());
    usize::try_from(most).unwrap_or(usize::MAX)
}

impl CallState {
    /// The WASI side, made if need be. Each import of WASI comes through here once, so here it is
    /// counted; a limit that is passed is noticed at the next tick.
    fn wasi(&mut self) -> &mut Wasi {
        self.shared.meter.count_hostcall();
        if self.wasi.is_none() {
            self.wasi = Some(Box::new(Wasi::new(self)));
        }
        self.wasi.as_mut().expect("it was just made")
    }

    /// Makes this what the call's middleware stands in front of.
    pub(crate) fn put_behind(&mut self, behind: Option<Arc<Behind>>) {
        self.wasi().behind = behind;
    }

    /// What the call's middleware stands in front of; `None` when it is none.
    pub(crate) fn behind(&self) -> Option<Arc<Behind>> {
        self.wasi.as_ref()?.behind.clone()
    }
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

impl WasiHttpView for Data {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView {
            hooks: &mut wasi.hooks,
            table: &mut wasi.table,
            ctx: &mut wasi.http,
        }
    }
}

struct WallClock {
    clock: Clock,
    deck: Option<Arc<Deck>>,
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = || {
            let now = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap_or_default()
        };
        match &self.deck {
            None => now(),
            Some(deck) => deck.time("clock.wall", now),
        }
    }
}

struct MonotonicClock {
    clock: Clock,
    start: Instant,
    deck: Option<Arc<Deck>>,
}

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let elapsed = || self.clock.now().saturating_duration_since(self.start);
        let elapsed = match &self.deck {
            None => elapsed(),
            Some(deck) => deck.time("clock.monotonic", elapsed),
        };
        // Never 0, even where time stands still: Go's runtime takes that for a clock that is broken.
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        elapsed.saturating_add(1)
    }
}

/// Cuts output into lines and logs them.
struct Lines {
    level: LogLevel,
    function: Arc<Inner>,
    open: Mutex<Open>,
}

/// A line that has no end yet, and whose it is.
struct Open {
    id: CallId,
    shared: Arc<Shared>,
    line: Vec<u8>,
}

impl Open {
    fn of(state: &CallState) -> Self {
        Self {
            id: state.call_id(),
            shared: Arc::clone(&state.shared),
            line: Vec::new(),
        }
    }
}

impl Lines {
    fn write(&self, mut bytes: &[u8]) {
        let mut open = self.open.lock();
        let open = &mut *open;
        while !bytes.is_empty() {
            let room = LINE_BYTES.saturating_sub(open.line.len()).min(bytes.len());
            let (piece, rest) = bytes.split_at(room);
            match piece.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    open.line.extend(piece.get(..end).unwrap_or_default());
                    self.emit(open);
                    bytes = bytes.get(end + 1..).unwrap_or_default();
                }
                None => {
                    open.line.extend(piece);
                    if open.line.len() >= LINE_BYTES {
                        self.emit(open);
                    }
                    bytes = rest;
                }
            }
        }
    }

    fn flush(&self) {
        let mut open = self.open.lock();
        if !open.line.is_empty() {
            self.emit(&mut open);
        }
    }

    fn emit(&self, open: &mut Open) {
        let text = String::from_utf8_lossy(&open.line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let capabilities = open.shared.capabilities(&self.function);
        open.shared
            .log
            .write(capabilities, &open.id, self.level, text);
        open.line.clear();
    }
}

/// stdout or stderr. Writing never waits: what is over the log limit is dropped.
#[derive(Clone)]
struct Output(Arc<Lines>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}

impl Pollable for Output {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_resources_hold_is_no_more_than_the_memory_limit() {
        for (memory, expected) in [(1 << 20, 64), (32 << 20, 256), (1 << 30, 1024)] {
            assert_eq!(resources(memory), expected);
        }
    }
}
