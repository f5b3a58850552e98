//! Calls of `wasi:http` 0.3 handlers: one request for each store, so that its
//! time is the request's. The guest goes on while its response is read, and
//! after that until it has nothing left to do.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use verge_http::status;
use wasmtime::Store;
use wasmtime::component::{Access, Accessor, HasSelf};
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use super::next::{Behind, take_length};
use super::output::Committed;
use super::passing::{HandedOn, Incoming, Written, reclaim};
use crate::state::Data;

/// Lets the guest answer its request. The deadline is not polled in here but around it: while a
/// guest runs or waits inside of a hostcall, nothing else of its store is polled.
pub(super) async fn handle(store: &mut Store<Data>, guest: &Service) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let shared = Arc::clone(&state.shared);
    let Some(mut request) = state.incoming.take() else {
        wasmtime::bail!("there is no request");
    };
    let behind = request.extensions_mut().remove::<Arc<Behind>>();
    let unread = behind.as_ref().map(|behind| behind.unread.clone());
    state.put_behind(behind.clone());
    let is_head = *request.method() == Method::HEAD;
    let limit = state.limits().body;
    let request = request.map(|body| Incoming::new(body, &shared, limit, unread));
    let (request, processed) = Request::from_http(state.http().hooks, request);
    let concurrently = store.run_concurrent(async move |accessor: &Accessor<Data>| {
        let (reader, is_read) = oneshot::channel();
        let committed = match guest.handle(accessor, request).await? {
            Ok(response) => accessor.with(|store| {
                let response = Responding { response, is_head };
                response.commit(store, processed, reader)
            })?,
            Err(code) => {
                drop(reader);
                match behind.and_then(|behind| behind.failure_of(&code)) {
                    Some(error) => Committed::FailedBehind(error),
                    None => Committed::Service(Box::new(Err(format!("{code:?}")))),
                }
            }
        };
        shared.output.lock().commit(committed);
        // What passes through the store needs it until it has passed.
        let _ = is_read.await;
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        wasmtime::error::Ok(())
    });
    concurrently.await?
}

/// The guest's answer, on its way out.
struct Responding {
    response: Response,
    is_head: bool,
}

impl Responding {
    /// `reader` is dropped when nobody needs the store for the content any more.
    fn commit(
        mut self,
        mut store: Access<'_, Data, HasSelf<Data>>,
        processed: impl Future<Output = Result<(), Error>> + Send + 'static,
        reader: oneshot::Sender<Infallible>,
    ) -> wasmtime::Result<Committed> {
        let hooks = store.data_mut().http().hooks;
        let declared = take_length(hooks, &mut self.response.headers);
        let response = self.response.into_http(&mut store, processed)?;
        let (mut head, body) = response.into_parts();
        // Content-Length of what has no content is that of another response (RFC 9110 8.6).
        let is_bare = self.is_head || status::forbids_content(head.status);
        let handed_on = reclaim(&body);
        let length = match &handed_on {
            HandedOn::Whole(content) if !is_bare => content.exact_len(),
            HandedOn::Whole(_) | HandedOn::PartlyRead | HandedOn::Nothing => declared,
        };
        if let Some(length) = length {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        Ok(match handed_on {
            HandedOn::Whole(content) => {
                Committed::Passed(Box::new(http::Response::from_parts(head, content)))
            }
            HandedOn::PartlyRead => Committed::PartlyRead,
            HandedOn::Nothing => {
                let declared = declared.filter(|_| !is_bare);
                // The reader of the content holds it to the limit.
                let body = Written::new(body, u64::MAX, declared).boxed_unsync();
                let reader = Some(reader);
                let body = Read { body, reader }.boxed_unsync();
                let response = http::Response::from_parts(head, body);
                Committed::Service(Box::new(Ok(response)))
            }
        })
    }
}

/// Content that tells, by its end or by being dropped, that nobody reads it any more.
struct Read {
    body: WasiBody,
    reader: Option<oneshot::Sender<Infallible>>,
}

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            self.reader = None;
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
