//! Stored responses of a region: found by any node, saved by the node that
//! fetched them.
//!
//! A response is used only whole: all of its content is here before its head
//! is given out, so that Redis cannot fail a response that has begun. Nothing is
//! found while the node has not read the purge stream lately.

pub(crate) mod content;
pub(crate) mod format;
mod listing;
mod names;
mod owed;
mod save;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::{Value, cmd};
use verge_cache::tier::Want;

use crate::histogram::{Histogram, HistogramSample};
use crate::link::{Link, Surroundings};
use crate::stream::Stream;
use crate::trouble::Trouble;
use content::Loads;
use format::{Head, KeyDigest, decode_chunk};
pub(crate) use names::Names;
pub(crate) use owed::Owed;
pub use save::SavedResponse;
pub(crate) use save::Saver;

/// Reads Redis's clock and all variants of a key.
const LOOK: &str = "local t = redis.call('TIME') \
return {string.format('%010d%06d', t[1], t[2]), redis.call('HVALS', KEYS[1])}";

/// Redis's time stands before each head, in digits.
const STAMP_BYTES: usize = 16;

/// Chunks that one command asks for.
const CHUNKS_AT_ONCE: u32 = 4;

/// A whole lookup takes no longer than one command may, so many times.
const LOOKUP_TIMES: u32 = 10;

/// Why nothing was found; also how a lookup ended, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupOutcome {
    /// A response was found.
    Hit,
    /// There is none.
    Miss,
    /// The purge stream has not been read lately.
    Untrusted,
    /// Redis did not answer in time.
    Slow,
    /// Redis is not there, or left alone for a while.
    Off,
    /// Redis did not answer as it should.
    Trouble,
    /// What was found is damaged, or of another version.
    Garbage,
    /// A part of the content is gone.
    Incomplete,
    /// As much content is under way, or held by those who asked for it, as may be.
    Busy,
}

impl LookupOutcome {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Miss,
        Self::Untrusted,
        Self::Slow,
        Self::Off,
        Self::Trouble,
        Self::Garbage,
        Self::Incomplete,
        Self::Busy,
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Untrusted => "untrusted",
            Self::Slow => "slow",
            Self::Off => "off",
            Self::Trouble => "trouble",
            Self::Garbage => "garbage",
            Self::Incomplete => "incomplete",
            Self::Busy => "busy",
        }
    }
}

impl From<Trouble> for LookupOutcome {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::TimedOut => Self::Slow,
            Trouble::Disconnected | Trouble::BreakerOpen => Self::Off,
            Trouble::Busy => Self::Busy,
            Trouble::Garbage => Self::Garbage,
            Trouble::Broken | Trouble::Full | Trouble::ReadOnly | Trouble::Refused => Self::Trouble,
        }
    }
}

/// One variant that is kept for a key.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The record of its head.
    pub record: &'a [u8],
    /// What the wall clock of the node that saved it says now. Redis's own clock tells how
    /// long ago that was: no clock has to agree with another.
    pub writer_wall: SystemTime,
    /// Bytes of its content.
    pub content_length: u64,
    /// The local purge sequence that says the same as when its origin request was sent.
    pub sequence: u64,
}

/// A response that was found, whole.
#[derive(Clone, Debug)]
pub struct LoadedResponse<T> {
    /// What was made of its record.
    pub head: T,
    /// All of its content, in pieces. Each counts as under way for as long as anybody holds any
    /// of it.
    pub content: Vec<Bytes>,
    /// The local purge sequence that says the same as when its origin request was sent.
    pub sequence: u64,
}

