//! Key-value stores of the region. Each operation is one command or one script,
//! so nothing comes between its parts; entries live as long as Redis says.
//!
//! An entry is a hash of value and version. Beside the entries of a store are
//! two sorted sets: its keys in order, for lists, and when which of them ends,
//! by which each write removes a few that have ended. All of a store is in one
//! slot of a cluster: that is what makes its scripts atomic.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use crate::link::{Link, Surroundings};
use crate::trouble::Trouble;

/// The longest time to live, a hundred years: Redis takes no more than it can add up.
const TTL_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What scripts have in common. KEYS: the entry, the keys in order, when they end. ARGV: the key,
/// its value, its version, its time to live in milliseconds or 0.
const PRELUDE: &str = "
local function prune()
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  for _, k in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', now, 'BYSCORE', 'LIMIT', 0, 8)) do
    redis.call('ZREM', KEYS[2], k)
    redis.call('ZREM', KEYS[3], k)
  end
  return now
end
local function ends(now)
  local ttl = tonumber(ARGV[4])
  if ttl > 0 then
    redis.call('PEXPIRE', KEYS[1], ttl)
    redis.call('ZADD', KEYS[3], now + ttl, ARGV[1])
  else
    redis.call('PERSIST', KEYS[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
  end
end
local function write()
  local now = prune()
  redis.call('HSET', KEYS[1], 'v', ARGV[2], 'n', ARGV[3])
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  ends(now)
end
";

const SET: &str = "write() return 1";

const DELETE: &str = "
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])";

/// The second argument is what is added. A sum is read back as text: Lua's numbers are too coarse.
const INCREMENT: &str = "
local is_new = redis.call('EXISTS', KEYS[1]) == 0
local sum = redis.pcall('HINCRBY', KEYS[1], 'v', ARGV[2])
if type(sum) == 'table' and sum.err then
  if string.find(sum.err, 'integer') or string.find(sum.err, 'overflow') then return false end
  return sum
end
redis.call('HSET', KEYS[1], 'n', ARGV[3])
if is_new then
  local now = prune()
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  ends(now)
end
return redis.call('HGET', KEYS[1], 'v')";

/// Further arguments: what is compared (`absent`, `n` or `v`), and with what.
const SWAP: &str = "
local entry = redis.call('HMGET', KEYS[1], 'v', 'n')
local is_expected
if ARGV[5] == 'absent' then is_expected = not entry[1]
elseif ARGV[5] == 'n' then is_expected = entry[2] == ARGV[6]
else is_expected = entry[1] == ARGV[6] end
if is_expected then write() return 1 end
if entry[1] then return entry end
return 0";

/// Arguments: from where, to where, how many, and what the names of entries begin with. What has
/// ended is left out, and forgotten.
const LIST: &str = "
local found = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
local page = { #found == tonumber(ARGV[3]) and found[#found] or false }
for _, k in ipairs(found) do
  if redis.call('EXISTS', ARGV[4] .. k) == 1 then
    page[#page + 1] = k
  else
    redis.call('ZREM', KEYS[2], k)
    redis.call('ZREM', KEYS[3], k)
  end
end
return page";

/// The key-value stores of a region; cheap to clone.
#[derive(Clone)]
pub struct RegionKv {
    around: Arc<Surroundings>,
    link: Link,
}

/// A value with its version.
pub type Versioned = (Vec<u8>, u64);

/// What a key must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Not there.
    Absent,
    /// Of this version.
    Version(u64),
    /// Of exactly this value.
    Value(&'a [u8]),
}

impl RegionKv {
    pub(crate) fn new(around: &Arc<Surroundings>) -> Self {
        Self {
            link: Link::new("kv", around, around.settings.timeout),
            around: Arc::clone(around),
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Redis did not answer, or refused.
    pub async fn get(&self, store: &str, key: &str) -> Result<Option<Versioned>, Trouble> {
        let mut command = cmd("HMGET");
        command.arg(self.names(store).entry(key)).arg("v").arg("n");
        match self.link.command(&command).await? {
            Value::Array(parts) => versioned(parts),
            _ => Err(Trouble::Garbage),
        }
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn exists(&self, store: &str, key: &str) -> Result<bool, Trouble> {
        let mut command = cmd("EXISTS");
        command.arg(self.names(store).entry(key));
        flag(&self.link.command(&command).await?)
    }

    /// Writes a key, and tells its version.
    ///
    /// # Errors
    /// As [`get`](Self::get), or Redis has no room.
    pub async fn set(
        &self,
        store: &str,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<u64, Trouble> {
        let version = self.around.random.next_u64();
        let mut command = self.script(SET, store, key);
        command.arg(value).arg(version).arg(millis(ttl));
        self.link.command(&command).await?;
        Ok(version)
    }

    /// Deletes a key; whether it was there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, store: &str, key: &str) -> Result<bool, Trouble> {
        flag(&self.link.command(&self.script(DELETE, store, key)).await?)
    }

    /// Adds to a number; `None` if it is none, or would not be one of 64 bits.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn increment(
        &self,
        store: &str,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
    ) -> Result<Option<i64>, Trouble> {
        let version = self.around.random.next_u64();
        let mut command = self.script(INCREMENT, store, key);
        command.arg(delta).arg(version).arg(millis(ttl));
        match self.link.command(&command).await? {
            Value::Nil => Ok(None),
            Value::BulkString(sum) => number(&sum).map(Some),
            _ => Err(Trouble::Garbage),
        }
    }

    /// Writes a key if it is as expected; else what is there instead.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn swap(
        &self,
        store: &str,
        key: &str,
        expected: Expected<'_>,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<Result<u64, Option<Versioned>>, Trouble> {
        let version = self.around.random.next_u64();
        let mut command = self.script(SWAP, store, key);
        command.arg(value).arg(version).arg(millis(ttl));
        match expected {
            Expected::Absent => command.arg("absent").arg(""),
            Expected::Version(version) => command.arg("n").arg(version),
            Expected::Value(value) => command.arg("v").arg(value),
        };
        match self.link.command(&command).await? {
            Value::Int(1) => Ok(Ok(version)),
            Value::Int(_) => Ok(Err(None)),
            Value::Array(parts) => Ok(Err(versioned(parts)?)),
            _ => Err(Trouble::Garbage),
        }
    }

    /// Keys that begin with `prefix` and come after `after`, at most `limit`; and after which to
    /// go on, if there may be more.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn list(
        &self,
        store: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<String>), Trouble> {
        let names = self.names(store);
        let (from, to) = range(prefix, after);
        let mut command = cmd("EVAL");
        command.arg(LIST).arg(3).arg(names.entry(""));
        command.arg(names.order()).arg(names.ends());
        command.arg(from).arg(to).arg(limit).arg(names.entry(""));
        let Value::Array(parts) = self.link.command(&command).await? else {
            return Err(Trouble::Garbage);
        };
        let mut parts = parts.into_iter();
        let cursor = match parts.next() {
            Some(Value::Nil) => None,
            Some(last) => Some(text(last)?),
            None => return Err(Trouble::Garbage),
        };
        let keys: Result<Vec<String>, Trouble> = parts.map(text).collect();
        Ok((keys?, cursor))
    }

    /// A script about one key, with its first argument.
    fn script(&self, text: &str, store: &str, key: &str) -> Cmd {
        let names = self.names(store);
        let mut command = cmd("EVAL");
        command.arg(format!("{PRELUDE}{text}")).arg(3);
        command.arg(names.entry(key));
        command.arg(names.order()).arg(names.ends()).arg(key);
        command
    }

    fn names<'a>(&'a self, store: &'a str) -> Names<'a> {
        Names {
            prefix: &self.around.settings.prefix,
            store,
        }
    }
}

impl std::fmt::Debug for RegionKv {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RegionKv(..)")
    }
}

/// What a store's parts are called in Redis.
struct Names<'a> {
    prefix: &'a str,
    store: &'a str,
}

