//! One guest at work: instantiation and the call, raced against its limits.
//!
//! The future owns store and slot; dropping it at any point ends the guest and
//! frees both.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant as TimerInstant, Sleep};
use verge_http::failure::FunctionFault;
use wasmtime::component::{Instance, Resource};
use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use super::Shared;
use super::held::{self, Held, Seat, Served};
use super::output::Committed;
use super::passing::incoming;
use super::{service, teardown};
use crate::bindings::exports::verge::edge::{origin_request, viewer_request};
use crate::function::Inner;
use crate::outcome::{CallFailure, Trigger};
use crate::state::{CallState, Data, GIVEN_RESPONSE, REQUEST};
use crate::stock::Stock;

/// Handles that a guest may hold at once, of all kinds.
const HANDLES: usize = 4096;
/// Bytes that a guest may hand over in one hostcall, beyond as much as it has memory: so what is too
/// large for what it asks for is refused with an error, and only what cannot be content, the same
/// bytes named many times, ends it.
const HOSTCALL_BYTES: u64 = 256 << 10;
/// The longest explanation of a failure.
const DETAIL_BYTES: usize = 8 << 10;

/// How often others on the thread get their turn when a guest is interrupted: as often as one
/// request's tasks may have to wake each other.
const TURNS: u32 = 4;

/// What the runtime's timer may be early.
const TIMER_SLACK: Duration = Duration::from_millis(1);

/// A running guest.
pub(crate) struct Guest {
    future: Pin<Box<dyn Future<Output = GuestEnd> + Send>>,
}

/// A guest that has ended. The state is kept until the response is complete: it holds the
/// sender's side of a handler's content.
pub(crate) struct GuestEnd {
    pub(crate) state: Data,
    pub(crate) result: Result<Returned, CallFailure>,
}

/// What the guest returned.
#[derive(Clone, Copy)]
pub(crate) enum Returned {
    /// Go on.
    Next,
    /// The response of this number answers.
    Respond(u32),
    /// A handler, which answers by other means.
    Handled,
}

