//! `fetch`: requests of functions with the SDK. They are under way in tasks of
//! their own, which end with the handle or with the call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Frame;
use verge_http::failure::FunctionFault;
use verge_http::{Body, Failure};
use wasmtime::component::Resource;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::fields;
use crate::bindings::verge::edge::fetch::{
    self, FetchError as GuestError, HostFetched, HostPending,
};
use crate::bindings::verge::edge::types::{BodyError, Edit, Field};
use crate::call::{FetchSender, Fetched};
use crate::capabilities::FetchError;
use crate::handles::{FetchedHandle, PendingHandle, ReaderHandle};
use crate::state::{CallState, MessageRef, Reader};

type Answer = Result<Response<Fetched>, FetchError>;

/// Requests under way and responses of one call. Places are used again; how many there are is
/// bounded by the number of requests that a call may send.
#[derive(Default)]
pub(crate) struct Exchanges {
    pending: Vec<Option<AbortOnDropJoinHandle<Answer>>>,
    fetched: Vec<Option<Received>>,
}

impl Exchanges {
    /// Whether the guest holds none.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.iter().all(Option::is_none) && self.fetched.iter().all(Option::is_none)
    }
}

struct Received {
    head: Response<()>,
    body: Option<Fetched>,
}

impl fetch::Host for CallState {
    fn send(
        &mut self,
        request: fetch::Request,
        content: Vec<u8>,
    ) -> wasmtime::Result<Result<Resource<PendingHandle>, GuestError>> {
        self.hostcall()?;
        self.send_with(request, Body::from(Bytes::from(content)))
    }

    fn pass_on(
        &mut self,
        request: fetch::Request,
        content: Resource<ReaderHandle>,
    ) -> wasmtime::Result<Result<Resource<PendingHandle>, GuestError>> {
        self.hostcall()?;
        match self.readers.remove(content.rep()) {
            Some(reader) => self.send_with(request, unread(reader)),
            None => wasmtime::bail!("no such reader"),
        }
    }
}

impl HostPending for CallState {
    async fn wait(
        &mut self,
        pending: Resource<PendingHandle>,
    ) -> wasmtime::Result<Result<Resource<FetchedHandle>, GuestError>> {
        self.hostcall()?;
        let response = match take(&mut self.exchanges.pending, pending.rep())?.await {
            Ok(response) => response,
            Err(error) => return Ok(Err(told(error))),
        };
        let (head, body) = response.into_parts();
        let received = Received {
            head: Response::from_parts(head, ()),
            body: Some(body),
        };
        let number = put(&mut self.exchanges.fetched, received)?;
        Ok(Ok(Resource::new_own(number)))
    }

    fn drop(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<()> {
        take(&mut self.exchanges.pending, pending.rep()).map(drop)
    }
}

impl HostFetched for CallState {
    fn status(&mut self, fetched: Resource<FetchedHandle>) -> wasmtime::Result<u16> {
        Ok(self.received(&fetched)?.head.status().as_u16())
    }

    fn get(
        &mut self,
        fetched: Resource<FetchedHandle>,
        name: String,
    ) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(fields::joined(
            self.received(&fetched)?.head.headers(),
            &name,
        ))
    }

    fn get_many(
        &mut self,
        fetched: Resource<FetchedHandle>,
        names: Vec<String>,
    ) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        fields::joined_many(self.received(&fetched)?.head.headers(), &names)
    }

    fn fields(&mut self, fetched: Resource<FetchedHandle>) -> wasmtime::Result<Vec<Field>> {
        Ok(fields::all(self.received(&fetched)?.head.headers()))
    }

    fn body(
        &mut self,
        fetched: Resource<FetchedHandle>,
    ) -> wasmtime::Result<Result<Resource<ReaderHandle>, BodyError>> {
        let Some(body) = self.received(&fetched)?.body.take() else {
            return Ok(Err(BodyError::Taken));
        };
        let number = self.readers.add(Reader {
            of: MessageRef::Fetched,
            body: Body::stream(Arriving(body)),
            rest: Bytes::new(),
            read: 0,
        })?;
        Ok(Ok(Resource::new_own(number)))
    }

    fn drop(&mut self, fetched: Resource<FetchedHandle>) -> wasmtime::Result<()> {
        take(&mut self.exchanges.fetched, fetched.rep()).map(drop)
    }
}

