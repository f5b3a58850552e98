//! The commands of a function's developer, as one uses them: `verge new`,
//! `verge test`, `verge build` and `verge dev`, outside of the repository.

use std::process::Command;

use verge_tests::Client;

use crate::kit::binary;
use crate::workshop::{BUILD_PATIENCE, Dev, Workshop, repository, text};

#[test]
fn every_template_passes_its_own_scenario() {
    let workshop = Workshop::new();
    let templates = workshop.templates();
    assert!(templates.len() >= 5, "{templates:?}");
    for template in templates {
        let name = format!("made-{template}");
        workshop.make(&name, &template);
        let scenarios = workshop.add_scenarios(&name, &template);
        let tested = workshop.run(&["test", &name]);
        let (out, errors) = (text(&tested.stdout), text(&tested.stderr));
        assert!(tested.status.success(), "{template}\n{out}{errors}");
        assert!(
            out.contains(&format!("{scenarios} passed, 0 failed")),
            "{out}"
        );
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
