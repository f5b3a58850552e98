//! The requests that one call sends: counted, bounded, and accounted for. All
//! kinds of guests send through [`FetchSender`].

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use verge_http::failure::FunctionFault;
use verge_http::{Body, Failure};

use super::Shared;
use crate::capabilities::{CallId, Fetch, FetchError, FetchOutcome};
use crate::function::Inner;
use crate::message::Scope;
use crate::state::CallState;

/// What the requests of one call have come to.
#[derive(Default)]
pub(crate) struct Fetches {
    /// Made for the first request.
    fetch: OnceLock<Option<Arc<dyn Fetch>>>,
    sent: AtomicU32,
    under_way: AtomicU32,
    /// Bytes of content, of requests and responses.
    bytes: AtomicU64,
    /// Nanoseconds for which responses were waited for.
    waited: AtomicU64,
}

impl Fetches {
    /// Requests that were sent, refused ones included.
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How long heads of responses were waited for, all requests together.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }
}

/// Sends the requests of one call, within its limits.
#[derive(Clone)]
pub(crate) struct FetchSender {
    function: Arc<Inner>,
    shared: Arc<Shared>,
    scope: Arc<dyn Scope>,
    call: CallId,
}

impl FetchSender {
    pub(crate) fn of(state: &CallState) -> Self {
        Self {
            function: Arc::clone(&state.function),
            shared: Arc::clone(&state.shared),
            scope: Arc::clone(&state.scope),
            call: state.call_id(),
        }
    }

    /// Sends a request. What the future has counted when the call ends is in its receipt.
    ///
    /// # Errors
    /// The call may not send it.
    pub(crate) fn send(
        &self,
        request: http::Request<Body>,
        head_within: Option<Duration>,
    ) -> Result<impl Future<Output = Answer> + Send + use<>, FetchError> {
        let mut waiting = Waiting::begin(self);
        let admitted = waiting.admit().and_then(|(fetch, under_way)| {
            let (head, body) = request.into_parts();
            let body = waiting.bound(body)?;
            Ok((fetch, under_way, http::Request::from_parts(head, body)))
        });
        match admitted {
            Ok((fetch, under_way, request)) => {
                Ok(finish(waiting, fetch, under_way, request, head_within))
            }
            Err(refused) => {
                waiting.outcome = refused.into();
                Err(refused)
            }
        }
    }

    /// Counts a request to what is behind a middleware, until its response has ended. Its content
    /// is not the function's own, and whom it is for is not the function's choice.
    ///
    /// # Errors
    /// The call has sent as many requests as it may, in all or at once.
    pub(super) fn pass(&self) -> Result<UnderWay, FetchError> {
        self.take_turn().inspect_err(|refused| {
            self.count((*refused).into());
        })
    }

    /// Counts a request of the call.
    fn take_turn(&self) -> Result<UnderWay, FetchError> {
        let limits = &self.function.limits.fetch;
        let fetches = &self.shared.fetches;
        if fetches.sent.fetch_add(1, Ordering::Relaxed) >= limits.requests {
            return Err(FetchError::TooMany);
        }
        let under_way = UnderWay(Arc::clone(&self.shared));
        if fetches.under_way.fetch_add(1, Ordering::Relaxed) >= limits.concurrent {
            return Err(FetchError::TooManyAtOnce);
        }
        Ok(under_way)
    }

    fn count(&self, outcome: FetchOutcome) {
        self.function.capabilities.fetched(&self.call, outcome);
    }

    /// Counts content; false once it is more than the limit.
    fn take(&self, bytes: usize) -> bool {
        let fits = self.charge(bytes as u64);
        if !fits {
            self.count(FetchOutcome::TooLarge);
        }
        fits
    }

    /// The same without telling the counters of requests.
    fn charge(&self, bytes: u64) -> bool {
        let taken = &self.shared.fetches.bytes;
        let total = taken.fetch_add(bytes, Ordering::Relaxed);
        total.saturating_add(bytes) <= self.function.limits.fetch.bytes
    }
}

