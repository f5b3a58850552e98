//! `verge deploy`, `promote`, `rollback` and `versions` against a running node.

use std::path::PathBuf;
use std::process::Output;

use verge_tests::client::Client;
use verge_tests::guests::{WIDE_LIMITS, runtime, version};

use crate::kit::{Place, Process, binary, errors, on_free_ports};

/// A running node with function `f` behind every answer, and a folder with versions of it.
struct Running {
    place: Place,
    process: Process,
}

impl Running {
    async fn start() -> Self {
        let place = Place::new();
        for name in ["one", "two"] {
            std::fs::write(place.path(&format!("{name}.wasm")), version(name)).unwrap();
        }
        let config = place.write(
            "verge.toml",
            &on_free_ports(&format!(
                "{}[deploy]\nfolder = \"versions\"\n[function.f]\ncomponent = \"one.wasm\"\n\
                 {WIDE_LIMITS}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
                 static = {{ body = \"static\" }}\nviewer_response = [\"f\"]\n",
                runtime()
            )),
        );
        let process = tokio::task::spawn_blocking(move || Process::serve(&config));
        Self {
            place,
            process: process.await.unwrap(),
        }
    }

    async fn version(&self) -> String {
        let mut client = Client::http1(self.process.address("http")).await;
        client.get("/").await.field("x-viewer-response")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Runs a command with the admin address and the token.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new(binary());
        command
            .args(arguments)
            .args([
                "--admin",
                &format!("http://{}", self.process.address("admin")),
            ])
            .arg("--token-file")
            .arg(self.file("admin-token"));
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// The same for one that is done: what it said.
    async fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The beginning of a version's digest.
fn short(name: &str) -> String {
    let digest = verge_runtime::Digest::of(&version(name)).to_string();
    digest[..12].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_deployed_promoted_and_rolled_back_by_commands() {
    let node = Running::start().await;
    let (one, two) = (short("one"), short("two"));
    let file = node.file("two.wasm").display().to_string();
    let shared = ["deploy", "f", &file, "--share", "50%", "--sticky"];
    let told = node.told(&[&shared[..], &["cookie:uid"]].concat()).await;
    let expected = format!("f: version {two} runs for 50% of the requests, by cookie:uid\n");
    assert_eq!(told, expected);
    let told = node.told(&["versions"]).await;
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("f: ") && lines[0].contains("viewer-response"),
        "{told}"
    );
    assert!(lines[1].starts_with(&format!("  {two}  share ")), "{told}");
    assert!(lines[2].starts_with(&format!("  {one}  live ")), "{told}");
    assert_eq!(
        node.told(&["promote", "f"]).await,
        format!("f: version {two} is live\n")
    );
    assert_eq!(node.version().await, "two");
    let told = node.told(&["rollback", "f", "--purge"]).await;
    let expected =
        format!("f: version {one} is live; {two} is taken back, and what it made is purged\n");
    assert_eq!(told, expected);
    assert_eq!(node.version().await, "one");
    let told = node.told(&["deploy", "f", &file, "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["version"].as_str().unwrap().starts_with(&two));
    assert_eq!(node.version().await, "two");
    // As a pipeline does that did not see the answer.
    let told = node.told(&["deploy", "f", &file]).await;
    let expected = format!("f: version {two} is live (it was already; nothing has changed)\n");
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_with_an_exit_code() {
    let node = Running::start().await;
    let file = node.file("two.wasm").display().to_string();
    let rows: [(&[&str], i32, &str); 5] = [
        (
            &["deploy", "g", &file],
            1,
            "there is no function `g`\n  expected: one of f\n",
        ),
        (
            &["deploy", "f", "/no/such/file"],
            2,
            "cannot read `/no/such/file`",
        ),
        (
            &["deploy", "f", &file, "--share", "5"],
            1,
            "`share` is `5`\n  expected: a percentage",
        ),
        (
            &["promote", "f"],
            1,
            "no version runs beside the live one\n",
        ),
        (
            &["rollback", "f"],
            1,
            "no version that ran before this one is kept\n",
        ),
    ];
    for (arguments, code, said) in rows {
        let output = node.run(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(errors(&output).starts_with(said), "{}", errors(&output));
    }
    assert_eq!(node.version().await, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_and_not_answered_has_a_code_of_its_own() {
    let place = Place::new();
    std::fs::write(place.path("two.wasm"), version("two")).unwrap();
    std::fs::write(place.path("admin-token"), "token").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let deploy = || {
        let mut command = std::process::Command::new(binary());
        command
            .args(["deploy", "f"])
            .arg(place.path("two.wasm"))
            .args(["--admin", &format!("http://{address}"), "--token-file"])
            .arg(place.path("admin-token"));
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    // A node that goes away when it has been asked.
    let going = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        stream.readable().await.unwrap();
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut head)
            .await
            .unwrap();
    };
    let (output, ()) = tokio::join!(deploy(), going);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert!(
        errors(&output).contains("verge versions"),
        "{}",
        errors(&output)
    );
    drop(listener);
    let output = deploy().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}
