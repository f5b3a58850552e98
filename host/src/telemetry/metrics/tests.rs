//! What a scraper reads, checked by a strict reader of the text format.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};
use verge_http::cache_status::Outcome;

use http::StatusCode;
use verge_base::{Clock, Permits, Random};
use verge_http::failure::{ClientFault, OriginFault};

use super::super::handles::RouteLabel;
use super::super::receipt::{
    CacheReceipt, FunctionDigest, OriginReceipt, StartClass, Trigger, TriggerReceipt,
};
use super::super::sample::{AccessLogSample, CacheSample, EvictedSample, LimitSample, PoolSample};
use super::super::span::RequestId;
use super::*;

/// A scrape: every sample by its name and labels, as they were written.
struct Text(BTreeMap<String, f64>);

impl Text {
    /// Reads OpenMetrics text, and panics at whatever a scraper would refuse:
    /// a family twice, a sample outside its family, a series twice, a broken
    /// label, a bucket below the one before it.
    fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the text ends in EOF");
        let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
        let (mut family, mut kind) = ("", "");
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                (family, _) = help.split_once(' ').expect("help has a text");
                assert!(family.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
                assert!(families.insert(family), "{family} stands twice");
            } else if let Some(kinds) = line.strip_prefix("# TYPE ") {
                let (name, of_type) = kinds.split_once(' ').expect("a type has a name");
                assert_eq!(name, family);
                kind = of_type;
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let suffix = name
                    .strip_prefix(family)
                    .expect("a sample stands in its family");
                let suffixes: &[&str] = match kind {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_sum", "_count", "_bucket"],
                    other => panic!("unknown type {other}"),
                };
                assert!(suffixes.contains(&suffix), "{name} is no {kind}");
                check_labels(labels);
                let value: f64 = value.parse().expect("a value is a number");
                let twice = samples.insert(series.to_owned(), value);
                assert_eq!(twice, None, "{series} stands twice");
            }
        }
        let text = Self(samples);
        text.check_histograms(body);
        text
    }

    fn check_histograms(&self, body: &str) {
        let mut last = 0.0;
        for line in body.lines().filter(|line| line.contains("_bucket{")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value >= last, "{series} is below the bucket before it");
            last = value;
            if series.contains("le=\"+Inf\"") {
                let count = series
                    .replace("_bucket{le=\"+Inf\",", "_count{")
                    .replace("_bucket{le=\"+Inf\"}", "_count");
                assert_eq!(self.get(&count), value, "{count}");
                last = 0.0;
            }
        }
    }

    fn get(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }
}

/// `name="value",...}` with `\\`, `\"` and `\n` as the only escapes.
fn check_labels(mut labels: &str) {
    while !labels.is_empty() && labels != "}" {
        let (name, rest) = labels.split_once("=\"").expect("a label is name=\"value\"");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        let mut escaped = false;
        let end = rest.find(|character| match (escaped, character) {
            (true, 'n' | '"' | '\\') => {
                escaped = false;
                false
            }
            (true, other) => panic!("unknown escape {other}"),
            (false, '\\') => {
                escaped = true;
                false
            }
            (false, character) => character == '"',
        });
        labels = &rest[end.expect("a value ends") + 1..];
        labels = labels.strip_prefix(',').unwrap_or(labels);
    }
    assert!(labels == "}", "labels end in a brace");
}

fn receipt() -> Receipt {
    let id = RequestId::new(&Random::seeded(1));
    Receipt::begin(id, Clock::system().now(), SystemTime::UNIX_EPOCH)
}

fn hit(site: &Arc<SiteMetrics>) -> Receipt {
    Receipt {
        status: Some(StatusCode::OK),
        route: Some(Arc::new(RouteLabel::new(Arc::clone(site), Some("/")))),
        cache: Some(CacheReceipt::new(Outcome::Hit)),
        total: Duration::from_micros(30),
        sent_bytes: 1024,
        ..receipt()
    }
}

