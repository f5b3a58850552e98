//! What a middleware imports: `handle` of `wasi:http/handler` 0.3, behind which
//! is the rest of the request path.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};
use wasmtime::component::{Access, Accessor, HasSelf, Linker, Resource};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{FieldMap, WasiBody, WasiHttpView as _};

use super::fetches::{FetchSender, UnderWay};
use super::passing::{HandedOn, Incoming, PARTLY_READ, PeerWait, Unread, Written, reclaim};
use crate::capabilities::FetchError;
use crate::message::Next;
use crate::state::Data;
use crate::wasi_http::{Outgoing, code_of};

/// What a call's middleware stands in front of, and what became of its requests to it.
pub(crate) struct Behind {
    next: Arc<dyn Next>,
    /// Target of the request that the middleware was given. What it leaves out stays as it was.
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    target: Option<PathAndQuery>,
    /// The request's content, once it is dropped unread.
    pub(super) unread: Unread,
    calls: AtomicU32,
    /// The last response from behind.
    given: Mutex<Option<Given>>,
    /// The last failure, with the word by which the guest was told.
    failed: Mutex<Option<(String, FetchError)>>,
}

struct Given {
    status: StatusCode,
    fields: HeaderMap,
    unread: Unread,
}

impl Behind {
    pub(crate) fn new(next: Arc<dyn Next>, uri: &http::Uri) -> Self {
        Self {
            next,
            scheme: uri.scheme().cloned(),
            authority: uri.authority().cloned(),
            target: uri.path_and_query().cloned(),
            unread: Unread::default(),
            calls: AtomicU32::new(0),
            given: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Whether the guest sent anything on.
    pub(crate) fn was_asked(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
    }

    /// The last response from behind, if none of its content was read. The guest has ended.
    pub(crate) fn take_given(&self) -> Option<http::Response<Body>> {
        let given = self.given.lock().take()?;
        let mut response = http::Response::new(given.unread.take()?);
        *response.status_mut() = given.status;
        *response.headers_mut() = given.fields;
        Some(response)
    }

    /// What failed behind, if that is what the guest tells.
    pub(crate) fn failure_of(&self, code: &ErrorCode) -> Option<FetchError> {
        let failed = self.failed.lock();
        let (told, error) = failed.as_ref()?;
        (*told == format!("{code:?}")).then_some(*error)
    }
}

/// Adds the import.
pub(crate) fn add_to_linker(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("wasi:http/handler@0.3.0")?;
    instance.func_wrap_concurrent("handle", |accessor, (request,): (Resource<Request>,)| {
        Box::pin(async move { Ok((handle(accessor, request).await?,)) })
    })
}

type Store<'a> = Access<'a, Data, HasSelf<Data>>;

async fn handle(
    accessor: &Accessor<Data>,
    request: Resource<Request>,
) -> wasmtime::Result<Result<Resource<Response>, ErrorCode>> {
    let (behind, request, under_way) = match accessor.with(|store| outgoing(store, request))? {
        Ok(taken) => taken,
        Err(code) => return Ok(Err(code)),
    };
    let request = match request {
        Asked::Complete(request) => request,
        Asked::Beginning(request) => begun(request).await,
    };
    // A task of its own: what is behind takes none of the guest's CPU time.
    let mut answering = Answering(tokio::spawn(behind.next.handle(request)));
    let shared = accessor.with(|mut store| Arc::clone(&store.data_mut().shared));
    let waiting = PeerWait::begin(&shared);
    let answered = (&mut answering.0).await;
    drop(waiting);
    // It panicked: that costs this request alone.
    let broken = |_| Err(FetchError::Failed(Failure::Node(NodeFault::Internal)));
    match answered.unwrap_or_else(broken) {
        Ok(response) => accessor
            .with(|store| given(store, &behind, response, under_way))
            .map(Ok),
        Err(error) => {
            let code = code_of(error);
            *behind.failed.lock() = Some((format!("{code:?}"), error));
            Ok(Err(code))
        }
    }
}

/// A response to come, which nobody makes any more once this is dropped.
struct Answering(JoinHandle<Result<http::Response<Body>, FetchError>>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that goes on.
enum Asked {
    Complete(http::Request<Body>),
    /// Whether it has content is not known before its guest writes some.
    Beginning(http::Request<Body>),
}

type Taken = Result<(Arc<Behind>, Asked, UnderWay), ErrorCode>;

/// Takes the request out of the guest's hands.
fn outgoing(mut store: Store<'_>, request: Resource<Request>) -> wasmtime::Result<Taken> {
    let state = store.data_mut();
    let (shared, limit) = (Arc::clone(&state.shared), state.limits().body);
    let (behind, sender) = (state.behind(), FetchSender::of(state));
    let view = state.http();
    let mut request = view.table.delete(request)?;
    let declared = take_length(view.hooks, &mut request.headers);
    if let Some(behind) = &behind {
        request.scheme = request.scheme.or_else(|| behind.scheme.clone());
        request.authority = request.authority.or_else(|| behind.authority.clone());
        request.path_with_query = request.path_with_query.or_else(|| behind.target.clone());
    }
    // Also where it goes nowhere: this closes the guest's streams.
    let request = match request.into_http(&mut store, std::future::ready(Ok(()))) {
        Ok((request, _)) => request,
        Err(error) => return error.downcast().map(Err),
    };
    let Some(behind) = behind else {
        return Ok(Err(code_of(FetchError::Denied)));
    };
    let under_way = match sender.pass() {
        Ok(under_way) => under_way,
        Err(refused) => return Ok(Err(code_of(refused))),
    };
    let (head, content) = request.into_parts();
    let written = |content| Written::new(content, limit, declared).of(&shared);
    let Some((content, is_written)) = sent_on(content, written) else {
        return Ok(Err(ErrorCode::InternalError(Some(PARTLY_READ.to_owned()))));
    };
    behind.calls.fetch_add(1, Ordering::Relaxed);
    let is_bare = matches!(head.method, Method::GET | Method::HEAD) && declared.is_none();
    let mut request = http::Request::from_parts(head, content);
    let length = match is_written {
        true => declared,
        false => request.body().exact_len().filter(|length| *length > 0),
    };
    if let Some(length) = length {
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Ok(Ok((
        behind,
        match is_written && is_bare {
            true => Asked::Beginning(request),
            false => Asked::Complete(request),
        },
        under_way,
    )))
}

/// The content of a request that goes on, and whether its guest writes it; `None` if a part of it
/// may be missing.
fn sent_on(content: WasiBody, written: impl FnOnce(WasiBody) -> Written) -> Option<(Body, bool)> {
    Some(match reclaim(&content) {
        HandedOn::PartlyRead => return None,
        HandedOn::Whole(content) if http_body::Body::is_end_stream(&content) => {
            (Body::Empty, false)
        }
        HandedOn::Whole(content) => (content, false),
        HandedOn::Nothing if http_body::Body::is_end_stream(&content) => (Body::Empty, false),
        HandedOn::Nothing => {
            let outgoing = Outgoing(written(content).boxed_unsync());
            (Body::stream(outgoing), true)
        }
    })
}

/// The request without content if its guest writes none: a GET with some goes past the cache.
async fn begun(mut request: http::Request<Body>) -> http::Request<Body> {
    let first = request.body_mut().frame().await;
    match first {
        Some(Ok(frame)) if frame.is_data() => request.map(|rest| {
            let first = Some(frame);
            Body::stream(Begun { first, rest })
        }),
        Some(Err(_)) => request,
        Some(Ok(_)) | None => request.map(|_| Body::Empty),
    }
}

/// Content of which the first piece has come.
struct Begun {
    first: Option<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.first.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && http_body::Body::is_end_stream(&self.rest)
    }

    fn size_hint(&self) -> SizeHint {
        // It is not known: the request said nothing of a length.
        SizeHint::new()
    }
}

/// Gives the guest a response from behind.
fn given(
    mut store: Store<'_>,
    behind: &Behind,
    response: http::Response<Body>,
    under_way: UnderWay,
) -> wasmtime::Result<Resource<Response>> {
    let state = store.data_mut();
    let (shared, limit) = (Arc::clone(&state.shared), state.limits().body);
    let unread = Unread::default();
    *behind.given.lock() = Some(Given {
        status: response.status(),
        fields: response.headers().clone(),
        unread: unread.clone(),
    });
    let response = response.map(|body| {
        let incoming = Incoming::new(body, &shared, limit, Some(unread));
        incoming.until_read(under_way)
    });
    let view = state.http();
    let (response, _) = Response::from_http(view.hooks, response);
    Ok(view.table.push(response)?)
}

/// Takes the Content-Length out of a message, so that nothing stands between its content and what
/// looks at it here.
pub(super) fn take_length(
    hooks: &mut dyn wasmtime_wasi_http::WasiHttpHooks,
    fields: &mut FieldMap,
) -> Option<u64> {
    let length = fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    fields.set_mutable(usize::MAX);
    let removed = fields.remove_all(hooks, CONTENT_LENGTH.as_str().to_owned());
    removed.ok().and(length)
}
