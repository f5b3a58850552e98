//! An engine, a function and its messages, for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Version};
use http_body::Frame;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use verge_base::Clock;
use verge_http::failure::FunctionFault;
use verge_http::{Body, Failure};
use verge_runtime::{
    Call, CallEnd, CallId, Capabilities, ClientFacts, ContentChange, Context, EdgeRequest, Engine,
    EngineSettings, Function, FunctionSettings, Grants, Isolation, KvStores, Limits, LoadError,
    LogLevel, NoScope, Outcome, QuarantineSettings, RateAnswer, RateDecision, RatePolicy, Rates,
    RequestCall, Scope,
};

/// What the host offers in tests; it remembers what was logged, and calls that went on.
pub(crate) struct Host {
    pub(crate) stores: KvStores,
    pub(crate) logged: Mutex<Vec<(LogLevel, String, String)>>,
    pub(crate) ended: Mutex<Vec<(String, CallEnd)>>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            stores: crate::kv::stores(),
            logged: Mutex::default(),
            ended: Mutex::default(),
        }
    }
}

impl Rates for Host {
    fn check(&self, _: &str, policy: RatePolicy, cost: u32) -> RateAnswer<RateDecision> {
        RateAnswer::Now(RateDecision {
            allowed: cost <= policy.limit,
            remaining: policy.limit.saturating_sub(cost),
            reset_after: policy.window,
            retry_after: Duration::MAX,
        })
    }

    fn count(&self, _: &str, _: Duration, amount: u32) -> RateAnswer<u64> {
        RateAnswer::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            u64::from(amount) + 1
        }))
    }

    fn penalize(&self, _: &str, _: Duration) -> RateAnswer<()> {
        RateAnswer::Now(())
    }

    fn penalty(&self, key: &str) -> RateAnswer<Option<Duration>> {
        RateAnswer::Now((key == "in").then_some(Duration::from_micros(1500)))
    }
}

impl Capabilities for Host {
    fn config(&self, name: &str) -> Option<String> {
        (name == "greeting").then(|| "hello".into())
    }

    fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        (name == "key").then(|| b"sesame".as_slice().into())
    }

    fn rates(&self) -> Option<&dyn Rates> {
        Some(self)
    }

    fn kv(&self) -> Option<&KvStores> {
        Some(&self.stores)
    }

    fn call_ended(&self, call: &CallId, end: &CallEnd) {
        self.ended
            .lock()
            .push((format!("{}/{}", call.function, call.request), end.clone()));
    }

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        self.logged.lock().push((
            level,
            format!("{}/{}", call.function, call.request),
            message.to_owned(),
        ));
    }
}

/// How a test wants its function; generous where it does not care.
pub(crate) struct Setup {
    pub(crate) clock: Clock,
    pub(crate) instances: u32,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    pub(crate) quarantine: QuarantineSettings,
    pub(crate) isolation: Isolation,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            instances: 4,
            limits: Limits {
                cpu: Duration::from_secs(10),
                deadline: Duration::from_secs(10),
                ..Limits::default()
            },
            grants: Grants::ALL,
            quarantine: QuarantineSettings {
                failures: 0,
                ..QuarantineSettings::default()
            },
            isolation: Isolation::Fresh,
        }
    }
}

/// An engine with one function.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) function: Function,
    pub(crate) host: Arc<Host>,
}

impl Setup {
    pub(crate) fn engine(&self) -> Engine {
        let settings = EngineSettings {
            instances: self.instances,
            memory: 32 << 20,
            ..EngineSettings::default()
        };
        Engine::new(settings, self.clock.clone()).expect("the engine starts")
    }

    pub(crate) fn load(&self, engine: &Engine, component: &[u8]) -> Result<Fixture, LoadError> {
        let host = Arc::new(Host::default());
        let compiled = engine.compile(component).expect("the guest compiles");
        let function = engine.load(
            &compiled,
            FunctionSettings {
                name: "guest".into(),
                limits: self.limits,
                grants: self.grants,
                capabilities: Arc::clone(&host) as Arc<dyn Capabilities>,
                quarantine: self.quarantine,
                isolation: self.isolation,
            },
        )?;
        Ok(Fixture {
            engine: engine.clone(),
            function,
            host,
        })
    }

