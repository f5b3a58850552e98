//! Saves, one after the other on a task of their own. Nobody waits for one: what
//! finds no room in the queue is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::{Value, cmd, pipe};
use tokio::sync::mpsc;
use verge_cache::record::checksum_of;
use verge_cache::tier::{Dropped, Saved};

use super::format::{CHUNK_BYTES, Fill, Head, INLINE_BYTES, KeyDigest, encode_chunk};
use super::owed::Owed;
use super::{Names, STAMP_BYTES, bulk};
use crate::lease::Lease;
use crate::link::{Link, Surroundings};
use crate::stream::Stream;
use crate::trouble::Trouble;

/// Variants of one cache key; one more begins anew.
const VARIANTS_MAX: u32 = 16;

/// Chunks that are sent together.
const CHUNKS_AT_ONCE: usize = 4;

/// Keys that are removed between two jobs.
const REMOVED_AT_ONCE: usize = 64;

/// Pause before what Redis did not remove is tried again.
const REMOVE_AGAIN: Duration = Duration::from_secs(1);

/// Chunks outlive the head that names them by this.
const CHUNK_MARGIN: Duration = Duration::from_secs(10);

/// Puts a variant in, which the key then outlives. ARGV: variant, head, milliseconds, most
/// variants.
const PUT: &str = "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 \
and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[1]) end \
local t = redis.call('TIME') \
redis.call('HSET', KEYS[1], ARGV[1], string.format('%010d%06d', t[1], t[2]) .. ARGV[2]) \
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then \
redis.call('PEXPIRE', KEYS[1], ARGV[3]) end return 1";

/// A response to be saved.
#[derive(Clone, Debug)]
pub struct SavedResponse {
    /// The digest of its cache key.
    pub key: [u8; 32],
    /// Tells its variant from the others of the key.
    pub variant: [u8; 16],
    /// The record of its head.
    pub record: Bytes,
    /// What the wall clock by which the record was written says now.
    pub wall: SystemTime,
    /// All of its content, in pieces.
    pub content: Vec<Bytes>,
    /// The local purge sequence when its origin request was sent.
    pub sequence: u64,
    /// How long it can be of use.
    pub useful_for: Duration,
}

/// How a save ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaveOutcome {
    Saved,
    TooLarge,
    QueueFull,
    Failed,
    Full,
    NoPosition,
}

impl SaveOutcome {
    const LABELS: [&'static str; 6] = [
        "saved",
        "too-large",
        "queue-full",
        "failed",
        "redis-full",
        "no-position",
    ];
}

enum Job {
    Save(SavedResponse),
    /// Something is to be removed.
    Wake,
    /// All that was queued before is saved: others may look.
    Release(Lease),
}

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Saver(Arc<Inner>);

struct Inner {
    around: Arc<Surroundings>,
    stream: Stream,
    queue: mpsc::Sender<Job>,
    owed: Arc<Owed>,
    bytes: AtomicU64,
    outcomes: [AtomicU64; SaveOutcome::LABELS.len()],
}

impl Saver {
    pub(crate) fn start(
        around: &Arc<Surroundings>,
        stream: &Stream,
        link: Link,
        owed: Arc<Owed>,
    ) -> Self {
        let (queue, jobs) = mpsc::channel(around.settings.saves_max);
        let saver = Self(Arc::new(Inner {
            stream: stream.clone(),
            queue,
            owed,
            bytes: AtomicU64::new(0),
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            around: Arc::clone(around),
        }));
        around.runtime.spawn(work(Arc::clone(&saver.0), jobs, link));
        saver
    }

    /// Queues a save, or says why not.
    pub(crate) fn save(&self, response: SavedResponse) -> Saved {
        let settings = &self.0.around.settings;
        let bytes = length(&response.content);
        if bytes > settings.object_max {
            self.0.count(SaveOutcome::TooLarge);
            return Saved::Dropped(Dropped::TooLarge);
        }
        let before = self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        let has_room = before.saturating_add(bytes) <= settings.saves_bytes_max;
        if !has_room || !self.0.queue(Job::Save(response)) {
            self.0.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.0.count(SaveOutcome::QueueFull);
            return Saved::Dropped(Dropped::QueueFull);
        }
        Saved::Queued
    }

