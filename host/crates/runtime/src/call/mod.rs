//! Calls of a function: each trigger moves its message in, runs one instance,
//! and gives the message back with an account of the call.

mod body;
mod cpu;
mod deferred;
mod ending;
mod fetches;
mod guest;
mod handler;
mod held;
mod log_budget;
mod meter;
mod middleware;
pub(crate) mod next;
mod output;
mod passing;
mod service;
mod teardown;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use verge_http::Body;
use verge_http::failure::FunctionFault;

use self::body::{GuestBody, Source, incomplete, written};
use self::ending::Ending;
use self::fetches::Fetches;
pub(crate) use self::fetches::{FetchSender, Fetched};
pub(crate) use self::guest::Returned;
use self::guest::{Guest, GuestEnd};
use self::held::Seat;
pub(crate) use self::held::{Held, prepare};
use self::log_budget::LogBudget;
use self::meter::Meter;
pub(crate) use self::output::{Committed, Output};
pub(crate) use self::passing::{PARTLY_READ, Told, is_partly_read};
use crate::capabilities::Capabilities;
use crate::function::{Function, Inner};
use crate::hostcalls::Exchanges;
use crate::limits::{Limits, MemoryLimiter};
use crate::message::{Call, EdgeRequest, RequestCall, ResponseCall, Scope, Verdict};
use crate::outcome::{CallFailure, CallReceipt, Outcome, PendingEnd, StartClass, Trigger};
use crate::quarantine::Admission;
use crate::record::{Tape, note_step};
use crate::state::{CallState, GIVEN_RESPONSE, Messages, RequestState, ResponseState, Slots};

/// CPU time for which a committed head is held back while its guest is only interrupted. Content
/// that ends by then goes out in one piece, whatever else the machine does.
const HEAD_HELD: Duration = Duration::from_millis(1);

/// What a guest and those who wait for it share.
pub(crate) struct Shared {
    pub(crate) meter: Meter,
    pub(crate) log: LogBudget,
    pub(crate) output: Mutex<Output>,
    pub(crate) fetches: Fetches,
    /// Whether content that the function was given broke off or was more than it takes.
    pub(crate) was_given_less: AtomicBool,
    /// Whether it passed its deadline because peers took longer than [`Limits::peer_wait`].
    ///
    /// [`Limits::peer_wait`]: crate::limits::Limits::peer_wait
    pub(crate) was_kept_waiting: AtomicBool,
    /// What stands between the guest and everything outside, when the call is recorded or
    /// repeated; most are neither.
    pub(crate) tape: Option<Arc<Tape>>,
    /// Whether the guest has ended: content that it still sends does not come to its end.
    pub(crate) is_over: AtomicBool,
}

impl Shared {
    /// Content that the function was given ended early, or was more than it takes.
    pub(crate) fn note_given_less(&self) {
        self.was_given_less.store(true, Ordering::Relaxed);
    }

    /// The deadline has passed: whose time that was.
    pub(crate) fn note_late(&self, limits: &Limits) {
        let is_for_peers = self.meter.is_late_for_peers(limits);
        self.was_kept_waiting.store(is_for_peers, Ordering::Relaxed);
    }

    /// What stands behind the imports of a function in this call.
    pub(crate) fn capabilities<'c>(&'c self, function: &'c Inner) -> &'c dyn Capabilities {
        match &self.tape {
            None => &*function.capabilities,
            Some(tape) => &tape.capabilities,
        }
    }

    fn new(function: &Inner, tape: Option<Arc<Tape>>) -> Self {
        Self {
            meter: Meter::new(function.engine.clock.clone()),
            log: LogBudget::new(function.limits.log_bytes),
            output: Mutex::default(),
            fetches: Fetches::default(),
            was_given_less: AtomicBool::new(false),
            was_kept_waiting: AtomicBool::new(false),
            tape,
            is_over: AtomicBool::new(false),
        }
    }
}

/// What goes into a call.
pub(crate) struct Input {
    pub(crate) scope: Arc<dyn Scope>,
    request_id: Arc<str>,
    pub(crate) request: Option<EdgeRequest>,
    pub(crate) response: Option<http::Response<Body>>,
    pub(crate) incoming: Option<http::Request<Body>>,
    pub(crate) payload: Vec<u8>,
}

impl Input {
    /// The content of the request, and that of the response.
    pub(crate) fn bodies(&self) -> (Option<&Body>, Option<&Body>) {
        let incoming = self.incoming.as_ref().map(http::Request::body);
        let request = self.request.as_ref().map(|request| &request.body);
        let response = self.response.as_ref().map(http::Response::body);
        (request.or(incoming), response)
    }
}

/// How far a call came before there was something to tell its caller.
pub(crate) enum Step {
    /// The guest did not run: no slot, or quarantine.
    NotRun(Box<Messages>, CallFailure, CallReceipt),
    /// The guest ended, perhaps after it had committed a response.
    Ended(GuestEnd, Option<Committed>, Ending),
    /// The guest committed a response and runs on.
    Running(Committed, Guest, Ending),
}

