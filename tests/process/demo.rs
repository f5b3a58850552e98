//! The demo: every command of its tour, run as a reader would, does what the line
//! above it says; README shows the same commands; and it stops as told.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;
use verge_tests::PATIENCE;

/// The last line of the tour.
const END_OF_TOUR: &str = "Ctrl-C drains and stops.";

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

/// A demo on ports of its own, with its files in a folder of its own.
struct Demo {
    process: Child,
    lines: Receiver<String>,
    tour: Vec<String>,
    /// What is different here, and what config/demo.toml says.
    substitutes: Vec<(String, String)>,
    _folder: TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let substitutes = substitutes(folder.path());
        let config = folder.path().join("demo.toml");
        std::fs::write(&config, configuration(&substitutes)).unwrap();
        let mut process = Command::new(example())
            .arg("--config")
            .arg(&config)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut demo = Self {
            process,
            lines,
            tour: Vec::new(),
            substitutes,
            _folder: folder,
        };
        demo.tour = demo.lines_until(END_OF_TOUR);
        demo
    }

    /// What is printed, up to the line that is `last`.
    fn lines_until(&self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE * 3) {
                Ok(line) if line == last => return lines,
                Ok(line) => lines.push(line),
                Err(error) => panic!("no line {last:?} ({error}) after {lines:#?}"),
            }
        }
    }

    /// The commands of the tour, in order.
    fn commands(&self) -> Vec<String> {
        commands(self.tour.iter().map(String::as_str), "    ")
    }

    /// `text` as a demo with config/demo.toml has it.
    fn as_in_the_repository(&self, text: &str) -> String {
        let substitutes = self.substitutes.iter();
        substitutes.fold(text.to_owned(), |text, (here, there)| {
            text.replace(here, there)
        })
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The demo, built if it is not: `cargo test --workspace` has built it already.
fn example() -> &'static Path {
    static EXAMPLE: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        // target/PROFILE/deps/process-HASH
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        // Of all packages: then dependencies have the features of `cargo test --workspace`.
        build
            .args(["build", "--quiet", "--workspace", "--example", "demo"])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(root());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the demo does not build");
        folder.join("examples/demo")
    })
}

/// Pairs of what the demo uses here and what config/demo.toml says.
fn substitutes(folder: &Path) -> Vec<(String, String)> {
    let root = root();
    let mut pairs = vec![
        // Compiled once for all tests.
        (
            format!("{}/demo-code", env!("CARGO_TARGET_TMPDIR")),
            "../.verge/demo/code".to_owned(),
        ),
        (folder.display().to_string(), "../.verge/demo".to_owned()),
        (
            format!("{}/functions", root.display()),
            "../functions".to_owned(),
        ),
    ];
    // All are held until all are known, so that no two are the same.
    let ports: Vec<TcpListener> = (0..5)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    for (held, port) in ports.iter().zip([8080, 8443, 9901, 28081, 28082]) {
        let here = held.local_addr().unwrap().port();
        pairs.push((format!(":{here}"), format!(":{port}")));
    }
    pairs
}

fn configuration(substitutes: &[(String, String)]) -> String {
    let text = std::fs::read_to_string(root().join("config/demo.toml")).unwrap();
    let text = text.replace("[log]\n", "[log]\nfilter = \"warn\"\n");
    substitutes.iter().fold(text, |text, (here, there)| {
        assert!(
            text.contains(there.as_str()),
            "config/demo.toml has no {there}"
        );
        text.replace(there, here)
    })
}