type Answer = Result<http::Response<Fetched>, FetchError>;

async fn finish(
    mut waiting: Waiting,
    fetch: Arc<dyn Fetch>,
    under_way: UnderWay,
    request: http::Request<Body>,
    head_within: Option<Duration>,
) -> Answer {
    let sending = fetch.send(request);
    let answered = match head_within {
        None => sending.await,
        Some(within) => tokio::time::timeout(within, sending)
            .await
            .unwrap_or(Err(FetchError::TimedOut)),
    };
    match answered {
        Ok(response) => {
            waiting.outcome = FetchOutcome::Answered;
            Ok(response.map(|body| waiting.fetched(body, under_way)))
        }
        Err(error) => {
            waiting.outcome = error.into();
            Err(error)
        }
    }
}

/// A request whose response has not come yet; counted when it is dropped.
struct Waiting {
    sender: FetchSender,
    since: Instant,
    outcome: FetchOutcome,
}

impl Waiting {
    fn begin(sender: &FetchSender) -> Self {
        Self {
            sender: sender.clone(),
            since: sender.function.engine.clock.now(),
            outcome: FetchOutcome::Abandoned,
        }
    }

    fn admit(&self) -> Result<(Arc<dyn Fetch>, UnderWay), FetchError> {
        let FetchSender { shared, call, .. } = &self.sender;
        let turn = self.sender.take_turn();
        if matches!(turn, Err(FetchError::TooMany)) {
            return Err(FetchError::TooMany);
        }
        let found = &shared.fetches.fetch;
        let found = found.get_or_init(|| self.sender.scope.fetch(call));
        let fetch = found.as_ref().ok_or(FetchError::Denied)?;
        Ok((Arc::clone(fetch), turn?))
    }

    /// The content of a request, bounded. What is all there counts now: nobody may ever read it,
    /// and until then it takes as much memory.
    fn bound(&self, body: Body) -> Result<Body, FetchError> {
        if http_body::Body::is_end_stream(&body) {
            return Ok(Body::Empty);
        }
        if let Body::Full(content) = &body {
            return match self.sender.charge(content.len() as u64) {
                true => Ok(body),
                false => Err(FetchError::TooLarge),
            };
        }
        let sender = self.sender.clone();
        Ok(Body::stream(Sent { body, sender }))
    }

    fn fetched(&self, body: Body, under_way: UnderWay) -> Fetched {
        Fetched {
            body,
            sender: self.sender.clone(),
            under_way: Some(under_way),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let sender = &self.sender;
        let now = sender.function.engine.clock.now();
        let waited = now.saturating_duration_since(self.since);
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        let fetches = &sender.shared.fetches;
        fetches.waited.fetch_add(nanos, Ordering::Relaxed);
        sender.count(self.outcome);
    }
}

/// A request and its response, until that has ended.
pub(super) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetches.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Content that a function sends.
struct Sent {
    body: Body,
    sender: FetchSender,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if !self.sender.take(length) {
                // The origin must not take what it got for all of it.
                return Poll::Ready(Some(Err(FunctionFault::ResponseInvalid.into())));
            }
        }
        if frame.is_none() && self.sender.shared.is_over.load(Ordering::Relaxed) {
            // The guest ended first, which looks like the end of its content.
            return Poll::Ready(Some(Err(FunctionFault::ResponseInvalid.into())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The content of a response that a function has fetched. Waiting for it counts to the call's
/// deadline: the function chose whom to wait for.
pub(crate) struct Fetched {
    body: Body,
    sender: FetchSender,
    under_way: Option<UnderWay>,
}

impl http_body::Body for Fetched {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let frame = match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if self.sender.take(length) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(FetchError::TooLarge))
            }
            Some(Err(failure)) => Some(Err(FetchError::Failed(failure))),
            None => None,
        };
        self.under_way = None;
        self.body = Body::Empty;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
