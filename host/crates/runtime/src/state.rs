//! What the host keeps for one call, inside its store: the messages, open
//! readers and writers, and how much of each limit is used.

mod messages;

use std::sync::Arc;

use bytes::Bytes;
use verge_http::Body;
use verge_http::failure::FunctionFault;
use wasmtime::ResourceLimiter;

pub(crate) use self::messages::{
    Content, Messages, RequestHead, RequestState, ResponseState, note_field,
};
use crate::call::Shared;
use crate::capabilities::{CacheObligation, CallId, Capabilities, LogLevel};
use crate::function::Inner;
use crate::hostcalls::Exchanges;
use crate::hostcalls::keyvalue::Cas;
use crate::limits::{Limits, MemoryLimiter};
use crate::message::Scope;
use crate::outcome::Trigger;
use crate::wasi::Wasi;

/// What a store holds. Boxed, so that moving it costs a pointer.
pub(crate) type Data = Box<CallState>;

/// The handle number of the one request.
pub(crate) const REQUEST: u32 = 0;
/// The handle number of the response that a response trigger was given.
pub(crate) const GIVEN_RESPONSE: u32 = 0;
/// Responses that a call may make; readers, writers and compare-and-swaps that may be open at once.
const OPEN_HANDLES: usize = 16;

/// The host's side of one call.
pub(crate) struct CallState {
    pub(crate) trigger: Trigger,
    pub(crate) function: Arc<Inner>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) scope: Arc<dyn Scope>,
    pub(crate) request_id: Arc<str>,
    pub(crate) memory: MemoryLimiter,
    /// Why the host stopped the guest, if it did.
    pub(crate) stop: Option<FunctionFault>,
    pub(crate) request: Option<RequestState>,
    pub(crate) responses: Slots<ResponseState>,
    pub(crate) readers: Slots<Reader>,
    pub(crate) writers: Slots<Writer>,
    /// Entries of the cache that it is to make; what is left of them is cancelled at its end.
    pub(crate) obligations: Slots<Obligation>,
    /// Compare-and-swaps of `wasi:keyvalue`.
    pub(crate) swaps: Slots<Cas>,
    /// What the function left for after the response.
    pub(crate) payload: Vec<u8>,
    /// Requests that it has sent.
    pub(crate) exchanges: Exchanges,
    /// What a `wasi:http` handler is given.
    pub(crate) incoming: Option<http::Request<Body>>,
    /// Made when the guest first calls a WASI import: most never do.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// A bounded table whose indices are handle numbers.
pub(crate) struct Slots<T>(Vec<Option<T>>);

/// Content that the guest reads.
pub(crate) struct Reader {
    pub(crate) of: MessageRef,
    pub(crate) body: Body,
    /// The rest of a piece that was longer than what was asked for.
    pub(crate) rest: Bytes,
    pub(crate) read: u64,
}

/// An entry of the cache that the guest is to make.
pub(crate) struct Obligation {
    pub(crate) duty: Box<dyn CacheObligation>,
    /// The stale content, should it still be right.
    pub(crate) stale: Option<Vec<u8>>,
}

/// Content that the guest writes.
pub(crate) struct Writer {
    pub(crate) response: u32,
    pub(crate) written: u64,
}

/// Which message a reader belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageRef {
    Request,
    Response(u32),
    /// A response that the guest fetched.
    Fetched,
}

impl CallState {
    pub(crate) fn limits(&self) -> &Limits {
        &self.function.limits
    }

    /// What stands behind the function's imports, in this call.
    pub(crate) fn capabilities(&self) -> &dyn Capabilities {
        self.shared.capabilities(&self.function)
    }

    /// Counts a call into the host. An error ends the guest.
    pub(crate) fn hostcall(&mut self) -> wasmtime::Result<()> {
        self.shared.meter.count_hostcall();
        self.check_hostcalls()
    }

    pub(crate) fn check_hostcalls(&mut self) -> wasmtime::Result<()> {
        let limit = self.limits().hostcalls;
        if self.shared.meter.hostcalls() <= limit {
            return Ok(());
        }
        self.stop = Some(FunctionFault::HostcallsExceeded);
        wasmtime::bail!("it made more than {limit} hostcalls")
    }

