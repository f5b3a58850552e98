//! `verge purge` and `verge explain` against a running node.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use verge_tests::client::Client;
use verge_tests::origin::respond;
use verge_tests::{Origin, eventually, node};

use crate::kit::{Place, Process, binary, errors, on_free_ports};

/// A running node, and the folder with its configuration and token.
struct Running {
    place: Place,
    process: Process,
    _origin: Origin,
}

impl Running {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with further sections.
    async fn start_with(sections: &str) -> Self {
        let origin = Origin::start(|request| async move {
            let value = match request.path() {
                "/private" => "private",
                _ => "max-age=3600, stale-while-revalidate=60",
            };
            let fields = [
                ("cache-control", value),
                ("cache-tag", "red,big one"),
                ("etag", "\"1\""),
            ];
            respond(200, &fields, "hello")
        })
        .await;
        let place = Place::new();
        let config = place.write(
            "verge.toml",
            &on_free_ports(&format!("{sections}{}", node::route_to(&origin))),
        );
        let process = tokio::task::spawn_blocking(move || Process::serve(&config));
        Self {
            place,
            process: process.await.unwrap(),
            _origin: origin,
        }
    }

    async fn get(&self, path: &str) -> String {
        let mut client = Client::http1(self.process.address("http")).await;
        client.set_authority("shop.example");
        client.get(path).await.cache_status()
    }

    async fn store(&self, path: &str) {
        eventually("the response is stored", async || self.is_hit(path).await).await;
    }

    async fn is_hit(&self, path: &str) -> bool {
        self.get(path).await.contains("; hit")
    }

    /// Runs a command with the admin address and the token.
    async fn run(&self, command: &str, arguments: &[&str], input: &str) -> Output {
        self.run_with("admin-token", command, arguments, input)
            .await
    }

