//! A stored head as bytes.
//!
//! Numbers are little-endian; times are microseconds since 1970; texts have
//! their length in front.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::{
    CHECKSUM_BYTES, FIELDS_MAX, Flag, HEAD_BYTES_MAX, MAGIC, NONE, RecordError, TEXT_NONE, VERSION,
    Walls, checksum, source_code,
};
use crate::response::StoredHead;

/// `head`, of a response with `content_length` bytes of content, as bytes.
///
/// # Errors
/// [`RecordError::TooLarge`]: it cannot be recorded.
pub fn encode(
    head: &StoredHead,
    content_length: u64,
    walls: &Walls,
) -> Result<Vec<u8>, RecordError> {
    // One list, in the order of the bytes. Named one by one: what is added to a head has to be
    // recorded, too.
    let StoredHead {
        status,
        fields,
        date,
        last_modified,
        requested,
        received,
        initial_age,
        lifetime,
        source,
        is_no_cache,
        is_stale_forbidden,
        is_immutable,
        stale,
        refresh_at,
        vary,
        variant_key,
        surrogate_keys,
        made_by,
        site,
        sequence,
        cost: _,
        reservation: _,
        // Made anew out of the content.
        derived: _,
    } = head;
    let flags = flag(*is_no_cache, Flag::NoCache)
        | flag(*is_stale_forbidden, Flag::StaleForbidden)
        | flag(*is_immutable, Flag::Immutable);
    let mut writer = Writer(Vec::with_capacity(512));
    writer.0.extend_from_slice(&MAGIC);
    writer.0.push(VERSION);
    writer.0.extend_from_slice(&status.as_u16().to_le_bytes());
    writer.0.push(flags);
    writer.0.push(source_code(*source));
    writer.number(content_length);
    writer.number(*sequence);
    writer.time(walls.of(*requested));
    writer.time(walls.of(*received));
    writer.duration(*initial_age);
    writer.duration(*lifetime);
    writer.time(*date);
    match last_modified {
        Some(time) => writer.time(*time),
        None => writer.number(NONE),
    }
    for window in [stale.while_revalidate, stale.if_error, *refresh_at] {
        writer.optional_duration(window);
    }
    writer.duration(stale.on_failure);
    writer.optional_text(made_by.as_deref())?;
    writer.optional_text(site.as_deref())?;
    writer.count(vary.names().len())?;
    for name in vary.names() {
        writer.text(name.as_str().as_bytes())?;
    }
    writer.text(variant_key.as_bytes())?;
    let keys = surrogate_keys;
    for keys in [keys.named(), keys.declared(), keys.groups()] {
        writer.count(keys.len())?;
        for key in keys {
            writer.text(key.as_str().as_bytes())?;
        }
    }
    writer.fields(fields)?;
    writer.finish()
}

fn flag(is_set: bool, flag: Flag) -> u8 {
    if is_set { flag as u8 } else { 0 }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn duration(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(NONE - 1);
        self.number(micros.min(NONE - 1));
    }

    fn optional_duration(&mut self, value: Option<Duration>) {
        match value {
            Some(value) => self.duration(value),
            None => self.number(NONE),
        }
    }

    /// What lies before 1970 counts as 1970.
    fn time(&mut self, value: SystemTime) {
        let since = value.duration_since(SystemTime::UNIX_EPOCH);
        self.duration(since.unwrap_or_default());
    }

    fn count(&mut self, count: usize) -> Result<(), RecordError> {
        let count = u32::try_from(count).map_err(|_| RecordError::TooLarge)?;
        self.0.extend_from_slice(&count.to_le_bytes());
        Ok(())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), RecordError> {
        if text.len() > HEAD_BYTES_MAX {
            return Err(RecordError::TooLarge);
        }
        self.count(text.len())?;
        self.0.extend_from_slice(text);
        Ok(())
    }

    fn optional_text(&mut self, text: Option<&str>) -> Result<(), RecordError> {
        match text {
            Some(text) => self.text(text.as_bytes()),
            None => {
                self.0.extend_from_slice(&TEXT_NONE.to_le_bytes());
                Ok(())
            }
        }
    }

    fn fields(&mut self, fields: &HeaderMap) -> Result<(), RecordError> {
        if fields.len() > FIELDS_MAX {
            return Err(RecordError::TooLarge);
        }
        self.count(fields.len())?;
        for (name, value) in fields {
            self.text(name.as_str().as_bytes())?;
            self.text(value.as_bytes())?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, RecordError> {
        if self.0.len().saturating_add(CHECKSUM_BYTES) > HEAD_BYTES_MAX {
            return Err(RecordError::TooLarge);
        }
        let sum = checksum(&self.0);
        self.number(sum);
        Ok(self.0)
    }
}