    /// Counts a call into the host and finds the request.
    pub(crate) fn request_call(&mut self) -> wasmtime::Result<&mut RequestState> {
        self.hostcall()?;
        self.request
            .as_mut()
            .ok_or_else(|| wasmtime::format_err!("there is no request"))
    }

    /// Counts a call into the host and finds a response.
    pub(crate) fn response_call(&mut self, number: u32) -> wasmtime::Result<&mut ResponseState> {
        self.hostcall()?;
        self.responses.at(number)
    }

    pub(crate) fn content_of(&mut self, message: MessageRef) -> Option<&mut Content> {
        match message {
            MessageRef::Request => self.request.as_mut().map(|request| &mut request.content),
            MessageRef::Response(number) => self.responses.at(number).ok().map(|r| &mut r.content),
            MessageRef::Fetched => None,
        }
    }

    /// Which call this is, for what the node does on its behalf.
    pub(crate) fn call_id(&self) -> CallId {
        CallId {
            function: Arc::clone(&self.function.name),
            request: Arc::clone(&self.request_id),
        }
    }

    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        let id = self.call_id();
        self.shared
            .log
            .write(self.capabilities(), &id, level, message);
    }

    /// Takes the messages out when the guest has ended; `answer` is the number of the response
    /// that it gave. Content of which nothing was read goes back where it was.
    pub(crate) fn take_messages(&mut self, answer: Option<u32>) -> Messages {
        for reader in self.readers.drain() {
            self.give_back(reader);
        }
        Messages {
            request: self.request.take(),
            response: answer.and_then(|number| self.responses.remove(number)),
            incoming: self.incoming.take(),
        }
    }

    /// Puts content back of which nothing was read.
    pub(crate) fn give_back(&mut self, reader: Reader) {
        if reader.read == 0
            && reader.rest.is_empty()
            && let Some(content) = self.content_of(reader.of)
        {
            content.given = Some(reader.body);
        }
    }

    /// Hands the messages over while the guest goes on: it keeps copies of the heads.
    pub(crate) fn hand_over(&mut self, answer: u32) -> Messages {
        let request = self.request.take();
        self.request = request
            .as_ref()
            .map(|request| request.sealed_copy(self.trigger));
        let response = self.responses.get_mut(answer).map(|place| {
            let copy = place.sealed_copy();
            std::mem::replace(place, copy)
        });
        Messages {
            request,
            response,
            incoming: None,
        }
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.memory.memory_growing(current, desired, maximum);
        self.shared.meter.note_memory_peak(self.memory.peak());
        granted
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory.table_growing(current, desired, maximum)
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Slots<T> {
    /// Adds one in a free place and returns its number; an error, which ends the guest, when too
    /// many are open.
    pub(crate) fn add(&mut self, value: T) -> wasmtime::Result<u32> {
        match self
            .0
            .iter_mut()
            .enumerate()
            .find(|(_, place)| place.is_none())
        {
            Some((number, place)) => {
                *place = Some(value);
                Ok(u32::try_from(number)?)
            }
            None => self.add_new(value),
        }
    }

    /// Adds one under a number that was never used: others may still refer to the old ones.
    pub(crate) fn add_new(&mut self, value: T) -> wasmtime::Result<u32> {
        let number = self.0.len();
        if number >= OPEN_HANDLES {
            wasmtime::bail!("it made more than {OPEN_HANDLES} messages, bodies or swaps");
        }
        self.0.push(Some(value));
        Ok(u32::try_from(number)?)
    }

    /// Adds the one that has number 0.
    pub(crate) fn add_first(&mut self, value: T) {
        self.0.insert(0, Some(value));
    }

    /// Whether nothing is there but under numbers that may be taken.
    pub(crate) fn are_free_but(&self, may_be_taken: impl Fn(u32) -> bool) -> bool {
        let taken = (0_u32..).zip(&self.0).filter(|(_, place)| place.is_some());
        taken.into_iter().all(|(number, _)| may_be_taken(number))
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut(number as usize)?.as_mut()
    }

    /// Like `get_mut`, for a number that a live handle of the guest stands for.
    pub(crate) fn at(&mut self, number: u32) -> wasmtime::Result<&mut T> {
        self.get_mut(number)
            .ok_or_else(|| wasmtime::format_err!("no such handle"))
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        self.0.get_mut(number as usize)?.take()
    }

    fn drain(&mut self) -> Vec<T> {
        self.0.drain(..).flatten().collect()
    }
}
