//! A stored head out of bytes that anybody may have written.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use verge_http::surrogate::{SURROGATE_KEYS_MAX, SurrogateKeys};
use verge_http::vary::{VARY_FIELDS_MAX, VariantKey, Vary};

use super::{
    CHECKSUM_BYTES, FIELDS_MAX, FLAGS, Flag, HEAD_BYTES_MAX, MAGIC, NONE, RecordError, Recorded,
    TEXT_NONE, VERSION, Walls, checksum, source_of,
};
use crate::fields::{compact, head_cost};
use crate::policy::StaleWindows;
use crate::response::StoredHead;
use crate::response::made_by::made_by_cost;

/// The moment at which a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAt {
    /// On the monotonic clock.
    pub now: Instant,
    /// On the wall clock.
    pub wall: SystemTime,
    /// By how much the clock of who wrote it may be ahead: zero, but for what other nodes wrote.
    pub tolerance: Duration,
}

impl ReadAt {
    /// Now, for what this node wrote.
    #[must_use]
    pub fn now(walls: &Walls) -> Self {
        Self {
            now: walls.clock().now(),
            wall: walls.now(),
            tolerance: Duration::ZERO,
        }
    }

    /// How long what was received at `received` has been kept.
    fn resident(&self, received: SystemTime) -> Result<Duration, RecordError> {
        match self.wall.duration_since(received) {
            Ok(resident) => Ok(resident),
            Err(ahead) if ahead.duration() <= self.tolerance => Ok(Duration::ZERO),
            Err(_) => Err(RecordError::FromTheFuture),
        }
    }
}

/// The head that `bytes` are the encoding of, as it is at `at`.
///
/// # Errors
/// Why they are refused.
pub fn decode(bytes: &[u8], at: ReadAt) -> Result<Recorded, RecordError> {
    // One list, in the order of the bytes, which is that of `encode`.
    let mut reader = Reader(checked(bytes)?);
    let status = StatusCode::from_u16(reader.short()?).map_err(|_| RecordError::Malformed)?;
    let flags = reader.byte()?;
    if flags & !FLAGS != 0 {
        return Err(RecordError::Malformed);
    }
    let source = source_of(reader.byte()?).ok_or(RecordError::Malformed)?;
    let content_length = reader.number()?;
    let sequence = reader.number()?;
    let sent_wall = reader.time()?;
    let received_wall = reader.time()?;
    let initial_age = reader.duration()?;
    let lifetime = reader.duration()?;
    let date = reader.time()?;
    let last_modified = reader.optional_time()?;
    let stale = StaleWindows {
        while_revalidate: reader.optional_duration()?,
        if_error: reader.optional_duration()?,
        ..StaleWindows::NONE
    };
    let refresh_at = reader.optional_duration()?;
    let on_failure = reader.duration()?;
    let made_by = reader.optional_text()?;
    let site = reader.optional_text()?;
    let vary = reader.vary()?;
    let variant_key = VariantKey::from_bytes(reader.text()?);
    let (named, declared, groups) = (reader.keys()?, reader.keys()?, reader.keys()?);
    let surrogate_keys =
        SurrogateKeys::from_stored(named, declared, groups).map_err(|_| RecordError::Malformed)?;
    let fields = reader.fields()?;
    if !reader.0.is_empty() {
        return Err(RecordError::Malformed);
    }
    let resident = at.resident(received_wall)?;
    let asked_ago = at.resident(sent_wall)?;
    let is_set = |flag: Flag| flags & flag as u8 != 0;
    let head = StoredHead {
        status,
        cost: head_cost(&fields, &vary, &variant_key)
            .saturating_add(surrogate_keys.cost())
            .saturating_add(made_by_cost(made_by.as_ref())),
        fields,
        date,
        last_modified,
        // When its origin was asked, not when it was read: by that it is judged, also when it is
        // written down again.
        requested: at.now.checked_sub(asked_ago).unwrap_or(at.now),
        received: at.now,
        initial_age: initial_age.saturating_add(resident),
        lifetime,
        source,
        is_no_cache: is_set(Flag::NoCache),
        is_stale_forbidden: is_set(Flag::StaleForbidden),
        is_immutable: is_set(Flag::Immutable),
        stale: StaleWindows {
            on_failure,
            ..stale
        },
        refresh_at,
        vary,
        variant_key,
        surrogate_keys,
        made_by,
        site,
        sequence,
        reservation: None,
        derived: std::sync::OnceLock::new(),
    };
    Ok(Recorded {
        head,
        content_length,
        sent_wall: Some(sent_wall),
    })
}

