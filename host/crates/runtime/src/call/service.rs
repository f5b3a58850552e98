//! Calls of `wasi:http` 0.3 handlers: one request for each store, so that its
//! time is the request's. The guest goes on while its response is read, and
//! after that until it has nothing left to do.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView as _};

use super::body::incoming;
use super::output::Committed;
use crate::state::Data;

/// Lets the guest answer its request. The deadline is not polled in here but around it: while a
/// guest runs or waits inside of a hostcall, nothing else of its store is polled.
pub(super) async fn handle(store: &mut Store<Data>, guest: &Service) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let shared = Arc::clone(&state.shared);
    let Some(request) = state.incoming.take() else {
        wasmtime::bail!("there is no request");
    };
    let request = incoming(request, &shared, state.limits().body);
    let (request, processed) = Request::from_http(state.http().hooks, request);
    let concurrently = store.run_concurrent(async move |accessor: &Accessor<Data>| {
        let (reader, is_read) = oneshot::channel();
        let answer = match guest.handle(accessor, request).await? {
            Ok(response) => {
                let response = accessor.with(|store| response.into_http(store, processed))?;
                Ok(response.map(|body| {
                    let reader = Some(reader);
                    Read { body, reader }.boxed_unsync()
                }))
            }
            Err(code) => {
                drop(reader);
                Err(format!("{code:?}"))
            }
        };
        shared
            .output
            .lock()
            .commit(Committed::Service(Box::new(answer)));
        // What passes through the store needs it until it has passed.
        let _ = is_read.await;
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        wasmtime::error::Ok(())
    });
    concurrently.await?
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
