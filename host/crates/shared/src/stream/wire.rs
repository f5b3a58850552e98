//! The stream in Redis: its two keys, the scripts that write them, and the
//! replies, which are read as strictly as anything from the network.
//!
//! A hash holds the incarnation (`id`), the number (`n`) and the token (`t`) of
//! the last entry; the entries' ids are their numbers. Both keys are in one slot
//! of a cluster, and each script changes both or none.

use redis::{Cmd, Value, cmd};

use super::chain::{Incarnation, Tail};
use crate::trouble::Trouble;

/// Most entries that one read brings.
const READ_MAX: usize = 128;

/// Begins a stream where there is none, and tells its tail and Redis's time.
/// ARGV: incarnation for a new one, number to begin with.
const OPEN: &str = "local c = redis.call('TIME') \
local m = redis.call('HMGET', KEYS[1], 'id', 'n', 't') \
if not (m[1] and m[2] and m[3]) then \
redis.call('DEL', KEYS[1], KEYS[2]) \
m = {ARGV[1], ARGV[2], '0'} \
redis.call('HSET', KEYS[1], 'id', m[1], 'n', m[2], 't', m[3]) \
end \
return {m[1], m[2], m[3], string.format('%.0f', c[1] * 1000 + math.floor(c[2] / 1000))}";

/// Adds an entry, with the time at which the purge was asked for by Redis's own clock: no two
/// nodes' clocks are compared. What stands in the way of its number is of no stream that anybody could
/// follow: then a new stream begins.
/// ARGV: incarnation for a new one, least number before, token, how long ago the purge was asked
/// for in milliseconds, node, sequence, purge, entries to keep.
const PUBLISH: &str = "local c = redis.call('TIME') \
local w = string.format('%.0f', c[1] * 1000 + math.floor(c[2] / 1000) - ARGV[4]) \
local m = redis.call('HMGET', KEYS[1], 'id', 'n', 't') \
local id, n, t = m[1], tonumber(m[2] or ''), m[3] \
if not (id and n and t) then \
redis.call('DEL', KEYS[1], KEYS[2]) id = ARGV[1] n = tonumber(ARGV[2]) t = '0' end \
n = n + 1 \
local function add() return redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[8], \
string.format('%.0f-0', n), 'i', id, 'p', t, 't', ARGV[3], 'w', w, 'o', ARGV[5], \
's', ARGV[6], 'd', ARGV[7]) end \
local added = add() \
if type(added) == 'table' and added.err then \
if string.find(added.err, 'OOM', 1, true) then return added end \
redis.call('DEL', KEYS[2]) id = ARGV[1] t = '0' \
added = add() \
if type(added) == 'table' and added.err then return added end end \
redis.call('HSET', KEYS[1], 'id', id, 'n', string.format('%.0f', n), 't', ARGV[3]) \
return {id, string.format('%.0f', n), ARGV[3]}";

/// Ends a stream that has lost entries, unless another node did so already.
/// ARGV: its incarnation, the new one, a number that the new one is to be above.
const ROTATE: &str = "local m = redis.call('HMGET', KEYS[1], 'id', 'n') \
if m[1] and m[1] ~= ARGV[1] then return 0 end \
local n = math.max(tonumber(m[2] or '') or 0, tonumber(ARGV[3])) \
redis.call('DEL', KEYS[1], KEYS[2]) \
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'n', string.format('%.0f', n), 't', '0') \
return 1";

/// The keys of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    state: String,
    entries: String,
}

/// A purge on its way into the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) token: u64,
    /// How long ago it was asked for, in milliseconds.
    pub(crate) ago_ms: u64,
    pub(crate) node: u64,
    /// The publisher's local sequence.
    pub(crate) sequence: u64,
    /// The purge; empty is everything, softly.
    pub(crate) purge: Vec<u8>,
}

/// A purge out of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) token: u64,
    /// When it was asked for, in milliseconds of Redis's clock.
    pub(crate) at_ms: u64,
    pub(crate) node: u64,
    /// The publisher's local sequence.
    pub(crate) sequence: u64,
    /// The purge; empty is everything, softly.
    pub(crate) purge: Vec<u8>,
}

/// One entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) incarnation: Incarnation,
    pub(crate) number: u64,
    pub(crate) before: u64,
    pub(crate) publication: Publication,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            state: format!("{prefix}:{{purges}}:state"),
            entries: format!("{prefix}:{{purges}}:stream"),
        }
    }

    fn script(&self, text: &str) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(text).arg(2).arg(&self.state).arg(&self.entries);
        command
    }

    pub(crate) fn open(&self, fresh: Incarnation, number: u64) -> Cmd {
        let mut command = self.script(OPEN);
        command.arg(hex(fresh.0)).arg(number);
        command
    }

    pub(crate) fn publish(
        &self,
        fresh: Incarnation,
        number: u64,
        outgoing: &Outgoing,
        keep: u64,
    ) -> Cmd {
        let mut command = self.script(PUBLISH);
        command
            .arg(hex(fresh.0))
            .arg(number)
            .arg(hex(outgoing.token))
            .arg(outgoing.ago_ms)
            .arg(hex(outgoing.node))
            .arg(outgoing.sequence)
            .arg(&outgoing.purge)
            .arg(keep);
        command
    }

    pub(crate) fn rotate(&self, old: Incarnation, fresh: Incarnation, number: u64) -> Cmd {
        let mut command = self.script(ROTATE);
        command.arg(hex(old.0)).arg(hex(fresh.0)).arg(number);
        command
    }

    pub(crate) fn read(&self, after: u64, block_ms: Option<u64>) -> Cmd {
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(READ_MAX);
        if let Some(block_ms) = block_ms {
            command.arg("BLOCK").arg(block_ms);
        }
        command
            .arg("STREAMS")
            .arg(&self.entries)
            .arg(format!("{after}-{}", u64::MAX));
        command
    }
}