    /// Removes all that is kept for a key, soon; until then this node does not find it.
    pub(crate) fn forget(&self, key: KeyDigest) {
        self.0.outdate(key);
        // Without room somebody is at work, and looks for what is to be removed.
        self.0.queue(Job::Wake);
    }

    /// Ends a lease once all that was queued before has been saved.
    pub(crate) fn release(&self, lease: Lease) {
        // Without room it is dropped, which ends it at once.
        self.0.queue(Job::Release(lease));
    }

    pub(super) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let counts = SaveOutcome::LABELS.iter().zip(&self.0.outcomes);
        counts
            .map(|(label, count)| (*label, count.load(Ordering::Relaxed)))
            .collect()
    }

    pub(super) fn waiting(&self) -> u64 {
        (self.0.queue.max_capacity() - self.0.queue.capacity()) as u64
    }
}

impl Inner {
    /// Says whether there was room.
    fn queue(&self, job: Job) -> bool {
        self.owed.queue(|| self.queue.try_send(job).is_ok())
    }

    fn outdate(&self, key: KeyDigest) {
        self.owed.note(key, self.around.clock.now());
    }

    fn count(&self, outcome: SaveOutcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn work(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job>, link: Link) {
    loop {
        let next = jobs.recv();
        let job = match inner.owed.is_empty() {
            true => next.await,
            false => match tokio::time::timeout(REMOVE_AGAIN, next).await {
                Ok(job) => job,
                Err(_) => {
                    remove_outdated(&inner, &link).await;
                    continue;
                }
            },
        };
        let Some(job) = job else { return };
        remove_outdated(&inner, &link).await;
        match job {
            Job::Save(response) => {
                let (key, bytes) = (response.key, length(&response.content));
                let outcome = save_or_say(&inner, &link, response).await;
                if outcome != SaveOutcome::Saved {
                    // What is there is older (RFC 9111 4).
                    inner.outdate(key);
                }
                inner.bytes.fetch_sub(bytes, Ordering::AcqRel);
                inner.count(outcome);
            }
            Job::Wake => {}
            Job::Release(lease) => lease.release().await,
        }
        inner.owed.done();
        remove_outdated(&inner, &link).await;
    }
}

/// Removes what is outdated, as far as Redis lets it.
async fn remove_outdated(inner: &Inner, link: &Link) {
    for due in inner.owed.due(REMOVED_AT_ONCE) {
        let names = Names::new(&inner.around.settings.prefix, &due.0);
        let mut command = cmd("DEL");
        command.arg(names.variants());
        if link.command(&command).await.is_err() {
            return;
        }
        inner.owed.removed(due);
    }
}

async fn save_or_say(inner: &Inner, link: &Link, response: SavedResponse) -> SaveOutcome {
    if inner.owed.owes(&response.key) {
        // It may be outdated itself, or what is would be found beside it.
        return SaveOutcome::Failed;
    }
    match save(inner, link, response).await {
        Ok(outcome) => outcome,
        Err(Trouble::Full) => SaveOutcome::Full,
        Err(_) => SaveOutcome::Failed,
    }
}

async fn save(inner: &Inner, link: &Link, response: SavedResponse) -> Result<SaveOutcome, Trouble> {
    let Some(position) = inner.stream.position_at(response.sequence) else {
        return Ok(SaveOutcome::NoPosition);
    };
    let random = &inner.around.random;
    let content_length = length(&response.content);
    let saved = response.wall.duration_since(SystemTime::UNIX_EPOCH);
    let is_inline = content_length <= INLINE_BYTES as u64;
    let content_sum = checksum_of(&response.content);
    let names = Names::new(&inner.around.settings.prefix, &response.key);
    let held = match is_inline {
        true => None,
        false => held(link, &names, &response, (content_length, content_sum)).await?,
    };
    let head = Head {
        position,
        saved_us: saved.map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        }),
        fill: held.unwrap_or_else(|| {
            (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64())
        }),
        content_length,
        content_sum,
        record: response.record,
        inline: is_inline.then(|| response.content.concat().into()),
    };
    if !is_inline && held.is_none() {
        let until = millis(response.useful_for.saturating_add(CHUNK_MARGIN));
        put_chunks(
            link,
            &names,
            &response.key,
            head.fill,
            &response.content,
            until,
        )
        .await?;
    }
    let mut put = cmd("EVAL");
    put.arg(PUT)
        .arg(1)
        .arg(names.variants())
        .arg(&response.variant[..])
        .arg(head.encode(&response.key))
        .arg(millis(response.useful_for))
        .arg(VARIANTS_MAX);
    link.command(&put).await?;
    Ok(SaveOutcome::Saved)
}

