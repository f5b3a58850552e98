//! What `/cache/explain` says of a request, held against what then happens to it.
//!
//! A table of requests meets a table of states, each pair under a path of its own: the state is
//! brought about first, then the request is explained, then it is sent.

mod tables;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::node::ADMIN_TOKEN;
use crate::{Client, Origin, Reply, TestNode};
pub use tables::{Asked, all_states, origin, pairs, state};

/// The one host of these tests.
pub const HOST: &str = "shop.example";

/// Explains each request, sends it, and holds the one against the other.
pub async fn assert_foretold(node: &TestNode, origin: &Origin, pairs: &[(String, Asked)]) {
    let found = differences(node, origin, pairs).await;
    assert!(
        found.is_empty(),
        "{} came otherwise:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// What `node` says that would happen.
async fn explained(node: &TestNode, path: &str, asked: Asked) -> Value {
    let request = json!({
        "url": format!("http://{HOST}{path}"), "method": asked.method, "fields": asked.fields,
    });
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("authorization", bearer.as_str())];
    let mut client = Client::http1(node.admin()).await;
    let reply = client
        .send("POST", "/cache/explain", &fields, request.to_string())
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

/// Explains each of `requests` under its path and sends it; tells of each that came otherwise.
async fn differences(
    node: &TestNode,
    origin: &Origin,
    requests: &[(String, Asked)],
) -> Vec<String> {
    let mut found = Vec::new();
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    let mut untouched = HashMap::new();
    for (path, asked) in requests {
        let before = asked_of(origin, path).len();
        let told = explained(node, path, *asked).await;
        let content = if asked.method == "POST" { "x" } else { "" };
        let reply = client.send(asked.method, path, asked.fields, content).await;
        let sent = asked_of(origin, path).split_off(before);
        let outcome = Outcome {
            next: &told["next"],
            reply: &reply,
            sent: &sent,
        };
        for problem in outcome.problems() {
            let (method, fields) = (asked.method, asked.fields);
            found.push(format!("{path} {method} {fields:?}: {problem}"));
        }
        if outcome.asks_nobody() {
            untouched.insert(path.as_str(), before);
        }
    }
    for (path, before) in untouched {
        if asked_of(origin, path).len() != before {
            found.push(format!("{path}: the origin was asked later"));
        }
    }
    found
}

/// Whether each request that the origin was sent for `path` had a precondition.
fn asked_of(origin: &Origin, path: &str) -> Vec<bool> {
    let requests = origin.requests().into_iter();
    requests
        .filter(|request| request.path() == path)
        .map(|request| {
            let names = ["if-none-match", "if-modified-since"];
            names.iter().any(|name| request.field(name).is_some())
        })
        .collect()
}

struct Outcome<'a> {
    next: &'a Value,
    reply: &'a Reply,
    /// Of each request that the origin got, whether it had a precondition.
    sent: &'a [bool],
}

impl Outcome<'_> {
    fn told(&self, key: &str) -> &str {
        self.next[key].as_str().unwrap_or_default()
    }

    fn asks_nobody(&self) -> bool {
        let is_due = matches!(
            self.told("reason"),
            "stale-while-revalidate" | "refresh-ahead"
        );
        let is_all = !self.told("what").contains("for those that are not");
        matches!(self.told("outcome"), "hit" | "error") && !is_due && is_all
    }

    /// What is otherwise than it was told.
    fn problems(&self) -> Vec<String> {
        let status = self.reply.cache_status();
        let ours = status.rsplit("verge").next().unwrap_or_default();
        let words: Vec<&str> = ours.split(';').map(str::trim).collect();
        let after = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
        let (forward, detail) = (after("fwd="), after("detail="));
        let (outcome, reason) = (self.told("outcome"), self.told("reason"));
        let is_hit = words.contains(&"hit");
        let tier = self.told("tier");
        let asked = self.sent.len();
        let mut problems = Vec::new();
        let mut expect = |what: &str, holds: bool| {
            if !holds {
                problems.push(format!(
                    "{what}; told {}, came {} {status:?}, {asked} asked of the origin",
                    self.next, self.reply.status
                ));
            }
        };
        match outcome {
            "hit" => {
                expect("it is no hit", is_hit);
                let detail = detail.unwrap_or("fresh");
                let is_told = detail == reason || (reason == "fresh" && detail == tier);
                expect("another reason", is_told);
                if reason == "fresh" && detail == "fresh" {
                    expect("another tier", tier == "memory");
                }
                expect("the origin is asked", !self.asks_nobody() || asked == 0);
            }
            "validate" => {
                expect("it is a hit", !is_hit);
                expect("another reason", detail == Some(reason));
                // Of slices, each is asked about.
                let is_in_slices = self.told("what").contains("slices");
                expect(
                    "it is not asked once",
                    asked == 1 || is_in_slices && asked > 1,
                );
                let conditional = self.sent.first() == Some(&true);
                expect("it is not asked by validators", conditional);
            }
            "miss" => {
                expect("it is a hit", !is_hit);
                let is_told = forward == Some(reason) || detail == Some(reason);
                expect("another reason", is_told);
                expect("the origin is not asked", asked >= 1);
            }
            "bypass" => {
                expect("it is a hit", !is_hit);
                expect("another reason", detail == Some(reason));
                expect("it is not asked once", asked == 1);
            }
            "error" => expect("the origin is asked", asked == 0),
            _ => expect("an outcome of another kind", false),
        }
        let is_by_route = matches!(reason, "route" | "route-field" | "route-cookie");
        expect(
            "no rule",
            is_by_route || self.told("section").starts_with("RFC"),
        );
        if let Some(status) = self.next["status"].as_u64() {
            let came = u64::from(self.reply.status.as_u16());
            expect("another status", came == status);
        }
        problems
    }
}