impl Guest {
    /// `stock`: whose instances stay after a call, if they do.
    pub(crate) fn start(state: Data, seat: Seat, stock: Option<Arc<Stock>>) -> Self {
        Self {
            future: Box::pin(run(state, seat, stock)),
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<GuestEnd> {
        self.future.as_mut().poll(context)
    }

    pub(crate) async fn ended(self) -> GuestEnd {
        self.future.await
    }
}

async fn run(state: Data, seat: Seat, stock: Option<Arc<Stock>>) -> GuestEnd {
    let function = Arc::clone(&state.function);
    let shared = Arc::clone(&state.shared);
    let (mut store, mut instance, slot, served, call) = match seat {
        Seat::Slot(slot, call) => {
            teardown::finish_last();
            let served = Served::none(function.engine.clock.now());
            (new_store(state), None, slot, served, call)
        }
        Seat::Held(mut held, call) => {
            held.begin(state);
            let Held {
                store,
                instance,
                slot,
                served,
            } = held;
            (store, Some(instance), slot, served, call)
        }
    };
    arm(&mut store, &function);
    let raced = {
        let work = pin!(work(&mut store, &function, &mut instance));
        race(work, &function, &shared).await
    };
    // Before its resources go: what it was sending would look complete.
    shared.is_over.store(true, Ordering::Relaxed);
    let stock = match &raced {
        Ok(Ok(Ok(returned))) => stock.filter(|_| store.data_mut().may_serve_again(*returned)),
        _ => None,
    };
    let mut state = match (instance, stock) {
        (Some(instance), Some(stock)) => {
            let mut held = Held {
                store,
                instance,
                slot,
                served: served.one_more(),
            };
            let state = held.end();
            stock.put(held);
            state
        }
        // What tasks of WASI 0.3 hold is given up with them, and others wait for that.
        _ if function.exports.service.is_some() || !matches!(raced, Ok(Ok(_))) => {
            let state = store.into_data();
            drop(slot);
            state
        }
        _ => {
            let state = held::take_call(&mut store);
            drop(slot);
            teardown::later(store, &function.engine);
            state
        }
    };
    drop(call);
    if let Some(wasi) = &state.wasi {
        wasi.flush();
    }
    let result = match raced {
        Ok(Ok(returned)) => returned,
        Ok(Err(error)) => Err(classify(&error, &state)),
        Err(fault) => Err(CallFailure {
            fault,
            detail: match shared.was_kept_waiting.load(Ordering::Relaxed) {
                true => "content that it read, or what is behind it, took longer than `peer_wait`",
                false => "it was stopped between two turns",
            }
            .into(),
        }),
    };
    if result.is_err() {
        state.stop = None;
    }
    GuestEnd { state, result }
}

/// Gives a store what one call, or one start, may use of it.
pub(super) fn arm(store: &mut Store<Data>, function: &Inner) {
    // The first tick from now on interrupts; a deadline of zero would do so at once.
    store.set_epoch_deadline(1);
    let content = function.limits.memory.max(function.limits.body);
    let fuel = content.saturating_add(HOSTCALL_BYTES);
    store.set_hostcall_fuel(usize::try_from(fuel).unwrap_or(usize::MAX));
}

pub(super) fn new_store(state: Data) -> Store<Data> {
    let function = Arc::clone(&state.function);
    let mut store = Store::new(function.instance.engine(), state);
    store.limiter(|state| &mut **state);
    store.epoch_deadline_callback(on_tick);
    store.set_max_component_handles(HANDLES);
    store
}

/// Instantiates, unless there is an instance, and calls. The outer error is a trap, the inner one
/// the guest's own.
async fn work(
    store: &mut Store<Data>,
    function: &Inner,
    held: &mut Option<Instance>,
) -> wasmtime::Result<Result<Returned, CallFailure>> {
    let instance = match *held {
        Some(instance) => instance,
        None => {
            let instance = function.instance.instantiate_async(&mut *store).await?;
            store.data().shared.meter.note_instantiated();
            *held.insert(instance)
        }
    };
    let trigger = store.data().trigger;
    let request = Resource::new_borrow(REQUEST);
    let response = || Resource::new_borrow(GIVEN_RESPONSE);
    let exports = &function.exports;
    let missing = || wasmtime::format_err!("it does not export {}", trigger.label());
    let returned = match trigger {
        Trigger::ViewerRequest => {
            let guest = exports.viewer_request.as_ref().ok_or_else(missing)?;
            let guest = guest.load(&mut *store, &instance)?;
            match guest.call_handle(&mut *store, request).await? {
                Ok(viewer_request::Verdict::Next) => Ok(Returned::Next),
                Ok(viewer_request::Verdict::Respond(response)) => {
                    Ok(Returned::Respond(response.rep()))
                }
                Err(message) => Err(message),
            }
        }
        Trigger::OriginRequest => {
            let guest = exports.origin_request.as_ref().ok_or_else(missing)?;
            let guest = guest.load(&mut *store, &instance)?;
            match guest.call_handle(&mut *store, request).await? {
                Ok(origin_request::Verdict::Next) => Ok(Returned::Next),
                Ok(origin_request::Verdict::Respond(response)) => {
                    Ok(Returned::Respond(response.rep()))
                }
                Err(message) => Err(message),
            }
        }
        Trigger::OriginResponse => {
            let guest = exports.origin_response.as_ref().ok_or_else(missing)?;
            let guest = guest.load(&mut *store, &instance)?;
            let returned = guest.call_handle(&mut *store, request, response()).await?;
            returned.map(|()| Returned::Next)
        }
        Trigger::ViewerResponse => {
            let guest = exports.viewer_response.as_ref().ok_or_else(missing)?;
            let guest = guest.load(&mut *store, &instance)?;
            let returned = guest.call_handle(&mut *store, request, response()).await?;
            returned.map(|()| Returned::Next)
        }
        Trigger::Deferred => {
            let guest = exports.deferred.as_ref().ok_or_else(missing)?;
            let guest = guest.load(&mut *store, &instance)?;
            let payload = std::mem::take(&mut store.data_mut().payload);
            let returned = guest.call_handle(&mut *store, &payload).await?;
            returned.map(|()| Returned::Next)
        }
        Trigger::Handler | Trigger::ViewerMiddleware | Trigger::OriginMiddleware => {
            if let Some(service) = &exports.service {
                let service = service.load(&mut *store, &instance)?;
                service::handle(store, &service).await?;
            } else {
                let guest = exports.handler.as_ref().ok_or_else(missing)?;
                let guest = guest.load(&mut *store, &instance)?;
                handle(store, &guest).await?;
            }
            let behind = store.data().behind();
            Ok(match behind.is_some_and(|behind| behind.was_asked()) {
                true => Returned::Next,
                false => Returned::Handled,
            })
        }
    };
    Ok(returned.map_err(|message| CallFailure {
        fault: FunctionFault::Refused,
        detail: cut(message),
    }))
}

async fn handle(
    store: &mut Store<Data>,
    guest: &wasmtime_wasi_http::p2::bindings::Proxy,
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let shared = Arc::clone(&state.shared);
    let Some(request) = state.incoming.take() else {
        wasmtime::bail!("there is no request");
    };
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let request = incoming(request, &shared, state.limits().body);
    let mut view = state.http();
    let request = view.new_incoming_request(scheme, request)?;
    let answer = view.new_response_outparam_from_callback(move |response| {
        let response = response.map_err(|code| format!("{code:?}"));
        shared
            .output
            .lock()
            .commit(Committed::Handler(Box::new(response)));
    })?;
    guest
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, request, answer)
        .await
}

/// Runs at each tick inside the guest: ends it, with its backtrace, when a limit is passed, and
/// lets others on this thread run otherwise.
fn on_tick(mut store: StoreContextMut<'_, Data>) -> wasmtime::Result<UpdateDeadline> {
    let state: &mut CallState = store.data_mut();
    state.check_hostcalls()?;
    let meter = &state.shared.meter;
    let cpu = meter.cpu();
    if let Some(fault) = meter.exceeded(cpu, &state.function.limits) {
        if fault == FunctionFault::DeadlineExceeded {
            state.shared.note_late(&state.function.limits);
        }
        state.stop = Some(fault);
        wasmtime::bail!("it was stopped while it ran");
    }
    state.function.engine.ticker.note_running(cpu);
    let others = make_way(Arc::clone(&state.shared));
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(others)))
}

