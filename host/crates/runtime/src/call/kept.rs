//! An instance that serves several calls, one after the other.
//!
//! It trades isolation for time: what one call leaves in the guest's memory,
//! the next one finds. The node runs a fresh instance for each call; this is
//! what `benches/instance` compares that with.

use std::sync::Arc;

use verge_base::Permit;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::function::Function;
use crate::message::{Call, EdgeRequest, NoScope, RequestCall, ResponseCall};
use crate::outcome::Trigger;
use crate::state::{CallState, Data};
use verge_http::Body;

/// An instance of one function that stays from call to call, with its slot.
///
/// It is replaced by a fresh one after a call that failed, was dropped, used
/// WASI, or went on while its response was sent.
pub struct KeptInstance {
    function: Function,
    place: Place,
}

/// Where a call's instance comes from, and whether it stays for the next call.
pub(crate) enum Place {
    Fresh,
    Kept(Option<Box<Held>>),
}

/// An instance between two calls.
pub(crate) struct Held {
    pub(crate) store: Store<Data>,
    pub(crate) instance: Instance,
    pub(crate) slot: Permit,
}

/// What a guest is started in.
pub(crate) enum Seat {
    /// A free slot.
    Slot(Permit),
    /// An instance that has served before.
    Held(Box<Held>),
}

impl Function {
    /// An instance that is made by the first call and kept for the next ones.
    #[must_use]
    pub fn keep(&self) -> KeptInstance {
        KeptInstance {
            function: self.clone(),
            place: Place::Kept(None),
        }
    }
}

impl KeptInstance {
    /// As [`Function::viewer_request`].
    pub async fn viewer_request(&mut self, call: Call, request: EdgeRequest) -> RequestCall {
        let trigger = Trigger::ViewerRequest;
        let place = &mut self.place;
        self.function
            .request_trigger(trigger, call, request, place)
            .await
    }

    /// As [`Function::origin_request`].
    pub async fn origin_request(&mut self, call: Call, request: EdgeRequest) -> RequestCall {
        let trigger = Trigger::OriginRequest;
        let place = &mut self.place;
        self.function
            .request_trigger(trigger, call, request, place)
            .await
    }

    /// As [`Function::viewer_response`].
    pub async fn viewer_response(
        &mut self,
        call: Call,
        request: EdgeRequest,
        response: http::Response<Body>,
    ) -> ResponseCall {
        let trigger = Trigger::ViewerResponse;
        let place = &mut self.place;
        self.function
            .response_trigger(trigger, call, request, response, place)
            .await
    }
}

impl Place {
    pub(crate) fn take(&mut self) -> Option<Box<Held>> {
        match self {
            Self::Fresh => None,
            Self::Kept(held) => held.take(),
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    pub(crate) fn put(&mut self, next: Option<Box<Held>>) {
        if let Self::Kept(held) = self {
            *held = next;
        }
    }
}

impl Held {
    /// Makes `next` the call that the instance serves now.
    pub(crate) fn begin(&mut self, mut next: Data) {
        let last = self.store.data_mut();
        // Its memory did not go away.
        next.memory = std::mem::take(&mut last.memory);
        next.shared.meter.note_memory_peak(next.memory.peak());
        *last = next;
    }

    /// Takes the call out that has ended; what stays holds nothing of it but its id.
    pub(crate) fn end(&mut self) -> Data {
        let ended = self.store.data_mut();
        let rest = Box::new(CallState {
            trigger: ended.trigger,
            function: ended.function.clone(),
            shared: ended.shared.clone(),
            // What functions left runs when nobody has the request's scope any more.
            scope: Arc::new(NoScope),
            request_id: ended.request_id.clone(),
            memory: std::mem::take(&mut ended.memory),
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
        });
        std::mem::replace(ended, rest)
    }
}
