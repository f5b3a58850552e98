//! The metrics of what nodes share: every use of Redis, the stream of purges,
//! stored responses of the region, leases.

use std::fmt;

use verge_shared::{BreakerState, SharedSample};

use super::super::super::exposition::Page;

/// Writes all of it.
pub(super) fn encode(sample: &SharedSample, page: &mut Page<'_>) -> fmt::Result {
    links(sample, page)?;
    stream(sample, page)?;
    responses(sample, page)
}

fn links(sample: &SharedSample, page: &mut Page<'_>) -> fmt::Result {
    let mut connected = page.gauge("verge_redis_connected", "1 while a use has a connection.")?;
    for link in &sample.links {
        connected.put([("use", link.name)], u64::from(link.is_connected))?;
    }
    let help = "1 for the state that the circuit breaker of a use is in.";
    let mut breakers = page.gauge("verge_redis_breaker", help)?;
    for link in &sample.links {
        for state in [
            BreakerState::Closed,
            BreakerState::Open,
            BreakerState::HalfOpen,
        ] {
            let labels = [("use", link.name), ("state", state.label())];
            breakers.put(labels, u64::from(link.breaker == state))?;
        }
    }
    let help = "How often the circuit breaker of a use has opened.";
    let mut opened = page.counter("verge_redis_breaker_opened", help)?;
    for link in &sample.links {
        opened.put([("use", link.name)], link.opened)?;
    }
    let mut commands = page.counter("verge_redis_commands", "Commands by outcome.")?;
    for link in &sample.links {
        let answered = ("answered", link.successes);
        for (outcome, number) in link.troubles.iter().copied().chain([answered]) {
            commands.put([("use", link.name), ("outcome", outcome)], number)?;
        }
    }
    Ok(())
}

fn stream(sample: &SharedSample, page: &mut Page<'_>) -> fmt::Result {
    let stream = &sample.stream;
    let help = "1 while the purge stream is read closely enough to use what is in Redis.";
    page.gauge("verge_purge_stream_trusted", help)?
        .put_one(u64::from(stream.is_trusted))?;
    let help = "Time since the node last knew that it had read all purges.";
    if let Some(behind) = stream.behind {
        page.gauge("verge_purge_stream_behind_seconds", help)?
            .put_seconds(behind)?;
    }
    page.gauge("verge_purge_stream_number", "The last purge that was read.")?
        .put_one(stream.number)?;
    let help = "Purges that were read from the stream and applied.";
    page.counter("verge_purge_stream_applied", help)?
        .put_one(stream.applied)?;
    page.counter("verge_purge_stream_published", "Purges told to others.")?
        .put_one(stream.published)?;
    page.gauge("verge_purge_stream_waiting", "Purges that wait for Redis.")?
        .put_one(stream.waiting)?;
    let help = "How often waiting purges became one of everything.";
    page.counter("verge_purge_stream_overflows", help)?
        .put_one(stream.overflows)?;
    let help = "How often everything was purged because purges were lost.";
    let mut resets = page.counter("verge_purge_stream_resets", help)?;
    for (reason, number) in stream.resets {
        resets.put([("reason", reason)], number)?;
    }
    let lag = &stream.lag;
    let help = "From a purge on another node to its taking effect here, by Redis's clock.";
    page.histogram("verge_cache_purge_lag_seconds", help)?
        .put_buckets(lag.sum, lag.count, &lag.buckets)
}

fn responses(sample: &SharedSample, page: &mut Page<'_>) -> fmt::Result {
    let l2 = &sample.l2;
    let mut lookups = page.counter("verge_l2_lookups", "Lookups in Redis by outcome.")?;
    for (outcome, number) in &l2.lookups {
        lookups.put([("outcome", *outcome)], *number)?;
    }
    let mut saves = page.counter("verge_l2_saves", "Saves to Redis by outcome.")?;
    for (outcome, number) in &l2.saves {
        saves.put([("outcome", *outcome)], *number)?;
    }
    page.gauge("verge_l2_saves_waiting", "Responses that wait to be saved.")?
        .put_one(l2.waiting)?;
    let latency = &l2.latency;
    page.histogram("verge_l2_lookup_seconds", "Durations of lookups in Redis.")?
        .put_buckets(latency.sum, latency.count, &latency.buckets)?;
    let help = "What was done about fetches that other nodes could be doing.";
    let mut leases = page.counter("verge_leases", help)?;
    for (outcome, number) in &sample.leases {
        leases.put([("outcome", *outcome)], *number)?;
    }
    Ok(())
}
