//! Twenty functions on one node under load, half of them hostile: no request of a healthy function
//! fails. Some seconds here; `cargo xtask soak chaos` has it for as long as one likes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use verge_tests::client::{Client, empty};
use verge_tests::guests::function_with_limits;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually};

/// How long the load lasts, unless `VERGE_CHAOS_SECONDS` says otherwise.
const SECONDS: u64 = 4;

/// Guest, isolation, and where it stands in a route.
const HEALTHY: [(&str, &str, &str); 10] = [
    ("leaks-state", "fresh", "viewer_request"),
    ("leaks-state", "prepared", "viewer_request"),
    ("touch-fields", "fresh", "viewer_request"),
    ("touch-fields", "prepared", "viewer_request"),
    ("touch-fields", "reused", "viewer_request"),
    ("touch-fields", "prepared", "viewer_response"),
    ("touch-fields", "reused", "origin_response"),
    ("echo-body", "reused", "viewer_response"),
    ("hello", "prepared", "function"),
    ("hello", "reused", "function"),
];

/// The same of those that fail.
const HOSTILE: [(&str, &str, &str); 10] = [
    ("spins", "fresh", "viewer_request"),
    ("spins", "prepared", "viewer_request"),
    ("grows", "reused", "viewer_request"),
    ("traps", "prepared", "viewer_request"),
    ("recurses", "fresh", "viewer_request"),
    ("floods-hostcalls", "reused", "viewer_request"),
    ("floods-log", "prepared", "viewer_request"),
    ("traps-midway", "reused", "viewer_request"),
    ("never-answers", "fresh", "viewer_request"),
    ("hoards-fields", "prepared", "function"),
];

/// CPU time that a hostile function may have, so that ten of them leave a machine something.
const HOSTILE_KEYS: &str = "cpu = \"20ms\"\ngrants = { log = true }\n\
     quarantine = { failures = 20, backoff = \"200ms\", backoff_max = \"1s\" }\n";
/// Only what waits ends by the wall clock. What computes has to come to the end of its CPU time,
/// which takes a busy machine far longer than the CPU time itself.
const WAITING_DEADLINE: &str = "deadline = \"100ms\"\n";
const COMPUTING_DEADLINE: &str = "deadline = \"30s\"\n";
/// Healthy ones wait for their turn on a busy machine: their limits are wide.
const HEALTHY_KEYS: &str = "cpu = \"10s\"\ndeadline = \"30s\"\n";

fn section(prefix: &str, number: usize, guest: &str, isolation: &str, keys: &str) -> String {
    // Only what imports it is granted the log.
    let keys = match guest {
        "floods-log" => keys.to_owned(),
        _ => keys.replace("grants = { log = true }\n", ""),
    };
    let deadline = match (prefix, guest) {
        ("bad", "never-answers") => WAITING_DEADLINE,
        ("bad", _) => COMPUTING_DEADLINE,
        _ => "",
    };
    let keys = format!("{keys}{deadline}isolation = \"{isolation}\"\nidle_max = 4\n");
    function_with_limits(&format!("{prefix}{number}"), guest, &keys)
}

fn route(prefix: &str, number: usize, place: &str) -> String {
    let name = format!("{prefix}{number}");
    let target = match place {
        "function" => format!("function = \"{name}\"\n"),
        _ => format!("origin = \"app\"\n{place} = [\"{name}\"]\n"),
    };
    format!("[[site.route]]\npath = \"/{name}/{{*rest}}\"\n{target}cache = \"off\"\n")
}

async fn start(origin: &Origin) -> TestNode {
    let mut sections = String::new();
    let mut routes = String::new();
    for (number, (guest, isolation, place)) in HEALTHY.iter().enumerate() {
        sections += &section("good", number, guest, isolation, HEALTHY_KEYS);
        routes += &route("good", number, place);
    }
    for (number, (guest, isolation, place)) in HOSTILE.iter().enumerate() {
        sections += &section("bad", number, guest, isolation, HOSTILE_KEYS);
        routes += &route("bad", number, place);
    }
    let toml = format!(
        "[limits]\nrequests_per_connection = 1000000000\n{}{sections}\
         [origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n{routes}",
        verge_tests::guests::runtime().replace("instances = 16", "instances = 128"),
        origin.address,
    );
    TestNode::start(&toml).await
}

