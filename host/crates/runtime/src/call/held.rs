//! An instance between two calls: made ahead, or kept after a call.
//!
//! What belongs to a call (its messages, limits, budget, handles, scope) goes
//! in when the call begins and out when it ends. The guest's memory stays, so
//! an instance is kept only after a call that ended well, whose guest holds
//! nothing of the host any more and has not grown much.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use verge_base::Permit;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::Shared;
use super::guest::{self, Returned};
use crate::function::Inner;
use crate::limits::MemoryLimiter;
use crate::message::NoScope;
use crate::outcome::{StartClass, Trigger};
use crate::state::{CallState, Data, GIVEN_RESPONSE};

/// An instance is dropped when it has more than one part in so many of its memory limit: the next
/// call should not end because of what others left.
const MEMORY_SHARE: u64 = 2;

/// See the file's head.
pub(crate) struct Held {
    pub(super) store: Store<Data>,
    pub(super) instance: Instance,
    pub(super) slot: Permit,
    pub(super) served: Served,
}

/// What an instance has behind it.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    /// When it was made, by the functions' clock.
    born: Instant,
    calls: u32,
}

/// What a guest is started in.
pub(crate) enum Seat {
    /// A free slot, and the function's count of its calls.
    Slot(Permit, Permit),
    /// An instance that waited, and the same count.
    Held(Held, Permit),
}

impl Seat {
    /// How the instance comes to the call.
    pub(crate) fn start_class(&self) -> StartClass {
        match self {
            Self::Slot(..) => StartClass::Fresh,
            Self::Held(held, _) if held.served.calls == 0 => StartClass::Prepared,
            Self::Held(..) => StartClass::Reused,
        }
    }
}

impl Served {
    pub(super) fn none(now: Instant) -> Self {
        Self {
            born: now,
            calls: 0,
        }
    }

    pub(super) fn one_more(self) -> Self {
        Self {
            calls: self.calls.saturating_add(1),
            ..self
        }
    }
}

impl Held {
    /// Calls that it has served.
    pub(crate) fn calls(&self) -> u32 {
        self.served.calls
    }

    /// Whether it was made longer ago than `time`.
    pub(crate) fn is_older(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.served.born) >= time
    }

    /// Ends the instance and gives its slot up.
    pub(crate) fn into_slot(self) -> Permit {
        let Self { store, slot, .. } = self;
        drop(store);
        slot
    }

    /// Makes `next` the call that the instance serves now.
    pub(super) fn begin(&mut self, mut next: Data) {
        let last = self.store.data_mut();
        // Its memory and its open output did not go away.
        next.memory = std::mem::take(&mut last.memory);
        next.memory.begin();
        next.shared.meter.note_memory_peak(next.memory.peak());
        if let Some(mut wasi) = last.wasi.take() {
            wasi.serve(&next);
            next.wasi = Some(wasi);
        }
        *last = next;
    }

    /// Takes the call out that has ended; what stays holds nothing of it but its id.
    pub(super) fn end(&mut self) -> Data {
        let ended = self.store.data_mut();
        let mut rest = CallState::idle(
            &ended.function,
            // The call's own may hold what sends its requests, and with it the scope.
            Arc::new(Shared::new(&ended.function, None)),
            Arc::clone(&ended.request_id),
        );
        rest.memory = std::mem::take(&mut ended.memory);
        if let Some(mut wasi) = ended.wasi.take() {
            wasi.flush();
            wasi.serve(&rest);
            rest.wasi = Some(wasi);
        }
        std::mem::replace(ended, rest)
    }
}

impl CallState {
    /// The state of an instance that serves no call.
    fn idle(function: &Arc<Inner>, shared: Arc<Shared>, request_id: Arc<str>) -> Data {
        Box::new(Self {
            trigger: Trigger::Deferred,
            function: Arc::clone(function),
            shared,
            // What functions left runs when nobody has the request's scope any more.
            scope: Arc::new(NoScope),
            request_id,
            memory: MemoryLimiter::new(&function.limits),
            stop: None,
            request: None,
            responses: Default::default(),
            readers: Default::default(),
            writers: Default::default(),
            obligations: Default::default(),
            payload: Vec::new(),
            swaps: Default::default(),
            exchanges: Default::default(),
            incoming: None,
            wasi: None,
        })
    }

    /// Whether the instance may serve another call after one that returned this.
    pub(super) fn may_serve_again(&mut self, returned: Returned) -> bool {
        let answer = match returned {
            Returned::Respond(number) => Some(number),
            Returned::Next | Returned::Handled => None,
        };
        let was_given = match self.trigger {
            Trigger::OriginResponse | Trigger::ViewerResponse => Some(GIVEN_RESPONSE),
            Trigger::ViewerRequest
            | Trigger::OriginRequest
            | Trigger::Handler
            | Trigger::ViewerMiddleware
            | Trigger::OriginMiddleware
            | Trigger::Deferred => None,
        };
        let rests = |number: u32| Some(number) == was_given || Some(number) == answer;
        self.responses.are_free_but(rests)
            && self.readers.are_free_but(|_| false)
            && self.writers.are_free_but(|_| false)
            && self.obligations.are_free_but(|_| false)
            && self.swaps.are_free_but(|_| false)
            && self.exchanges.is_empty()
            && self.memory.used() <= self.function.limits.memory / MEMORY_SHARE
            && self
                .wasi
                .as_mut()
                .is_none_or(|wasi| wasi.holds_output_only())
    }
}

/// Takes the call out of a store that is not used again.
pub(super) fn take_call(store: &mut Store<Data>) -> Data {
    let ended = store.data_mut();
    let shared = Arc::new(Shared::new(&ended.function, None));
    let rest = CallState::idle(&ended.function, shared, Arc::clone(&ended.request_id));
    std::mem::replace(ended, rest)
}

/// Makes an instance ahead of need, within the function's limits; an error tells why there is none.
pub(crate) async fn prepare(function: &Arc<Inner>, slot: Permit) -> Result<Held, String> {
    let shared = Arc::new(Shared::new(function, None));
    let born = function.engine.clock.now();
    let state = CallState::idle(function, Arc::clone(&shared), "".into());
    let mut store = guest::new_store(state);
    guest::arm(&mut store, function);
    let raced = {
        let work = pin!(function.instance.instantiate_async(&mut store));
        guest::race(work, function, &shared).await
    };
    let instance = match raced {
        Ok(Ok(instance)) => instance,
        Ok(Err(error)) => return Err(guest::classify(&error, store.data()).to_string()),
        Err(fault) => return Err(fault.explanation().to_owned()),
    };
    Ok(Held {
        store,
        instance,
        slot,
        served: Served::none(born),
    })
}