/// A trigger's call, before it is told in the words of that trigger.
struct Finished {
    messages: Messages,
    result: Result<Returned, CallFailure>,
    /// The response's content, when the guest wrote it.
    content: Option<Body>,
    receipt: CallReceipt,
    pending: Option<PendingEnd>,
}

impl Function {
    /// Runs the function's viewer-request trigger.
    pub async fn viewer_request(&self, call: Call, request: EdgeRequest) -> RequestCall {
        self.request_trigger(Trigger::ViewerRequest, call, request)
            .await
    }

    /// Runs the function's origin-request trigger.
    pub async fn origin_request(&self, call: Call, request: EdgeRequest) -> RequestCall {
        self.request_trigger(Trigger::OriginRequest, call, request)
            .await
    }

    /// Runs the function's origin-response trigger.
    pub async fn origin_response(
        &self,
        call: Call,
        request: EdgeRequest,
        response: http::Response<Body>,
    ) -> ResponseCall {
        self.response_trigger(Trigger::OriginResponse, call, request, response)
            .await
    }

    /// Runs the function's viewer-response trigger.
    pub async fn viewer_response(
        &self,
        call: Call,
        request: EdgeRequest,
        response: http::Response<Body>,
    ) -> ResponseCall {
        self.response_trigger(Trigger::ViewerResponse, call, request, response)
            .await
    }

    async fn request_trigger(
        &self,
        trigger: Trigger,
        call: Call,
        request: EdgeRequest,
    ) -> RequestCall {
        let input = Input {
            scope: call.scope,
            request_id: Arc::clone(&request.id),
            request: Some(request),
            response: None,
            incoming: None,
            payload: Vec::new(),
        };
        let finished = self.finish(trigger, input).await;
        let (request, effects, seen) = finished
            .messages
            .request
            .expect("a request trigger keeps its request")
            .settle(finished.result.is_ok());
        let verdict = finished.result.map(|_| match finished.messages.response {
            None => Verdict::Continue,
            Some(response) => Verdict::Respond(response.settle(true, finished.content).0),
        });
        RequestCall {
            request,
            effects,
            seen,
            verdict,
            receipt: finished.receipt,
            pending: finished.pending,
        }
    }

    async fn response_trigger(
        &self,
        trigger: Trigger,
        call: Call,
        request: EdgeRequest,
        response: http::Response<Body>,
    ) -> ResponseCall {
        let input = Input {
            scope: call.scope,
            request_id: Arc::clone(&request.id),
            request: Some(request),
            response: Some(response),
            incoming: None,
            payload: Vec::new(),
        };
        let finished = self.finish(trigger, input).await;
        let succeeded = finished.result.is_ok();
        let (request, _, seen) = finished
            .messages
            .request
            .expect("a response trigger keeps its request")
            .settle(succeeded);
        let (response, effects) = finished
            .messages
            .response
            .expect("a response trigger keeps its response")
            .settle(succeeded, finished.content);
        ResponseCall {
            request,
            response,
            effects,
            seen,
            result: finished.result.map(|_| ()),
            receipt: finished.receipt,
            pending: finished.pending,
        }
    }

    /// Runs a trigger until its caller can go on.
    async fn finish(&self, trigger: Trigger, input: Input) -> Finished {
        let given = input.response.is_some().then_some(GIVEN_RESPONSE);
        let (shared, step) = self.step(trigger, input).await;
        match step {
            Step::NotRun(messages, failure, receipt) => Finished {
                messages: *messages,
                result: Err(failure),
                content: None,
                receipt,
                pending: None,
            },
            Step::Ended(end, Some(Committed::Trigger(messages)), ending) => {
                let content = written(Source::Queue, &shared, self.0.limits.body);
                let receipt = match (&content, &end.result) {
                    (None, Ok(_)) => ending.conclude(&Err(incomplete())),
                    (_, result) => ending.conclude(result),
                };
                let result = match &content {
                    Some(_) => Ok(Returned::Next),
                    None => Err(end.result.err().unwrap_or_else(incomplete)),
                };
                Finished {
                    messages: *messages,
                    result,
                    content,
                    receipt,
                    pending: None,
                }
            }
            Step::Ended(mut end, _, ending) => {
                let answer = match end.result {
                    Ok(Returned::Respond(number)) => Some(number),
                    _ => given,
                };
                let messages = end.state.take_messages(answer);
                let unfinished = messages
                    .response
                    .as_ref()
                    .is_some_and(|response| response.content.is_unfinished());
                let result = if unfinished && end.result.is_ok() {
                    Err(incomplete())
                } else {
                    end.result
                };
                Finished {
                    receipt: ending.conclude(&result),
                    messages,
                    result,
                    content: None,
                    pending: None,
                }
            }
            Step::Running(committed, guest, mut ending) => {
                let outcome = match given {
                    Some(_) => Outcome::Continued,
                    None => Outcome::Responded,
                };
                let (receipt, pending) = ending.continue_pending(outcome);
                let messages = match committed {
                    Committed::Trigger(messages) => *messages,
                    Committed::Handler(_)
                    | Committed::Service(_)
                    | Committed::Passed(_)
                    | Committed::PartlyRead
                    | Committed::FailedBehind(_) => Messages::default(),
                };
                Finished {
                    messages,
                    result: Ok(Returned::Next),
                    content: Some(self.stream(Source::Queue, shared, guest, ending)),
                    receipt,
                    pending: Some(pending),
                }
            }
        }
    }

