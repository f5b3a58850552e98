//! What is on disk, and where: kept in memory, rebuilt at the start.
//!
//! Segments are evicted in the order in which they were written, so what a
//! later record replaced never outlives it. Nothing here does I/O.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;

use smallvec::SmallVec;

use super::forgotten::{Forgotten, Gone};
use super::format::{Header, Link};

/// Most variants of one key; the one written first goes first.
pub(super) const VARIANTS_MAX: usize = 8;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) span: Span,
    /// The record with the content, if this is a newer head of it.
    pub(super) base: Option<Base>,
    variant: u64,
    uri: u64,
    /// It was asked for since it was written.
    is_used: bool,
}

/// The record in which the content of a newer head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) link: Link,
    /// Bytes before the content.
    pub(super) front: u32,
}

/// A record and the files in which it stands.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) file: Arc<File>,
    /// The file of [`Place::base`]; the same one, if there is none.
    pub(super) base: Arc<File>,
}

impl Place {
    /// Where its content stands.
    fn content(&self) -> Base {
        self.base.unwrap_or(Base {
            link: Link {
                segment: self.segment,
                offset: self.offset,
            },
            front: self.span.front,
        })
    }
}

/// The lengths of a record's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Bytes before the content.
    pub(super) front: u32,
    /// Bytes of the content.
    pub(super) content: u64,
}

impl Span {
    pub(super) fn record_len(self) -> u64 {
        u64::from(self.front).saturating_add(self.content)
    }
}

struct Segment {
    file: Arc<File>,
    bytes: u64,
    keys: Vec<[u8; 32]>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Index {
    places: HashMap<[u8; 32], SmallVec<[Place; 1]>>,
    segments: BTreeMap<u64, Segment>,
    /// How many records there are of a URI, by the beginning of its digest.
    uris: HashMap<u64, u32>,
    records: u64,
    bytes: u64,
    forgotten: Forgotten,
}

/// A segment that has to go.
pub(super) struct Victim {
    pub(super) id: u64,
    /// Records of it that are worth keeping.
    pub(super) used: Vec<([u8; 32], Found)>,
    /// The URIs of what it had. They count as known until [`Index::release`]: a purge that
    /// comes while records of it are written anew concerns them.
    pub(super) uris: Vec<u64>,
}

impl Index {
    /// Segment `id` exists, with `bytes` bytes.
    pub(super) fn add_segment(&mut self, id: u64, file: Arc<File>, bytes: u64) {
        let keys = Vec::new();
        self.bytes = self.bytes.saturating_add(bytes);
        self.segments.insert(id, Segment { file, bytes, keys });
    }

    /// A record was written at `offset` of a segment, in place of the same variant.
    pub(super) fn insert(&mut self, header: &Header, offset: u64, grown: u64) {
        let Ok(front) = u32::try_from(header.content_start()) else {
            return;
        };
        if !self.grow(header, grown) {
            return;
        }
        if self.forgotten.takes(&header.digest, 1) {
            self.hold(header.uri, 1);
            return;
        }
        let place = Place {
            segment: header.segment,
            offset,
            span: Span {
                front,
                content: header.content_len,
            },
            base: None,
            variant: header.variant,
            uri: header.uri,
            is_used: false,
        };
        let places = self.places.entry(header.digest).or_default();
        let before = places.len();
        places.retain(|known| known.variant != place.variant);
        if places.len() >= VARIANTS_MAX {
            places.pop();
        }
        let gone = before.saturating_sub(places.len());
        places.insert(0, place);
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        self.records = self
            .records
            .saturating_add(1)
            .saturating_sub(u64::from(gone));
        self.hold(header.uri, 1);
        self.release(header.uri, gone);
    }

    /// A newer head was written at `offset` of a segment, of the content at `link`. If that is
    /// not what is there, it is of no use.
    pub(super) fn insert_head(&mut self, header: &Header, link: Link, offset: u64, grown: u64) {
        let Ok(front) = u32::try_from(header.content_start()) else {
            return;
        };
        if !self.grow(header, grown) || self.forgotten.takes(&header.digest, 0) {
            return;
        }
        let places = self.places.get_mut(&header.digest).into_iter().flatten();
        for place in places {
            let base = place.content();
            if place.variant == header.variant
                && base.link == link
                && place.span.content == header.content_len
            {
                place.segment = header.segment;
                place.offset = offset;
                place.span.front = front;
                place.base = Some(base);
                // Whoever validated it had been asked for it.
                place.is_used = true;
            }
        }
    }

    /// A segment has more bytes, which have to do with a key.
    fn grow(&mut self, header: &Header, grown: u64) -> bool {
        let Some(segment) = self.segments.get_mut(&header.segment) else {
            return false;
        };
        segment.bytes = segment.bytes.saturating_add(grown);
        segment.keys.push(header.digest);
        self.bytes = self.bytes.saturating_add(grown);
        true
    }

    /// A segment has more bytes, which have to do with no record.
    pub(super) fn add_bytes(&mut self, segment: u64, bytes: u64) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.bytes = segment.bytes.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// Where content of this length stands that is kept for a variant of a key, and its file.
    pub(super) fn content_of(
        &self,
        digest: &[u8; 32],
        variant: u64,
        content_len: u64,
    ) -> Option<(Link, Arc<File>)> {
        let mut places = self.places.get(digest)?.iter();
        let is_it = |place: &&Place| place.variant == variant && place.span.content == content_len;
        let link = places.find(is_it)?.content().link;
        let segment = self.segments.get(&link.segment)?;
        Some((link, Arc::clone(&segment.file)))
    }

