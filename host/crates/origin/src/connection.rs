//! One connection to an origin: the handle by which requests go over it. The
//! task that drives it holds its [`Slot`](crate::pool::Slot).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::meter::Meter;
use crate::pool::Endpoint;
use crate::request_body::RequestBody;

/// A connection that no other exchange uses. Dropped, it is closed at once,
/// whatever was going on.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: AbortHandle,
    pub(crate) meter: Arc<Meter>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The worker whose runtime drives it.
    pub(crate) worker: usize,
    pub(crate) idle_since: Instant,
}

impl Connection {
    pub(crate) fn new(
        sender: SendRequest<RequestBody>,
        driver: AbortHandle,
        meter: Arc<Meter>,
        endpoint: Arc<Endpoint>,
    ) -> Self {
        Self {
            sender,
            driver,
            meter,
            endpoint,
            worker: current_worker(),
            idle_since: Instant::now(),
        }
    }

    /// The last exchange is over in both directions, and the origin has not
    /// closed the connection, as far as is known.
    pub(crate) fn is_usable(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the connection is usable; false if it closes.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) fn send(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> impl Future<
        Output = Result<http::Response<Incoming>, TrySendError<http::Request<RequestBody>>>,
    > + use<> {
        self.sender.try_send_request(request)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The number of the thread that asks: each core's runtime has one of its own.
pub(crate) fn current_worker() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static WORKER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    WORKER.with(|worker| *worker)
}
