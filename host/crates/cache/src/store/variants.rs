//! All responses stored under one key, of which a request's fields select one
//! (RFC 9111 4.1).

use std::sync::Arc;

use http::HeaderMap;
use smallvec::SmallVec;
use verge_http::vary::Vary;

use crate::key::{Key, KeyHasher};
use crate::response::StoredResponse;
use crate::store::Selection;

/// Most variants under one key; the one with the oldest Date goes first.
pub const VARIANTS_MAX: usize = 64;

/// Which variant of a key a request would select, as far as is known before
/// the origin has answered; requests of one hint are collapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VariantHint(u64);

/// The responses under one key, the most recent first. Never changed: a new
/// one takes its place.
pub(crate) struct Variants {
    list: SmallVec<[Arc<StoredResponse>; 1]>,
    bytes: u64,
}

impl VariantHint {
    /// Nothing is known of variants.
    pub const UNKNOWN: Self = Self(0);

    /// The variant that `request` selects of responses that vary by `vary`.
    pub(crate) fn of(hasher: &KeyHasher, vary: &Vary, request: &HeaderMap) -> Self {
        if vary.is_empty() {
            return Self::UNKNOWN;
        }
        match vary.variant_key(request) {
            Some(variant) => Self(hasher.hash(variant.as_bytes()) | 1),
            None => Self::UNKNOWN,
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

impl Variants {
    /// `response` beside those of `others` that it does not stand in for, as
    /// many as fit into `bytes_max`.
    pub(crate) fn with(
        others: Option<&Self>,
        key: &Key,
        response: &Arc<StoredResponse>,
        bytes_max: u64,
    ) -> Self {
        let mut list: SmallVec<[Arc<StoredResponse>; 1]> = SmallVec::new();
        list.push(Arc::clone(response));
        let cost = |stored: &StoredResponse| stored.cost().saturating_add(key.len() as u64);
        let mut bytes = cost(response);
        let date = response.head().date();
        for other in others.iter().flat_map(|others| &others.list) {
            // One that does not vary answers every request, so older ones are
            // never selected again.
            let is_replaced = other.head().is_same_variant(response.head())
                || (response.head().vary().is_empty() && other.head().date() <= date);
            let sum = bytes.saturating_add(cost(other));
            if !is_replaced && list.len() < VARIANTS_MAX && sum <= bytes_max {
                bytes = sum;
                list.push(Arc::clone(other));
            }
        }
        // Where several match, the most recent Date is selected (RFC 9111 4.1).
        // The sort is stable: of equal dates the one stored last comes first.
        list.sort_by_key(|stored| std::cmp::Reverse(stored.head().date()));
        Self { list, bytes }
    }

    /// All but `response`; `None` if nothing is left.
    pub(crate) fn without(&self, key: &Key, response: &Arc<StoredResponse>) -> Option<Self> {
        let list: SmallVec<[Arc<StoredResponse>; 1]> = self
            .list
            .iter()
            .filter(|stored| !Arc::ptr_eq(stored, response))
            .cloned()
            .collect();
        let cost = |stored: &Arc<StoredResponse>| stored.cost().saturating_add(key.len() as u64);
        let bytes = list.iter().map(cost).sum();
        (!list.is_empty()).then_some(Self { list, bytes })
    }

    pub(crate) fn contains(&self, response: &Arc<StoredResponse>) -> bool {
        self.list.iter().any(|stored| Arc::ptr_eq(stored, response))
    }

    /// All of them.
    pub(crate) fn responses(&self) -> impl Iterator<Item = Arc<StoredResponse>> {
        self.list.iter().cloned()
    }

    /// The response that `request` selects.
    pub(crate) fn select(&self, request: &HeaderMap) -> Selection {
        self.list
            .iter()
            .find(|stored| stored.head().is_selected_by(request))
            .map_or(Selection::VaryMiss, |stored| {
                Selection::Selected(Arc::clone(stored))
            })
    }

    /// All of them, the most recent first.
    pub(crate) fn all(&self) -> Vec<Arc<StoredResponse>> {
        self.list.to_vec()
    }

    /// The hint for `request`, by the response stored last that varies.
    pub(crate) fn hint(&self, hasher: &KeyHasher, request: &HeaderMap) -> VariantHint {
        self.list
            .iter()
            .map(|stored| stored.head().vary())
            .find(|vary| !vary.is_empty())
            .map_or(VariantHint::UNKNOWN, |vary| {
                VariantHint::of(hasher, vary, request)
            })
    }

    /// The site that they belong to: one key is of one site.
    pub(super) fn site(&self) -> Option<&Arc<str>> {
        self.list.first().and_then(|stored| stored.head().site())
    }

    /// Bytes of all of them, by what is reserved for them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
