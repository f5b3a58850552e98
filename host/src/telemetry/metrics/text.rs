//! The metrics' names and help texts, and nothing else: the only file that
//! knows them, with `cache` for the cache, `functions` for functions, `capabilities` for what these
//! ask the node for, and `shared` for what nodes share.

mod cache;
mod capabilities;
mod functions;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry as Scrape;

use super::super::counters::Histogram;
use super::super::exposition::Page;
use super::super::handles::{OriginMetrics, STATUS_CLASSES, SiteMetrics};
use super::super::sample::Sample;
use super::{Inner, SIDES};

/// Everything that is counted, as text.
pub(super) fn encode(inner: Arc<Inner>, sample: Sample) -> String {
    let mut scrape = Scrape::default();
    scrape.register_collector(Box::new(Collected { inner, sample }));
    let mut text = String::with_capacity(64 * 1024);
    // Writing to a string does not fail.
    let _infallible = text::encode(&mut text, &scrape);
    text
}

/// One scrape.
#[derive(Debug)]
struct Collected {
    inner: Arc<Inner>,
    sample: Sample,
}

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        self.node(&mut page)?;
        self.limits(&mut page)?;
        self.listeners(&mut page)?;
        self.sites(&mut page)?;
        self.cache(&mut page)?;
        functions::encode(&self.inner.registry.functions.all(), &mut page)?;
        functions::encode_idle(&self.sample.idle, &mut page)?;
        functions::encode_shares(&self.sample, &mut page)?;
        capabilities::encode(&self.inner.registry, &self.sample.kv, &mut page)?;
        self.origins(&mut page)?;
        match &self.sample.shared {
            Some(sample) => shared::encode(sample, &mut page),
            None => Ok(()),
        }
    }
}

impl Collected {
    fn node(&self, page: &mut Page<'_>) -> fmt::Result {
        let (inner, sample) = (&*self.inner, &self.sample);
        page.gauge("verge_build_info", "The running version.")?
            .put([("version", env!("CARGO_PKG_VERSION"))], 1)?;
        page.gauge("verge_ready", "1 while the node wants traffic.")?
            .put_one(u64::from(sample.ready))?;
        page.gauge("verge_draining", "1 while the node finishes old work.")?
            .put_one(u64::from(sample.draining))?;
        page.gauge("verge_generation", "The number of the serving generation.")?
            .put_one(inner.generation.load(Ordering::Relaxed))?;
        let failed = inner.reload_failed.load(Ordering::Relaxed);
        page.gauge(
            "verge_last_reload_successful",
            "0 after a reload that failed.",
        )?
        .put_one(1 - failed.min(1))?;
        page.counter("verge_reloads", "Reloads by result.")?
            .put_all("result", &inner.reloads)?;
        page.counter("verge_panics", "Panics that were caught.")?
            .put_one(inner.panics.sum(0))?;
        let log = sample.access_log;
        page.counter("verge_access_log_lines", "Lines written to the access log.")?
            .put_one(log.written)?;
        let help = "Access log lines dropped because the writer fell behind or failed.";
        page.counter("verge_access_log_dropped_lines", help)?
            .put_one(log.dropped)?;
        let mut failures = page.counter("verge_failures", "Failures by the side at fault.")?;
        for (side, counters) in SIDES.iter().zip(&inner.failures) {
            for (label, number) in counters.all() {
                failures.put([("side", *side), ("failure", label)], number)?;
            }
        }
        Ok(())
    }

    fn limits(&self, page: &mut Page<'_>) -> fmt::Result {
        let limits = &self.sample.limits;
        let mut hits = self.inner.limits.all();
        for limit in limits {
            match hits.iter_mut().find(|(name, _)| *name == limit.name) {
                Some((_, number)) => *number += limit.refused,
                None => hits.push((limit.name, limit.refused)),
            }
        }
        let mut counter = page.counter("verge_limit_hits", "How often each limit was hit.")?;
        for (name, number) in hits {
            counter.put([("limit", name)], number)?;
        }
        let mut gauge = page.gauge("verge_limit_in_use", "Places taken of each limit.")?;
        for limit in limits {
            gauge.put([("limit", limit.name)], limit.in_use)?;
        }
        let mut gauge = page.gauge("verge_limit_places", "Places that each limit has.")?;
        for limit in limits {
            gauge.put([("limit", limit.name)], limit.limit)?;
        }
        Ok(())
    }