    /// All records of a key with their files, the one written last first.
    pub(super) fn find(&mut self, digest: &[u8; 32]) -> SmallVec<[Found; 1]> {
        let mut found = SmallVec::new();
        for place in self.places.get_mut(digest).into_iter().flatten() {
            place.is_used = true;
            found.extend(found_at(&self.segments, *place));
        }
        found
    }

    /// The same, and no use is noted.
    pub(super) fn places(&self, digest: &[u8; 32]) -> SmallVec<[Found; 1]> {
        let known = self.places.get(digest).into_iter().flatten();
        known
            .filter_map(|place| found_at(&self.segments, *place))
            .collect()
    }

    /// Whether there is a record of the URI whose digest begins so, or may be one after a crash.
    pub(super) fn knows_uri(&self, uri: u64) -> bool {
        self.forgotten.is_everything() || self.uris.contains_key(&uri)
    }

    /// The URI whose digest begins so counts as known `count` times more.
    fn hold(&mut self, uri: u64, count: u32) {
        let known = self.uris.entry(uri).or_default();
        *known = known.saturating_add(count);
    }

    /// It counts as known `count` times less.
    pub(super) fn release(&mut self, uri: u64, count: u32) {
        if let Some(known) = self.uris.get_mut(&uri) {
            *known = known.saturating_sub(count);
            if *known == 0 {
                self.uris.remove(&uri);
            }
        }
    }

    /// Takes out all records of a key: the segments say that they are gone. Says how many.
    pub(super) fn remove(&mut self, digest: &[u8; 32]) -> u32 {
        let places = self.places.remove(digest).unwrap_or_default();
        for place in &places {
            self.records = self.records.saturating_sub(1);
            self.release(place.uri, 1);
        }
        u32::try_from(places.len()).unwrap_or(u32::MAX)
    }

    /// Nothing that is there of a key, or being written, is found any more;
    /// [`Index::take_forgotten`] gives it to who writes that down.
    pub(super) fn forget(&mut self, digest: &[u8; 32], uri: u64) {
        let records = self.remove(digest);
        self.hold(uri, records);
        self.forgotten.note(*digest, uri, records);
        if self.forgotten.is_everything() {
            self.places.clear();
            self.records = 0;
        }
    }

    /// Forgets a key whose content, which stands at `link`, is damaged. If it has other content
    /// by now, that stays.
    pub(super) fn forget_content(&mut self, digest: &[u8; 32], link: Link) -> bool {
        let mut places = self.places.get(digest).into_iter().flatten();
        let Some(place) = places.find(|place| place.content().link == link) else {
            return false;
        };
        let uri = place.uri;
        self.forget(digest, uri);
        true
    }

    /// What was forgotten and is not written down yet; `None` if everything was.
    pub(super) fn take_forgotten(&mut self) -> Option<Vec<Gone>> {
        let is_everything = self.forgotten.is_everything();
        let gone = self.forgotten.take();
        (!is_everything).then_some(gone)
    }

    /// Takes over what `before` has forgotten, as far as there is anything of it here; says
    /// whether that is all.
    pub(super) fn forget_again(&mut self, before: &mut Self) -> bool {
        let Some(gone) = before.take_forgotten() else {
            return false;
        };
        for gone in gone {
            if self.places.contains_key(&gone.digest) {
                self.forget(&gone.digest, gone.uri);
            }
        }
        true
    }

    /// Forgets one record, if it still stands there.
    pub(super) fn remove_at(&mut self, digest: &[u8; 32], segment: u64, offset: u64) {
        if let Some(place) = self.take_at(digest, segment, offset) {
            self.release(place.uri, 1);
        }
    }

    /// Takes one record out, if it still stands there; its URI counts as known.
    fn take_at(&mut self, digest: &[u8; 32], segment: u64, offset: u64) -> Option<Place> {
        let places = self.places.get_mut(digest)?;
        let at = |place: &Place| place.segment == segment && place.offset == offset;
        let place = places.remove(places.iter().position(at)?);
        if places.is_empty() {
            self.places.remove(digest);
        }
        self.records = self.records.saturating_sub(1);
        Some(place)
    }

    /// Takes out the segment that was written first, but never `active`.
    pub(super) fn evict(&mut self, active: Option<u64>) -> Option<Victim> {
        let (&id, segment) = self
            .segments
            .iter_mut()
            .find(|(id, _)| Some(**id) != active)?;
        let keys = std::mem::take(&mut segment.keys);
        let (mut used, mut uris) = (Vec::new(), Vec::new());
        for digest in keys {
            let places = self.places.get(&digest).into_iter().flatten();
            let here: SmallVec<[Place; 2]> = places
                // A newer head goes together with its content.
                .filter(|place| place.segment == id || place.content().link.segment == id)
                .copied()
                .collect();
            for place in here {
                if self.take_at(&digest, place.segment, place.offset).is_some() {
                    uris.push(place.uri);
                }
                if place.is_used {
                    used.extend(found_at(&self.segments, place).map(|found| (digest, found)));
                }
            }
        }
        let segment = self.segments.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(segment.bytes);
        Some(Victim { id, used, uris })
    }

    /// Segments that there are.
    pub(super) fn segments(&self) -> Vec<u64> {
        self.segments.keys().copied().collect()
    }

    /// Nothing is there; what was forgotten stays so.
    pub(super) fn clear(&mut self) {
        let forgotten = std::mem::take(&mut self.forgotten);
        *self = Self {
            forgotten,
            ..Self::default()
        };
    }

    /// Records that can be found.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn found_at(segments: &BTreeMap<u64, Segment>, place: Place) -> Option<Found> {
    let file = |segment: u64| segments.get(&segment).map(|known| Arc::clone(&known.file));
    Some(Found {
        file: file(place.segment)?,
        base: file(place.content().link.segment)?,
        place,
    })
}
