//! Where pieces are kept: under keys derived from that of the whole response.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue};
use verge_base::Clock;

use super::decide::{Combination, Part, decide_combination};
use super::pieces::Pieces;
use crate::cache::{Cache, Inner, Lookup};
use crate::collapse::{Outcome, Seeker};
use crate::key::Key;
use crate::policy::updated_fields;
use crate::response::{StoredHead, StoredResponse, made_by};

/// The part of a key under which pieces of its response stand. No function
/// can declare a part of this name: theirs begin with `part `, `field ` or a word of the host.
const INCOMPLETE: &str = "incomplete";

/// The part of a key by which requests for one range are collapsed.
const RANGE: &str = "range";

/// The part of a key under which a slice stands.
const SLICE: &str = "slice";

/// What becomes of a filled response.
#[derive(Clone, Debug, Default)]
pub enum FillTarget {
    /// It is stored under the key of its fill.
    #[default]
    Own,
    /// It turned out to be a whole response, which is stored under this key.
    Whole(Key),
    /// It is a part of the response of this key, to the request with these
    /// fields, and joins the other pieces of it.
    Piece {
        /// The key of the whole response.
        whole: Key,
        /// The request's fields, as Vary sees them.
        request: HeaderMap,
        /// Which part.
        part: Part,
    },
}

/// A fetch of a whole response that a request could follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// Bytes that have arrived.
    pub reach: u64,
    /// Bytes of the whole, if that is known.
    pub total: Option<u64>,
}

/// Where a piece belongs.
pub(crate) struct PiecePlace<'a> {
    /// The key of the whole response.
    pub(crate) whole: &'a Key,
    pub(crate) part: Part,
    /// The request's fields by which other pieces are found; `None` takes their place.
    pub(crate) request: Option<&'a HeaderMap>,
}

/// The fields of a piece that is combined with `stored` (RFC 9111 3.4): those
/// of the newer response update those that are stored.
#[must_use]
pub fn combined_fields(stored: &StoredHead, newer: &HeaderMap) -> HeaderMap {
    let mut fields = updated_fields(stored.fields(), newer);
    fields.remove(CONTENT_LENGTH);
    fields.remove(CONTENT_RANGE);
    if let Some(range) = newer.get(CONTENT_RANGE) {
        fields.insert(CONTENT_RANGE, range.clone());
    }
    fields
}

impl Cache {
    /// The incomplete response of `key` that a request with `fields` selects.
    #[must_use]
    pub fn lookup_incomplete(&self, key: &Key, fields: &HeaderMap) -> Option<Arc<StoredResponse>> {
        self.inner().incomplete(key, fields)
    }

    /// The same, as if nobody had asked.
    #[must_use]
    pub fn peek_incomplete(&self, key: &Key, fields: &HeaderMap) -> Option<Arc<StoredResponse>> {
        match self.peek(&self.inner().incomplete_key(key), fields) {
            Lookup::Selected(stored) => Some(stored),
            Lookup::Miss(_) => None,
        }
    }

    /// Removes `stored`, an incomplete response of `key`.
    pub fn remove_incomplete(&self, key: &Key, stored: &Arc<StoredResponse>) {
        let place = self.derived_key(key, INCOMPLETE, b"");
        self.inner().store.remove_response(&place, stored);
    }

    /// The key by which requests for `range`, under the condition `if_range`, are collapsed.
    #[must_use]
    pub fn range_key(&self, key: &Key, range: &[u8], if_range: Option<&[u8]>) -> Key {
        // A line feed stands in no field value.
        let value = [range, if_range.unwrap_or_default()].join(&b'\n');
        self.derived_key(key, RANGE, &value)
    }

    /// The key of slice `number` where slices have `size` bytes.
    #[must_use]
    pub fn slice_key(&self, key: &Key, size: u64, number: u64) -> Key {
        let value = [size.to_le_bytes(), number.to_le_bytes()].concat();
        self.derived_key(key, SLICE, &value)
    }

    /// The fetch that `seeker` would follow, if there is one.
    #[must_use]
    pub fn in_flight(&self, seeker: &Seeker<'_>) -> Option<InFlight> {
        let inner = self.inner();
        let flight = inner.flights.find(&inner.flight_key(seeker))?;
        let outcome = flight.outcome.borrow();
        match &*outcome {
            Outcome::Pending => Some(InFlight {
                reach: 0,
                total: None,
            }),
            Outcome::Filling(_, fill) => Some(InFlight {
                reach: fill.reach(),
                total: fill.expected(),
            }),
            Outcome::Stored(_) | Outcome::Released(_) => None,
        }
    }

    /// Removes `stored`, which stands under `key`.
    pub fn remove_stored(&self, key: &Key, stored: &Arc<StoredResponse>) {
        self.inner().store.remove_response(key, stored);
    }

    fn derived_key(&self, key: &Key, name: &str, value: &[u8]) -> Key {
        key.with_part(&self.inner().hasher, name, value)
    }
}

