//! The metrics of what functions ask the node for: key-value stores and rates.

use std::fmt;

use super::super::super::exposition::Page;
use super::super::super::registry::Registry;
use super::super::super::sample::KvSample;

/// Writes all of it.
pub(super) fn encode(registry: &Registry, kv: &[KvSample], page: &mut Page<'_>) -> fmt::Result {
    rates(registry, page)?;
    operations(registry, page)?;
    levels(kv, page)
}

fn rates(registry: &Registry, page: &mut Page<'_>) -> fmt::Result {
    let help =
        "Answers about rates, by who decided: the node, the region, or the node in its place.";
    let mut answers = page.counter("verge_rate_answers", help)?;
    for function in registry.functions.all() {
        for (by, number) in function.rates() {
            answers.put([("function", function.name()), ("by", by)], number)?;
        }
    }
    Ok(())
}

fn operations(registry: &Registry, page: &mut Page<'_>) -> fmt::Result {
    let all = registry.kv.all();
    let help = "Operations of key-value stores by outcome.";
    let mut operations = page.counter("verge_kv_operations", help)?;
    for store in &all {
        for (operation, outcome, number) in store.operations() {
            let name = ("store", store.name());
            operations.put(
                [name, ("operation", operation), ("outcome", outcome)],
                number,
            )?;
        }
    }
    let help = "Durations of the operations of key-value stores.";
    let mut latency = page.histogram("verge_kv_seconds", help)?;
    for store in &all {
        latency.put([("store", store.name())], &store.latency)?;
    }
    Ok(())
}

fn levels(kv: &[KvSample], page: &mut Page<'_>) -> fmt::Result {
    type Level = fn(&KvSample) -> u64;
    let levels: [(&str, &str, Level); 5] = [
        (
            "verge_kv_bytes",
            "Bytes that a store on disk counts.",
            |s| s.bytes,
        ),
        ("verge_kv_limit_bytes", "Bytes that it may count.", |s| {
            s.limit_bytes
        }),
        ("verge_kv_entries", "Entries of a store on disk.", |s| {
            s.entries
        }),
        (
            "verge_kv_waiting",
            "Operations that wait for its disk.",
            |s| s.waiting,
        ),
        ("verge_kv_usable", "1 while its file can be used.", |s| {
            u64::from(s.usable)
        }),
    ];
    for (name, help, level) in levels {
        let mut gauge = page.gauge(name, help)?;
        for sample in kv {
            gauge.put([("store", &*sample.store)], level(sample))?;
        }
    }
    let help = "Entries removed because their time was over.";
    let mut swept = page.counter("verge_kv_swept", help)?;
    for sample in kv {
        swept.put([("store", &*sample.store)], sample.swept)?;
    }
    Ok(())
}