/// What the tier has done.
#[derive(Clone, Debug)]
pub struct L2Sample {
    /// Lookups by how they ended.
    pub lookups: Vec<(&'static str, u64)>,
    /// How long lookups took that Redis was asked for.
    pub latency: HistogramSample,
    /// Saves by how they ended.
    pub saves: Vec<(&'static str, u64)>,
    /// Saves that wait.
    pub waiting: u64,
}

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct L2(Arc<Inner>);

struct Inner {
    around: Arc<Surroundings>,
    stream: Stream,
    link: Link,
    owed: Arc<Owed>,
    loads: Loads,
    outcomes: [AtomicU64; LookupOutcome::ALL.len()],
    latency: Histogram,
}

impl L2 {
    pub(crate) fn new(
        around: &Arc<Surroundings>,
        stream: &Stream,
        link: Link,
        owed: Arc<Owed>,
    ) -> Self {
        Self(Arc::new(Inner {
            stream: stream.clone(),
            link,
            owed,
            loads: Loads::new(around.settings.loads_max),
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            latency: Histogram::default(),
            around: Arc::clone(around),
        }))
    }

    /// Looks for the variant that `pick` likes best: it reads each one, and says `None` to
    /// what does not answer the request, else how it ranks.
    pub(crate) async fn load<T>(
        &self,
        key: &KeyDigest,
        want: Want,
        pick: impl FnMut(Candidate<'_>) -> Option<(SystemTime, T)>,
    ) -> Result<LoadedResponse<T>, LookupOutcome> {
        let inner = &self.0;
        let begun = inner.around.clock.now();
        let found = if inner.stream.is_trusted(begun) {
            let most = inner.around.settings.timeout * LOOKUP_TIMES;
            let found = tokio::time::timeout(most, self.find(key, want, pick)).await;
            let found = found.unwrap_or(Err(LookupOutcome::Slow));
            let took = inner.around.clock.now().saturating_duration_since(begun);
            inner.latency.observe(took);
            found
        } else {
            Err(LookupOutcome::Untrusted)
        };
        let outcome = match &found {
            Ok(_) => LookupOutcome::Hit,
            Err(outcome) => *outcome,
        };
        if let Some(counter) = inner.outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    async fn find<T>(
        &self,
        key: &KeyDigest,
        want: Want,
        mut pick: impl FnMut(Candidate<'_>) -> Option<(SystemTime, T)>,
    ) -> Result<LoadedResponse<T>, LookupOutcome> {
        let inner = &self.0;
        if inner.owed.owes(key) {
            return Err(LookupOutcome::Miss);
        }
        let names = Names::new(&inner.around.settings.prefix, key);
        let (now_us, values) = self.variants(&names).await?;
        let mut best: Option<(SystemTime, T, Head)> = None;
        let mut is_garbage = false;
        for value in values {
            let Some((ago_us, head)) = bulk(value).and_then(|bytes| stamped(&bytes, now_us, key))
            else {
                is_garbage = true;
                continue;
            };
            // What was asked for before a purge stream that nobody remembers is not used.
            let Some(candidate) = self.candidate(&head, ago_us) else {
                continue;
            };
            if let Some((rank, picked)) = pick(candidate)
                && best.as_ref().is_none_or(|(known, ..)| *known < rank)
            {
                best = Some((rank, picked, head));
            }
        }
        let Some((_, picked, head)) = best else {
            return Err(if is_garbage {
                LookupOutcome::Garbage
            } else {
                LookupOutcome::Miss
            });
        };
        let content = match &head.inline {
            _ if want == Want::Head => Vec::new(),
            Some(inline) if inline.is_empty() => Vec::new(),
            Some(inline) => {
                let room = inner.loads.room_for(inline.len() as u64);
                let mut room = room.ok_or(LookupOutcome::Busy)?;
                vec![room.hold(inline.clone())]
            }
            None => self.content(&names, key, &head).await?,
        };
        if inner.owed.owes(key) {
            return Err(LookupOutcome::Miss);
        }
        // Asked once more: a purge of this node may have come meanwhile.
        let sequence = inner.stream.sequence_at(head.position);
        Ok(LoadedResponse {
            head: picked,
            content,
            sequence: sequence.ok_or(LookupOutcome::Miss)?,
        })
    }

    /// Redis's time in microseconds, and all that it has for a key.
    async fn variants(&self, names: &Names) -> Result<(u64, Vec<Value>), LookupOutcome> {
        let mut command = cmd("EVAL");
        command.arg(LOOK).arg(1).arg(names.variants());
        let reply = self.0.link.command(&command).await?;
        read_variants(reply).ok_or(LookupOutcome::Garbage)
    }

    /// A variant that was saved `ago_us` before; `None` if it is outdated, or if nobody remembers
    /// which purges it has seen.
    fn candidate<'a>(&self, head: &'a Head, ago_us: u64) -> Option<Candidate<'a>> {
        let now = self.0.around.clock.now();
        let ago = Duration::from_micros(ago_us);
        if self.0.owed.is_outdated(ago, now) {
            return None;
        }
        let writer_us = head.saved_us.saturating_add(ago_us);
        Some(Candidate {
            record: &head.record,
            writer_wall: SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(writer_us))?,
            content_length: head.content_length,
            sequence: self.0.stream.sequence_at(head.position)?,
        })
    }

    async fn content(
        &self,
        names: &Names,
        key: &KeyDigest,
        head: &Head,
    ) -> Result<Vec<Bytes>, LookupOutcome> {
        let inner = &self.0;
        if head.content_length > inner.around.settings.object_max {
            return Err(LookupOutcome::Miss);
        }
        let room = inner.loads.room_for(head.content_length);
        let mut room = room.ok_or(LookupOutcome::Busy)?;
        let chunks = head.chunks();
        let mut content = Vec::new();
        for first in (0..chunks).step_by(CHUNKS_AT_ONCE as usize) {
            let indices = first..chunks.min(first + CHUNKS_AT_ONCE);
            let mut command = cmd("MGET");
            for index in indices.clone() {
                command.arg(names.chunk(head.fill, index));
            }
            let values = match inner.link.command(&command).await? {
                Value::Array(values) if values.len() == indices.len() => values,
                _ => return Err(LookupOutcome::Garbage),
            };
            for (index, value) in indices.zip(values) {
                let bytes = bulk(value).ok_or(LookupOutcome::Incomplete)?;
                let piece = decode_chunk(&bytes, key, head, index);
                content.push(room.hold(piece.ok_or(LookupOutcome::Garbage)?));
            }
        }
        Ok(content)
    }

    pub(crate) fn sample(&self, saver: &Saver) -> L2Sample {
        let counts = LookupOutcome::ALL.iter().zip(&self.0.outcomes);
        L2Sample {
            lookups: counts
                .map(|(outcome, count)| (outcome.label(), count.load(Ordering::Relaxed)))
                .collect(),
            latency: self.0.latency.sample(),
            saves: saver.outcomes(),
            waiting: saver.waiting(),
        }
    }
}

/// Redis's time and all variants of a key.
fn read_variants(reply: Value) -> Option<(u64, Vec<Value>)> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [Value::BulkString(now), Value::Array(values)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    Some((stamp(&now)?, values))
}

/// A head and how long ago it was saved, by Redis's clock; never negative.
fn stamped(bytes: &Bytes, now_us: u64, key: &KeyDigest) -> Option<(u64, Head)> {
    let (saved, _) = bytes.split_at_checked(STAMP_BYTES)?;
    let ago_us = now_us.saturating_sub(stamp(saved)?);
    Some((ago_us, Head::decode(&bytes.slice(STAMP_BYTES..), key)?))
}

/// Microseconds of Unix time, as the scripts write them.
fn stamp(text: &[u8]) -> Option<u64> {
    let is_right = text.len() == STAMP_BYTES && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| is_right)?
        .parse()
        .ok()
}

fn bulk(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        _ => None,
    }
}