/// A piece, with the stored ones that it belongs to.
struct Combined {
    head: StoredHead,
    pieces: Pieces,
    content: Arc<[Bytes]>,
    /// Whether stored ones are in it.
    is_more: bool,
}

impl Inner {
    pub(crate) fn incomplete_key(&self, key: &Key) -> Key {
        key.with_part(&self.hasher, INCOMPLETE, b"")
    }

    fn incomplete(&self, key: &Key, fields: &HeaderMap) -> Option<Arc<StoredResponse>> {
        let place = self.incomplete_key(key);
        match self.judged(&place, || self.store.select(&place, fields)) {
            Lookup::Selected(stored) => Some(stored),
            Lookup::Miss(_) => None,
        }
    }

    /// A whole response of `key` was stored: pieces of an earlier one are not needed.
    pub(crate) fn whole_stored(&self, key: &Key) {
        self.store.remove(&self.incomplete_key(key));
    }

    /// Stores a piece, with those that it combines with; as a complete
    /// response, if nothing is missing any more. `None` if it was purged meanwhile, or something that
    /// was asked for later is stored.
    pub(crate) fn keep_piece(
        &self,
        place: &PiecePlace<'_>,
        head: &StoredHead,
        content: Arc<[Bytes]>,
    ) -> Option<Arc<StoredResponse>> {
        // Pieces that arrive at once do not lose each other.
        let _one_at_a_time = self.combining.lock();
        let Combined {
            head,
            pieces,
            content,
            is_more,
        } = self.combined(place, head, content);
        let mut fields = head.fields().clone();
        fields.remove(CONTENT_RANGE);
        fields.remove(CONTENT_LENGTH);
        let is_complete = pieces.is_complete()
            && pieces
                .total()
                .is_some_and(|total| total <= self.settings.max_object);
        let (key, response) = if is_complete {
            if let Some(total) = pieces.total() {
                fields.insert(CONTENT_LENGTH, HeaderValue::from(total));
            }
            let head = Arc::new(head.of_whole(fields));
            (place.whole.clone(), StoredResponse::new(head, content))
        } else {
            let head = Arc::new(head.of_whole(fields));
            let response = StoredResponse::incomplete(head, content, pieces);
            (self.incomplete_key(place.whole), response)
        };
        let response = Arc::new(response);
        // What was asked for later stays (RFC 9111 4), but for pieces that are in this, too.
        let is_admitted = || match is_more && !is_complete {
            true => self.admits(&key, &response),
            false => self.refusal_of(&key, &response).is_none(),
        };
        let is_stored = self.store.insert(&key, &response, &is_admitted);
        if is_complete {
            self.whole_stored(place.whole);
        }
        is_stored.then_some(response)
    }

    /// The piece with the stored ones that it belongs to, as far as limits allow.
    fn combined(
        &self,
        place: &PiecePlace<'_>,
        head: &StoredHead,
        content: Arc<[Bytes]>,
    ) -> Combined {
        let Part { range, total } = place.part;
        let stored = place
            .request
            .and_then(|request| self.incomplete(place.whole, request));
        if let Some(stored) = stored
            && let Some(pieces) = stored.pieces()
            && is_combined(stored.head(), pieces.total(), head, total, &self.clock)
        {
            let most = self.settings.pieces_max;
            if let Some((pieces, combined)) =
                pieces.combined(stored.segments(), range, &content, most)
                && content_length(&combined) <= self.settings.max_object
                && let Some(head) = self.with_names_of(head, stored.head())
            {
                return Combined {
                    head,
                    pieces,
                    content: combined.into(),
                    is_more: true,
                };
            }
            self.stats.dropped_pieces();
        }
        Combined {
            head: head.clone(),
            pieces: Pieces::of(range, total),
            content,
            is_more: false,
        }
    }

    /// `head` with the surrogate keys and the functions of `stored`, too: a purge by those of any
    /// piece is about all that the piece is a part of. `None` if there are too many, or no memory
    /// for them.
    fn with_names_of(&self, head: &StoredHead, stored: &StoredHead) -> Option<StoredHead> {
        let keys = stored.surrogate_keys().joined(head.surrogate_keys()).ok()?;
        let made_by = made_by::joined(stored.made_by(), head.made_by().map(|names| &**names));
        let made_by = made_by.ok()?;
        let mut head = head.clone();
        if keys != *head.surrogate_keys() || made_by.as_ref() != head.made_by() {
            head.set_surrogate_keys(keys);
            head.set_made_by(made_by);
            let reservation = self.reserve(head.cost())?;
            head = head.with_reservation(reservation);
        }
        Some(head)
    }
}

fn content_length(segments: &[Bytes]) -> u64 {
    segments.iter().map(|segment| segment.len() as u64).sum()
}

fn is_combined(
    stored: &StoredHead,
    stored_total: Option<u64>,
    new: &StoredHead,
    new_total: Option<u64>,
    clock: &Clock,
) -> bool {
    let stored = (stored.fields(), stored_total);
    let new = (new.fields(), new_total);
    decide_combination(stored, new, clock.wall()) == Combination::Combine
}