    async fn run_with(
        &self,
        token: &str,
        command: &str,
        arguments: &[&str],
        input: &str,
    ) -> Output {
        let admin = format!("http://{}", self.process.address("admin"));
        let mut child = Command::new(binary());
        child
            .args([command, "--admin", &admin, "--token-file"])
            .arg(self.place.path(token))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let mut child = child.spawn().unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(input.as_bytes())
                .unwrap();
            child.wait_with_output().unwrap()
        });
        run.await.unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_takes_what_its_arguments_name() {
    let node = Running::start().await;
    node.store("/a").await;
    node.store("/b").await;
    let output = node
        .run(
            "purge",
            &["--url", "http://shop.example/a", "--key", "other"],
            "",
        )
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(
        told(&output),
        "purged url http://shop.example/a (hard)\npurged key other (hard)\n"
    );
    assert!(!node.is_hit("/a").await);
    assert!(node.is_hit("/b").await);
    let lines = "# what changed\nkey big one\n\nprefix http://shop.example/x\n";
    let output = node.run("purge", &["--soft", "--from", "-"], lines).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(
        told(&output),
        "purged key big one (soft)\npurged prefix http://shop.example/x (soft)\n"
    );
    let output = node.run("purge", &["--all", "--json"], "").await;
    let report: serde_json::Value = serde_json::from_str(&told(&output)).unwrap();
    assert_eq!(report["items"][0]["scope"], "all");
    assert!(!node.is_hit("/b").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_scopes_than_the_node_takes_at_once_are_sent_in_parts() {
    let node = Running::start_with("[limits]\npurge_batch = 2\n").await;
    let lines: String = (0..5).map(|n| format!("key k{n}\n")).collect();
    let output = node.run("purge", &["--from", "-"], &lines).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let expected: String = (0..5)
        .map(|n| format!("purged key k{n} (hard)\n"))
        .collect();
    assert_eq!(told(&output), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_tells_what_is_wrong_and_where() {
    let node = Running::start().await;
    node.store("/a").await;
    let output = node
        .run(
            "purge",
            &["--url", "/a", "--url", "http://shop.example/a"],
            "",
        )
        .await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        errors(&output),
        "--url /a: `/a` has no scheme\n  expected: a whole URL, as https://shop.example/path?query\n"
    );
    assert!(!node.is_hit("/a").await, "what was right is purged");
    let output = node.run("purge", &["--from", "-"], "key a\nurls b\n").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).starts_with("standard input:2: `urls b` is no scope"),
        "{}",
        errors(&output)
    );
    let output = node.run("purge", &[], "").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).starts_with("nothing to purge"));
    node.place.write("another-token", "another");
    let output = node
        .run_with("another-token", "purge", &["--all"], "")
        .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).starts_with("this path needs the admin token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_says_when_no_node_answers() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = place.write(
        "verge.toml",
        &on_free_ports(&crate::kit::fixed("x"))
            .replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{address}\"")),
    );
    let output = crate::kit::run(&["purge", "--all"], Some(&config));
    assert_eq!(output.status.code(), Some(2));
    let told = errors(&output);
    assert!(
        told.starts_with(&format!("{address}: cannot connect")),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_people_and_programs() {
    let node = Running::start().await;
    node.store("/a").await;
    let output = node.run("explain", &["http://shop.example/a"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let text = told(&output);
    for line in [
        "HIT          What is stored answers.",
        "             fresh (RFC 9111 4.2), in memory; the client gets 200",
        "request      GET http://shop.example/a",
        "route        /{*rest} -> origin app",
        "key          http://shop.example/a",
        "stored       1 of 1, in memory, selected by this request",
        "  lifetime   1h 0m from max-age (RFC 9111 5.2.2.1)",
        "  stale for  1m 0s while it is validated (stale-while-revalidate)",
        "  keys       big one, red",
        "  content    5 bytes",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line:?} in:\n{text}"
        );
    }
    let fields = [
        "http://shop.example/a",
        "-H",
        "Cache-Control: no-cache",
        "--json",
    ];
    let output = node.run("explain", &fields, "").await;
    let told_json: serde_json::Value = serde_json::from_str(&told(&output)).unwrap();
    assert_eq!(told_json["next"]["section"], "RFC 9111 5.2.1.4");
    node.get("/private").await;
    let output = node
        .run("explain", &["http://shop.example/private"], "")
        .await;
    let text = told(&output);
    assert!(text.contains("private (RFC 9111 5.2.2.7)"), "{text}");
    let output = node.run("explain", &["shop.example/a"], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("expected: a whole URL"),
        "{}",
        errors(&output)
    );
}

/// Whoever reads JSON finds it on standard output, also where a command fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_json_where_json_was_asked_for() {
    let node = Running::start().await;
    let url = "http://shop.example/a";
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], i32, &'a str, bool);
    let rows: [Row<'_>; 5] = [
        (
            "admin-token",
            "explain",
            &["shop.example/a"],
            1,
            "is no URL",
            true,
        ),
        (
            "admin-token",
            "explain",
            &[url, "-H", "accept"],
            2,
            "-H `accept` is no field",
            true,
        ),
        (
            "verge.toml",
            "explain",
            &[url],
            2,
            "holds no admin token",
            true,
        ),
        (
            "verge.toml",
            "purge",
            &["--all"],
            2,
            "holds no admin token",
            true,
        ),
        ("admin-token", "purge", &[], 2, "nothing to purge", false),
    ];
    for (token, command, arguments, code, error, has_expected) in rows {
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        let output = node.run_with(token, command, &with_json, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(errors(&output), "", "{arguments:?}");
        let problem: serde_json::Value = serde_json::from_str(&told(&output)).unwrap();
        let found = problem["error"].as_str().unwrap();
        assert!(found.contains(error), "{found}");
        assert_eq!(problem["expected"].is_string(), has_expected, "{problem}");
        let output = node.run_with(token, command, arguments, "").await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(told(&output), "", "{arguments:?}");
        assert!(errors(&output).contains(error), "{}", errors(&output));
    }
}
