//! One scenario: a node of its own, started empty at the scenario's time, and
//! the steps one after the other. Each waits until the node has settled, so
//! that the next one finds what this one left.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use verge_base::{Clock, ManualClock};
use verge_config::{Config, Origin, RateScope, Scenario, SecretSource, Step, StepRequest};
use verge_toolchain::TARGET;

use super::super::build::{Artifact, put_artifacts, take_as_built};
use super::super::dev::{Paint, receipt_line};
use super::super::folder::Folder;
use super::Log;
use super::judge::{Observed, judge};
use super::origin::Script;
use super::outcome::{Outcome, StepOutcome};
use crate::node::{NodeState, RunningNode, StartOptions, start_with};
use crate::telemetry::AccessLogOutput;

/// When a scenario begins that does not say so: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);
/// How long a step may take before it counts as hanging.
const STEP_TIME: Duration = Duration::from_secs(60);
/// How long the node may take to settle behind a step.
const SETTLE_TIME: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// Instances of a node that answers one request at a time.
const INSTANCES: u32 = 16;

/// Runs a scenario with a node of `config`.
pub(super) fn run(
    scenario: &Scenario,
    config: Config,
    artifacts: &[Artifact],
    log: &Log,
) -> Outcome {
    let clock = Clock::system();
    let begun = clock.now();
    let mut outcome = Outcome::new(scenario);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ran = match runtime {
        Ok(runtime) => runtime.block_on(run_steps(scenario, config, artifacts, log, &mut outcome)),
        Err(error) => Err(format!("no threads: {error}")),
    };
    outcome.problem = ran.err();
    outcome.took = clock.now().saturating_duration_since(begun);
    outcome
}

async fn run_steps(
    scenario: &Scenario,
    mut config: Config,
    artifacts: &[Artifact],
    log: &Log,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let wall = scenario.clock.unwrap_or(SystemTime::UNIX_EPOCH + BEGINNING);
    let (clock, hands) = Clock::manual(wall);
    let script = Script::new(&scenario.answers, clock.clone());
    let folder =
        Folder::new("verge-test").map_err(|error| format!("no folder for the node: {error}"))?;
    prepare(&mut config, artifacts, folder.path());
    put_settings(scenario, &mut config)?;
    put_secrets(scenario, &mut config, folder.path())?;
    put_origins(&script, &mut config).await?;
    let receipts = Receipts::default();
    let options = StartOptions {
        access_log: Some(AccessLogOutput::Writer(Box::new(receipts.clone()))),
        ..StartOptions::at(clock)
    };
    let node = tokio::task::spawn_blocking(move || start_with(config, options))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    let mut scene = Scene {
        node,
        script,
        receipts,
        hands,
        asked: 0,
    };
    for step in &scenario.steps {
        log.lock().clear();
        let mut done = StepOutcome::of(step);
        let played = timeout(STEP_TIME, scene.play(step, &mut done, log)).await;
        let has_failed = !done.differences.is_empty();
        outcome.done.push(done);
        played.map_err(|_| format!("line {}: the step hangs", step.line))??;
        // What follows stands on it.
        if has_failed {
            break;
        }
    }
    let node = scene.node;
    // Its threads do not wait for this one.
    let _ = tokio::task::spawn_blocking(move || node.abandon()).await;
    Ok(())
}

/// What a node under test does without: other listeners, other stores, more room than it needs.
/// Limits of functions stay.
fn prepare(config: &mut Config, artifacts: &[Artifact], folder: &Path) {
    put_artifacts(config, artifacts);
    config.listen.http = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.https.clear();
    config.listen.admin.clear();
    config.certificates.clear();
    config.admin.token = None;
    config.redis = None;
    config.disk = None;
    take_as_built(config);
    for (name, store) in &mut config.kv {
        store.path = Some(folder.join(format!("{name}.kv")));
    }
    for function in config.functions.values_mut() {
        // There is no region: its counters are the node's, as its stores are files.
        let rates = &mut function.grants.rate_limit;
        *rates = rates.map(|_| RateScope::Node);
    }
    config.node.workers = 1;
    config.runtime.instances = config.runtime.instances.min(INSTANCES);
    // Code is compiled once, and kept beside what cargo keeps.
    let target = config.functions.values().find_map(|function| {
        let mut above = function.component.ancestors();
        above.find(|folder| folder.ends_with(TARGET))?.parent()
    });
    if let Some(target) = target {
        config.runtime.cache_dir = Some(target.join("verge-code"));
    }
}

fn put_settings(scenario: &Scenario, config: &mut Config) -> Result<(), String> {
    for (name, settings) in &scenario.settings {
        let Some(function) = config.functions.get_mut(&**name) else {
            return Err(format!("the configuration has no function `{name}`"));
        };
        let settings = settings.iter();
        let settings = settings.map(|(key, value)| (key.clone(), value.clone()));
        function.config.extend(settings);
        function.grants.config = true;
    }
    Ok(())
}