/// The lines that are commands of the tour.
fn commands<'a>(lines: impl Iterator<Item = &'a str>, indent: &str) -> Vec<String> {
    lines
        .filter_map(|line| line.strip_prefix(indent))
        .filter(|line| {
            ["curl ", "for ", "tail "]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .map(str::to_owned)
        .collect()
}

fn run(command: &str) -> String {
    let done = Command::new("sh")
        .args(["-c", command])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap().replace('\r', "");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(errors.is_empty(), "{command}\n{errors}");
    text
}

fn has(output: &str, wanted: &[&str]) {
    let output = output.to_lowercase();
    for word in wanted {
        assert!(
            output.contains(&word.to_lowercase()),
            "no {word:?} in\n{output}"
        );
    }
}

#[test]
fn every_line_of_the_tour_shows_what_it_says() {
    let demo = Demo::start();
    let commands = demo.commands();
    let mut commands = commands.iter();
    let mut next = |start: &str| {
        let command = commands.next().expect("a further command");
        assert!(command.contains(start), "{command} is not about {start}");
        run(command)
    };
    let miss = next("/ |");
    has(
        &miss,
        &[
            "fwd=uri-miss",
            "stored",
            "origin blue, its request number 1.",
        ],
    );
    let hit = next("/ |");
    has(
        &hit,
        &["; hit", "age: ", "origin blue, its request number 1."],
    );
    let collapsed = next("/slow");
    let pages: Vec<&str> = collapsed.lines().collect();
    assert_eq!(pages.len(), 3, "{collapsed}");
    assert!(pages.iter().all(|page| *page == pages[0]), "{collapsed}");
    let protected = next("--cacert");
    has(
        &protected,
        &[
            "HTTP/2 200",
            "strict-transport-security",
            "x-demo: transformed",
        ],
    );
    has(
        &next("/shop/cart"),
        &["set-cookie: verge-variant=", "made by origin"],
    );
    has(&next("verge-variant=A"), &["made by origin blue"]);
    has(&next("verge-variant=B"), &["made by origin green"]);
    has(
        &next("/private/page"),
        &["HTTP/1.1 401", "www-authenticate: bearer"],
    );
    has(
        &next("Authorization"),
        &["HTTP/1.1 200", "x-auth-subject: alice"],
    );
    assert_eq!(next("/limited").trim(), "200 200 200 200 200 429 429");
    has(
        &next("/limited"),
        &["HTTP/1.1 429", "retry-after: ", "ratelimit: "],
    );
    has(
        &next("/hello/world"),
        &["Hello from Verge! You asked for /hello/world"],
    );
    let line: serde_json::Value = serde_json::from_str(&next("access.log")).unwrap();
    assert!(line.is_object(), "{line}");
    has(
        &next("/metrics"),
        &[
            "verge_request_duration_seconds_count{",
            "cache=\"hit\"",
            "function=\"auth\"",
        ],
    );
    assert_eq!(commands.next(), None, "a command that nobody has tried");
}

#[test]
fn readme_shows_the_same_tour() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let from = readme.find("## A five-minute tour").expect("the section");
    let section = &readme[from..];
    let section = section[2..]
        .find("\n## ")
        .map_or(section, |end| &section[..end + 2]);
    let shown = commands(section.lines(), "");
    let tour = std::fs::read_to_string(root().join("host/examples/demo/tour.txt")).unwrap();
    let tour = tour
        .replace("{http}", "127.0.0.1:8080")
        .replace("{https}", "localhost:8443")
        .replace("{admin}", "127.0.0.1:9901")
        .replace("{folder}", ".verge/demo");
    for command in commands(tour.lines(), "    ") {
        assert!(shown.contains(&command), "README does not show\n{command}");
    }
}

#[test]
fn demo_drains_and_exits_with_0_when_interrupted_or_terminated() {
    for signal in ["INT", "TERM"] {
        let mut demo = Demo::start();
        demo.signal(signal);
        demo.lines_until("Stopped.");
        assert_eq!(demo.process.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn taken_port_is_named_before_anything_starts() {
    let demo = Demo::start();
    let config = demo.substitutes[1].0.clone() + "/demo.toml";
    let second = Command::new(example())
        .args(["--config", &config])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{errors}");
    let errors = demo.as_in_the_repository(&errors);
    for place in [
        "127.0.0.1:8080  (`listen.http`)",
        "127.0.0.1:9901  (`listen.admin`)",
        "127.0.0.1:28082  (`origin.green.addresses`)",
    ] {
        assert!(errors.contains(place), "no {place} in\n{errors}");
    }
    assert!(errors.contains("change these ports in"), "{errors}");
}
