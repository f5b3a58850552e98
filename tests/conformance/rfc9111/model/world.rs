//! A node on a clock that is moved by hand, in front of the script: what happens
//! in a case, to the node and to the reference.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use verge_base::{Clock, ManualClock};
use verge_tests::node::{ADMIN_TOKEN, Setup};
use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::exchange::{Directives, Named, Planned, Request, Scope, Step, Varies};
use super::judge::{Exchange, fields};
use super::origin::{Answered, Says, Script};
use super::reference::Reference;

/// No answers in the place of an origin's error but those that somebody named a window for.
const STRICT: &str = "[cache]\nstale_on_failure = \"0s\"\n";

const HOST: &str = "shop.example";

/// For so many seconds after an answer that cannot be shared nothing is validated in the background
/// (`cache.uncollapsible_for`).
const UNSHARED: u64 = 2;

pub(super) struct World {
    node: TestNode,
    clock: Clock,
    time: ManualClock,
    script: Arc<Script>,
    cases: AtomicU64,
    _origin: Origin,
}

/// One run of one case.
struct Case<'a> {
    world: &'a World,
    number: u64,
    begun: SystemTime,
    /// Seconds since then.
    now: u64,
    client: Client,
    references: [Reference; 2],
    /// When the origin was asked last.
    asked: [Option<u64>; 2],
}

impl World {
    pub(super) async fn start() -> Self {
        let script: Arc<Script> = Arc::default();
        let answers = Arc::clone(&script);
        let origin = Origin::start(move |asked| {
            let answer = answers.answer(&asked);
            async move { answer }
        })
        .await;
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (clock, time) = Clock::manual(start);
        let setup = Setup::new().at(clock.clone());
        let config = format!("{STRICT}{}", node::route_to(&origin));
        Self {
            node: setup.start(&config).await,
            clock,
            time,
            script,
            cases: AtomicU64::new(0),
            _origin: origin,
        }
    }

    pub(super) async fn run(&self, steps: &[Step]) -> Result<(), String> {
        let mut case = Case {
            world: self,
            number: self.cases.fetch_add(1, Ordering::Relaxed),
            begun: self.clock.wall(),
            now: 0,
            client: self.client().await,
            references: Default::default(),
            asked: [None; 2],
        };
        for (index, step) in steps.iter().enumerate() {
            case.step(*step)
                .await
                .map_err(|what| format!("step {index}, {step:?}, at {} s: {what}", case.now))?;
        }
        Ok(())
    }

    async fn client(&self) -> Client {
        let mut client = self.node.client().await;
        client.set_authority(HOST);
        client
    }

    /// Waits until nothing is on its way: a response is found once its fill has ended, a moment
    /// after its last byte; and what is validated in the background is known then.
    async fn settle(&self) {
        let state = self.node.state();
        let is_settled = || {
            state.cache.stats().fills_in_progress == 0
                && state.background_validations.in_use() == 0
                && state.detached_fetches.in_use() == 0
        };
        for _ in 0..10_000 {
            if is_settled() {
                return;
            }
            tokio::task::yield_now().await;
        }
        eventually("nothing is on its way", async || is_settled()).await;
    }
}

impl Case<'_> {
    fn path(&self, uri: usize) -> String {
        let below = ["", "/b"][uri];
        format!("/{}/a{below}", self.number)
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Wait(seconds) => {
                self.world.time.advance(Duration::from_secs(seconds));
                self.now += seconds;
                // The old connection may count as idle for too long.
                self.client = self.world.client().await;
                Ok(())
            }
            Step::Ask(uri, request, planned) => self.ask(uri, &request, planned).await,
            Step::Change(uri, method, status, named) => {
                self.change(uri, method, status, named).await
            }
            Step::Purge(scope, is_soft) => self.purge(scope, is_soft).await,
        }
    }

    fn plan(&self, uri: usize, planned: Planned, named: Named) {
        let says = Says {
            planned,
            now: self.world.clock.wall(),
            begun: self.begun,
            named: (named, self.path(1 - uri)),
        };
        self.world.script.plan(&self.path(uri), says);
    }

    /// RFC 9111 4.4.
    async fn change(
        &mut self,
        uri: usize,
        method: &str,
        status: u16,
        named: Named,
    ) -> Result<(), String> {
        let planned = Planned {
            status,
            hangs_up: false,
            directives: Directives::default(),
            expires: None,
            dated: 0,
            age: 0,
            modified: None,
            tag: None,
            varies: Varies::No,
            key: None,
        };
        self.plan(uri, planned, named);
        let path = self.path(uri);
        let reply = self.client.send(method, &path, &[], "").await;
        if reply.status.as_u16() != status || self.world.script.answered() != [Answered::Changed] {
            return Err(format!("answered with {} by somebody else", reply.status));
        }
        if (200..400).contains(&status) {
            self.references[uri].forget();
            if matches!(named, Named::ByLocation | Named::ByContentLocation) {
                self.references[1 - uri].forget();
            }
        }
        Ok(())
    }

    async fn purge(&mut self, scope: Scope, is_soft: bool) -> Result<(), String> {
        let url = |uri| format!("http://{HOST}{}", self.path(uri));
        let (scope, uris, key) = match scope {
            Scope::Uri(uri) => (format!("{{\"url\": \"{}\"}}", url(uri)), uri..uri + 1, None),
            Scope::Prefix(uri) => (format!("{{\"prefix\": \"{}\"}}", url(uri)), uri..2, None),
            Scope::Key(key) => (format!("{{\"key\": \"k{key}\"}}"), 0..2, Some(key)),
        };
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let fields = [("authorization", bearer.as_str())];
        let mut admin = Client::http1(self.world.node.admin()).await;
        let content = format!("{{\"purge\": [{scope}], \"soft\": {is_soft}}}");
        let reply = admin.send("POST", "/purge", &fields, content).await;
        if reply.status != 200 {
            return Err(format!("{}: {}", reply.status, reply.text()));
        }
        for reference in &mut self.references[uris] {
            match (is_soft, key) {
                (true, key) => reference.end(key, self.now),
                (false, Some(key)) => reference.forget_key(key),
                (false, None) => reference.forget(),
            }
        }
        Ok(())
    }

    /// One GET or HEAD.
    async fn ask(&mut self, uri: usize, request: &Request, planned: Planned) -> Result<(), String> {
        self.plan(uri, planned, Named::Nothing);
        let fields = fields(request);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let method = if request.is_head { "HEAD" } else { "GET" };
        let path = self.path(uri);
        let reply = self.client.send(method, &path, &fields, "").await;
        self.world.settle().await;
        let exchange = Exchange {
            request,
            planned,
            now: self.now,
            begun: self.begun,
            asked_lately: self.asked[uri].is_some_and(|at| self.now - at <= UNSHARED),
            answered: self.world.script.answered(),
            reply,
        };
        if !exchange.answered.is_empty() {
            self.asked[uri] = Some(self.now);
        }
        let reference = &mut self.references[uri];
        exchange
            .judge(reference)
            .map_err(|what| format!("{what}\n  {:?}\n  {:?}", exchange.reply, exchange.answered))
    }
}