#[test]
fn request_is_counted_by_site_outcome_and_status() {
    let metrics = Metrics::new(2);
    let site = metrics.site("shop.example");
    metrics.record(&hit(&site));
    metrics.record(&hit(&site));
    metrics.record(&Receipt {
        status: Some(StatusCode::BAD_REQUEST),
        failure: Some(Failure::Client(ClientFault::AuthorityInvalid)),
        aborted: true,
        ..receipt()
    });
    let text = Text::read(&metrics.encode(Sample::default()));
    let expected = [
        (
            "verge_requests_total{site=\"shop.example\",class=\"2xx\"}",
            2.0,
        ),
        ("verge_requests_total{site=\"-\",class=\"4xx\"}", 1.0),
        ("verge_requests_aborted_total{site=\"-\"}", 1.0),
        ("verge_sent_bytes_total{site=\"shop.example\"}", 2048.0),
        (
            "verge_request_duration_seconds_count{site=\"shop.example\",cache=\"hit\"}",
            2.0,
        ),
        (
            "verge_request_duration_seconds_bucket{le=\"0.00005\",site=\"shop.example\",cache=\"hit\"}",
            2.0,
        ),
        (
            "verge_request_duration_seconds_bucket{le=\"0.000025\",site=\"shop.example\",cache=\"hit\"}",
            0.0,
        ),
        (
            "verge_request_duration_seconds_count{site=\"-\",cache=\"none\"}",
            1.0,
        ),
        (
            "verge_failures_total{side=\"client\",failure=\"authority-invalid\"}",
            1.0,
        ),
    ];
    for (series, value) in expected {
        assert_eq!(text.get(series), value, "{series}");
    }
    // An outcome that never happened has no series.
    assert!(!text.0.keys().any(|series| series.contains("vary-miss")));
}

#[test]
fn triggers_and_exchanges_are_counted_where_they_ran() {
    let metrics = Metrics::new(2);
    let function = metrics.function("auth");
    let trigger = TriggerReceipt {
        function: Arc::clone(&function),
        digest: FunctionDigest::default(),
        trigger: Trigger::ViewerRequest,
        start_class: Some(StartClass::Fresh),
        start: Duration::from_micros(13),
        cpu: Duration::from_micros(4),
        wall: Duration::from_micros(5),
        hostcalls: 2,
        fetches: 0,
        fetch_time: Duration::ZERO,
        memory_peak_bytes: 1 << 20,
        outcome: "continued",
    };
    function.record(&trigger);
    function.record(&TriggerReceipt {
        start_class: None,
        outcome: "function-quarantined",
        ..trigger
    });
    let origin = metrics.origin("app");
    origin.record(&OriginReceipt {
        connect: Some(Duration::from_millis(1)),
        first_byte: Some(Duration::from_millis(8)),
        retries: 1,
        failure: Some(Failure::sent(OriginFault::ConnectionTerminated)),
        ..OriginReceipt::new(Arc::clone(&origin))
    });
    let text = Text::read(&metrics.encode(Sample::default()));
    let expected = [
        (
            "verge_function_start_seconds_count{function=\"auth\",start_class=\"fresh\"}",
            1.0,
        ),
        ("verge_function_cpu_seconds_count{function=\"auth\"}", 1.0),
        (
            "verge_function_outcomes_total{function=\"auth\",outcome=\"continued\"}",
            1.0,
        ),
        (
            "verge_function_outcomes_total{function=\"auth\",outcome=\"function-quarantined\"}",
            1.0,
        ),
        (
            "verge_origin_requests_total{origin=\"app\",connection=\"new\"}",
            1.0,
        ),
        (
            "verge_origin_requests_total{origin=\"app\",connection=\"reused\"}",
            0.0,
        ),
        ("verge_origin_retries_total{origin=\"app\"}", 1.0),
        ("verge_origin_connect_seconds_count{origin=\"app\"}", 1.0),
        ("verge_origin_tls_seconds_count{origin=\"app\"}", 0.0),
        ("verge_origin_first_byte_seconds_sum{origin=\"app\"}", 0.008),
        (
            "verge_origin_failures_total{origin=\"app\",failure=\"connection-terminated\"}",
            1.0,
        ),
    ];
    for (series, value) in expected {
        assert_eq!(text.get(series), value, "{series}");
    }
}

