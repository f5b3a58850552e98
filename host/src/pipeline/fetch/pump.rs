//! Content from an origin into the cache, as fast as the origin and memory allow.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt as _;
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

/// Writes all of `body` into the cache, or says why not. Where it turns out that nothing will be
/// stored, no other node waits for the rest of it on account of the `lease`.
pub(super) async fn pump(
    mut body: Body,
    mut writer: FillWriter,
    lease: &mut Option<FetchLease>,
) -> Pumped {
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let data = match frame.map(http_body::Frame::into_data) {
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
            let bytes = writer.written();
            let failure = match stopped {
                Stopped::NoReaders => None,
                Stopped::Failed(failure) => Some(failure),
            };
            writer.abort(failure.unwrap_or(Failure::Node(NodeFault::FillAbandoned)));
            return Pumped::not_stored(bytes, "abandoned", failure);
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