impl CallState {
    /// Counts a call into the host and finds a response.
    fn received(&mut self, fetched: &Resource<FetchedHandle>) -> wasmtime::Result<&mut Received> {
        self.hostcall()?;
        let place = self.exchanges.fetched.get_mut(fetched.rep() as usize);
        place
            .and_then(Option::as_mut)
            .ok_or_else(|| wasmtime::format_err!("no such response"))
    }

    fn send_with(
        &mut self,
        request: fetch::Request,
        body: Body,
    ) -> wasmtime::Result<Result<Resource<PendingHandle>, GuestError>> {
        let within = match request.head_within_ms {
            0 => None,
            millis => Some(Duration::from_millis(millis.into())),
        };
        let Some(request) = self.outgoing(request, body) else {
            return Ok(Err(GuestError::Invalid));
        };
        let sending = match FetchSender::of(self).send(request, within) {
            Ok(sending) => sending,
            Err(refused) => return Ok(Err(told(refused))),
        };
        let number = put(&mut self.exchanges.pending, spawn(sending))?;
        Ok(Ok(Resource::new_own(number)))
    }

    /// The request that a guest describes; `None` when it is none.
    fn outgoing(&self, request: fetch::Request, body: Body) -> Option<Request<Body>> {
        let mut headers = HeaderMap::new();
        let appended = request.fields.into_iter().map(Edit::Append).collect();
        let limits = *self.limits();
        let applied = fields::check(appended)
            .and_then(|changes| fields::apply(&mut headers, changes, &limits, &mut Vec::new()));
        let method = Method::from_bytes(request.method.as_bytes());
        let uri = Uri::try_from(request.uri);
        let (Ok(()), Ok(method), Ok(uri)) = (applied, method, uri) else {
            return None;
        };
        if uri.scheme().is_none() || uri.authority().is_none() {
            return None;
        }
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = headers;
        Some(outgoing)
    }
}

fn put<T>(places: &mut Vec<Option<T>>, value: T) -> wasmtime::Result<u32> {
    let number = match places.iter().position(Option::is_none) {
        Some(free) => free,
        None => {
            places.push(None);
            places.len() - 1
        }
    };
    if let Some(place) = places.get_mut(number) {
        *place = Some(value);
    }
    Ok(u32::try_from(number)?)
}

fn take<T>(places: &mut [Option<T>], number: u32) -> wasmtime::Result<T> {
    places
        .get_mut(number as usize)
        .and_then(Option::take)
        .ok_or_else(|| wasmtime::format_err!("no such handle"))
}

/// What a reader has not given to the guest yet.
fn unread(reader: Reader) -> Body {
    if reader.rest.is_empty() {
        return reader.body;
    }
    Body::stream(Unread {
        first: Some(reader.rest),
        rest: reader.body,
    })
}

/// Content that begins with what was read of a longer piece.
struct Unread {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// A response's content for a reader.
struct Arriving(Fetched);

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        let failure = |error| match error {
            FetchError::Failed(failure) => failure,
            _ => FunctionFault::ResponseInvalid.into(),
        };
        Poll::Ready(frame.map(|frame| frame.map_err(failure)))
    }
}

fn told(error: FetchError) -> GuestError {
    match error {
        FetchError::Denied => GuestError::Denied,
        FetchError::TooMany => GuestError::TooMany,
        FetchError::TooManyAtOnce => GuestError::TooManyAtOnce,
        FetchError::TooDeep => GuestError::TooDeep,
        FetchError::TooLarge => GuestError::TooLarge,
        FetchError::TimedOut => GuestError::TimedOut,
        FetchError::Invalid => GuestError::Invalid,
        FetchError::Failed(failure) => GuestError::Failed(failure.label().to_owned()),
    }
}
