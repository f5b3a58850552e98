//! `verge replay`: calls that a node recorded come to the same on their own, and what must not be
//! on disk is not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use verge_tests::TestNode;
use verge_tests::guests::{WIDE_LIMITS, component, function, function_with_limits, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::{Origin, respond};

use crate::kit::{binary, errors};

const SECRET: &str = "opensesame-4711";
const TOKEN: &str = "eyJhbGciOi.token";
const COOKIE: &str = "session-0815-secret";
/// What nobody may find on the disk.
const HIDDEN: [&str; 3] = [SECRET, TOKEN, COOKIE];

/// How long a recording may take to be on the disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// An origin that knows the price, and never answers to `/never`.
async fn origin() -> Origin {
    Origin::start(|request| async move {
        if request.path() == "/never" {
            std::future::pending::<()>().await;
        }
        respond(200, &[("set-cookie", "origin-cookie=0123456789")], "3.50")
    })
    .await
}

/// A node with `guest` as function `f`, whose calls are recorded.
async fn node(origin: &Origin, guest: &str, limits: &str, record: &str) -> TestNode {
    node_at("recordings", origin, guest, limits, record).await
}

/// The same, with its recordings in this folder.
async fn node_at(
    folder: &str,
    origin: &Origin,
    guest: &str,
    limits: &str,
    record: &str,
) -> TestNode {
    let keys = format!(
        "{limits}grants = {{ kv = [\"stock\"], secret = [\"key\"], fetch = [\"app\"], log = true }}\n\
         [function.f.record]\nfolder = \"{folder}\"\nper_second = 1000\n{record}\n"
    );
    let function = match limits {
        "" => function("f", guest, &keys),
        _ => function_with_limits("f", guest, &keys),
    };
    let setup = Setup::new();
    setup.write("key", SECRET);
    let toml = format!(
        "{}{function}[secret.key]\nfile = \"key\"\n[kv.stock]\npath = \"stock.redb\"\n\
         timeout = \"20s\"\n[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nstatic = {{ body = \"\" }}\n\
         viewer_request = [\"f\"]\n",
        runtime(),
        origin.address
    );
    setup.start(&toml).await
}

async fn ask(node: &TestNode, path: &str) -> u16 {
    let mut client = node.client().await;
    let authorization = format!("Bearer {TOKEN}");
    let cookie = format!("theme=dark; session={COOKIE}");
    let fields = [
        ("authorization", authorization.as_str()),
        ("cookie", cookie.as_str()),
    ];
    client.get_with(path, &fields).await.status.as_u16()
}

/// The files that there are once the node has written `count`.
async fn recordings(node: &TestNode, count: usize) -> Vec<PathBuf> {
    let series = "verge_function_recordings_total{function=\"f\",result=\"written\"}";
    node.settles(series, count as f64).await;
    files_of(&node.file("recordings"))
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

struct Said {
    code: Option<i32>,
    text: String,
    told: String,
}

fn replay(file: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(binary())
        .arg("replay")
        .arg(file)
        .args(arguments)
        .output()
        .unwrap();
    Said {
        code: output.status.code(),
        text: String::from_utf8(output.stdout.clone()).unwrap(),
        told: errors(&output),
    }
}

fn assert_nothing_hidden_in(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    for hidden in HIDDEN {
        let digits: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [hidden.as_bytes(), digits.as_bytes()] {
            let is_there = bytes.windows(form.len()).any(|window| window == form);
            assert!(!is_there, "{hidden} is in {}", file.display());
        }
    }
}

#[tokio::test]
async fn failed_calls_come_to_the_same_without_the_node_and_its_origin() {
    let kept = TempDir::new().unwrap();
    {
        let origin = origin().await;
        let folder = kept.path().to_str().unwrap();
        let node = node_at(folder, &origin, "told", "", "").await;
        for path in ["/refuse", "/trap"] {
            assert_eq!(ask(&node, path).await, 500);
        }
        // What goes well is nobody's concern.
        assert_eq!(ask(&node, "/answer").await, 200);
        // All that waits is written before the node has ended.
        node.stop().await;
    }
    let files = files_of(kept.path());
    assert_eq!(files.len(), 2, "{files:?}");
    for (file, outcome) in files.iter().zip(["refused", "trapped"]) {
        assert_nothing_hidden_in(file);
        let said = replay(file, &[]);
        assert_eq!(said.code, Some(0), "{}{}", said.text, said.told);
        for part in [
            "same outcome",
            &format!("now:      {outcome}"),
            "asked as recorded",
            "secret key",
            "field authorization",
            "field cookie",
            "for 3.50, number ",
        ] {
            assert!(said.text.contains(part), "{part}: {}", said.text);
        }
        assert!(
            !said.text.contains("not asked as recorded"),
            "{}",
            said.text
        );
    }
    // The refusal names every answer: a number or a time of its own would differ.
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let recording: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut changed = recording.clone();
    changed["seed"] = "11".repeat(32).into();
    let file = files[0].with_extension("changed");
    std::fs::write(&file, changed.to_string()).unwrap();
    let said = replay(&file, &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("ANOTHER OUTCOME"), "{}", said.text);
    // Another value in the store comes to another outcome, too.
    let calls = recording["calls"].as_array().unwrap();
    let place = calls.iter().position(|call| call["call"] == "kv.get");
    let mut changed = recording.clone();
    changed["calls"][place.unwrap()]["answer"] =
        serde_json::json!({ "Ok": { "Entry": { "value": "five", "version": 7 } } });
    std::fs::write(&file, changed.to_string()).unwrap();
    let said = replay(&file, &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    // What it then writes is not what was written.
    for part in ["got      kv.set", "[redacted secret key] five"] {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }
}

#[tokio::test]
async fn limits_are_passed_again() {
    let origin = origin().await;
    for (path, limits, outcome) in [
        (
            "/spin",
            "cpu = \"300ms\"\ndeadline = \"60s\"\n",
            "cpu-exceeded",
        ),
        (
            "/wait",
            "cpu = \"10s\"\ndeadline = \"2s\"\n",
            "deadline-exceeded",
        ),
    ] {
        let node = node(&origin, "told", limits, "").await;
        assert_eq!(ask(&node, path).await, 500);
        let files = recordings(&node, 1).await;
        let said = replay(&files[0], &[]);
        assert_eq!(said.code, Some(0), "{}{}", said.text, said.told);
        let now = format!("now:      {outcome}");
        assert!(said.text.contains(&now), "{}", said.text);
    }
}

#[tokio::test]
async fn another_build_is_compared_and_a_lost_one_is_named() {
    let origin = origin().await;
    let node = node(&origin, "told", "", "").await;
    assert_eq!(ask(&node, "/trap").await, 500);
    let files = recordings(&node, 1).await;
    let fixed = component("keyed-field");
    let said = replay(&files[0], &["--component", fixed.to_str().unwrap()]);
    assert_eq!(said.code, Some(1), "{}{}", said.text, said.told);
    for part in [
        "another build",
        "ANOTHER OUTCOME: recorded trapped, now continued",
        "expected kv.get",
        "got      nothing",
    ] {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let mut lost: serde_json::Value = serde_json::from_str(&text).unwrap();
    lost["digest"] = "ab".repeat(32).into();
    let file = files[0].with_extension("lost");
    std::fs::write(&file, lost.to_string()).unwrap();
    let said = replay(&file, &[]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.told.contains("abababab"), "{}", said.told);
    assert!(said.told.contains("told.wasm"), "{}", said.told);
    assert!(said.told.contains("--component FILE"), "{}", said.told);
}

#[tokio::test]
async fn damaged_and_foreign_files_are_refused_with_the_reason() {
    let origin = origin().await;
    let node = node(&origin, "told", "", "").await;
    assert_eq!(ask(&node, "/refuse").await, 500);
    let files = recordings(&node, 1).await;
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let file = files[0].with_extension("other");
    let cases = [
        (
            text[..text.len() / 2].to_owned(),
            "is no recording of a call",
        ),
        ("{\"a\": 1}".to_owned(), "is no recording of a call"),
        (
            text.replacen("\"verge_recording\":1", "\"verge_recording\":9", 1),
            "format 9",
        ),
        (
            text.replacen("viewer-request", "viewer-nonsense", 1),
            "viewer-nonsense",
        ),
        (
            text.replacen("\"method\":\"GET\"", "\"method\":\"G T\"", 1),
            "`G T` is no method",
        ),
    ];
    for (content, expected) in cases {
        std::fs::write(&file, content).unwrap();
        let said = replay(&file, &[]);
        assert_eq!(said.code, Some(2), "{expected}: {}{}", said.text, said.told);
        assert!(said.told.contains(expected), "{expected}: {}", said.told);
    }
    let said = replay(Path::new("/nowhere/file.json"), &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.told.contains("cannot read"), "{}", said.told);
}

#[tokio::test]
async fn recordings_are_bounded_in_size_and_number_and_a_share_of_good_calls_is_kept() {
    let origin = origin().await;
    let record = "share = \"100%\"\nkept = 3\nmax_bytes = \"32KiB\"\n";
    let node = node(
        &origin,
        "echo-body",
        &format!("{WIDE_LIMITS}body = \"8MiB\"\n"),
        record,
    )
    .await;
    let content = "a".repeat(200_000);
    for count in 1..=5 {
        let mut client = node.client().await;
        let reply = client.send("POST", "/", &[], content.clone()).await;
        assert_eq!(reply.status, 200);
        let files = recordings(&node, count).await;
        assert!(files.len() <= 3, "{files:?}");
    }
    let files = recordings(&node, 5).await;
    assert_eq!(files.len(), 3);
    for file in &files {
        let length = std::fs::metadata(file).unwrap().len();
        assert!(length <= 32 << 10, "{length}");
    }
    let said = replay(&files[0], &[]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.told.contains("`max_bytes`"), "{}", said.told);
}

#[tokio::test]
async fn folder_that_takes_nothing_costs_no_request() {
    let origin = origin().await;
    let record = "share = \"100%\"\n";
    let node = node(&origin, "told", "", record).await;
    // A file where the folder should be.
    std::fs::write(node.file("recordings"), "").unwrap();
    assert_eq!(ask(&node, "/answer").await, 200);
    let series = "verge_function_recordings_total{function=\"f\",result=\"failed\"}";
    tokio::time::timeout(PATIENCE, node.settles(series, 1.0))
        .await
        .unwrap();
}

#[tokio::test]
async fn good_calls_with_content_come_to_the_same() {
    let origin = origin().await;
    let node = node(
        &origin,
        "echo-body",
        &format!("{WIDE_LIMITS}body = \"8MiB\"\n"),
        "share = \"100%\"\n",
    )
    .await;
    let mut client = node.client().await;
    let reply = client.send("POST", "/", &[], "some content").await;
    assert_eq!(reply.text(), "some content");
    let files = recordings(&node, 1).await;
    let said = replay(&files[0], &[]);
    assert_eq!(said.code, Some(0), "{}{}", said.text, said.told);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let changed = text.replacen("some content", "other CONTENT", 1);
    let file = files[0].with_extension("changed");
    std::fs::write(&file, changed).unwrap();
    let said = replay(&file, &[]);
    assert_eq!(said.code, Some(1), "{}", said.text);
}
