//! Content from an origin into the cache, as fast as the origin and memory allow.

use http_body_util::BodyExt as _;
use verge_cache::{FillWriter, Finished, Stopped};
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};

/// How a pump ended.
pub(super) struct Pumped {
    pub(super) bytes: u64,
    pub(super) outcome: &'static str,
    pub(super) failure: Option<Failure>,
}

/// Writes all of `body` into the cache, or says why not.
pub(super) async fn pump(mut body: Body, mut writer: FillWriter) -> Pumped {
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
                return Pumped {
                    bytes,
                    outcome: "failed",
                    failure: Some(failure),
                };
            }
        };
        if let Err(stopped) = writer.push(data).await {
            let bytes = writer.written();
            let failure = match stopped {
                Stopped::NoReaders => None,
                Stopped::Failed(failure) => Some(failure),
            };
            writer.abort(failure.unwrap_or(Failure::Node(NodeFault::FillAbandoned)));
            return Pumped {
                bytes,
                outcome: "abandoned",
                failure,
            };
        }
    }
    let bytes = writer.written();
    match writer.finish(trailers) {
        Ok(Finished::Stored(_) | Finished::StoredWhole(..) | Finished::StoredPiece) => Pumped {
            bytes,
            outcome: "stored",
            failure: None,
        },
        Ok(Finished::Passed(reason)) => Pumped {
            bytes,
            outcome: reason.label(),
            failure: None,
        },
        Err(failure) => Pumped {
            bytes,
            outcome: "failed",
            failure: Some(failure),
        },
    }
}
