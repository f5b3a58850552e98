//! One HTTP/2 stream: its request goes to the handler, what is interim and
//! then the response to the client. A client that keeps its stream's
//! flow-control window shut loses that stream, and no other.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::response::Parts;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use tokio::time::{Instant as TimerInstant, Sleep};
use verge_base::Clock;
use verge_http::failure::ClientFault;
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure, fields};

use super::client_body::{ClientBody, Source};
use super::connection::Context as ConnectionContext;
use super::event::{ConnectionEvent, Limit, limit_of};
use super::exchange::{self, EventSink};
use super::facts::ConnectionFacts;
use super::handler::Handler;
use super::http2_body::Http2Content;
use super::http2_interim::Http2Interim;
use super::http2_pieces::Pieces;
use super::patience::Patience;
use super::response_body::ResponseBody;
use super::settings::ListenerSettings;

/// What is handed to the library's send buffer at once. Flow control is asked
/// again after each piece, so a client's progress is seen in steps of this.
const PIECE: usize = 32 * 1024;

/// What the streams of one connection share.
pub(super) struct Shared<H> {
    pub(super) context: ConnectionContext<H>,
    pub(super) facts: Arc<ConnectionFacts>,
}

impl<H: Handler> Shared<H> {
    pub(super) fn limit_hit(&self, limit: Limit) {
        let event = ConnectionEvent::LimitHit(limit);
        Handler::event(self.context.handler.as_ref(), event);
    }
}

/// Answers `request` on its stream. Ends when all of the response is handed to the library, or
/// when the stream is lost; dropping the stream's handles before that resets it (RFC 9113 5.4.2).
pub(super) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
    interim: Arc<Http2Interim>,
) {
    let answering = answer(&shared, request, &interim);
    let Some(response) = before_reset(answering, &mut reply, &interim).await else {
        return;
    };
    for early in interim.close() {
        // A stream that takes none takes no response either, which is seen next.
        let _ = reply.send_informational(early);
    }
    let (mut head, body) = response.into_parts();
    let is_whole = body.is_end_stream();
    let length = if is_whole {
        None
    } else {
        body.size_hint().exact()
    };
    settle_head(&mut head, length, || shared.context.clock.wall());
    match reply.send_response(Response::from_parts(head, ()), is_whole) {
        Ok(stream) if !is_whole => Sending::new(&shared.context, stream, body).finish().await,
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(%error, "a response could not be sent");
            reply.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// What `answering` comes to, unless the client or the connection gives the stream up. Sends
/// what is interim meanwhile.
async fn before_reset<B>(
    answering: impl Future<Output = Response<B>>,
    reply: &mut SendResponse<Bytes>,
    interim: &Http2Interim,
) -> Option<Response<B>> {
    let mut answering = pin!(answering);
    poll_fn(|context| {
        if let Poll::Ready(response) = answering.as_mut().poll(context) {
            return Poll::Ready(Some(response));
        }
        for early in interim.take(context.waker()) {
            // If it fails the stream is lost, and so it is found below.
            let _ = reply.send_informational(early);
        }
        reply.poll_reset(context).map(|_reason| None)
    })
    .await
}

async fn answer<H: Handler>(
    shared: &Shared<H>,
    request: Request<RecvStream>,
    interim: &Arc<Http2Interim>,
) -> Response<H::ResponseBody> {
    let handler = &shared.context.handler;
    if let Some(fault) = head_fault(&request, &shared.context.settings) {
        if let Some(limit) = limit_of(fault) {
            shared.limit_hit(limit);
        }
        return handler
            .refuse(&shared.facts, Failure::Client(fault))
            .map(|text| Body::from(text).into());
    }
    let sender = InterimSender::new(Arc::clone(interim) as _, 0);
    let request = own(shared, request, interim);
    exchange::answer(handler.as_ref(), &shared.facts, Some(sender), request).await
}

/// `request` with a body of our own kind.
fn own<H: Handler>(
    shared: &Shared<H>,
    request: Request<RecvStream>,
    interim: &Arc<Http2Interim>,
) -> Request<Body> {
    let (head, stream) = request.into_parts();
    // What follows CONNECT is no content (RFC 9110 9.3.6).
    if stream.is_end_stream() || head.method == Method::CONNECT {
        return Request::from_parts(head, Body::Empty);
    }
    let context = &shared.context;
    let content = Http2Content::new(stream, &head.headers);
    let mut body = ClientBody::new(
        Source::Http2(Box::new(content)),
        context.settings.receive_floor,
        context.clock.clone(),
        Arc::clone(&context.handler) as _,
    );
    let expects_continue = head
        .headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects_continue {
        body = body.awaited_on_http2(Arc::clone(interim));
    }
    Request::from_parts(head, Body::stream(body))
}

/// The limits of a head that HTTP/1 holds in its scanner. What is far beyond
/// them was refused by the HTTP/2 library.
fn head_fault(request: &Request<RecvStream>, settings: &ListenerSettings) -> Option<ClientFault> {
    let limits = &settings.head;
    let fields = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let bytes = fields.iter().fold(target, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len() + value.len() + 4)
    });
    if target > limits.target_bytes {
        Some(ClientFault::TargetTooLong)
    } else if fields.len() > limits.fields {
        Some(ClientFault::FieldsTooMany)
    } else if bytes > limits.head_bytes {
        Some(ClientFault::HeadTooLarge)
    } else {
        None
    }
}

