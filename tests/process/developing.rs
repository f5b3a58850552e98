//! The commands of a function's developer, as one uses them: `verge new`,
//! `verge test`, `verge build` and `verge dev`, outside of the repository.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use verge_tests::Client;

use crate::kit::binary;

/// How long a build may take on a busy machine: the first one compiles the SDK.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A folder for functions, away from the repository.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `verge` with these arguments. What it compiles is kept with the sample functions, and in
    /// their versions, so that nothing is downloaded.
    fn verge(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("CARGO_TARGET_DIR", repository().join("functions/target"))
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.verge(arguments).output().unwrap()
    }

    /// A new function, locked to the versions of the sample functions.
    fn make(&self, name: &str, template: &str) {
        let made = self.run(&["new", name, "--template", template]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let lock = repository().join("functions/Cargo.lock");
        std::fs::copy(lock, self.folder(name).join("Cargo.lock")).unwrap();
        // A busy machine does not pass wide limits.
        let config = self.folder(name).join("verge.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let (before, behind) = text.split_once("component = ").unwrap();
        let limits = verge_tests::guests::WIDE_LIMITS;
        std::fs::write(&config, format!("{before}{limits}component = {behind}")).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All that `verge new` can begin with, as it says itself.
fn templates(workshop: &Workshop) -> Vec<String> {
    let refused = workshop.run(&["new", "any", "--template", "none-of-them"]);
    let said = text(&refused.stderr);
    let (_, rest) = said.split_once("[possible values: ").unwrap();
    let (names, _) = rest.split_once(']').unwrap();
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_template_passes_its_own_scenario() {
    let workshop = Workshop::new();
    let templates = templates(&workshop);
    assert!(templates.len() >= 5, "{templates:?}");
    for template in templates {
        let name = format!("made-{template}");
        workshop.make(&name, &template);
        let tested = workshop.run(&["test", &name]);
        let (out, errors) = (text(&tested.stdout), text(&tested.stderr));
        assert!(tested.status.success(), "{template}\n{out}{errors}");
        assert!(out.contains("1 passed, 0 failed"), "{out}");
        assert!(!errors.contains("warning"), "{template}\n{errors}");
    }
}

#[test]
fn the_sample_functions_pass_their_scenarios() {
    let functions = repository().join("functions");
    for (folder, least) in [(functions.join("languages"), 3), (functions, 6)] {
        let tested = Command::new(binary())
            .args(["test", "--no-build", "--json"])
            .arg(&folder)
            .output()
            .unwrap();
        let (out, errors) = (text(&tested.stdout), text(&tested.stderr));
        assert!(tested.status.success(), "{out}\n{errors}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(report["passed"].as_u64() >= Some(least), "{out}");
    }
}

#[test]
fn a_failed_step_is_shown_with_its_place_and_what_differs() {
    let workshop = Workshop::new();
    let file = workshop.folder("wrong.toml");
    let config = repository().join("functions/hello/verge.toml");
    let scenario = format!(
        "config = {config:?}\n[[step]]\nname = \"greets\"\nrequest = \"GET /x\"\n\
         [step.expect]\nstatus = 201\nbody = \"Hello\"\n"
    );
    std::fs::write(&file, &scenario).unwrap();
    let tested = workshop.run(&["test", "--no-build", "wrong.toml"]);
    let out = text(&tested.stdout);
    assert_eq!(
        tested.status.code(),
        Some(1),
        "{out}{}",
        text(&tested.stderr)
    );
    for expected in [
        "FAIL  wrong.toml  step 1 of 1",
        "wrong.toml:2  GET /x: greets",
        "status, line 6\n          - 201\n          + 200",
        "body, line 7\n          - Hello\n          + Hello from Verge! You asked for /x with GET.",
        "hello handler ran",
        "0 passed, 1 failed",
    ] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }
    std::fs::write(&file, scenario.replace("status", "statsu")).unwrap();
    let tested = workshop.run(&["test", "--no-build", "wrong.toml"]);
    let errors = text(&tested.stderr);
    assert_eq!(tested.status.code(), Some(1));
    let expected = "wrong.toml:6:1: step[0].expect.statsu: unknown key; did you mean `status`?";
    assert!(errors.contains(expected), "{errors}");
}

/// `verge dev` in a process of its own; killed when dropped.
struct Dev {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Dev {
    fn start(workshop: &Workshop, arguments: &[&str]) -> Self {
        let mut command = workshop.verge(&["dev", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: Arc<Mutex<String>> = Arc::default();
        keep(child.stdout.take().unwrap(), &output);
        keep(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// Waits until the output has `wanted` so many times.
    fn wait_for(&self, wanted: &str, times: usize) {
        let give_up = Instant::now() + BUILD_PATIENCE;
        while self.output.lock().matches(wanted).count() < times {
            assert!(
                Instant::now() < give_up,
                "no {wanted:?} in\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn address(&self) -> std::net::SocketAddr {
        let output = self.output();
        let (_, rest) = output.split_once("  http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    /// One GET on a connection of its own: the clock may have jumped past an idle one's end.
    async fn get(&self, path: &str) -> verge_tests::Reply {
        Client::http1(self.address()).await.get(path).await
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Interrupts it, as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(mut from: impl std::io::Read + Send + 'static, to: &Arc<Mutex<String>>) {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            to.lock()
                .push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    });
}

#[tokio::test]
async fn a_function_is_rebuilt_and_swapped_while_it_serves() {
    let workshop = Workshop::new();
    workshop.make("swapped", "viewer-request");
    let mut dev = Dev::start(&workshop, &["swapped"]);
    dev.wait_for("live swapped", 1);
    let mut client = Client::http1(dev.address()).await;
    assert_eq!(client.get("/hello?Ada").await.text(), "Hello, Ada!\n");
    dev.wait_for("200 GET /hello?Ada", 1);
    dev.wait_for("swapped info  greeting Ada", 1);

    let code = workshop.folder("swapped/src/lib.rs");
    let good = std::fs::read_to_string(&code).unwrap();
    std::fs::write(
        &code,
        good.replace("{greeting}, {name}", "{greeting}, dear {name}"),
    )
    .unwrap();
    dev.wait_for("live swapped", 2);
    // On the connection that there was.
    assert_eq!(client.get("/hello?Ada").await.text(), "Hello, dear Ada!\n");

    std::fs::write(&code, good.replace("Ok(Verdict::Next)", "Ok(Verdict::Nxt)")).unwrap();
    dev.wait_for("the version before serves on", 1);
    assert!(dev.output().contains("no variant"), "{}", dev.output());
    assert_eq!(client.get("/hello?Ada").await.text(), "Hello, dear Ada!\n");

    std::fs::write(&code, &good).unwrap();
    dev.wait_for("live swapped", 3);
    assert_eq!(client.get("/hello?Ada").await.text(), "Hello, Ada!\n");

    // The configuration is reloaded by the node itself.
    let config = workshop.folder("swapped/verge.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"Hello\"", "\"Ciao\"")).unwrap();
    // Behind the two of the swaps.
    dev.wait_for("reloaded", 3);
    assert_eq!(client.get("/hello?Ada").await.text(), "Ciao, Ada!\n");
    drop(client);
    dev.say("q");
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_package_that_a_function_is_built_from_is_watched_too() {
    let workshop = Workshop::new();
    workshop.make("sharing", "viewer-request");
    let words = workshop.folder("words");
    std::fs::create_dir_all(words.join("src")).unwrap();
    let package =
        "[package]\nname = \"words\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(words.join("Cargo.toml"), package).unwrap();
    let code = words.join("src/lib.rs");
    std::fs::write(&code, "pub const COMMA: &str = \", \";\n").unwrap();
    let manifest = workshop.folder("sharing/Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let depends = "[dependencies]\nwords = { path = \"../words\" }";
    std::fs::write(&manifest, text.replace("[dependencies]", depends)).unwrap();
    let function = workshop.folder("sharing/src/lib.rs");
    let text = std::fs::read_to_string(&function).unwrap();
    let text = text.replace("{greeting}, {name}", "{greeting}{}{name}");
    let text = text.replace("{name}!\\n\"", "{name}!\\n\", words::COMMA");
    std::fs::write(&function, text).unwrap();

    let dev = Dev::start(&workshop, &["sharing"]);
    dev.wait_for("live sharing", 1);
    assert_eq!(dev.get("/hello?Ada").await.text(), "Hello, Ada!\n");
    std::fs::write(&code, "pub const COMMA: &str = \" and hello, \";\n").unwrap();
    dev.wait_for("live sharing", 2);
    let answer = dev.get("/hello?Ada").await.text();
    assert_eq!(answer, "Hello and hello, Ada!\n");
    assert_eq!(dev.interrupt(), Some(0));
}

#[tokio::test]
async fn time_and_faults_are_what_the_developer_says() {
    let workshop = Workshop::new();
    workshop.make("jumped", "viewer-request");
    let mut dev = Dev::start(
        &workshop,
        &["jumped", "--origin", "embedded", "--clock", "+1h"],
    );
    dev.wait_for("live jumped", 1);
    let page = dev.get("/page").await;
    assert!(
        page.cache_status().contains("fwd=uri-miss"),
        "{}",
        page.cache_status()
    );
    assert!(
        page.text().contains("<h1>GET /page</h1>"),
        "{}",
        page.text()
    );
    assert!(
        page.text()
            .ends_with("<script src=\"/.verge/live.js\" async></script>\n")
    );
    let script = dev.get("/.verge/live.js").await;
    assert!(script.text().contains("EventSource(\"/.verge/live\")"));
    dev.wait_for("GET /page", 1);
    assert!(dev.get("/page").await.cache_status().contains("hit"));

    dev.say("c 2m");
    dev.wait_for("the clock is 62m ahead", 1);
    assert!(dev.get("/page").await.cache_status().contains("fwd=stale"));
    dev.wait_for("GET /page", 3);

    dev.say("f app: 503");
    dev.wait_for("origin app: answers 503", 1);
    assert_eq!(dev.get("/other").await.status, 503);
    dev.say("f refuse");
    dev.wait_for("origin app: refuses connections", 1);
    assert_eq!(dev.get("/third").await.status, 502);
    dev.say("f none");
    dev.wait_for("origin app: as it is", 1);
    verge_tests::eventually("the origin listens again", async || {
        dev.get("/fourth").await.status == 200
    })
    .await;
    dev.say("x");
    dev.wait_for("`x` is no command", 1);
    assert_eq!(dev.interrupt(), Some(0));
}

#[tokio::test]
async fn browsers_are_told_of_a_new_version_and_a_stop_does_not_wait_for_them() {
    let workshop = Workshop::new();
    workshop.make("told", "handler");
    let dev = Dev::start(&workshop, &["told"]);
    dev.wait_for("live told", 1);
    let mut browser = Client::http1(dev.address()).await;
    let events = browser
        .begin("GET", "/.verge/live", &[], verge_tests::client::empty())
        .await
        .unwrap();
    let kind = events.headers()["content-type"].clone();
    assert_eq!(kind, "text/event-stream");
    let mut events = events.into_body();
    let next = async |events: &mut hyper::body::Incoming| {
        use http_body_util::BodyExt as _;
        let deadline = tokio::time::timeout(BUILD_PATIENCE, async {
            loop {
                let frame = events.frame().await.unwrap().unwrap();
                let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
                if text.contains("event: live") {
                    return text;
                }
            }
        });
        deadline.await.unwrap()
    };
    let first = next(&mut events).await;
    let code = workshop.folder("told/src/lib.rs");
    let good = std::fs::read_to_string(&code).unwrap();
    std::fs::write(&code, good.replace("Hello from", "Greetings from")).unwrap();
    let second = next(&mut events).await;
    assert!(!first.ends_with(&second), "{first} {second}");
    assert_eq!(dev.interrupt(), Some(0));
}
