//! One request as one line of JSON.
//!
//! Every byte that a client chose is escaped, so that a line stays one line
//! and one object whatever was sent. Of fields, only `User-Agent` is ever
//! written: `Authorization`, `Cookie` and `Set-Cookie` are never here.

use std::io::Write;
use std::time::Duration;

use http::Version;

use super::receipt::{CacheReceipt, OriginReceipt, Receipt, TlsReceipt, TriggerReceipt};
use super::rfc3339::Rfc3339;

/// What of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineOptions {
    /// Whether the query is written. Turn it off where queries carry tokens.
    pub query: bool,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self { query: true }
    }
}

/// Longer text from a client is cut, in bytes before escaping.
const MOST_TEXT_BYTES: usize = 2048;

/// Appends `receipt` to `line` as one JSON object and a line feed. Members
/// that have nothing to say are left out; times are in microseconds.
pub fn append(receipt: &Receipt, options: LineOptions, line: &mut Vec<u8>) {
    let mut object = Object::begin(line);
    object.display("time", Rfc3339(receipt.started_wall));
    object.text("id", &receipt.id.to_hex());
    if let Some(trace) = &receipt.trace {
        object.text("trace", &trace.trace_id());
    }
    if let Some(route) = &receipt.route {
        object.text("site", route.site().name().as_bytes());
        if let Some(pattern) = route.route() {
            object.text("route", pattern.as_bytes());
        }
    }
    if let Some(client) = receipt.client {
        object.display("client", client);
    }
    append_head(receipt, options, &mut object);
    if let Some(status) = receipt.status {
        object.number("status", u64::from(status.as_u16()));
    }
    object.number("received_bytes", receipt.received_bytes);
    object.number("sent_bytes", receipt.sent_bytes);
    object.micros("total_us", receipt.total);
    if let Some(first_byte) = receipt.first_byte {
        object.micros("first_byte_us", first_byte);
    }
    if !receipt.queue.is_zero() {
        object.micros("queue_us", receipt.queue);
    }
    if let Some(tls) = &receipt.tls {
        object.object("tls", |tls_object| append_tls(tls, tls_object));
    }
    if let Some(cache) = &receipt.cache {
        object.object("cache", |cache_object| append_cache(cache, cache_object));
    }
    if !receipt.triggers.is_empty() {
        object.array("functions", &receipt.triggers, append_trigger);
    }
    if let Some(origin) = &receipt.origin {
        object.object("origin", |origin_object| {
            append_origin(origin, origin_object)
        });
    }
    if let Some(failure) = receipt.failure {
        object.text("failure", failure.label().as_bytes());
    }
    if receipt.aborted {
        object.raw("aborted", |out| out.extend_from_slice(b"true"));
    }
    object.end();
    line.push(b'\n');
}

fn append_head(receipt: &Receipt, options: LineOptions, object: &mut Object<'_>) {
    object.text("protocol", protocol(receipt.protocol).as_bytes());
    object.text("method", receipt.method.as_str().as_bytes());
    if let Some(target) = &receipt.target {
        if let Some(scheme) = target.scheme_str() {
            object.text("scheme", scheme.as_bytes());
        }
        if let Some(authority) = target.authority() {
            // Userinfo may be a password (RFC 3986 3.2.1).
            let text = authority.as_str();
            let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
            object.text("authority", host.as_bytes());
        }
        object.text("path", target.path().as_bytes());
        if let Some(query) = target.query().filter(|_| options.query) {
            object.text("query", query.as_bytes());
        }
    }
    if let Some(user_agent) = &receipt.user_agent {
        object.text("user_agent", user_agent.as_bytes());
    }
}

fn append_tls(tls: &TlsReceipt, object: &mut Object<'_>) {
    object.text("version", tls.version.as_bytes());
    object.micros("handshake_us", tls.handshake);
    object.flag("resumed", tls.resumed);
}

fn append_cache(cache: &CacheReceipt, object: &mut Object<'_>) {
    object.text("outcome", cache.outcome.label().as_bytes());
    object.flag("stored", cache.stored);
    if cache.collapsed {
        object.flag("collapsed", true);
        object.micros("collapsed_wait_us", cache.collapsed_wait);
    }
    object.micros("lookup_us", cache.lookup);
    if let Some(ttl) = cache.ttl_seconds {
        object.raw("ttl", |out| write_display(out, ttl));
    }
    if let Some(status) = cache.forward_status {
        object.number("fwd_status", u64::from(status.as_u16()));
    }
    if let Some(tier) = cache.tier {
        object.text("tier", tier.as_bytes());
    }
    if let Some(detail) = cache.detail {
        object.text("detail", detail.as_bytes());
    }
}