/// What stands between the version and the checksum, if both are right.
fn checked(bytes: &[u8]) -> Result<&[u8], RecordError> {
    if bytes.len() > HEAD_BYTES_MAX {
        return Err(RecordError::TooLarge);
    }
    let Some(rest) = bytes.strip_prefix(&MAGIC) else {
        return Err(RecordError::Malformed);
    };
    if rest.first() != Some(&VERSION) {
        return Err(RecordError::Version);
    }
    let (body, sum) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(RecordError::Malformed)?;
    if checksum(body) != u64::from_le_bytes(*sum) {
        return Err(RecordError::Checksum);
    }
    body.get(MAGIC.len() + 1..).ok_or(RecordError::Malformed)
}

/// Takes values off the front of what is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (chunk, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        self.chunk::<1>().map(u8::from_le_bytes)
    }

    fn short(&mut self) -> Result<u16, RecordError> {
        self.chunk().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Result<u32, RecordError> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Result<u64, RecordError> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn duration(&mut self) -> Result<Duration, RecordError> {
        self.number().map(Duration::from_micros)
    }

    fn optional_duration(&mut self) -> Result<Option<Duration>, RecordError> {
        Ok(match self.number()? {
            NONE => None,
            micros => Some(Duration::from_micros(micros)),
        })
    }

    fn time(&mut self) -> Result<SystemTime, RecordError> {
        time_of(self.number()?)
    }

    fn optional_time(&mut self) -> Result<Option<SystemTime>, RecordError> {
        match self.number()? {
            NONE => Ok(None),
            micros => time_of(micros).map(Some),
        }
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(length).map_err(|_| RecordError::Malformed)?;
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.word()?;
        self.take(length)
    }

    fn optional_text(&mut self) -> Result<Option<Arc<str>>, RecordError> {
        match self.word()? {
            TEXT_NONE => Ok(None),
            length => as_text(self.take(length)?).map(Some),
        }
    }

    /// A count of things, at most `most`.
    fn count(&mut self, most: usize) -> Result<usize, RecordError> {
        let count = usize::try_from(self.word()?).map_err(|_| RecordError::Malformed)?;
        if count > most {
            return Err(RecordError::Malformed);
        }
        Ok(count)
    }

    fn vary(&mut self) -> Result<Vary, RecordError> {
        let count = self.count(VARY_FIELDS_MAX)?;
        let names: Result<Vec<HeaderName>, RecordError> =
            (0..count).map(|_| self.field_name()).collect();
        Ok(Vary::of_names(names?))
    }

    fn keys(&mut self) -> Result<Vec<&'a str>, RecordError> {
        let count = self.count(SURROGATE_KEYS_MAX)?;
        let texts = (0..count)
            .map(|_| std::str::from_utf8(self.text()?).map_err(|_| RecordError::Malformed));
        texts.collect()
    }

    fn field_name(&mut self) -> Result<HeaderName, RecordError> {
        HeaderName::from_bytes(self.text()?).map_err(|_| RecordError::Malformed)
    }

    fn fields(&mut self) -> Result<HeaderMap, RecordError> {
        let count = self.count(FIELDS_MAX)?;
        let mut fields = HeaderMap::with_capacity(count);
        for _ in 0..count {
            let name = self.field_name()?;
            let value =
                HeaderValue::from_bytes(self.text()?).map_err(|_| RecordError::Malformed)?;
            fields.append(name, value);
        }
        Ok(compact(&fields))
    }
}

fn time_of(micros: u64) -> Result<SystemTime, RecordError> {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_micros(micros))
        .ok_or(RecordError::Malformed)
}

fn as_text(bytes: &[u8]) -> Result<Arc<str>, RecordError> {
    std::str::from_utf8(bytes)
        .map(Arc::from)
        .map_err(|_| RecordError::Malformed)
}
