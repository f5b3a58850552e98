//! The last change to a response: which coding it is sent in (RFC 9110 8.4).
//!
//! Runs behind viewer-response functions, which see and change content as it
//! is. What is decided, and on what grounds, is `verge_http::coding`'s; the
//! coded representation of a stored response is made once and kept beside it.

mod coder;
mod making;
mod peek;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, ETAG};
use http::{Method, StatusCode};
use tokio::sync::Semaphore;
use verge_base::Permits;
use verge_cache::{Derive, DerivePlan, Derived};
use verge_http::Body;
use verge_http::coding::{
    self, AcceptedCodings, Coding, CodingDecision, CodingRules, decide_coding,
};

pub use coder::Levels;
pub use making::CodedBytes;

use super::answer::{Answer, Source};
use super::conditions;
use super::head::TrustedHead;
use super::routed::Routed;
use coder::{Coder, CoderPlan};
use making::Making;

/// What is compressed, and how, as configured.
#[derive(Clone, Debug)]
pub struct CompressionSettings {
    /// What is coded.
    pub rules: CodingRules,
    /// How hard the coders work.
    pub levels: Levels,
}

/// What all compression on a node shares.
#[derive(Debug)]
pub struct Compression {
    /// Representations that are made at once, as a limit.
    pub jobs: Permits,
    /// Steps of coders that run at once.
    pub(super) steps: Arc<Semaphore>,
}

impl Compression {
    /// For `jobs` representations at once, coded on `cores` cores.
    #[must_use]
    pub fn new(jobs: usize, cores: usize) -> Self {
        Self {
            jobs: Permits::new("compressions", jobs),
            steps: Arc::new(Semaphore::new(cores.max(1))),
        }
    }
}

/// Whether this stage has anything to do with an answer.
fn concerns(routed: &Routed, answer: &Answer) -> bool {
    routed.route.compresses && answer.source != Source::Generated
}

fn decide(routed: &Routed, head: &TrustedHead, answer: &Answer) -> CodingDecision {
    let declared = || {
        let value = answer.fields.get(CONTENT_LENGTH)?;
        value.to_str().ok()?.parse::<u64>().ok()
    };
    let length = match answer.body.exact_len() {
        // The response to HEAD has the length of a content that it does not have.
        Some(0) | None if head.method == Method::HEAD => declared(),
        length => length,
    };
    let rules = &routed.generation.settings.compression.rules;
    decide_coding(rules, &head.fields, answer.status, &answer.fields, length)
}

/// Turns the selected response into 304 or 412 if the client's preconditions say so: what is
/// selected is the representation in the coding that this client would get
/// (RFC 9110 8.8.3.3, 13).
pub(super) fn apply_preconditions(
    routed: &Routed,
    head: &TrustedHead,
    answer: &mut Answer,
    now: SystemTime,
) {
    if !concerns(routed, answer) || !verge_http::conditional::has_preconditions(&head.fields) {
        conditions::apply_preconditions(head, answer, now);
        return;
    }
    let decision = decide(routed, head, answer);
    let before = answer.status;
    let plain = answer.fields.get(ETAG).cloned();
    let coded = match (decision, &plain) {
        (CodingDecision::Encode(coding), Some(tag)) => coding::coded_tag(tag, coding),
        _ => None,
    };
    // A client that has the response as it is may go on with it.
    let may_be_plain = coded.is_none() || AcceptedCodings::of(&head.fields).accepts_identity();
    if let (Some(coded), Some(plain)) = (coded, plain) {
        answer.fields.insert(ETAG, coded);
        conditions::apply_preconditions(head, answer, now);
        if answer.status == before {
            answer.fields.insert(ETAG, plain);
        }
    }
    if answer.status == before && may_be_plain {
        conditions::apply_preconditions(head, answer, now);
    }
    let varies = !matches!(decision, CodingDecision::Fixed(_));
    if answer.status != before && varies {
        coding::add_vary(&mut answer.fields);
    }
}