    fn listeners(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = self.inner.registry.listeners.all();
        let mut opened = page.counter("verge_connections", "Connections accepted.")?;
        for listener in &all {
            opened.put([("listener", listener.name())], listener.opened())?;
        }
        let mut open = page.gauge("verge_open_connections", "Connections open now.")?;
        for listener in &all {
            open.put([("listener", listener.name())], listener.open_now())?;
        }
        let help = "Connections that ended otherwise than by the client's closing them.";
        let mut ends = page.counter("verge_connection_ends", help)?;
        for listener in &all {
            for (reason, number) in listener.ends.all() {
                ends.put([("listener", listener.name()), ("reason", reason)], number)?;
            }
        }
        let help = "TLS handshakes with clients.";
        let mut handshakes = page.histogram("verge_tls_handshake_seconds", help)?;
        for listener in &all {
            let name = ("listener", listener.name());
            handshakes.put([name, ("resumed", "false")], &listener.handshakes)?;
            handshakes.put([name, ("resumed", "true")], &listener.resumptions)?;
        }
        Ok(())
    }

    fn sites(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = self.inner.registry.sites.all();
        let mut requests = page.counter("verge_requests", "Requests by status class.")?;
        for site in &all {
            for (index, class) in STATUS_CLASSES.iter().enumerate() {
                let labels = [("site", site.name()), ("class", *class)];
                requests.put(labels, site.numbers.sum(index))?;
            }
        }
        let numbers = [
            (
                "verge_requests_aborted",
                "Requests that the client left.",
                SiteMetrics::ABORTED,
            ),
            (
                "verge_received_bytes",
                "Request content received.",
                SiteMetrics::RECEIVED_BYTES,
            ),
            (
                "verge_sent_bytes",
                "Response content sent.",
                SiteMetrics::SENT_BYTES,
            ),
        ];
        for (name, help, index) in numbers {
            let mut counter = page.counter(name, help)?;
            for site in &all {
                counter.put([("site", site.name())], site.numbers.sum(index))?;
            }
        }
        let help = "From the request's head to the response's last byte, by cache outcome.";
        let mut durations = page.histogram("verge_request_duration_seconds", help)?;
        for site in &all {
            for (cache, histogram) in site.durations() {
                durations.put([("site", site.name()), ("cache", cache)], histogram)?;
            }
        }
        Ok(())
    }

    fn origins(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = self.inner.registry.origins.all();
        let mut requests = page.counter("verge_origin_requests", "Exchanges by connection.")?;
        for origin in &all {
            let name = ("origin", origin.name());
            let (on_new, on_reused) = (OriginMetrics::ON_NEW, OriginMetrics::ON_REUSED);
            requests.put([name, ("connection", "new")], origin.numbers.sum(on_new))?;
            requests.put(
                [name, ("connection", "reused")],
                origin.numbers.sum(on_reused),
            )?;
        }
        let mut retries = page.counter("verge_origin_retries", "Attempts after the first.")?;
        for origin in &all {
            let number = origin.numbers.sum(OriginMetrics::RETRIES);
            retries.put([("origin", origin.name())], number)?;
        }
        let mut failures = page.counter("verge_origin_failures", "Failed exchanges.")?;
        for origin in &all {
            for (failure, number) in origin.failures.all() {
                failures.put([("origin", origin.name()), ("failure", failure)], number)?;
            }
        }
        type Phase = fn(&OriginMetrics) -> &Histogram;
        let phases: [(&str, &str, Phase); 3] = [
            ("verge_origin_connect_seconds", "Time to connect.", |o| {
                &o.connect
            }),
            (
                "verge_origin_tls_seconds",
                "TLS handshakes with origins.",
                |o| &o.tls,
            ),
            (
                "verge_origin_first_byte_seconds",
                "From request to response head.",
                |o| &o.first_byte,
            ),
        ];
        for (name, help, phase) in phases {
            let mut histogram = page.histogram(name, help)?;
            for origin in &all {
                histogram.put([("origin", origin.name())], phase(origin))?;
            }
        }
        self.pools(page)
    }

    fn pools(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut connections = page.gauge("verge_origin_connections", "Pooled connections.")?;
        for pool in &self.sample.pools {
            let address = pool.address.to_string();
            for (state, number) in [("idle", pool.idle), ("in_use", pool.in_use)] {
                let labels = [
                    ("origin", &*pool.origin),
                    ("address", &*address),
                    ("state", state),
                ];
                connections.put(labels, number)?;
            }
        }
        let help = "Requests that wait for a connection.";
        let mut queue = page.gauge("verge_origin_queued_requests", help)?;
        for pool in &self.sample.pools {
            let address = pool.address.to_string();
            queue.put(
                [("origin", &*pool.origin), ("address", &*address)],
                pool.queued,
            )?;
        }
        Ok(())
    }
}
