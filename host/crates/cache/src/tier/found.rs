//! What a tier had, published by the leader that asked for it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use verge_http::Body;

use crate::collapse::{FillPermit, Filling};
use crate::partial::FillTarget;
use crate::record::Recorded;
use crate::response::{StoredHead, StoredResponse};
use crate::segment::{self, SEGMENT_BYTES};
use crate::tier::Unusable;

/// What came of publishing what a tier had.
#[derive(Debug)]
#[must_use = "a refusal gives the permit back"]
pub enum Found {
    /// Content may be written; followers get it like a fill's.
    Filling(Box<Filling>),
    /// It cannot be used: the origin has to be asked after all.
    Refused(FillPermit, Unusable),
}

/// What came of bringing into memory what has to be validated.
pub type Restored = Result<Arc<StoredResponse>, Unusable>;

impl Recorded {
    /// The same, as of the purge `sequence` of this node.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.head.sequence = sequence;
        self
    }
}

impl FillPermit {
    /// Publishes what a tier had and what may be reused as it is: followers whose requests it
    /// answers get it from its beginning. The caller writes the content.
    pub fn begin_found(mut self, recorded: Recorded) -> Found {
        match self.found_head(recorded) {
            Ok((head, content_length)) => {
                self.mark_found(head.sequence);
                Found::Filling(Box::new(self.fill(
                    head,
                    Some(content_length),
                    FillTarget::Own,
                )))
            }
            Err(reason) => Found::Refused(self, reason),
        }
    }

    /// Brings into memory what a tier had and what has to be validated before it is reused.
    /// It is stored there as it is; the permit stands.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn restore(&self, recorded: Recorded, mut content: Body) -> Restored {
        let (head, content_length) = self.found_head(recorded)?;
        let inner = self.inner();
        let mut segments: Vec<Bytes> = Vec::new();
        let mut written = 0_u64;
        while let Some(frame) = content.frame().await {
            let Ok(mut data) = frame.map_err(|_| Unusable::Failed)?.into_data() else {
                continue;
            };
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(SEGMENT_BYTES));
                written = written.saturating_add(piece.len() as u64);
                let reservation = inner
                    .reserve(segment::segment_cost(piece.len()))
                    .ok_or(Unusable::MemoryExhausted)?;
                segments.push(segment::copied(&piece, reservation));
            }
        }
        if written != content_length {
            return Err(Unusable::Failed);
        }
        let response = Arc::new(StoredResponse::new(head, segments.into()));
        let is_stored = inner.store.insert(self.key(), &response, &|| {
            inner.admits(self.key(), &response)
        });
        if is_stored {
            Ok(response)
        } else {
            Err(Unusable::Purged)
        }
    }

    /// The head as it can be stored in memory now.
    fn found_head(&self, recorded: Recorded) -> Result<(Arc<StoredHead>, u64), Unusable> {
        let inner = self.inner();
        let content_length = recorded.content_length;
        if content_length > inner.settings.max_object {
            return Err(Unusable::ObjectTooLarge);
        }
        let head = inner
            .unpurged(self.key(), recorded)
            .ok_or(Unusable::Purged)?;
        let cost = head.cost.saturating_add(self.key().len() as u64);
        let reservation = inner.reserve(cost).ok_or(Unusable::MemoryExhausted)?;
        let head = head.with_reservation(reservation);
        Ok((Arc::new(head), content_length))
    }
}
