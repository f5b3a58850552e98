//! Lines as a log reader sees them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use verge_http::cache_status::{Forward, Outcome};

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use verge_base::{Clock, Random};
use verge_http::Failure;
use verge_http::failure::OriginFault;

use super::super::handles::RouteLabel;
use super::super::metrics::Metrics;
use super::super::receipt::{FunctionDigest, StartClass, Trigger};
use super::super::span::{RequestId, TRACEPARENT, TraceContext};
use super::*;

fn receipt() -> Receipt {
    let id = RequestId::new(&Random::seeded(1));
    let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_209_845_678);
    Receipt::begin(id, Clock::system().now(), wall)
}

fn line(receipt: &Receipt, options: LineOptions) -> String {
    let mut line = Vec::new();
    append(receipt, options, &mut line);
    String::from_utf8(line).expect("a line is UTF-8")
}

fn read(receipt: &Receipt) -> Value {
    let line = line(receipt, LineOptions::default());
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

fn full_receipt() -> Receipt {
    let metrics = Metrics::new(1);
    let random = Random::seeded(1);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(traceparent))]);
    let mut receipt = Receipt {
        trace: TraceContext::continued(&fields, &random),
        client: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        tls: Some(TlsReceipt {
            version: "1.3",
            handshake: Duration::from_micros(900),
            resumed: false,
        }),
        protocol: Version::HTTP_2,
        method: Method::POST,
        target: Some(
            "https://user:secret@shop.example:8443/a%20b?q=1&r=2"
                .parse()
                .unwrap(),
        ),
        user_agent: Some(HeaderValue::from_static("curl/8")),
        route: Some(Arc::new(RouteLabel::new(
            metrics.site("shop.example"),
            Some("/{*rest}"),
        ))),
        status: Some(StatusCode::BAD_GATEWAY),
        received_bytes: 12,
        sent_bytes: 345,
        queue: Duration::from_micros(1),
        first_byte: Some(Duration::from_nanos(1_234_567)),
        total: Duration::from_millis(2),
        cache: Some(CacheReceipt {
            stored: true,
            collapsed: true,
            collapsed_wait: Duration::from_micros(7),
            lookup: Duration::from_nanos(450),
            ttl_seconds: Some(-3),
            forward_status: Some(StatusCode::OK),
            detail: Some("must-revalidate"),
            ..CacheReceipt::new(Outcome::Forward(Forward::Stale))
        }),
        origin: Some(OriginReceipt {
            address: Some("10.0.0.5:3000".parse().unwrap()),
            connect: Some(Duration::from_micros(100)),
            retries: 1,
            failure: Some(Failure::sent(OriginFault::ConnectionTerminated)),
            ..OriginReceipt::new(metrics.origin("app"))
        }),
        failure: Some(Failure::sent(OriginFault::ConnectionTerminated)),
        aborted: true,
        ..receipt()
    };
    receipt.triggers.push(TriggerReceipt {
        function: metrics.function("auth"),
        digest: FunctionDigest::from_full(&[0xab; 32]),
        trigger: Trigger::ViewerRequest,
        start_class: Some(StartClass::Fresh),
        start: Duration::from_micros(12),
        cpu: Duration::from_micros(3),
        wall: Duration::from_micros(4),
        hostcalls: 5,
        fetches: 0,
        fetch_time: Duration::ZERO,
        memory_peak_bytes: 65_536,
        outcome: "continued",
    });
    receipt
}

#[test]
fn line_tells_what_every_stage_cost() {
    let receipt = full_receipt();
    let expected = json!({
        "time": "2024-02-29T12:30:45.678Z",
        "id": receipt.id.to_string(),
        "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
        "site": "shop.example",
        "route": "/{*rest}",
        "client": "::1",
        "protocol": "HTTP/2",
        "method": "POST",
        "scheme": "https",
        "authority": "shop.example:8443",
        "path": "/a%20b",
        "query": "q=1&r=2",
        "user_agent": "curl/8",
        "status": 502,
        "received_bytes": 12,
        "sent_bytes": 345,
        "total_us": 2000.0,
        "first_byte_us": 1234.5,
        "queue_us": 1.0,
        "tls": {"version": "1.3", "handshake_us": 900.0, "resumed": false},
        "cache": {
            "outcome": "stale", "stored": true, "collapsed": true, "collapsed_wait_us": 7.0,
            "lookup_us": 0.4, "ttl": -3, "fwd_status": 200, "detail": "must-revalidate",
        },
        "functions": [{
            "trigger": "viewer-request", "name": "auth", "digest": "abababababab",
            "start_class": "fresh", "start_us": 12.0, "cpu_us": 3.0, "wall_us": 4.0,
            "hostcalls": 5, "memory_peak_bytes": 65536, "outcome": "continued",
        }],
        "origin": {
            "name": "app", "address": "10.0.0.5:3000", "reused": false, "connect_us": 100.0,
            "retries": 1, "failure": "connection-terminated",
        },
        "failure": "connection-terminated",
        "aborted": true,
    });
    assert_eq!(read(&receipt), expected);
}

#[test]
fn request_without_a_valid_head_still_has_a_line() {
    let value = read(&receipt());
    assert_eq!(value["total_us"], json!(0.0));
    assert!(value.get("path").is_none());
    assert!(value.get("cache").is_none());
}

#[test]
fn passwords_in_the_authority_are_not_written() {
    assert!(!line(&full_receipt(), LineOptions::default()).contains("secret"));
}

#[test]
fn query_is_left_out_when_the_operator_says_so() {
    let line = line(&full_receipt(), LineOptions { query: false });
    assert!(!line.contains("q=1"));
    assert!(line.contains("/a%20b"));
}

#[test]
fn text_is_escaped_as_rfc_8259_section_7_says() {
    let table: [(&[u8], &str); 9] = [
        (b"plain", r#""plain""#),
        (b"a\"b\\c", r#""a\"b\\c""#),
        (b"a\r\nb\0", r#""a\u000d\u000ab\u0000""#),
        (b"\x1b[31m\x7f", r#""\u001b[31m\u007f""#),
        ("caf\u{e9} \u{1f980}".as_bytes(), "\"caf\u{e9} \u{1f980}\""),
        (
            "\u{85}\u{2028}\u{2029}".as_bytes(),
            r#""\u0085\u2028\u2029""#,
        ),
        (b"\xff\xfe", "\"\u{fffd}\u{fffd}\""),
        (b"a\xe2\x82", "\"a\u{fffd}\""),
        (b"", r#""""#),
    ];
    for (text, expected) in table {
        let mut out = Vec::new();
        write_text(&mut out, text);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn long_text_is_cut() {
    let mut out = Vec::new();
    write_text(&mut out, &vec![b'a'; 100_000]);
    assert_eq!(out.len(), MOST_TEXT_BYTES + "\"\u{2026}\"".len());
}

proptest! {
    #[test]
    fn any_bytes_make_one_json_string_on_one_line(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut out = Vec::new();
        write_text(&mut out, &text);
        let read: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(read, String::from_utf8_lossy(&text));
        let hostile = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        prop_assert!(!String::from_utf8(out).unwrap().contains(hostile));
    }

    #[test]
    fn any_user_agent_leaves_the_line_one_object(agent in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(agent) = HeaderValue::from_bytes(&agent) {
            let receipt = Receipt { user_agent: Some(agent), ..full_receipt() };
            let line = line(&receipt, LineOptions::default());
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(serde_json::from_str::<Value>(&line).is_ok());
        }
    }
}
