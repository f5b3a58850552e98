//! Content from an origin into the cache, as fast as the origin and memory allow.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use verge_base::{Permit, Permits};
use verge_cache::{FillWriter, Finished, Key, Stopped, StoredResponse};
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};

use super::lease::FetchLease;
use crate::node::NodeState;
use crate::route::Site;
use crate::telemetry::{FillReceipt, RequestId};

/// How a pump ended.
pub(super) struct Pumped {
    pub(super) bytes: u64,
    pub(super) outcome: &'static str,
    pub(super) failure: Option<Failure>,
    /// The complete response that is stored now, and its key.
    pub(super) stored: Option<(Key, Arc<StoredResponse>)>,
}

impl Pumped {
    fn stored(bytes: u64, stored: Option<(Key, Arc<StoredResponse>)>) -> Self {
        Self {
            bytes,
            outcome: "stored",
            failure: None,
            stored,
        }
    }

    /// Counts the fill of the request `id`, which began at `begun` and ends now.
    pub(super) fn record(&self, node: &NodeState, site: &Site, (id, begun): (RequestId, Instant)) {
        node.telemetry.metrics().record_fill(
            &site.metrics,
            &FillReceipt {
                id,
                total: node.clock.now().saturating_duration_since(begun),
                received_bytes: self.bytes,
                outcome: self.outcome,
                failure: self.failure,
            },
        );
    }

    fn not_stored(bytes: u64, outcome: &'static str, failure: Option<Failure>) -> Self {
        Self {
            bytes,
            outcome,
            failure,
            stored: None,
        }
    }
}

/// The place of a fetch among those that go on without their clients, or where it gets one.
pub(super) struct Place {
    places: Permits,
    held: Option<Permit>,
}

impl Place {
    /// The place that is `held`, if one is.
    pub(super) fn new(node: &NodeState, held: Option<Permit>) -> Self {
        Self {
            places: node.detached_fetches.clone(),
            held,
        }
    }

    /// Waits until `writer` has no reader any more and there is no place without one. Once there
    /// is a place, or all has come, it waits for ever.
    async fn unwanted(&mut self, writer: &FillWriter) {
        if self.held.is_none() && !writer.is_all_there() {
            writer.unread().await;
            self.held = self.places.try_acquire();
            if self.held.is_none() {
                return;
            }
        }
        std::future::pending().await
    }
}

type Next = Option<Result<Frame<Bytes>, Failure>>;

/// What comes next of `body`, or `Err` where nobody wants it.
async fn next(body: &mut Body, writer: &FillWriter, place: &mut Place) -> Result<Next, Stopped> {
    tokio::select! {
        // Looked at first: an origin that never lets wait does not hide that nobody reads.
        biased;
        () = place.unwanted(writer) => Err(Stopped::NoReaders),
        frame = body.frame() => Ok(frame),
    }
}

/// Writes all of `body` into the cache, or says why not. Where nobody reads any more, it goes on
/// in the fetch's `place`, or ends. Where it turns out that nothing will be stored, no other node
/// waits for the rest of it on account of the `lease`.
pub(super) async fn pump(
    mut body: Body,
    mut writer: FillWriter,
    place: &mut Place,
    lease: &mut Option<FetchLease>,
) -> Pumped {
    let mut trailers = None;
    loop {
        let frame = match next(&mut body, &writer, place).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(stopped) => return abandoned(writer, stopped),
        };
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(frame)) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
            Err(failure) => {
                let bytes = writer.written();
                writer.abort(failure);
                return Pumped::not_stored(bytes, "failed", Some(failure));
            }
        };
        if let Err(stopped) = writer.push(data).await {
            return abandoned(writer, stopped);
        }
        if writer.has_given_up()
            && let Some(lease) = lease.take()
        {
            lease.refuse();
        }
    }
    let bytes = writer.written();
    let key = writer.key().clone();
    match writer.finish(trailers) {
        Ok(Finished::Stored(stored)) => Pumped::stored(bytes, Some((key, stored))),
        Ok(Finished::StoredWhole(whole, stored)) => Pumped::stored(bytes, Some((whole, stored))),
        Ok(Finished::StoredPiece) => Pumped::stored(bytes, None),
        Ok(Finished::Passed(reason)) => Pumped::not_stored(bytes, reason.label(), None),
        Err(failure) => Pumped::not_stored(bytes, "failed", Some(failure)),
    }
}

fn abandoned(writer: FillWriter, stopped: Stopped) -> Pumped {
    let bytes = writer.written();
    let failure = match stopped {
        Stopped::NoReaders => None,
        Stopped::Failed(failure) => Some(failure),
    };
    writer.abort(failure.unwrap_or(Failure::Node(NodeFault::FillAbandoned)));
    Pumped::not_stored(bytes, "abandoned", failure)
}