/// What a healthy function must answer.
fn assert_good(number: usize, path: &str, reply: &verge_tests::client::Reply) {
    let (guest, ..) = HEALTHY[number];
    assert_eq!(reply.status, 200, "{guest}: {}", reply.text());
    let expected = match guest {
        "leaks-state" => path.split_once('?').unwrap().1.to_owned(),
        "echo-body" => "CONTENT".to_owned(),
        "hello" => format!("Hello from Verge! You asked for {path} with GET.\n"),
        _ => "content".to_owned(),
    };
    assert_eq!(reply.text(), expected, "{guest} at {path}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_hostile_functions_fail_no_request_of_ten_healthy_ones() {
    let seconds = std::env::var("VERGE_CHAOS_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = start(&origin).await;
    let address = node.http();
    let end = Instant::now() + Duration::from_secs(seconds);
    let hostile_done = Arc::new(AtomicU64::new(0));
    let hostile: Vec<_> = (0..HOSTILE.len())
        .map(|number| {
            let done = Arc::clone(&hostile_done);
            tokio::spawn(async move {
                let mut turn = 0_u64;
                while Instant::now() < end {
                    // A connection for each request: content that breaks off ends it.
                    let mut client = match (turn + number as u64) % 2 {
                        0 => Client::http1(address).await,
                        _ => Client::h2c(address).await,
                    };
                    let path = format!("/bad{number}/a");
                    let _ = client.try_send("GET", &path, &[], empty()).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    turn += 1;
                }
            })
        })
        .collect();
    let healthy: Vec<_> = (0..HEALTHY.len())
        .map(|number| {
            tokio::spawn(async move {
                let mut client = match number % 2 {
                    0 => Client::http1(address).await,
                    _ => Client::h2c(address).await,
                };
                let mut answered = 0_u64;
                while Instant::now() < end || answered < 5 {
                    let path = format!("/good{number}/a?turn={answered}");
                    let reply = client.get(&path).await;
                    assert_good(number, &path, &reply);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut answered = Vec::new();
    for task in healthy {
        answered.push(task.await.unwrap());
    }
    for task in hostile {
        task.await.unwrap();
    }
    let mut outcomes: BTreeMap<String, f64> = BTreeMap::new();
    for line in node.metrics().await.lines() {
        if let Some(rest) = line.strip_prefix("verge_function_outcomes_total{function=\"") {
            let (series, number) = rest.rsplit_once(' ').unwrap();
            let (name, outcome) = series.split_once("\",outcome=\"").unwrap();
            let group = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let outcome = outcome.trim_end_matches("\"}");
            *outcomes.entry(format!("{group} {outcome}")).or_default() +=
                number.parse::<f64>().unwrap();
        }
    }
    println!(
        "{seconds} s: healthy requests by function {answered:?}, hostile ones {}; {outcomes:?}",
        hostile_done.load(Ordering::Relaxed)
    );
    for outcome in [
        "trapped",
        "cpu-exceeded",
        "deadline-exceeded",
        "quarantined",
    ] {
        let number = outcomes.get(&format!("bad {outcome}"));
        assert!(number.is_some_and(|n| *n > 0.0), "{outcome}: {outcomes:?}");
    }
    assert!(
        outcomes
            .keys()
            .filter(|key| key.starts_with("good "))
            .all(|key| key.ends_with(" continued") || key.ends_with(" responded")),
        "{outcomes:?}"
    );
    assert_eq!(node.metric("verge_panics_total").await, 0.0);
    // What still holds a slot waits for a call.
    eventually("no instance is left over", async || {
        let metrics = node.metrics().await;
        let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        let of = |name: &str| -> f64 {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.map(value).sum()
        };
        of("verge_limit_in_use{limit=\"instances\"}") == of("verge_function_idle_instances{")
    })
    .await;
}