fn append_trigger(trigger: &TriggerReceipt, object: &mut Object<'_>) {
    object.text("trigger", trigger.trigger.label().as_bytes());
    object.text("name", trigger.function.name().as_bytes());
    object.display("digest", trigger.digest);
    if let Some(class) = trigger.start_class {
        object.text("start_class", class.label().as_bytes());
    }
    object.micros("start_us", trigger.start);
    object.micros("cpu_us", trigger.cpu);
    object.micros("wall_us", trigger.wall);
    object.number("hostcalls", trigger.hostcalls);
    if trigger.fetches > 0 {
        object.number("fetches", u64::from(trigger.fetches));
        object.micros("fetch_us", trigger.fetch_time);
    }
    object.number("memory_peak_bytes", trigger.memory_peak_bytes);
    object.text("outcome", trigger.outcome.as_bytes());
}

fn append_origin(origin: &OriginReceipt, object: &mut Object<'_>) {
    object.text("name", origin.origin.name().as_bytes());
    if let Some(address) = origin.address {
        object.display("address", address);
    }
    object.flag("reused", origin.reused);
    if !origin.queue.is_zero() {
        object.micros("queue_us", origin.queue);
    }
    let phases = [
        ("connect_us", origin.connect),
        ("tls_us", origin.tls),
        ("first_byte_us", origin.first_byte),
    ];
    for (name, phase) in phases {
        if let Some(duration) = phase {
            object.micros(name, duration);
        }
    }
    object.number("retries", u64::from(origin.retries));
    if let Some(status) = origin.status {
        object.number("status", u64::from(status.as_u16()));
    }
    if let Some(failure) = origin.failure {
        object.text("failure", failure.label().as_bytes());
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "unknown",
    }
}

/// A JSON object (RFC 8259 4) being written. Names are ours and need no escaping.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn end(self) {
        self.out.push(b'}');
    }

    fn raw(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value(self.out);
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.raw(name, |out| write_text(out, value));
    }

    /// A value whose text needs no escaping, as an address.
    fn display(&mut self, name: &str, value: impl std::fmt::Display) {
        self.raw(name, |out| {
            out.push(b'"');
            write_display(out, value);
            out.push(b'"');
        });
    }

    fn number(&mut self, name: &str, value: u64) {
        self.raw(name, |out| {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        });
    }

    fn flag(&mut self, name: &str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.raw(name, |out| out.extend_from_slice(text));
    }

    /// Microseconds with one decimal: a hit's lookup takes less than one.
    fn micros(&mut self, name: &str, value: Duration) {
        let tenths = u64::try_from(value.as_nanos() / 100).unwrap_or(u64::MAX);
        self.number(name, tenths / 10);
        self.out
            .extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
    }

    fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.raw(name, |out| {
            let mut object = Object::begin(out);
            fill(&mut object);
            object.end();
        });
    }

    fn array<T>(&mut self, name: &str, items: &[T], fill: impl Fn(&T, &mut Object<'_>)) {
        self.raw(name, |out| {
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                let mut object = Object::begin(out);
                fill(item, &mut object);
                object.end();
            }
            out.push(b']');
        });
    }
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector does not fail.
    let _infallible = write!(out, "{value}");
}

/// Appends `text` as a JSON string (RFC 8259 7). Bytes that are not UTF-8
/// become U+FFFD; control characters of every kind (C0, DEL, C1, and the two
/// line separators) are escaped, so that no terminal or viewer obeys them.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let (shown, is_cut) = match text.get(..MOST_TEXT_BYTES) {
        Some(start) => (start, start.len() < text.len()),
        None => (text, false),
    };
    out.push(b'"');
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if shown.iter().all(is_plain) {
        out.extend_from_slice(shown);
    } else {
        for chunk in shown.utf8_chunks() {
            write_escaped(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if is_cut {
        out.extend_from_slice("\u{2026}".as_bytes());
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, mut text: &str) {
    let needs_escape = |character: char| {
        matches!(character, '"' | '\\' | '\u{2028}' | '\u{2029}') || character.is_control()
    };
    while let Some(place) = text.find(needs_escape) {
        let (plain, rest) = text.split_at(place);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = rest.chars();
        match characters.next() {
            Some(quoted @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', quoted as u8]),
            Some(control) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        text = characters.as_str();
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