/// Lets others on this thread run. It must be the runtime's own way to yield: a task that wakes
/// itself is polled again before sockets are looked at.
async fn make_way(shared: Arc<Shared>) {
    for _ in 0..TURNS {
        shared.meter.note_interrupted();
        tokio::task::yield_now().await;
    }
}

/// Polls the guest, counts the time it runs, and gives up when its deadline passes.
pub(super) async fn race<W: Future>(
    mut work: Pin<&mut W>,
    function: &Inner,
    shared: &Shared,
) -> Result<W::Output, FunctionFault> {
    let meter = &shared.meter;
    let limits = &function.limits;
    // Most guests never wait: the timer is made when one does.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|context| {
        let ticker = &function.engine.ticker;
        let awake = meter.is_interrupted().then(|| ticker.keep_awake());
        ticker.touch();
        meter.begin_poll();
        let polled = work.as_mut().poll(context);
        meter.end_poll();
        drop(awake);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        loop {
            // The CPU budget is checked while it runs, where there is a backtrace.
            if meter.time_left(limits).is_zero() {
                shared.note_late(limits);
                return Poll::Ready(Err(FunctionFault::DeadlineExceeded));
            }
            if meter.is_interrupted() {
                // It goes on as soon as others had their turn.
                return Poll::Pending;
            }
            let Some(left) = meter.wait_left(limits) else {
                // What it waits for wakes it; until then the deadline stands still.
                return Poll::Pending;
            };
            let due = TimerInstant::now() + left;
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // A wait for a peer has moved the deadline, or the timer was early.
            if timer.is_elapsed() || timer.deadline() + TIMER_SLACK < due {
                timer.as_mut().reset(due);
            }
            match timer.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {}
            }
        }
    })
    .await
}

/// Why a guest ended in an error.
pub(super) fn classify(error: &wasmtime::Error, state: &CallState) -> CallFailure {
    let fault = if let Some(fault) = state.stop {
        fault
    } else if error.is::<PoolConcurrencyLimitError>() {
        FunctionFault::InstancesExhausted
    } else if state.memory.refused() {
        FunctionFault::MemoryExceeded
    } else {
        FunctionFault::Trapped
    };
    CallFailure {
        fault,
        detail: cut(format!("{error:?}")),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > DETAIL_BYTES {
        text.truncate(text.floor_char_boundary(DETAIL_BYTES));
    }
    text
}
