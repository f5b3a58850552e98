//! The opt-in `Server-Timing` field: the receipt so far, told to the client.
//!
//! It names functions and stages, so it is for sites whose operator wants
//! their clients to know them.

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::receipt::Receipt;

/// The field's name (Server Timing 3).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// No value is longer, in bytes; stages that find no room are left out.
const MOST_BYTES: usize = 1024;

/// The field's value: `cache`, `origin`, one `fn-NAME` for each trigger, and
/// `total`, durations in milliseconds; `elapsed` is the time since the
/// request's start. `None` if it cannot be a field value.
#[must_use]
pub fn to_value(receipt: &Receipt, elapsed: Duration) -> Option<HeaderValue> {
    let mut text = String::with_capacity(128);
    if let Some(cache) = &receipt.cache {
        let took = cache.lookup + cache.collapsed_wait;
        push(
            &mut text,
            format_args!("cache;desc={}", cache.outcome.label()),
            took,
        );
    }
    if let Some(origin) = &receipt.origin {
        let phases = [origin.connect, origin.tls, origin.first_byte];
        let took = phases.into_iter().flatten().sum::<Duration>() + origin.queue;
        push(&mut text, format_args!("origin"), took);
    }
    for trigger in &receipt.triggers {
        let name = Token(trigger.function.name());
        push(
            &mut text,
            format_args!("fn-{name}"),
            trigger.start + trigger.wall,
        );
    }
    push(&mut text, format_args!("total"), elapsed);
    HeaderValue::try_from(text).ok()
}

fn push(text: &mut String, name: std::fmt::Arguments<'_>, took: Duration) {
    let before = text.len();
    let separator = if before == 0 { "" } else { ", " };
    let millis = took.as_secs_f64() * 1000.0;
    let written = write!(text, "{separator}{name};dur={millis:.3}");
    if written.is_err() || text.len() > MOST_BYTES {
        text.truncate(before);
    }
}

/// A name with every character that RFC 9110 5.6.2 allows in no token replaced.
struct Token<'a>(&'a str);

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            let is_token =
                character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
            f.write_char(if is_token { character } else { '_' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use verge_base::{Clock, Random};

    use super::super::metrics::Metrics;
    use verge_http::cache_status::{Forward, Outcome};

    use super::super::receipt::{
        CacheReceipt, FunctionDigest, OriginReceipt, StartClass, Trigger, TriggerReceipt,
    };
    use super::super::span::RequestId;
    use super::*;

    fn receipt() -> Receipt {
        let now: Instant = Clock::system().now();
        Receipt::begin(
            RequestId::new(&Random::seeded(1)),
            now,
            SystemTime::UNIX_EPOCH,
        )
    }

    fn trigger(metrics: &Metrics, name: &str) -> TriggerReceipt {
        TriggerReceipt {
            function: metrics.function(name),
            digest: FunctionDigest::default(),
            trigger: Trigger::ViewerRequest,
            start_class: Some(StartClass::Fresh),
            start: Duration::from_micros(12),
            cpu: Duration::from_micros(3),
            wall: Duration::from_micros(4),
            hostcalls: 1,
            fetches: 0,
            fetch_time: Duration::ZERO,
            memory_peak_bytes: 65_536,
            outcome: "continued",
        }
    }

    #[test]
    fn stages_are_listed_with_milliseconds() {
        let metrics = Metrics::new(1);
        let mut receipt = receipt();
        receipt.cache = Some(CacheReceipt {
            lookup: Duration::from_micros(2),
            ..CacheReceipt::new(Outcome::Forward(Forward::UriMiss))
        });
        receipt.origin = Some(OriginReceipt {
            connect: Some(Duration::from_millis(1)),
            first_byte: Some(Duration::from_millis(20)),
            ..OriginReceipt::new(metrics.origin("app"))
        });
        receipt.triggers.push(trigger(&metrics, "auth"));
        let value = to_value(&receipt, Duration::from_millis(25)).unwrap();
        let expected = "cache;desc=uri-miss;dur=0.002, origin;dur=21.000, \
                        fn-auth;dur=0.016, total;dur=25.000";
        assert_eq!(value, expected);
    }

    #[test]
    fn names_that_are_no_token_are_made_one() {
        let metrics = Metrics::new(1);
        let mut receipt = receipt();
        receipt.triggers.push(trigger(&metrics, "a b,\u{e9}\r\n"));
        let value = to_value(&receipt, Duration::ZERO).unwrap();
        assert_eq!(value, "fn-a_b____;dur=0.016, total;dur=0.000");
    }

    #[test]
    fn value_is_bounded() {
        let metrics = Metrics::new(1);
        let mut receipt = receipt();
        for _ in 0..200 {
            receipt
                .triggers
                .push(trigger(&metrics, "a-function-with-a-name"));
        }
        let value = to_value(&receipt, Duration::ZERO).unwrap();
        assert!(value.len() <= MOST_BYTES);
    }
}
