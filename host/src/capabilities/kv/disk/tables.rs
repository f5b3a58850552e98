//! The tables of a store's file, and what each operation does to them. Nothing
//! here decides when; all of it runs inside a transaction.

use std::ops::Bound;

use redb::{Error, ReadableTable, Table, TableDefinition, WriteTransaction};
use verge_runtime::capabilities::{KvEntry, KvError, KvExpected, KvOp, KvPage, KvReply};

use super::entry::{Head, cost, decode, encode};

/// Entries by key.
pub(super) const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");

/// Keys by when their entries end.
pub(super) const ENDS: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("ends");

/// Sums, and the format.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// What the file is written as.
const FORMAT: u64 = 1;

/// Entries that are looked at for one page of a list.
const LOOKED_AT: u32 = 4096;

/// Bytes of values that are read for one page: they stand in the file beside their keys. A page ends
/// with the entry that passes this.
pub(super) const LOOKED_AT_BYTES: usize = 4 << 20;

/// Entries that have ended which give way to one that is written, in one step; and steps.
const ROOM_STEP: usize = 256;
const ROOM_STEPS: usize = 4;

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Totals {
    /// Bytes as they count for the limit.
    pub(in super::super) bytes: u64,
    /// Entries, those included that have ended and were not swept yet.
    pub(in super::super) entries: u64,
    /// The last version that was given.
    version: u64,
}

/// A write transaction at work.
pub(super) struct Writing<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    ends: Table<'t, (u64, &'static str), ()>,
    meta: Table<'t, &'static str, u64>,
    totals: Totals,
}

type Applied<T> = Result<Result<T, KvError>, Error>;

impl<'t> Writing<'t> {
    pub(super) fn begin(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        let meta = transaction.open_table(META)?;
        let sum = |name| Ok::<u64, Error>(meta.get(name)?.map_or(0, |sum| sum.value()));
        let totals = Totals {
            bytes: sum("bytes")?,
            entries: sum("entries")?,
            version: sum("version")?,
        };
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            ends: transaction.open_table(ENDS)?,
            meta,
            totals,
        })
    }

    /// Whether the file is of this format; a new one is from now on.
    pub(super) fn claim(&mut self) -> Result<bool, Error> {
        let known = self.meta.get("format")?.map(|format| format.value());
        if known.is_none() {
            self.meta.insert("format", FORMAT)?;
        }
        Ok(known.is_none_or(|format| format == FORMAT))
    }

    /// Writes the sums, and tells them.
    pub(super) fn end(mut self) -> Result<Totals, Error> {
        self.meta.insert("bytes", self.totals.bytes)?;
        self.meta.insert("entries", self.totals.entries)?;
        self.meta.insert("version", self.totals.version)?;
        Ok(self.totals)
    }

    /// Does one operation, all of it or nothing. The outer error ends the transaction.
    pub(super) fn apply(&mut self, op: KvOp, max_bytes: u64, now: u64) -> Applied<KvReply> {
        let ends = |ttl: Option<std::time::Duration>| {
            ttl.map_or(0, |ttl| {
                let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                now.saturating_add(ttl).max(1)
            })
        };
        match op {
            KvOp::Set { key, value, ttl } => {
                let written = self.put(&key, &value, ends(ttl), max_bytes, now)?;
                Ok(written.map(KvReply::Version))
            }
            KvOp::Delete { key } => {
                let removed = self.remove(&key)?;
                let was_live = removed.is_some_and(|head| head.is_live(now));
                Ok(Ok(KvReply::Flag(was_live)))
            }
            KvOp::Increment { key, delta, ttl } => {
                let found = found(&self.entries, &key, now)?;
                let (sum, ends) = match &found {
                    None => (Some(delta), ends(ttl)),
                    Some((head, value)) => {
                        let sum = number(value).and_then(|number| number.checked_add(delta));
                        (sum, head.ends)
                    }
                };
                let Some(sum) = sum else {
                    return Ok(Err(KvError::NotANumber));
                };
                let text = sum.to_string();
                let written = self.put(&key, text.as_bytes(), ends, max_bytes, now)?;
                Ok(written.map(|_| KvReply::Number(sum)))
            }
            KvOp::Swap {
                key,
                expected,
                value,
                ttl,
            } => {
                let found = get(&self.entries, &key, now)?;
                if !is_expected(found.as_ref(), &expected) {
                    return Ok(Ok(KvReply::Swapped(Err(found))));
                }
                let written = self.put(&key, &value, ends(ttl), max_bytes, now)?;
                Ok(written.map(|version| KvReply::Swapped(Ok(version))))
            }
            KvOp::Get { .. } | KvOp::Exists { .. } | KvOp::List { .. } => {
                Ok(Err(KvError::Unavailable))
            }
        }
    }

    /// Writes an entry if it fits; entries that have ended give way to it.
    fn put(
        &mut self,
        key: &str,
        value: &[u8],
        ends: u64,
        max_bytes: u64,
        now: u64,
    ) -> Applied<u64> {
        let size = cost(key, value.len());
        for _ in 0..ROOM_STEPS {
            let old = head(&self.entries, key)?;
            let freed = old.map_or(0, |old| cost(key, old.length));
            if self.totals.bytes.saturating_sub(freed) + size <= max_bytes {
                self.remove(key)?;
                self.totals.version += 1;
                let version = self.totals.version;
                self.entries
                    .insert(key, encode(version, ends, value).as_slice())?;
                if ends > 0 {
                    self.ends.insert((ends, key), ())?;
                }
                self.totals.bytes += size;
                self.totals.entries += 1;
                return Ok(Ok(version));
            }
            if self.sweep(ROOM_STEP, now)? == 0 {
                break;
            }
        }
        Ok(Err(KvError::Full))
    }

    fn remove(&mut self, key: &str) -> Result<Option<Head>, Error> {
        let Some(old) = self.entries.remove(key)?.and_then(|bytes| {
            let (head, _) = decode(bytes.value())?;
            Some(head)
        }) else {
            return Ok(None);
        };
        if old.ends > 0 {
            self.ends.remove((old.ends, key))?;
        }
        let freed = cost(key, old.length);
        self.totals.bytes = self.totals.bytes.saturating_sub(freed);
        self.totals.entries = self.totals.entries.saturating_sub(1);
        Ok(Some(old))
    }

    /// Removes entries that have ended, at most `most`; how many.
    pub(super) fn sweep(&mut self, most: usize, now: u64) -> Result<usize, Error> {
        let mut ended = Vec::new();
        for row in self.ends.range(..(now.saturating_add(1), ""))?.take(most) {
            let (row, _) = row?;
            let (ends, key) = row.value();
            ended.push((ends, key.to_owned()));
        }
        for (ends, key) in &ended {
            // An entry that was removed takes its row along; a row alone would come again.
            if self.remove(key)?.is_none_or(|head| head.ends != *ends) {
                self.ends.remove((*ends, key.as_str()))?;
            }
        }
        Ok(ended.len())
    }
}