/// The answer in the coding that the client gets.
pub(super) async fn compress(
    routed: &Routed,
    head: &TrustedHead,
    answer: &mut Answer,
    is_replaced: bool,
) {
    if !concerns(routed, answer) {
        return;
    }
    if answer.status == StatusCode::NOT_MODIFIED && answer.source == Source::Forwarded {
        restore_tag(head, answer);
        return;
    }
    let mut decision = decide(routed, head, answer);
    if matches!(decision, CodingDecision::Encode(_))
        && head.method != Method::HEAD
        && answer.body.exact_len().is_none()
    {
        let small = routed.generation.settings.compression.rules.min_size;
        answer.body = peek::peek(std::mem::take(&mut answer.body), small).await;
        decision = decide(routed, head, answer);
    }
    let outcome = match decision {
        CodingDecision::Fixed(_) => decision.label(),
        CodingDecision::Identity(_) => {
            coding::add_vary(&mut answer.fields);
            decision.label()
        }
        CodingDecision::Encode(coding) => match encode(routed, head, answer, coding, is_replaced) {
            Ok(()) => {
                coding::mark_coded(&mut answer.fields, coding);
                coding.token()
            }
            Err(refused) => {
                coding::add_vary(&mut answer.fields);
                refused
            }
        },
    };
    let metrics = routed.node.telemetry.metrics();
    metrics.record_coding(outcome);
}

/// The origin said 304 to a tag that this node had made a plain one of: the client gets the tag
/// that it knows.
fn restore_tag(head: &TrustedHead, answer: &mut Answer) {
    let known = answer
        .fields
        .get(ETAG)
        .and_then(|tag| coding::select_coded_tag(&head.fields, tag));
    if let Some(tag) = known {
        answer.fields.insert(ETAG, tag);
        coding::add_vary(&mut answer.fields);
    }
}

/// Puts the content in `coding` in the place of the content as it is, or says why not.
fn encode(
    routed: &Routed,
    head: &TrustedHead,
    answer: &mut Answer,
    coding: Coding,
    is_replaced: bool,
) -> Result<(), &'static str> {
    // What a function made of the content is this client's alone.
    let stored = answer.stored.as_ref().filter(|_| !is_replaced);
    let derived = stored.map(|stored| Arc::clone(stored.derived()));
    if let Some(ready) = derived.as_ref().and_then(|derived| derived.ready(coding)) {
        answer.body = ready.body();
        return Ok(());
    }
    if derived
        .as_ref()
        .is_some_and(|derived| derived.gains_nothing(coding))
    {
        return Err("no-gain");
    }
    if head.method == Method::HEAD {
        // Nothing is made for a response without content; its length is not known yet.
        answer.body = Body::Empty;
        return Ok(());
    }
    make(routed, answer, coding, derived.as_ref())
}

fn make(
    routed: &Routed,
    answer: &mut Answer,
    coding: Coding,
    derived: Option<&Arc<Derived>>,
) -> Result<(), &'static str> {
    let (node, settings) = (&routed.node, &routed.generation.settings.compression);
    let permit = node.compression.jobs.try_acquire().ok_or("busy")?;
    let plan = CoderPlan {
        coding,
        levels: settings.levels,
        length: answer.body.exact_len(),
    };
    let derive = DerivePlan {
        coding,
        kept_max: settings.rules.max_size,
        coder_bytes: plan.memory(),
    };
    let coder = Coder::new(plan).map_err(|_| "coder")?;
    let found = match derived {
        Some(derived) => node.cache.derive(derived, &derive),
        None => node.cache.derive_once(&derive),
    };
    match found {
        Derive::Ready(ready) => answer.body = ready.body(),
        Derive::Following(reader) => answer.body = Body::stream(reader),
        Derive::Make(writer, reader) => {
            let source = std::mem::replace(&mut answer.body, Body::stream(reader));
            Making {
                is_complete: !matches!(source, Body::Stream(_)),
                source,
                coder,
                writer,
                permit,
            }
            .start(node);
        }
        Derive::NoGain => return Err("no-gain"),
        Derive::Refused => return Err("memory"),
    }
    Ok(())
}