/// Makes a head one of HTTP/2: without connection-specific fields (RFC 9113 8.2.2), with a Date
/// (RFC 9110 6.6.1) and, where the content's length is known, with that.
fn settle_head(head: &mut Parts, length: Option<u64>, wall: impl FnOnce() -> SystemTime) {
    if head.headers.keys().any(fields::is_connection_specific) {
        fields::remove_connection_fields_of_response(&mut head.headers);
    }
    if !head.headers.contains_key(header::DATE)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(wall()))
    {
        head.headers.insert(header::DATE, date);
    }
    if let Some(length) = length {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
}

/// A response's content on its way into the library.
struct Sending<B> {
    stream: SendStream<Bytes>,
    pieces: Pieces<B>,
    /// What is left of the last piece of the body.
    rest: Bytes,
    /// Whether the body ends with `rest`.
    is_last: bool,
    patience: Patience,
    sleep: Option<Pin<Box<Sleep>>>,
    clock: Clock,
    events: Arc<dyn EventSink>,
}

impl<B: ResponseBody> Sending<B> {
    fn new<H: Handler>(context: &ConnectionContext<H>, stream: SendStream<Bytes>, body: B) -> Self {
        Self {
            stream,
            pieces: Pieces::new(body),
            rest: Bytes::new(),
            is_last: false,
            patience: Patience::new(context.settings.send_floor),
            sleep: None,
            clock: context.clock.clone(),
            events: Arc::clone(&context.handler) as _,
        }
    }

    async fn finish(mut self) {
        poll_fn(|context| {
            if self.poll_send(context).is_ready() {
                return Poll::Ready(());
            }
            self.stream.poll_reset(context).map(|_reason| ())
        })
        .await;
    }

    /// Ready when nothing is left to do, whether all was sent or the stream is lost.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.rest.is_empty() {
                if ready!(self.poll_piece(context)).is_break() {
                    return Poll::Ready(());
                }
                continue;
            }
            let Poll::Ready(polled) = self.pieces.poll(self.events.as_ref(), context) else {
                // The wait is not the client's.
                let clock = &self.clock;
                self.patience.unblocked(|| clock.now());
                return Poll::Pending;
            };
            match polled {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.rest = data;
                        self.is_last = self.pieces.is_end();
                        if self.rest.is_empty() && self.is_last {
                            break;
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            // A stream that does not take them is lost.
                            let _ = self.stream.send_trailers(trailers);
                            return Poll::Ready(());
                        }
                    }
                },
                Some(Err(_failure)) => {
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
                None => break,
            }
        }
        let _ = self.stream.send_data(Bytes::new(), true);
        Poll::Ready(())
    }
    /// Hands over the next piece of `rest`, as soon as the client has room for any of it.
    /// Breaks when the response is complete, or the stream lost.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<ControlFlow<()>> {
        // The least claim on the connection's window: what a stream claims and does not use is
        // missing to the others. The library claims the rest with the piece itself.
        self.stream.reserve_capacity(1);
        if self.stream.capacity() == 0 {
            match self.stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(ControlFlow::Break(())),
                Poll::Pending => return self.poll_too_slow(context).map(ControlFlow::Break),
            }
        }
        let count = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(count);
        let ends = self.is_last && self.rest.is_empty();
        if self.stream.send_data(piece, ends).is_err() || ends {
            return Poll::Ready(ControlFlow::Break(()));
        }
        let clock = &self.clock;
        self.patience.moved(count, || clock.now());
        Poll::Ready(ControlFlow::Continue(()))
    }

    /// The client makes us wait: ready once it has done so for too long.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            let end = self.patience.blocked(|| now);
            if self.patience.is_exhausted(now) {
                self.events
                    .event(ConnectionEvent::LimitHit(Limit::SendFloor));
                return Poll::Ready(());
            }
            let rest = end.saturating_duration_since(now);
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(rest)));
            if sleep.is_elapsed() {
                sleep.as_mut().reset(TimerInstant::now() + rest);
            }
            ready!(pin!(tokio::task::coop::unconstrained(sleep.as_mut())).poll(context));
        }
    }
}