impl Names<'_> {
    fn entry(&self, key: &str) -> String {
        format!("{}:kv:{{{}}}:e:{key}", self.prefix, self.store)
    }

    fn order(&self) -> String {
        format!("{}:kv:{{{}}}:o", self.prefix, self.store)
    }

    fn ends(&self) -> String {
        format!("{}:kv:{{{}}}:t", self.prefix, self.store)
    }
}

/// The range of keys as Redis has it. Keys are UTF-8, in which no byte is 255.
fn range(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let from = match after {
        Some(after) if after >= prefix => [b"(", after.as_bytes()].concat(),
        _ if prefix.is_empty() => b"-".to_vec(),
        _ => [b"[", prefix.as_bytes()].concat(),
    };
    let to = if prefix.is_empty() {
        b"+".to_vec()
    } else {
        [b"(", prefix.as_bytes(), b"\xff"].concat()
    };
    (from, to)
}

fn millis(ttl: Option<Duration>) -> u64 {
    let Some(ttl) = ttl else { return 0 };
    u64::try_from(ttl.min(TTL_MAX).as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn versioned(parts: Vec<Value>) -> Result<Option<Versioned>, Trouble> {
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::BulkString(value), Value::BulkString(version)]) => {
            Ok(Some((value, number(&version)?)))
        }
        Ok([Value::Nil, Value::Nil]) => Ok(None),
        _ => Err(Trouble::Garbage),
    }
}

fn flag(value: &Value) -> Result<bool, Trouble> {
    match value {
        Value::Int(count) => Ok(*count > 0),
        _ => Err(Trouble::Garbage),
    }
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, Trouble> {
    let text = std::str::from_utf8(bytes).map_err(|_| Trouble::Garbage)?;
    text.parse().map_err(|_| Trouble::Garbage)
}

fn text(value: Value) -> Result<String, Trouble> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| Trouble::Garbage),
        _ => Err(Trouble::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_keys_begin_after_the_cursor_and_stay_within_the_prefix() {
        let range = |prefix, after| {
            let (from, to) = range(prefix, after);
            (
                String::from_utf8_lossy(&from).into_owned(),
                String::from_utf8_lossy(&to).into_owned(),
            )
        };
        let own = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(range("", None), own("-", "+"));
        assert_eq!(range("", Some("a")), own("(a", "+"));
        assert_eq!(range("u:", None), own("[u:", "(u:\u{fffd}"));
        assert_eq!(range("u:", Some("u:7")), own("(u:7", "(u:\u{fffd}"));
        // A cursor from elsewhere does not lead out of the prefix.
        assert_eq!(range("u:", Some("a")), own("[u:", "(u:\u{fffd}"));
    }

    #[test]
    fn times_to_live_are_at_least_a_millisecond_and_bounded() {
        assert_eq!(millis(None), 0);
        assert_eq!(millis(Some(Duration::ZERO)), 1);
        assert_eq!(millis(Some(Duration::from_secs(2))), 2000);
        assert_eq!(millis(Some(Duration::MAX)), 3_153_600_000_000);
    }
}