/// The fill that left this very content, with all of its chunks, which last as long as the
/// response from now on. What was freshened is saved without its content then.
async fn held(
    link: &Link,
    names: &Names,
    response: &SavedResponse,
    content: (u64, u64),
) -> Result<Option<Fill>, Trouble> {
    let mut get = cmd("HGET");
    get.arg(names.variants()).arg(&response.variant[..]);
    let known = bulk(link.command(&get).await?).filter(|bytes| bytes.len() > STAMP_BYTES);
    let head = known.and_then(|bytes| Head::decode(&bytes.slice(STAMP_BYTES..), &response.key));
    let Some(head) = head.filter(|head| (head.content_length, head.content_sum) == content) else {
        return Ok(None);
    };
    let until = millis(response.useful_for.saturating_add(CHUNK_MARGIN));
    let mut commands = pipe();
    for index in 0..head.chunks() {
        let chunk = names.chunk(head.fill, index);
        commands.cmd("PEXPIRE").arg(chunk).arg(until);
    }
    let kept = link.pipeline(&commands).await?;
    let are_there = kept.iter().all(|kept| *kept == Value::Int(1));
    Ok(are_there.then_some(head.fill))
}

async fn put_chunks(
    link: &Link,
    names: &Names,
    key: &KeyDigest,
    fill: Fill,
    content: &[Bytes],
    until: u64,
) -> Result<(), Trouble> {
    let chunks = rechunk(content);
    for (batch, pieces) in chunks.chunks(CHUNKS_AT_ONCE).enumerate() {
        let mut commands = pipe();
        for (place, piece) in pieces.iter().enumerate() {
            let index = u32::try_from(batch * CHUNKS_AT_ONCE + place).unwrap_or(u32::MAX);
            commands
                .cmd("SET")
                .arg(names.chunk(fill, index))
                .arg(encode_chunk(key, fill, index, piece))
                .arg("PX")
                .arg(until);
        }
        link.pipeline(&commands).await?;
    }
    Ok(())
}

/// The same content in chunks of [`CHUNK_BYTES`], the last one shorter; copies nothing.
fn rechunk(content: &[Bytes]) -> Vec<Vec<Bytes>> {
    let mut chunks: Vec<Vec<Bytes>> = Vec::new();
    let mut room = 0;
    for segment in content {
        let mut rest = segment.clone();
        while !rest.is_empty() {
            if room == 0 {
                chunks.push(Vec::new());
                room = CHUNK_BYTES;
            }
            let piece = rest.split_to(rest.len().min(room));
            room -= piece.len();
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(piece);
            }
        }
    }
    chunks
}

fn length(content: &[Bytes]) -> u64 {
    content.iter().map(|piece| piece.len() as u64).sum()
}

/// Whole milliseconds, at least one: Redis refuses none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_full_but_for_the_last() {
        let piece = Bytes::from(vec![7; CHUNK_BYTES - 1]);
        let chunks = rechunk(&[piece.clone(), Bytes::new(), piece.clone(), piece]);
        let sizes: Vec<usize> = chunks
            .iter()
            .map(|chunk| chunk.iter().map(Bytes::len).sum())
            .collect();
        assert_eq!(sizes, [CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES - 3]);
        assert!(rechunk(&[]).is_empty());
    }
}
