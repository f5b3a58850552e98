//! Rates of the region: one counter for all nodes, by Redis's clock. Each
//! question is one script, so as long as Redis answers, nothing is counted
//! twice or not at all. When it does not, the caller counts for itself.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use crate::link::{Link, Surroundings};
use crate::trouble::Trouble;

/// How many ticks are a second. Time is counted in whole ticks since the beginning of 2026, so
/// that Lua's numbers hold it exactly until the year 2043.
const TICKS: u64 = 16_000_000;

/// The longest that a counter may be ahead of time, in ticks: nine years.
const AHEAD_MAX: u64 = 1 << 52;

/// The longest penalty: a hundred years.
const PENALTY_MAX: u64 = 100 * 365 * 86_400_000;

/// The generic cell rate algorithm. KEYS: the counter, which is its theoretical arrival time.
/// ARGV: ticks of one unit, ticks of the burst, units that are wanted.
const CHECK: &str = "
local t = redis.call('TIME')
local now = (t[1] - 1767225600) * 16000000 + t[2] * 16
local interval, ahead, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
if arrival > now + ahead then arrival = now + ahead end
local wanted = arrival + interval * cost
if wanted > now + ahead then
  local over = wanted - now - ahead
  if interval * cost > ahead then over = -1 end
  return {0, math.floor((now + ahead - arrival) / interval), arrival - now, over}
end
if wanted > now then
  redis.call('SET', KEYS[1], string.format('%.0f', wanted), 'PX',
    math.ceil((wanted - now) / 16000))
end
return {1, math.floor((now + ahead - wanted) / interval), wanted - now, 0}";

/// Two windows. ARGV: the window in milliseconds, what is added.
const COUNT: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, amount = tonumber(ARGV[1]), tonumber(ARGV[2])
local number = math.floor(now / window)
local state = redis.call('HMGET', KEYS[1], 'n', 'c', 'p')
local known, current, previous = tonumber(state[1] or -2), 0, 0
if known == number then current, previous = tonumber(state[2]), tonumber(state[3])
elseif known == number - 1 then previous = tonumber(state[2]) end
if amount > 0 then
  current = current + amount
  redis.call('HSET', KEYS[1], 'n', string.format('%.0f', number),
    'c', string.format('%.0f', current), 'p', string.format('%.0f', previous))
  redis.call('PEXPIRE', KEYS[1], (number + 2) * window - now)
end
return current + math.ceil(previous * (window - now % window) / window)";

const PENALIZE: &str = "
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1";

/// The rates of a region; cheap to clone.
#[derive(Clone)]
pub struct RegionRates {
    around: Arc<Surroundings>,
    link: Link,
}

/// Which counter; a digest of whose it is and what it counts, because keys may be secrets.
pub type CounterId = [u8; 32];

/// What a counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateReply {
    /// The units were taken.
    pub allowed: bool,
    /// Units that may still come at once.
    pub remaining: u64,
    /// Until the whole burst is free again.
    pub reset_after: Duration,
    /// Until the same would be allowed; `None` if never.
    pub retry_after: Option<Duration>,
}

