//! Random exchanges through a node, on a clock that is moved by hand, compared
//! with a reference model: what the model forbids is never served, and what it
//! says can be reused is never asked for again. Each case is a list of steps on
//! URIs of its own; `PROPTEST_CASES` sets how many there are.

mod reference;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};
use reference::{Asks, Directives, Planned, Reference, Request, Varies};
use verge_base::{Clock, ManualClock};
use verge_tests::node::Setup;
use verge_tests::origin::{OriginResponse, respond};
use verge_tests::{Client, Origin, Recorded, TestNode, node};

/// Cases unless the environment says otherwise.
const CASES: u32 = 256;

/// Most steps of a case.
const STEPS_MAX: usize = 14;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Seconds pass.
    Wait(u64),
    /// A GET of one of the case's URIs, with what the origin says if it is asked.
    Get(u8, Request, Planned),
    /// An unsafe method, and the status that it is answered with.
    Change(u8, &'static str, u16),
}

/// Seconds: few different ones, so that bounds are met exactly.
fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0_u64), Just(1), Just(5), Just(10), Just(60)]
}

fn seldom() -> impl Strategy<Value = bool> {
    prop_oneof![6 => Just(false), 1 => Just(true)]
}

fn directives() -> impl Strategy<Value = Directives> {
    let ages = (
        prop_oneof![1 => Just(None), 3 => seconds().prop_map(Some)],
        prop_oneof![4 => Just(None), 1 => seconds().prop_map(Some)],
    );
    let flags = (seldom(), seldom(), seldom(), seldom(), seldom(), seldom());
    (ages, flags).prop_map(|((max_age, s_maxage), flags)| Directives {
        max_age,
        s_maxage,
        no_store: flags.0,
        private: flags.1,
        no_cache: flags.2,
        public: flags.3,
        must_revalidate: flags.4,
        proxy_revalidate: flags.5,
    })
}

fn planned() -> impl Strategy<Value = Planned> {
    (
        prop_oneof![6 => Just(200_u16), 1 => Just(404), 1 => Just(410), 1 => Just(500), 1 => Just(299)],
        directives(),
        prop_oneof![3 => Just(None), 1 => Just(Some(-5_i64)), 1 => Just(Some(10))],
        prop_oneof![4 => Just(0_u64), 1 => Just(5)],
        prop_oneof![3 => Just(None), 1 => Just(Some(100_u64))],
        prop_oneof![1 => Just(None), 1 => Just(Some(1_u8)), 1 => Just(Some(2))],
        prop_oneof![4 => Just(Varies::No), 4 => Just(Varies::ByField), 1 => Just(Varies::ByAnything)],
    )
        .prop_map(|(status, directives, expires, age, modified, tag, varies)| Planned {
            status,
            directives,
            expires,
            age,
            modified,
            tag,
            varies,
        })
}

