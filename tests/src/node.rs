//! A node under test: started from TOML, on ports of its own, in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use verge::node::{NodeState, RunningNode, StopReport, start_at};
use verge_base::Clock;
use verge_config::Config;

use crate::certificates::Authority;
use crate::client::{Client, Reply};
use crate::origin::Origin;

/// The admin token of every node under test.
pub const ADMIN_TOKEN: &str = "test-admin-token";

/// A node that serves until it is dropped.
pub struct TestNode {
    node: Option<RunningNode>,
    folder: TempDir,
    /// Signed the node's certificates, if it has any.
    pub authority: Option<Authority>,
}

/// What a node is started from.
pub struct Setup {
    folder: TempDir,
    authority: Option<Authority>,
    listen: String,
    head: String,
    clock: Clock,
}

impl Setup {
    /// Listeners on port 0: plaintext and admin. The access log goes to a file.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("admin-token"), ADMIN_TOKEN).unwrap();
        Self {
            folder,
            authority: None,
            listen: String::new(),
            head: String::new(),
            clock: Clock::system(),
        }
    }

    /// Adds an HTTPS listener with one certificate for each list of names.
    pub fn with_tls(mut self, certificates: &[&[&str]]) -> Self {
        let authority = Authority::new();
        for (index, names) in certificates.iter().enumerate() {
            let (certificate, key) = authority.issue(names);
            self.write(&format!("cert-{index}.pem"), &certificate);
            self.write(&format!("key-{index}.pem"), &key);
            self.head.push_str(&format!(
                "[[certificate]]\ncert = \"cert-{index}.pem\"\nkey = \"key-{index}.pem\"\n"
            ));
        }
        self.authority = Some(authority);
        self
    }

    /// The node lives by this clock.
    pub fn at(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds keys to `[listen]`.
    pub fn listening(mut self, keys: &str) -> Self {
        self.listen.push_str(keys);
        self.listen.push('\n');
        self
    }

    /// Puts a file beside the configuration.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The whole configuration around `toml`, which must not have `[listen]`, `[admin]`,
    /// `[log]` or `[node]` sections of its own.
    pub fn config(&self, toml: &str) -> String {
        let https = if self.authority.is_some() {
            "https = \"127.0.0.1:0\"\n"
        } else {
            ""
        };
        format!(
            "[node]\nworkers = 2\n[listen]\nhttp = \"127.0.0.1:0\"\n{https}admin = \"127.0.0.1:0\"\n{}\
             [admin]\ntoken_file = \"admin-token\"\n[log]\naccess = \"access.log\"\n{}\n{toml}",
            self.listen, self.head
        )
    }

    /// Starts the node.
    pub async fn start(self, toml: &str) -> TestNode {
        let text = self.config(toml);
        self.start_exactly(&text).await
    }

    /// Starts the node with exactly this configuration.
    pub async fn start_exactly(self, text: &str) -> TestNode {
        let file = self.folder.path().join("verge.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let node = tokio::task::spawn_blocking(move || start_at(config, self.clock))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        TestNode {
            node: Some(node),
            folder: self.folder,
            authority: self.authority,
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl TestNode {
    /// A plaintext node with this configuration.
    pub async fn start(toml: &str) -> Self {
        Setup::new().start(toml).await
    }

    /// A plaintext node that sends everything to `origin`, through the cache.
    pub async fn before(origin: &Origin) -> Self {
        Self::start(&route_to(origin)).await
    }

    fn running(&self) -> &RunningNode {
        self.node.as_ref().unwrap()
    }

    pub fn state(&self) -> &Arc<NodeState> {
        self.running().state()
    }

    pub fn http(&self) -> SocketAddr {
        self.running().addresses().http[0]
    }

    pub fn https(&self) -> SocketAddr {
        self.running().addresses().https[0]
    }

    pub fn admin(&self) -> SocketAddr {
        self.running().addresses().admin[0]
    }

    /// A new HTTP/1.1 connection without TLS.
    pub async fn client(&self) -> Client {
        Client::http1(self.http()).await
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Reply {
        self.client().await.get(path).await
    }

    /// One request to the admin API, with the token.
    pub async fn ask_admin(&self, method: &str, path: &str) -> Reply {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let fields = [("authorization", bearer.as_str())];
        let mut client = Client::http1(self.admin()).await;
        client.send(method, path, &fields, "").await
    }

    /// The Prometheus metrics.
    pub async fn metrics(&self) -> String {
        self.ask_admin("GET", "/metrics").await.text()
    }

    /// The value of the series that starts with `series`, as `name{label="x"`; 0 if it is absent.
    pub async fn metric(&self, series: &str) -> f64 {
        let metrics = self.metrics().await;
        metrics
            .lines()
            .filter(|line| line.starts_with(series))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the series that starts with `series` has the value `expected`: what a
    /// response cost is counted when it has ended, which may be after its client has all of it.
    pub async fn settles(&self, series: &str, expected: f64) {
        let mut last = f64::NAN;
        let settled = crate::becomes(async || {
            last = self.metric(series).await;
            (last - expected).abs() < 1e-9
        })
        .await;
        assert!(settled, "{series} is {last}, not {expected}");
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the configuration file says now.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(self.file("verge.toml")).unwrap()
    }

    /// Saves a file as deploy tools do: written beside it, then renamed over it.
    pub fn save(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = self.file(&format!("{name}.new"));
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.file(name)).unwrap();
    }

    /// The access log, one JSON object for each line, all lines flushed.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        if let Some(log) = self.state().telemetry.access_log() {
            assert!(log.flush(crate::PATIENCE), "the access log was not flushed");
        }
        std::fs::read_to_string(self.file("access.log"))
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The access log once it has at least `count` lines: a line is written once a response has
    /// ended, which may be after its client has all of it.
    pub async fn receipts(&self, count: usize) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        crate::eventually("the receipts of all requests", async || {
            lines = self.access_log();
            lines.len() >= count
        })
        .await;
        lines
    }

    /// The access log's line of the request with this id: a line is written once a response has
    /// ended, which may be after its client has all of it.
    pub async fn receipt(&self, id: &str) -> serde_json::Value {
        let mut found = None;
        crate::eventually("the receipt of a request", async || {
            found = self.access_log().into_iter().find(|line| line["id"] == id);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Drains and stops the node.
    pub async fn stop(mut self) -> StopReport {
        let node = self.node.take().unwrap();
        tokio::task::spawn_blocking(move || node.stop())
            .await
            .unwrap()
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            // Ends its threads without a drain: the test is over.
            node.abandon();
        }
    }
}

/// A site for every host whose requests all go to `origin`, through the cache.
pub fn route_to(origin: &Origin) -> String {
    format!(
        "[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        origin.address
    )
}
