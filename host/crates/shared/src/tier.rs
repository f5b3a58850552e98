//! The region's stored responses as a tier of the cache: records in, records out.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use verge_base::Clock;
use verge_cache::StoredResponse;
use verge_cache::policy::Freshness;
use verge_cache::record::{self, ReadAt, RecordError, Recorded, Walls};
use verge_cache::tier::{
    Dropped, Listed, Off, Saved, Tier, TierAnswer, TierFuture, TierHit, TierKey, TierMiss,
    TierName, Want,
};

use crate::l2::content::body;
use crate::l2::{Candidate, LookupOutcome, SavedResponse};
use crate::shared::Shared;

/// See the module.
pub struct L2Tier {
    shared: Arc<Shared>,
    walls: Walls,
}

impl L2Tier {
    /// The tier of what `shared` shares.
    #[must_use]
    pub fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        Self {
            shared,
            walls: Walls::new(clock),
        }
    }

    async fn find(&self, key: &TierKey, request: &HeaderMap, want: Want) -> TierAnswer {
        let mut answers_none = false;
        let pick = |candidate: Candidate<'_>| {
            let (sent, recorded) = self.read(&candidate)?;
            if recorded.head.is_selected_by(request) {
                // Of several that answer, the latest (RFC 9111 4).
                Some((sent, recorded))
            } else {
                answers_none = true;
                None
            }
        };
        match self.shared.load(key.digest(), want, pick).await {
            Ok(found) => TierAnswer::Hit(Box::new(TierHit {
                recorded: found.head.with_sequence(found.sequence),
                content: body(found.content),
            })),
            Err(LookupOutcome::Miss) if answers_none => TierAnswer::Miss(TierMiss::Variant),
            Err(outcome) => refusal(outcome),
        }
    }

    async fn heads(&self, key: &TierKey) -> Listed {
        let read = |candidate: Candidate<'_>| {
            let (sent, recorded) = self.read(&candidate)?;
            Some((sent, recorded.with_sequence(candidate.sequence)))
        };
        let listed = self.shared.list(key.digest(), read).await;
        let mut listed = listed.map_err(LookupOutcome::label)?;
        // As `find` ranks them.
        listed.sort_by_key(|(sent, _)| Reverse(*sent));
        Ok(listed.into_iter().map(|(_, recorded)| recorded).collect())
    }

    /// The head, aged by the clock of who wrote it, or by ours if that makes it older: clocks
    /// that differ make nothing fresher than it is (RFC 9111 4.2.3). And when it was asked for,
    /// by our own clock.
    fn read(&self, candidate: &Candidate<'_>) -> Option<(SystemTime, Recorded)> {
        let at = ReadAt {
            now: self.walls.clock().now(),
            wall: self.walls.now().max(candidate.writer_wall),
            tolerance: Duration::ZERO,
        };
        let recorded = record::decode(candidate.record, at).ok()?;
        let ago = candidate.writer_wall.duration_since(recorded.sent_wall?);
        let sent = self.walls.now().checked_sub(ago.unwrap_or_default())?;
        (recorded.content_length == candidate.content_length).then_some((sent, recorded))
    }
}

/// Remaining freshness and the longer of the stale windows (RFC 5861 3, 4).
fn useful_for(freshness: &Freshness) -> Duration {
    let windows = freshness.stale;
    let window = windows.while_revalidate.max(windows.if_error);
    if freshness.lifetime.is_zero() {
        return Duration::ZERO;
    }
    let until = freshness
        .lifetime
        .saturating_add(window.unwrap_or_default());
    until.saturating_sub(freshness.age)
}

fn refusal(outcome: LookupOutcome) -> TierAnswer {
    match outcome {
        LookupOutcome::Hit | LookupOutcome::Miss => TierAnswer::Miss(TierMiss::NotFound),
        LookupOutcome::Untrusted => TierAnswer::Miss(TierMiss::Starting),
        LookupOutcome::Slow => TierAnswer::Miss(TierMiss::Slow),
        LookupOutcome::Off => TierAnswer::Off(Off::Unresponsive),
        LookupOutcome::Trouble | LookupOutcome::Incomplete => TierAnswer::Miss(TierMiss::Failed),
        LookupOutcome::Garbage => TierAnswer::Miss(TierMiss::Corrupt(RecordError::Malformed)),
        LookupOutcome::Busy => TierAnswer::Miss(TierMiss::Busy),
    }
}

/// All of the content; a stored response has it at hand.
fn pieces(response: &StoredResponse) -> Option<Vec<Bytes>> {
    let mut body = response.body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().now_or_never()? {
        if let Ok(data) = frame.ok()?.into_data() {
            pieces.push(data);
        }
    }
    Some(pieces)
}

/// Names the variant by what it varies by and the values that select it.
fn variant(response: &StoredResponse) -> [u8; 16] {
    let head = response.head();
    let mut text = Vec::new();
    for name in head.vary().names() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.push(0);
    }
    text.push(0);
    text.extend_from_slice(head.variant_key().as_bytes());
    let mut other = text.clone();
    other.push(1);
    let mut named = [0; 16];
    let (first, second) = named.split_at_mut(8);
    first.copy_from_slice(&record::checksum(&text).to_be_bytes());
    second.copy_from_slice(&record::checksum(&other).to_be_bytes());
    named
}

impl Tier for L2Tier {
    fn name(&self) -> TierName {
        TierName::L2
    }

    fn load<'a>(
        &'a self,
        key: &'a TierKey,
        request: &'a HeaderMap,
        want: Want,
    ) -> TierFuture<'a, TierAnswer> {
        Box::pin(self.find(key, request, want))
    }

    fn list<'a>(&'a self, key: &'a TierKey) -> TierFuture<'a, Listed> {
        Box::pin(self.heads(key))
    }

    fn save(&self, key: &TierKey, response: &Arc<StoredResponse>) -> Saved {
        let saved = self.queue(key, response);
        if let Saved::Dropped(_) = saved {
            // What is there is older (RFC 9111 4).
            self.forget(key);
        }
        saved
    }

    fn forget(&self, key: &TierKey) {
        self.shared.forget(key.digest());
    }
}

impl L2Tier {
    fn queue(&self, key: &TierKey, response: &Arc<StoredResponse>) -> Saved {
        let head = response.head();
        let now = self.walls.clock().now();
        let useful_for = useful_for(&response.freshness(now));
        if useful_for.is_zero() || !self.shared.is_trusted() {
            return Saved::Dropped(Dropped::Off);
        }
        let length = response.content_length();
        let (Ok(record), Some(content)) =
            (record::encode(head, length, &self.walls), pieces(response))
        else {
            return Saved::Dropped(Dropped::TooLarge);
        };
        self.shared.save(SavedResponse {
            key: *key.digest(),
            variant: variant(response),
            record: record.into(),
            wall: self.walls.of(now),
            content,
            sequence: head.sequence(),
            useful_for,
        })
    }
}