fn request() -> impl Strategy<Value = Request> {
    let asks = prop_oneof![
        8 => Just(Asks::Nothing),
        1 => Just(Asks::NoCache),
        1 => Just(Asks::NoStore),
        1 => seconds().prop_map(Asks::MaxAge),
        1 => seconds().prop_map(Asks::MinFresh),
        1 => seconds().prop_map(|most| Asks::MaxStale(Some(most))),
        1 => Just(Asks::MaxStale(None)),
        1 => Just(Asks::OnlyIfCached),
    ];
    let variant = prop_oneof![Just(None), Just(Some(1_u8)), Just(Some(2))];
    (asks, variant, seldom()).prop_map(|(asks, variant, has_authorization)| Request {
        asks,
        variant,
        has_authorization,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let method = prop_oneof![Just("POST"), Just("DELETE"), Just("M-SEARCH")];
    let status = prop_oneof![Just(200_u16), Just(303), Just(404), Just(500)];
    prop_oneof![
        3 => seconds().prop_map(Step::Wait),
        9 => (0..2_u8, request(), planned()).prop_map(|(uri, request, planned)| Step::Get(uri, request, planned)),
        1 => (0..2_u8, method, status).prop_map(|(uri, method, status)| Step::Change(uri, method, status)),
    ]
}

/// What the origin says next, for each path, and what it was asked.
#[derive(Default)]
struct Script {
    says: Mutex<HashMap<String, (Planned, SystemTime)>>,
    /// Answers in order: the content's number, or `None` for 304.
    answered: Mutex<Vec<Option<u64>>>,
    last: AtomicU64,
}

fn cache_control(directives: &Directives) -> String {
    let mut words = Vec::new();
    words.extend(
        directives
            .max_age
            .map(|seconds| format!("max-age={seconds}")),
    );
    words.extend(
        directives
            .s_maxage
            .map(|seconds| format!("s-maxage={seconds}")),
    );
    for (is_said, word) in [
        (directives.no_store, "no-store"),
        (directives.private, "private"),
        (directives.no_cache, "no-cache"),
        (directives.public, "public"),
        (directives.must_revalidate, "must-revalidate"),
        (directives.proxy_revalidate, "proxy-revalidate"),
    ] {
        words.extend(is_said.then(|| word.to_owned()));
    }
    words.join(", ")
}

impl Script {
    fn answer(&self, asked: &Recorded) -> OriginResponse {
        let Some((planned, now)) = self.says.lock().get(asked.path()).copied() else {
            return respond(599, &[], "");
        };
        if asked.method != "GET" {
            return respond(planned.status, &[], "");
        }
        let date = |time: SystemTime| verge_http::date::fmt(time).to_str().unwrap().to_owned();
        let mut fields = vec![("date", date(now)), ("age", planned.age.to_string())];
        let directives = cache_control(&planned.directives);
        if !directives.is_empty() {
            fields.push(("cache-control", directives));
        }
        if let Some(seconds) = planned.expires {
            let step = Duration::from_secs(seconds.unsigned_abs());
            let at = if seconds < 0 { now - step } else { now + step };
            fields.push(("expires", date(at)));
        }
        if let Some(ago) = planned.modified {
            fields.push(("last-modified", date(now - Duration::from_secs(ago))));
        }
        let tag = planned.tag.map(|tag| format!("\"{tag}\""));
        fields.extend(tag.clone().map(|tag| ("etag", tag)));
        match planned.varies {
            Varies::No => {}
            Varies::ByField => fields.push(("vary", "x-variant".to_owned())),
            Varies::ByAnything => fields.push(("vary", "*".to_owned())),
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let tags = asked.field("if-none-match").unwrap_or_default();
        let is_known = tag.is_some_and(|tag| tags.split(", ").any(|known| known == tag));
        if is_known && planned.status == 200 {
            self.answered.lock().push(None);
            return respond(304, &fields, "");
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.answered.lock().push(Some(number));
        respond(planned.status, &fields, number.to_string())
    }
}

/// A node on a clock of its own in front of the script.
struct World {
    node: TestNode,
    clock: Clock,
    time: ManualClock,
    script: Arc<Script>,
    cases: AtomicU64,
    _origin: Origin,
}

/// The model knows no answers in the place of an origin's error.
const STRICT: &str = "[cache]\nstale_on_failure = \"0s\"\n";

impl World {
    async fn start() -> Self {
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
        Self {
            node: setup
                .start(&format!("{STRICT}{}", node::route_to(&origin)))
                .await,
            clock,
            time,
            script,
            cases: AtomicU64::new(0),
            _origin: origin,
        }
    }

    async fn run(&self, steps: &[Step]) -> Result<(), String> {
        let case = self.cases.fetch_add(1, Ordering::Relaxed);
        let mut references = [Reference::default(), Reference::default()];
        let mut now = 0;
        let mut client = self.node.client().await;
        for (index, step) in steps.iter().enumerate() {
            let failed = |what: String| format!("step {index}, {step:?}, at {now} s: {what}");
            match *step {
                Step::Wait(seconds) => {
                    self.time.advance(Duration::from_secs(seconds));
                    now += seconds;
                    // The old connection may count as idle for too long.
                    client = self.node.client().await;
                }
                Step::Get(uri, request, planned) => {
                    let path = format!("/{case}/{uri}");
                    let reference = &mut references[usize::from(uri)];
                    let got = self.get(&mut client, &path, request, planned, reference, now);
                    got.await.map_err(failed)?;
                }
                Step::Change(uri, method, status) => {
                    let path = format!("/{case}/{uri}");
                    self.change(&mut client, &path, method, status).await;
                    references[usize::from(uri)].unsafe_answered(status);
                }
            }
        }
        Ok(())
    }

    fn plan(&self, path: &str, planned: Planned) {
        let mut says = self.script.says.lock();
        says.insert(path.to_owned(), (planned, self.clock.wall()));
        self.script.answered.lock().clear();
    }

    async fn change(&self, client: &mut Client, path: &str, method: &str, status: u16) {
        self.plan(
            path,
            Planned {
                status,
                directives: Directives::default(),
                expires: None,
                age: 0,
                modified: None,
                tag: None,
                varies: Varies::No,
            },
        );
        let reply = client.send(method, path, &[], "").await;
        assert_eq!(reply.status.as_u16(), status);
    }

    /// One GET, judged by the model.
    async fn get(
        &self,
        client: &mut Client,
        path: &str,
        request: Request,
        planned: Planned,
        reference: &mut Reference,
        now: u64,
    ) -> Result<(), String> {
        self.plan(path, planned);
        let mut fields = Vec::new();
        let directive = directive(request.asks);
        fields.extend(
            directive
                .as_deref()
                .map(|directive| ("cache-control", directive)),
        );
        let variant = request.variant.map(|variant| variant.to_string());
        fields.extend(variant.as_deref().map(|variant| ("x-variant", variant)));
        if request.has_authorization {
            fields.push(("authorization", "Basic dTpw"));
        }
        let reply = client.get_with(path, &fields).await;
        // A response is found once its fill has ended, a moment after its last byte.
        while self.node.state().cache.stats().fills_in_progress > 0 {
            tokio::task::yield_now().await;
        }
        let answered = self.script.answered.lock().clone();
        let status = reply.cache_status();
        let served = reply.text().parse::<u64>().ok();
        let age = reply.field("age").parse().ok();
        if let (Some(id), false) = (
            reference.surely_reusable(&request, now),
            answered.is_empty(),
        ) {
            return Err(format!(
                "{id} could be reused, and the origin was asked ({status})"
            ));
        }
        match (answered.last(), served) {
            (None, Some(id)) => reference.check_reuse(id, age, &request, now),
            (None, None) if request.asks == Asks::OnlyIfCached && reply.status == 504 => Ok(()),
            (Some(_), _) if request.asks == Asks::OnlyIfCached => {
                Err("only-if-cached asked the origin".to_owned())
            }
            (Some(None), Some(id)) => reference.freshened(id, planned, request, now),
            (Some(Some(number)), Some(id)) if id == *number => {
                reference.answered(id, planned, request, now);
                Ok(())
            }
            (answer, served) => Err(format!(
                "served {served:?} with {} where the origin answered {answer:?} ({status})",
                reply.status
            )),
        }
    }
}

fn directive(asks: Asks) -> Option<String> {
    match asks {
        Asks::Nothing => None,
        Asks::NoCache => Some("no-cache".to_owned()),
        Asks::NoStore => Some("no-store".to_owned()),
        Asks::MaxAge(seconds) => Some(format!("max-age={seconds}")),
        Asks::MinFresh(seconds) => Some(format!("min-fresh={seconds}")),
        Asks::MaxStale(None) => Some("max-stale".to_owned()),
        Asks::MaxStale(Some(seconds)) => Some(format!("max-stale={seconds}")),
        Asks::OnlyIfCached => Some("only-if-cached".to_owned()),
    }
}

#[test]
fn random_exchanges_are_answered_as_the_reference_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start());
    let config = ProptestConfig {
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same exchanges in every run then; `PROPTEST_CASES=N` looks for new ones.
    let mut runner = if std::env::var("PROPTEST_CASES").is_ok() {
        TestRunner::new(config)
    } else {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let cases = CASES;
        TestRunner::new_with_rng(ProptestConfig { cases, ..config }, rng)
    };
    let steps = proptest::collection::vec(step(), 1..STEPS_MAX);
    let outcome = runner.run(&steps, |steps| {
        let run = runtime.block_on(world.run(&steps));
        run.map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