fn is_expected(found: Option<&KvEntry>, expected: &KvExpected) -> bool {
    match (found, expected) {
        (None, KvExpected::Absent) => true,
        (Some(entry), KvExpected::Version(version)) => entry.version == *version,
        (Some(entry), KvExpected::Value(value)) => entry.value == *value,
        _ => false,
    }
}

/// A decimal number as it is written here, without a sign that says nothing.
fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// What is known of an entry, also of one that has ended.
pub(super) fn head(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<Head>, Error> {
    let found = entries.get(key)?;
    Ok(found.and_then(|bytes| decode(bytes.value()).map(|(head, _)| head)))
}

/// The live entry of a key.
pub(super) fn get(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
    now: u64,
) -> Result<Option<KvEntry>, Error> {
    let found = found(entries, key, now)?;
    Ok(found.map(|(head, value)| KvEntry {
        value,
        version: head.version,
    }))
}

fn found(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
    now: u64,
) -> Result<Option<(Head, Vec<u8>)>, Error> {
    let found = entries.get(key)?;
    Ok(found.and_then(|bytes| {
        let (head, value) = decode(bytes.value())?;
        head.is_live(now).then(|| (head, value.to_vec()))
    }))
}

/// Live keys that begin with `prefix` and come after `after`.
pub(super) fn list(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
    now: u64,
) -> Result<KvPage, Error> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let mut page = KvPage::default();
    let (mut looked_at, mut bytes_looked_at) = (0, 0_usize);
    for row in entries.range::<&str>((from, Bound::Unbounded))? {
        let (key, bytes) = row?;
        let key = key.value();
        if !key.starts_with(prefix) {
            break;
        }
        looked_at += 1;
        bytes_looked_at = bytes_looked_at.saturating_add(bytes.value().len());
        if decode(bytes.value()).is_some_and(|(head, _)| head.is_live(now)) {
            page.keys.push(key.to_owned());
        }
        if page.keys.len() >= limit as usize
            || looked_at >= LOOKED_AT
            || bytes_looked_at >= LOOKED_AT_BYTES
        {
            page.cursor = Some(key.to_owned());
            break;
        }
    }
    Ok(page)
}