    pub(crate) fn start(&self, component: &[u8]) -> Fixture {
        self.load(&self.engine(), component)
            .expect("the guest loads")
    }
}

/// A function with generous limits.
pub(crate) fn fixture(component: &[u8]) -> Fixture {
    Setup::default().start(component)
}

/// Generous but for what `change` says.
pub(crate) fn limited(change: impl FnOnce(&mut Limits)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup.limits);
    setup
}

/// One viewer-request call.
pub(crate) async fn run(fixture: &Fixture) -> RequestCall {
    fixture.function.viewer_request(call(), request()).await
}

/// The call failed with this fault, and the request came back whole.
pub(crate) fn assert_failed(call: &RequestCall, fault: FunctionFault) {
    let failure = call.verdict.as_ref().expect_err("it fails");
    assert_eq!(failure.fault, fault, "{failure}");
    assert_eq!(call.receipt.outcome, Outcome::from(fault));
    assert_eq!(call.effects.content, ContentChange::Untouched);
    assert_eq!(call.request.body.exact_len(), Some(7));
    assert_eq!(call.request.path_and_query, "/a?b=c");
    assert_eq!(call.request.fields.len(), 2);
}

/// A site with one more authority and one origin.
pub(crate) struct Site;

impl Scope for Site {
    fn allows_authority(&self, authority: &Authority) -> bool {
        authority.as_str() == "other.example"
    }

    fn allows_origin(&self, _call: &CallId, name: &str) -> bool {
        name == "green"
    }
}

pub(crate) fn call() -> Call {
    Call {
        scope: Arc::new(NoScope),
    }
}

pub(crate) fn site_call() -> Call {
    Call {
        scope: Arc::new(Site),
    }
}

pub(crate) fn request() -> EdgeRequest {
    request_with(Body::from("content"))
}

pub(crate) fn request_with(body: Body) -> EdgeRequest {
    let mut fields = HeaderMap::new();
    fields.insert("accept", HeaderValue::from_static("text/html"));
    fields.insert("content-length", HeaderValue::from_static("7"));
    EdgeRequest {
        method: Method::GET,
        scheme: Scheme::HTTPS,
        authority: Authority::from_static("shop.example"),
        path_and_query: PathAndQuery::from_static("/a?b=c"),
        fields,
        client: Arc::new(ClientFacts {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 1234,
            protocol: Version::HTTP_2,
            tls: Some("TLSv1.3"),
        }),
        id: "r1".into(),
        body,
        context: Context::default(),
    }
}

pub(crate) fn response() -> http::Response<Body> {
    http::Response::builder()
        .header("content-type", "text/plain")
        .header("content-length", "7")
        .body(Body::from("content"))
        .expect("it is valid")
}

pub(crate) async fn collect(body: Body) -> Result<Bytes, Failure> {
    Ok(body.collect().await?.to_bytes())
}

/// A body that never comes.
pub(crate) fn endless() -> Body {
    Body::stream(Never::default())
}

/// A body that never comes, and whether it was waited for.
pub(crate) fn endless_and_asked() -> (Body, Arc<AtomicBool>) {
    let body = Never::default();
    let asked = Arc::clone(&body.asked);
    (Body::stream(body), asked)
}

#[derive(Default)]
struct Never {
    asked: Arc<AtomicBool>,
}

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.asked.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

/// Threads that do nothing but run; they stop when it is dropped.
pub(crate) struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// They begin on the cores that the calling thread may use.
    pub(crate) fn threads(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("it only spins");
        }
    }
}

/// Keeps the calling thread, and those that it starts from now on, on one core.
pub(crate) fn stay_on_one_core() {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("this is Linux");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("it has that field").trim().to_owned()
    };
    let cores = field("Cpus_allowed_list:");
    let first = cores.split([',', '-']).next().expect("there is a core");
    let pinned = Command::new("taskset")
        .args(["-c", "-p", first, &field("Pid:")])
        .output()
        .expect("taskset is there (Debian: util-linux)");
    assert!(pinned.status.success(), "{pinned:?}");
}

/// The CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is positive")
}