#[test]
fn levels_come_from_the_sample() {
    let metrics = Metrics::new(1);
    metrics.record_limit("head-bytes");
    metrics.record_limit("connections");
    let connections = Permits::new("connections", 1);
    let _held = connections.try_acquire();
    assert!(connections.try_acquire().is_none());
    let sample = Sample {
        ready: true,
        cache: CacheSample {
            bytes: 10,
            limit_bytes: 100,
            entries: 3,
            fills: 1,
            evictions: 7,
            evicted: vec![
                EvictedSample {
                    site: None,
                    evictions: 1,
                    bytes: 100,
                },
                EvictedSample {
                    site: Some("shop".into()),
                    evictions: 6,
                    bytes: 700,
                },
            ],
            ..CacheSample::default()
        },
        limits: vec![LimitSample::from(&connections)],
        pools: vec![PoolSample {
            origin: "app".into(),
            address: "[2001:db8::1]:80".parse().unwrap(),
            idle: 4,
            in_use: 2,
            queued: 1,
        }],
        access_log: AccessLogSample {
            written: 5,
            dropped: 6,
        },
        ..Sample::default()
    };
    let text = Text::read(&metrics.encode(sample));
    let pool = "origin=\"app\",address=\"[2001:db8::1]:80\"";
    let expected = [
        ("verge_ready", 1.0),
        ("verge_draining", 0.0),
        ("verge_cache_bytes", 10.0),
        ("verge_cache_entries", 3.0),
        ("verge_cache_evictions_total{site=\"-\"}", 1.0),
        ("verge_cache_evictions_total{site=\"shop\"}", 6.0),
        ("verge_cache_evicted_bytes_total{site=\"shop\"}", 700.0),
        ("verge_limit_hits_total{limit=\"head-bytes\"}", 1.0),
        ("verge_limit_hits_total{limit=\"connections\"}", 2.0),
        ("verge_limit_in_use{limit=\"connections\"}", 1.0),
        ("verge_access_log_dropped_lines_total", 6.0),
        (
            &format!("verge_origin_connections{{{pool},state=\"idle\"}}"),
            4.0,
        ),
        (&format!("verge_origin_queued_requests{{{pool}}}"), 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(text.get(series), value, "{series}");
    }
}

#[test]
fn reloads_tell_the_generation_and_the_last_result() {
    let metrics = Metrics::new(1);
    let read = |series: &str| Text::read(&metrics.encode(Sample::default())).get(series);
    metrics.set_generation(1);
    assert_eq!(read("verge_last_reload_successful"), 1.0);
    metrics.record_failed_reload();
    assert_eq!(read("verge_generation"), 1.0);
    assert_eq!(read("verge_last_reload_successful"), 0.0);
    metrics.record_reload(2);
    assert_eq!(read("verge_generation"), 2.0);
    assert_eq!(read("verge_last_reload_successful"), 1.0);
    assert_eq!(read("verge_reloads_total{result=\"failed\"}"), 1.0);
    assert_eq!(read("verge_reloads_total{result=\"ok\"}"), 1.0);
}

#[test]
fn every_kind_of_thing_at_once_is_still_valid_text() {
    let metrics = Metrics::new(2);
    for name in ["*.example", "a\"b\\c\nd", "caf\u{e9}", ""] {
        let site = metrics.site(name);
        for outcome in Outcome::ALL {
            metrics.record(&Receipt {
                cache: Some(CacheReceipt {
                    collapsed: true,
                    ..CacheReceipt::new(outcome)
                }),
                ..hit(&site)
            });
        }
        let listener = metrics.listener(name);
        listener.record_handshake(Duration::from_millis(1), true);
        listener.record_end("head-timeout");
        listener.record_opened();
        listener.record_closed();
        metrics
            .origin(name)
            .record_late_failure("response-incomplete");
    }
    for failure in ClientFault::ALL.map(Failure::Client) {
        metrics.record_failure(failure);
    }
    metrics.record_fill(
        &metrics.site("shop"),
        &FillReceipt {
            id: RequestId::new(&Random::seeded(1)),
            total: Duration::from_secs(1),
            received_bytes: 1,
            outcome: "stored",
            failure: None,
        },
    );
    metrics.record_panic();
    let text = Text::read(&metrics.encode(Sample::default()));
    assert_eq!(text.get("verge_panics_total"), 1.0);
    assert_eq!(
        text.get("verge_cache_fills_total{site=\"shop\",outcome=\"stored\"}"),
        1.0
    );
    assert_eq!(
        text.get("verge_requests_total{site=\"a\\\"b\\\\c\\nd\",class=\"2xx\"}"),
        9.0
    );
    // Every client fault found room for a label of its own.
    assert!(
        !text
            .0
            .keys()
            .any(|series| series.contains("failure=\"other\""))
    );
}

#[test]
fn series_are_bounded_whatever_is_configured() {
    let metrics = Metrics::new(1);
    let sites: Vec<_> = (0..3000)
        .map(|n| metrics.site(&format!("site-{n}")))
        .collect();
    for site in &sites {
        metrics.record(&hit(site));
    }
    let text = Text::read(&metrics.encode(Sample::default()));
    let names = text
        .0
        .keys()
        .filter(|series| series.starts_with("verge_sent_bytes_total"));
    assert!(names.count() <= 1001);
    assert!(text.get("verge_requests_total{site=\"other\",class=\"2xx\"}") >= 2000.0);
}
