//! Cases as a table reads them, and what runs one: a node, an origin that
//! answers from the case's script, and the comparison.

mod judge;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use verge_tests::origin::{hang_up, respond};
use verge_tests::{Client, Origin, Recorded, TestNode, eventually, node};

pub(crate) type Fields = &'static [(&'static str, &'static str)];

/// How the client speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    H2c,
    Https1,
    Https2,
}

/// One row: exchanges in order, all for one URI unless a step says otherwise.
pub(crate) struct Case {
    /// The RFC and the section.
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    steps: Vec<Step>,
}

struct Step {
    method: &'static str,
    /// Appended to the case's path.
    suffix: &'static str,
    fields: Fields,
    content: &'static str,
    /// In order; empty when the origin must not be asked.
    answers: Vec<Answer>,
    status: u16,
    body: Option<&'static str>,
    /// Words of Cache-Status that must be there, or with `!` must not.
    cache: &'static str,
    age: Option<u64>,
    gives: Vec<(&'static str, &'static str)>,
    lacks: Vec<&'static str>,
    asked_with: Vec<(&'static str, &'static str)>,
    asked_without: Vec<&'static str>,
}

#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    fields: Fields,
    body: &'static str,
}

/// The status that stands for none at all.
const HANG_UP: u16 = 0;

/// What the origin sends where a step does not say.
pub(crate) const CONTENT: &str = "0123456789";

pub(crate) fn case(section: &'static str, name: &'static str) -> Case {
    Case {
        section,
        name,
        steps: Vec::new(),
    }
}

impl Case {
    pub(crate) fn ask(mut self, method: &'static str, fields: Fields) -> Self {
        self.steps.push(Step {
            method,
            suffix: "",
            fields,
            content: "",
            answers: Vec::new(),
            status: 200,
            body: None,
            cache: "",
            age: None,
            gives: Vec::new(),
            lacks: Vec::new(),
            asked_with: Vec::new(),
            asked_without: Vec::new(),
        });
        self
    }

    pub(crate) fn get(self, fields: Fields) -> Self {
        self.ask("GET", fields)
    }

    fn last(&mut self) -> &mut Step {
        self.steps.last_mut().unwrap()
    }

    /// The step is about another URI.
    pub(crate) fn at(mut self, suffix: &'static str) -> Self {
        self.last().suffix = suffix;
        self
    }

    pub(crate) fn content(mut self, content: &'static str) -> Self {
        self.last().content = content;
        self
    }

    /// The origin is asked and answers this; more than once for more requests.
    pub(crate) fn answer(self, status: u16, fields: Fields) -> Self {
        let body = match status {
            204 | 304 => "",
            _ => CONTENT,
        };
        self.answer_body(status, fields, body)
    }

    pub(crate) fn answer_body(mut self, status: u16, fields: Fields, body: &'static str) -> Self {
        let step = self.last();
        step.answers.push(Answer {
            status,
            fields,
            body,
        });
        step.status = status;
        self
    }

    /// The origin is asked, and closes the connection without a response.
    pub(crate) fn hang_up(mut self) -> Self {
        self.last().answers.push(Answer {
            status: HANG_UP,
            fields: &[],
            body: CONTENT,
        });
        self
    }

    /// What the client gets, where that is not the origin's last status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.last().status = status;
        self
    }

    pub(crate) fn body(mut self, body: &'static str) -> Self {
        self.last().body = Some(body);
        self
    }

    pub(crate) fn cache(mut self, words: &'static str) -> Self {
        self.last().cache = words;
        self
    }

    /// Answered from the store, without the origin.
    pub(crate) fn hit(self) -> Self {
        self.cache("hit")
    }

    /// Age in seconds; up to three more may pass in a slow run.
    pub(crate) fn age(mut self, seconds: u64) -> Self {
        self.last().age = Some(seconds);
        self
    }

    pub(crate) fn gives(mut self, name: &'static str, value: &'static str) -> Self {
        self.last().gives.push((name, value));
        self
    }

    pub(crate) fn lacks(mut self, name: &'static str) -> Self {
        self.last().lacks.push(name);
        self
    }

    pub(crate) fn asked_with(mut self, name: &'static str, value: &'static str) -> Self {
        self.last().asked_with.push((name, value));
        self
    }

    pub(crate) fn asked_without(mut self, name: &'static str) -> Self {
        self.last().asked_without.push(name);
        self
    }
}