fn put_secrets(scenario: &Scenario, config: &mut Config, folder: &Path) -> Result<(), String> {
    for (name, text) in &scenario.secrets {
        let Some(secret) = config.secrets.get_mut(&**name) else {
            return Err(format!("the configuration has no secret `{name}`"));
        };
        let file = folder.join(format!("{name}.secret"));
        std::fs::write(&file, text).map_err(|error| format!("secret `{name}`: {error}"))?;
        secret.source = SecretSource::File(file);
    }
    Ok(())
}

async fn put_origins(script: &Arc<Script>, config: &mut Config) -> Result<(), String> {
    for (name, settings) in &mut config.origins {
        let address = script.serve(name).await;
        let address = address.map_err(|error| format!("origin `{name}`: {error}"))?;
        if let Some(local) = Origin::at(name, &address.to_string()) {
            settings.addresses = local.addresses;
            settings.tls = None;
        }
    }
    Ok(())
}

/// The access log's lines.
#[derive(Clone, Default)]
struct Receipts(Arc<Mutex<Vec<u8>>>);

impl Write for Receipts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Receipts {
    /// The receipt with this number, from 0.
    fn get(&self, number: usize) -> Option<Value> {
        let text = self.0.lock();
        let mut lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        serde_json::from_slice(lines.nth(number)?).ok()
    }
}

/// A scenario while it is played.
struct Scene {
    node: RunningNode,
    script: Arc<Script>,
    receipts: Receipts,
    hands: ManualClock,
    /// Requests so far.
    asked: usize,
}

impl Scene {
    async fn play(&mut self, step: &Step, done: &mut StepOutcome, log: &Log) -> Result<(), String> {
        self.hands.advance(step.advance);
        let Some(request) = &step.request else {
            return Ok(());
        };
        let address = *self.node.addresses().http.first().ok_or("no listener")?;
        let at_line = |problem| format!("line {}: {problem}", step.line);
        let (head, body) = ask(address, request).await.map_err(at_line)?;
        let receipt = self.settle().await.map_err(at_line)?;
        let (origin_requests, wrong) = self.script.take(step.line);
        let observed = Observed {
            status: head.status.as_u16(),
            fields: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            origin_requests,
            receipt,
        };
        done.differences = wrong;
        done.differences.extend(judge(&step.expect, &observed));
        if !done.differences.is_empty() {
            done.context = String::from_utf8_lossy(&log.lock()).into_owned();
            done.context
                .push_str(&receipt_line(&observed.receipt, Paint::PLAIN));
        }
        Ok(())
    }

    /// Waits until everything that the request began has ended; its receipt.
    async fn settle(&mut self) -> Result<Value, String> {
        let number = self.asked;
        self.asked += 1;
        let state = Arc::clone(self.node.state());
        let settled = async {
            loop {
                if let Some(log) = state.telemetry.access_log() {
                    log.flush(SETTLE_TIME);
                }
                let receipt = self.receipts.get(number);
                if let Some(receipt) = receipt.filter(|_| is_quiet(&state)) {
                    return receipt;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let settled = timeout(SETTLE_TIME, settled).await;
        settled.map_err(|_| match self.receipts.get(number) {
            Some(_) => format!(
                "what the request began (a fill, a validation, deferred work) goes on after {} s",
                SETTLE_TIME.as_secs()
            ),
            None => format!("there is no receipt after {} s", SETTLE_TIME.as_secs()),
        })
    }
}

fn is_quiet(state: &NodeState) -> bool {
    state.cache.stats().fills_in_progress == 0
        && state.background_validations.in_use() == 0
        && state.detached_fetches.in_use() == 0
        && state.requests.in_use() == 0
        && state.deferred.places.in_use() == 0
}

/// Sends one request on a connection of its own.
async fn ask(
    address: SocketAddr,
    asked: &StepRequest,
) -> Result<(http::response::Parts, Bytes), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("the node does not listen: {error}"))?;
    // Without it a small request waits for more of it.
    let _ = stream.set_nodelay(true);
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(&asked.target)
        .body(Full::new(Bytes::from(asked.body.clone())))
        .map_err(|error| error.to_string())?;
    let fields = request.headers_mut();
    for (name, value) in &asked.fields {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            fields.append(name, value);
        }
    }
    if !fields.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(&address.to_string())
    {
        fields.insert(header::HOST, host);
    }
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| format!("no answer: {error}"))?;
    let (head, body) = response.into_parts();
    // What came of a content that was cut is what a client has.
    let mut content = Vec::new();
    let mut body = body;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            content.extend_from_slice(&data);
        }
    }
    Ok((head, content.into()))
}