impl RegionRates {
    pub(crate) fn new(around: &Arc<Surroundings>) -> Self {
        Self {
            link: Link::new("rate", around, around.settings.timeout),
            around: Arc::clone(around),
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Takes `cost` units of a counter that allows `limit` for each `window` and `burst` at once.
    ///
    /// # Errors
    /// Redis did not answer in time; the units may be taken or not.
    pub async fn check(
        &self,
        id: &CounterId,
        limit: u32,
        window: Duration,
        burst: u32,
        cost: u32,
    ) -> Result<RateReply, Trouble> {
        let interval = interval(limit, window);
        let ahead = interval.saturating_mul(burst.max(1).into()).min(AHEAD_MAX);
        let mut command = self.script(CHECK, "rate", id);
        command.arg(interval).arg(ahead).arg(cost);
        let Value::Array(parts) = self.link.command(&command).await? else {
            return Err(Trouble::Garbage);
        };
        let [
            Value::Int(allowed),
            Value::Int(remaining),
            Value::Int(reset),
            Value::Int(retry),
        ] = parts.as_slice()
        else {
            return Err(Trouble::Garbage);
        };
        Ok(RateReply {
            allowed: *allowed == 1,
            remaining: u64::try_from(*remaining).unwrap_or(0),
            reset_after: ticks(*reset).unwrap_or_default(),
            retry_after: ticks(*retry),
        })
    }

    /// Adds to a sliding counter, and tells how much came within the last `window`.
    ///
    /// # Errors
    /// Redis did not answer in time; it may be added or not.
    pub async fn count(
        &self,
        id: &CounterId,
        window: Duration,
        amount: u32,
    ) -> Result<u64, Trouble> {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let window = window.clamp(1, u64::from(u32::MAX));
        let mut command = self.script(COUNT, "count", id);
        command.arg(window).arg(amount);
        match self.link.command(&command).await? {
            Value::Int(count) => u64::try_from(count).map_err(|_| Trouble::Garbage),
            _ => Err(Trouble::Garbage),
        }
    }

    /// Puts something into the penalty box. A penalty that lasts longer stays.
    ///
    /// # Errors
    /// Redis did not answer in time; it may be in or not.
    pub async fn penalize(&self, id: &CounterId, duration: Duration) -> Result<(), Trouble> {
        let duration = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut command = self.script(PENALIZE, "box", id);
        command.arg(duration.clamp(1, PENALTY_MAX));
        self.link.command(&command).await.map(|_| ())
    }

    /// How much longer something is in the penalty box.
    ///
    /// # Errors
    /// Redis did not answer in time.
    pub async fn penalty(&self, id: &CounterId) -> Result<Option<Duration>, Trouble> {
        let mut command = cmd("PTTL");
        command.arg(self.name("box", id));
        match self.link.command(&command).await? {
            Value::Int(left) => Ok(u64::try_from(left).ok().map(Duration::from_millis)),
            _ => Err(Trouble::Garbage),
        }
    }

    fn script(&self, text: &str, sort: &str, id: &CounterId) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(text).arg(1).arg(self.name(sort, id));
        command
    }

    fn name(&self, sort: &str, id: &CounterId) -> String {
        use std::fmt::Write as _;
        let mut name = format!("{}:{sort}:", self.around.settings.prefix);
        for byte in id {
            // Writing to a string does not fail.
            let _infallible = write!(name, "{byte:02x}");
        }
        name
    }
}

impl std::fmt::Debug for RegionRates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RegionRates(..)")
    }
}

/// Ticks that one unit takes; at least 1.
fn interval(limit: u32, window: Duration) -> u64 {
    let window = window.max(Duration::from_millis(1));
    let ticks = window.as_nanos() * u128::from(TICKS) / 1_000_000_000;
    let ticks = u64::try_from(ticks).unwrap_or(u64::MAX).min(AHEAD_MAX);
    (ticks / u64::from(limit.max(1))).max(1)
}

/// A number of ticks as a time, rounded up; `None` for a negative one.
fn ticks(ticks: i64) -> Option<Duration> {
    let ticks = u64::try_from(ticks).ok()?;
    let nanos = u128::from(ticks) * 1_000_000_000;
    let nanos = nanos.div_ceil(u128::from(TICKS));
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z in seconds.
    const START: u64 = 1_767_225_600;

    #[test]
    fn the_scripts_count_as_the_constants_say() {
        assert!(CHECK.contains(&format!("(t[1] - {START}) * {TICKS}")));
        assert!(CHECK.contains(&format!("t[2] * {}", TICKS / 1_000_000)));
        assert!(CHECK.contains(&format!("/ {})", TICKS / 1000)));
        // What Lua's numbers hold exactly, for 17 years.
        const { assert!(17 * 366 * 86_400 * TICKS < 1 << 53) };
    }

    #[test]
    fn a_unit_takes_its_share_of_the_window() {
        assert_eq!(interval(10, Duration::from_secs(1)), TICKS / 10);
        assert_eq!(interval(0, Duration::ZERO), TICKS / 1000);
        assert_eq!(interval(u32::MAX, Duration::from_millis(1)), 1);
        assert_eq!(interval(1, Duration::MAX), AHEAD_MAX);
        assert_eq!(ticks(16), Some(Duration::from_micros(1)));
        assert_eq!(ticks(1), Some(Duration::from_nanos(63)));
        assert_eq!(ticks(-1), None);
    }
}