    /// Starts a guest and runs it until it ends or commits a response.
    async fn step(&self, trigger: Trigger, mut input: Input) -> (Arc<Shared>, Step) {
        let inner = &self.0;
        let admission = inner.gate.admit(&inner.engine.clock);
        let seat = match admission {
            Admission::Quarantined => Err(FunctionFault::Quarantined),
            Admission::Open | Admission::Trial => self.seat(),
        };
        let tape = match &seat {
            Ok(_) => inner.tapes.begin(trigger, inner, &mut input),
            Err(_) => None,
        };
        let shared = Arc::new(Shared::new(inner, tape));
        let start = seat.as_ref().map_or(StartClass::Fresh, Seat::start_class);
        let ending = Ending::new(
            Arc::clone(inner),
            Arc::clone(&shared),
            trigger,
            Arc::clone(&input.request_id),
            admission,
            start,
        );
        let mut state = self.state(trigger, input, Arc::clone(&shared));
        let seat = match seat {
            Ok(seat) => seat,
            Err(fault) => {
                let failure = CallFailure {
                    fault,
                    detail: "it did not run".into(),
                };
                let receipt = ending.conclude(&Err(failure.clone()));
                let messages = Box::new(state.take_messages(Some(GIVEN_RESPONSE)));
                return (shared, Step::NotRun(messages, failure, receipt));
            }
        };
        let keeper = self.1.as_ref().filter(|stock| stock.keeps());
        let mut guest = Guest::start(state, seat, keeper.map(Arc::clone));
        let (end, committed) = run_until_commit(&mut guest, &shared).await;
        let mut step = match end {
            Ok(end) => Step::Ended(end, committed, ending),
            Err(committed) => Step::Running(committed, guest, ending),
        };
        note_step(&shared, &mut step);
        (shared, step)
    }

    /// An instance that waits, or a slot for a new one.
    fn seat(&self) -> Result<Seat, FunctionFault> {
        let Inner { engine, calls, .. } = &*self.0;
        if !engine.has_room_beside(calls.in_use()) {
            return Err(FunctionFault::InstancesExhausted);
        }
        let call = calls.try_acquire();
        let call = call.ok_or(FunctionFault::InstancesExhausted)?;
        if let Some(held) = self.1.as_ref().and_then(|stock| stock.take()) {
            return Ok(Seat::Held(held, call));
        }
        let slot = engine.slot().map(|slot| Seat::Slot(slot, call));
        slot.ok_or(FunctionFault::InstancesExhausted)
    }

    fn state(&self, trigger: Trigger, input: Input, shared: Arc<Shared>) -> Box<CallState> {
        let mut responses = Slots::default();
        if let Some(response) = input.response {
            responses.add_first(ResponseState::new(response));
        }
        Box::new(CallState {
            trigger,
            function: Arc::clone(&self.0),
            shared,
            scope: input.scope,
            request_id: input.request_id,
            memory: MemoryLimiter::new(&self.0.limits),
            stop: None,
            request: input.request.map(RequestState::new),
            responses,
            readers: Slots::default(),
            writers: Slots::default(),
            obligations: Slots::default(),
            swaps: Slots::default(),
            exchanges: Exchanges::default(),
            incoming: input.incoming,
            payload: input.payload,
            wasi: None,
        })
    }

    /// The content of a response whose guest runs on.
    fn stream(&self, source: Source, shared: Arc<Shared>, guest: Guest, ending: Ending) -> Body {
        // Until the content is asked for, the guest waits for its reader.
        shared.meter.begin_wait();
        Body::stream(GuestBody::new(
            source,
            shared,
            self.0.limits.body,
            guest,
            ending,
        ))
    }
}

/// Runs a guest until it ends, perhaps with a committed response, or commits one and goes on.
async fn run_until_commit(
    guest: &mut Guest,
    shared: &Shared,
) -> (Result<GuestEnd, Committed>, Option<Committed>) {
    let mut held_since = None;
    std::future::poll_fn(|context| match guest.poll(context) {
        Poll::Ready(end) => {
            let committed = shared.output.lock().take_committed();
            Poll::Ready((Ok(end), committed))
        }
        Poll::Pending => {
            let mut output = shared.output.lock();
            if shared.meter.is_interrupted() && output.is_committed() {
                let cpu = shared.meter.cpu();
                if cpu.saturating_sub(*held_since.get_or_insert(cpu)) < HEAD_HELD {
                    return Poll::Pending;
                }
            }
            match output.take_committed() {
                Some(committed) => Poll::Ready((Err(committed), None)),
                None => Poll::Pending,
            }
        }
    })
    .await
}
