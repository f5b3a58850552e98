//! A node that does as it is told, and its admin API on a port of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

use super::super::*;
use crate::admin::functions::{FunctionAction, FunctionVersions, VersionChange};
use crate::deploy::actions::{Refusal, RefusalKind};
use crate::telemetry::{Metrics, Rfc3339, Sample};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct FakeNode {
    pub(super) metrics: Metrics,
    pub(super) is_ready: AtomicBool,
    pub(super) problems: Vec<ReloadProblem>,
    pub(super) result: ReloadResult,
    pub(super) may_reload: Notify,
    pub(super) reloads: AtomicUsize,
    pub(super) reloaded: Notify,
}

impl FakeNode {
    pub(super) fn new(result: ReloadResult) -> Self {
        let may_reload = Notify::new();
        may_reload.notify_one();
        Self {
            metrics: Metrics::new(1),
            is_ready: AtomicBool::new(true),
            problems: Vec::new(),
            result,
            may_reload,
            reloads: AtomicUsize::new(0),
            reloaded: Notify::new(),
        }
    }
}

impl AdminSource for FakeNode {
    fn readiness(&self) -> Readiness {
        if self.is_ready.load(Ordering::Relaxed) {
            Readiness::Ready
        } else {
            Readiness::NotReady("draining")
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn sample(&self) -> Sample {
        Sample {
            ready: self.is_ready.load(Ordering::Relaxed),
            ..Sample::default()
        }
    }

    fn status(&self) -> Status {
        Status {
            version: "0.0.0",
            started: Rfc3339(SystemTime::UNIX_EPOCH),
            config: PathBuf::from("verge.toml"),
            generation: GenerationStatus {
                number: 3,
                since: Rfc3339(SystemTime::UNIX_EPOCH),
            },
            last_reload: None,
            drain: None,
            functions: vec![FunctionStatus {
                name: "auth".into(),
                digest: "ab".into(),
                triggers: vec!["viewer-request"],
                isolation: "fresh",
                is_quarantined: false,
            }],
            sites: vec!["shop.example".into()],
            origins: vec!["app".into()],
        }
    }

    fn functions(&self) -> Vec<FunctionVersions> {
        Vec::new()
    }

    fn function(&self, name: &str) -> Result<FunctionVersions, Refusal> {
        Err(Refusal {
            kind: RefusalKind::Unknown,
            what: format!("there is no function `{name}`"),
            expected: "a node with functions".to_owned(),
        })
    }

    fn component_bytes_max(&self) -> usize {
        1 << 20
    }

    fn change_function(
        &self,
        name: String,
        _action: FunctionAction,
    ) -> BoxFuture<'_, Result<VersionChange, Refusal>> {
        Box::pin(std::future::ready(self.function(&name).map(|function| {
            VersionChange {
                version: String::new(),
                purged: false,
                note: None,
                warning: None,
                function,
            }
        })))
    }

    fn purge_batch_max(&self) -> usize {
        3
    }

    fn settle_purges(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn purge(&self, item: &PurgeItem) -> Result<PurgeDone, ScopeProblem> {
        match &item.scope {
            PurgeScopeText::Key(key) => Ok(PurgeDone {
                scope: format!("key {key}"),
                hardness: if item.soft { "soft" } else { "hard" }.to_owned(),
                sequence: 7,
                id: "id".to_owned(),
            }),
            _ => Err(ScopeProblem {
                what: "not that one".to_owned(),
                expected: "a key".to_owned(),
            }),
        }
    }

    fn explain<'a>(
        &'a self,
        _request: &'a ExplainRequest,
    ) -> BoxFuture<'a, Result<Explanation, ScopeProblem>> {
        let problem = ScopeProblem {
            what: "no site".to_owned(),
            expected: "a URL".to_owned(),
        };
        Box::pin(std::future::ready(Err(problem)))
    }

    fn reload(&self) -> BoxFuture<'_, ReloadReport> {
        Box::pin(async {
            self.may_reload.notified().await;
            self.reloads.fetch_add(1, Ordering::Relaxed);
            self.reloaded.notify_one();
            ReloadReport {
                result: self.result,
                cause: ReloadCause::Admin,
                at: Rfc3339(SystemTime::UNIX_EPOCH),
                took: Duration::from_micros(1500),
                generation: 4,
                error: None,
                problems: self.problems.clone(),
            }
        })
    }
}

pub(super) struct Admin {
    pub(super) address: SocketAddr,
    pub(super) auth: AdminAuth,
    pub(super) node: Arc<FakeNode>,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) serving: tokio::task::JoinHandle<io::Result<()>>,
}

pub(super) fn start_with(node: FakeNode, limits: AdminLimits) -> Admin {
    let node = Arc::new(node);
    let auth = AdminAuth::new(Some(AdminToken::new("s3cret").unwrap()));
    let any_port = [SocketAddr::from(([127, 0, 0, 1], 0))];
    let source = Arc::clone(&node) as Arc<dyn AdminSource>;
    let server = AdminServer::bind(&any_port, auth.clone(), source, limits).unwrap();
    let address = server.addresses()[0];
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve(async {
        let _told = stopped.await;
    }));
    Admin {
        address,
        auth,
        node,
        stop,
        serving,
    }
}

pub(super) fn start() -> Admin {
    start_with(FakeNode::new(ReloadResult::Applied), AdminLimits::default())
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Admin {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `head`, which ends the connection after the answer.
    pub(super) async fn send(&self, head: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // A refusal leaves content unread, so that a reset may follow the answer.
        let mut text = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut text))
            .await
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
    ) -> Answer {
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let authorization = authorization.unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{authorization}\r\n"
        );
        self.send(&head).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str) -> Answer {
        self.request(method, path, Some("Bearer s3cret")).await
    }
}