/// Reads what `OPEN` returns: the tail, and Redis's time in milliseconds.
pub(crate) fn read_opened(reply: &Value) -> Result<(Tail, u64), Trouble> {
    let Value::Array(parts) = reply else {
        return Err(Trouble::Garbage);
    };
    let [id, number, token, now] = parts.as_slice() else {
        return Err(Trouble::Garbage);
    };
    let tail = Tail {
        incarnation: Incarnation(unhex(id)?),
        number: decimal(text(number)?)?,
        token: unhex(token)?,
    };
    Ok((tail, decimal(text(now)?)?))
}

/// Reads what `PUBLISH` returns.
pub(crate) fn read_tail(reply: &Value) -> Result<Tail, Trouble> {
    let Value::Array(parts) = reply else {
        return Err(Trouble::Garbage);
    };
    let [id, number, token] = parts.as_slice() else {
        return Err(Trouble::Garbage);
    };
    Ok(Tail {
        incarnation: Incarnation(unhex(id)?),
        number: decimal(text(number)?)?,
        token: unhex(token)?,
    })
}

/// Reads what XREAD returns, in order.
pub(crate) fn read_entries(reply: &Value) -> Result<Vec<Entry>, Trouble> {
    let streams = match reply {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(streams) => streams,
        _ => return Err(Trouble::Garbage),
    };
    let [Value::Array(stream)] = streams.as_slice() else {
        return Err(Trouble::Garbage);
    };
    let [_, Value::Array(entries)] = stream.as_slice() else {
        return Err(Trouble::Garbage);
    };
    entries.iter().map(read_entry).collect()
}

fn read_entry(entry: &Value) -> Result<Entry, Trouble> {
    let Value::Array(parts) = entry else {
        return Err(Trouble::Garbage);
    };
    let [id, Value::Array(fields)] = parts.as_slice() else {
        return Err(Trouble::Garbage);
    };
    let number = text(id)?.strip_suffix("-0").ok_or(Trouble::Garbage)?;
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let found = pairs.find_map(|pair| match pair {
            [Value::BulkString(known), value] if known == name.as_bytes() => Some(value),
            _ => None,
        });
        found.ok_or(Trouble::Garbage)
    };
    let Value::BulkString(purge) = field("d")? else {
        return Err(Trouble::Garbage);
    };
    Ok(Entry {
        incarnation: Incarnation(unhex(field("i")?)?),
        number: decimal(number)?,
        before: unhex(field("p")?)?,
        publication: Publication {
            token: unhex(field("t")?)?,
            at_ms: decimal(text(field("w")?)?)?,
            node: unhex(field("o")?)?,
            sequence: decimal(text(field("s")?)?)?,
            purge: purge.clone(),
        },
    })
}

fn hex(number: u64) -> String {
    format!("{number:x}")
}

fn unhex(value: &Value) -> Result<u64, Trouble> {
    u64::from_str_radix(text(value)?, 16).map_err(|_| Trouble::Garbage)
}

fn decimal(text: &str) -> Result<u64, Trouble> {
    text.parse().map_err(|_| Trouble::Garbage)
}

fn text(value: &Value) -> Result<&str, Trouble> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map_err(|_| Trouble::Garbage),
        Value::SimpleString(text) => Ok(text),
        _ => Err(Trouble::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(fields: &[&str]) -> Value {
        let fields = fields.iter().map(|field| bulk(field)).collect();
        let entry = Value::Array(vec![bulk("12-0"), Value::Array(fields)]);
        let stream = Value::Array(vec![bulk("key"), Value::Array(vec![entry])]);
        Value::Array(vec![stream])
    }

    const WHOLE: [&str; 14] = [
        "i", "a", "p", "b", "t", "c", "w", "17", "o", "d", "s", "5", "d", "purge",
    ];

    #[test]
    fn entries_are_read_whole_or_not_at_all() {
        let read = read_entries(&entry(&WHOLE)).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].number, read[0].before), (12, 11));
        assert_eq!(read[0].publication.sequence, 5);
        assert_eq!(read[0].publication.at_ms, 17);
        assert_eq!(read[0].publication.purge, b"purge");
        for missing in (0..WHOLE.len()).step_by(2) {
            let mut fields = WHOLE.to_vec();
            fields.drain(missing..missing + 2);
            assert_eq!(read_entries(&entry(&fields)), Err(Trouble::Garbage));
        }
        assert_eq!(read_entries(&Value::Nil), Ok(Vec::new()));
        for garbage in [Value::Okay, Value::Int(3), Value::Array(vec![Value::Nil])] {
            assert_eq!(read_entries(&garbage), Err(Trouble::Garbage));
        }
    }

    #[test]
    fn a_tail_has_three_parts() {
        let parts = |parts: &[&str]| Value::Array(parts.iter().map(|p| bulk(p)).collect());
        assert_eq!(
            read_tail(&parts(&["ff", "3", "0"])),
            Ok(Tail {
                incarnation: Incarnation(255),
                number: 3,
                token: 0
            })
        );
        let opened = read_opened(&parts(&["ff", "3", "0", "9"]));
        assert_eq!(opened.map(|(_, now_ms)| now_ms), Ok(9));
        for garbage in [&["ff", "3", "0"][..], &["ff", "3", "0", "-1"]] {
            assert_eq!(read_opened(&parts(garbage)), Err(Trouble::Garbage));
        }
        for garbage in [&["ff", "3"][..], &["x", "3", "0"], &["ff", "-3", "0"], &[]] {
            assert_eq!(read_tail(&parts(garbage)), Err(Trouble::Garbage));
        }
    }
}
