//! Functions in front of the cache, run for an operator: with all that they
//! do, and counted like any call. What they made of the request is told.

use http::{HeaderMap, HeaderName};
use verge_http::Body;

use super::super::super::head::TrustedHead;
use super::super::super::routed::Routed;
use super::super::super::triggers::{self, Flow, TriggerReceipts, ViewedRequest};
use super::super::key::target_of;
use super::{outcome, outcome_with};
use crate::admin::explain::{ExplainedNext, ExplainedRun};

/// What became of a request.
pub(super) enum Ran {
    /// It goes on, as it is now.
    Continued(Box<ViewedRequest>),
    /// It is answered, or has failed.
    Ended(Box<ExplainedNext>),
}

/// Runs the viewer-request functions of the route.
pub(super) async fn run(routed: &Routed, viewed: ViewedRequest) -> (ExplainedRun, Ran) {
    let before = viewed.head.clone();
    let mut receipts = TriggerReceipts::new();
    let functions = &routed.route.viewer_request;
    let ran = triggers::viewer_request(routed, functions, &mut receipts, viewed.head, Body::Empty);
    match ran.await {
        Ok(Flow::Next((viewed, _))) => {
            (changes(&before, &viewed), Ran::Continued(Box::new(viewed)))
        }
        Ok(Flow::Answer(response)) => {
            let what =
                "A function in front of the cache answers: neither cache nor origin is asked.";
            let next = outcome("answered", "viewer-request", "", what);
            let told = ended("answered", response.status());
            let next = outcome_with(next, response.status());
            (told, Ran::Ended(Box::new(next)))
        }
        Err(failure) | Ok(Flow::Stored(_, failure)) => {
            let what = "A function in front of the cache fails, and its route is closed then.";
            let next = outcome("error", failure.label(), "", what);
            let told = ended("failed", failure.status());
            let next = outcome_with(next, failure.status());
            (told, Ran::Ended(Box::new(next)))
        }
    }
}

fn ended(word: &str, status: http::StatusCode) -> ExplainedRun {
    ExplainedRun {
        outcome: word.to_owned(),
        status: Some(status.as_u16()),
        ..ExplainedRun::default()
    }
}

fn changes(before: &TrustedHead, viewed: &ViewedRequest) -> ExplainedRun {
    let after = &viewed.head;
    let url = |head: &TrustedHead| {
        let target = verge_cache::PurgeTarget::new(target_of(head));
        target.map(|target| target.to_string()).unwrap_or_default()
    };
    let names = viewed.marks.key_parts.iter();
    ExplainedRun {
        outcome: "continued".to_owned(),
        status: None,
        changed_fields: changed(&before.fields, &after.fields)
            .iter()
            .map(ToString::to_string)
            .collect(),
        url: Some(url(after)).filter(|after| *after != url(before)),
        origin: viewed.marks.origin.clone(),
        key_parts: names.map(|(name, _)| name.clone()).collect(),
    }
}

/// The names of all fields that differ.
fn changed<'a>(before: &'a HeaderMap, after: &'a HeaderMap) -> Vec<&'a HeaderName> {
    let same = |name: &HeaderName| before.get_all(name).iter().eq(after.get_all(name));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut names: Vec<_> = after.keys().filter(|name| !same(name)).collect();
    names.extend(gone);
    names
}