type Script = Arc<Mutex<HashMap<String, VecDeque<Answer>>>>;

pub(crate) struct Proxy {
    node: TestNode,
    origin: Origin,
    script: Script,
    /// What the dates in the tables are relative to.
    now: SystemTime,
}

const HOST: &str = "shop.example";

impl Proxy {
    pub(crate) async fn start() -> Self {
        let script = Script::default();
        let now = SystemTime::now();
        let answers = Arc::clone(&script);
        let origin = Origin::start(move |request| answer(Arc::clone(&answers), request, now)).await;
        let setup = verge_tests::node::Setup::new().with_tls(&[&[HOST]]);
        let node = setup.start(&node::route_to(&origin)).await;
        Self {
            node,
            origin,
            script,
            now,
        }
    }

    pub(crate) async fn client(&self, protocol: Protocol) -> Client {
        let roots = || self.node.authority.as_ref().unwrap().roots();
        let mut client = match protocol {
            Protocol::Http1 => Client::http1(self.node.http()).await,
            Protocol::H2c => Client::h2c(self.node.http()).await,
            Protocol::Https1 => Client::https1(self.node.https(), HOST, roots()).await,
            Protocol::Https2 => Client::https2(self.node.https(), HOST, roots()).await,
        };
        client.set_authority(HOST);
        client
    }

    pub(crate) async fn run(
        &self,
        client: &mut Client,
        path: &str,
        case: &Case,
    ) -> Result<(), String> {
        for (index, step) in case.steps.iter().enumerate() {
            let target = format!("{path}{}", step.suffix);
            self.step(client, &target, step)
                .await
                .map_err(|what| format!("step {}: {what}", index + 1))?;
        }
        Ok(())
    }

    async fn step(&self, client: &mut Client, target: &str, step: &Step) -> Result<(), String> {
        // A response is found once its fill has ended, a moment after its last byte.
        let cache = &self.node.state().cache;
        eventually("the fills have ended", async || {
            cache.stats().fills_in_progress == 0
        })
        .await;
        let before = self.origin.count();
        let answers = step.answers.iter().copied().collect();
        self.script.lock().insert(target.to_owned(), answers);
        let fields = resolved(step.fields, self.now, target);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let reply = client
            .send(step.method, target, &fields, step.content)
            .await;
        let asked: Vec<_> = self.origin.requests().drain(before..).collect();
        self.judge(step, &reply, &asked)
            .map_err(|what| format!("{what} (Cache-Status: {})", reply.cache_status()))
    }
}

async fn answer(
    script: Script,
    request: Recorded,
    now: SystemTime,
) -> verge_tests::origin::OriginResponse {
    let next = script
        .lock()
        .get_mut(&request.target)
        .and_then(VecDeque::pop_front);
    if let Some(next) = &next
        && next.status == HANG_UP
    {
        script
            .lock()
            .entry(request.target.clone())
            .or_default()
            .push_front(*next);
        return hang_up();
    }
    let Some(next) = next else {
        return respond(500, &[], "the case has no answer for this");
    };
    let fields = resolved(next.fields, now, &request.target);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    respond(next.status, &fields, next.body)
}

/// The fields with their dates, and with `$case` as the case's path.
fn resolved(fields: Fields, now: SystemTime, target: &str) -> Vec<(&'static str, String)> {
    let case: Vec<&str> = target.split(['/', '?']).take(3).collect();
    let case = case.join("/");
    fields
        .iter()
        .map(|(name, value)| (*name, date_of(value, now).replace("$case", &case)))
        .collect()
}

/// `@-60` is the date a minute ago, `@60` that in a minute.
fn date_of(value: &str, now: SystemTime) -> String {
    let Some(offset) = value.strip_prefix('@') else {
        return value.to_owned();
    };
    let seconds: i64 = offset.parse().unwrap();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let date = if seconds < 0 {
        now - distance
    } else {
        now + distance
    };
    verge_http::date::fmt(date).to_str().unwrap().to_owned()
}
