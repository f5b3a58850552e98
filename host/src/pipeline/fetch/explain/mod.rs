//! What the cache makes of a request, told and not done: by the same key, the
//! same lookup and the same decisions that a request meets. Functions in front
//! of the cache are run only if that is asked for; no origin is asked.

mod answers;
mod as_sent;
mod asked;
mod next;
mod parts;
mod run;
mod stored;
mod words;

use std::sync::Arc;

use http::StatusCode;
use verge_cache::policy::BypassRule;
use verge_cache::{Kept, Key, Lookup, PurgeSeen};
use verge_http::cache_control::RequestDirectives;

use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::super::url::OperatorUrl;
use super::key;
use super::listed::Listed;
use super::slices::{AllKept, Held, Slices};
use crate::admin::ScopeProblem;
use crate::admin::explain::{
    ExplainRequest, ExplainedKey, ExplainedNext, ExplainedPurge, ExplainedTier, Explanation,
};
use crate::node::NodeState;
use crate::route::{RangePolicy, Route, Target};
use run::Ran;

/// Most responses of one tier that are told.
const TOLD_MAX: usize = 64;

/// Explains `request`. Tiers are asked, each for a bounded time.
///
/// # Errors
/// It is no request that this node would look up.
pub(crate) async fn explain(
    node: &Arc<NodeState>,
    request: &ExplainRequest,
) -> Result<Explanation, ScopeProblem> {
    let url = OperatorUrl::parse(&request.url).map_err(|problem| ScopeProblem {
        what: problem.what,
        expected: problem.expected.to_owned(),
    })?;
    let (routed, viewed) = as_sent::routed(node, request, &url)?;
    let mut told = beginning(&routed, &viewed, request, &url);
    let viewed = if request.run_functions && !told.functions.is_empty() {
        let (ran, outcome) = run::run(&routed, viewed).await;
        told.run = Some(ran);
        match outcome {
            Ran::Continued(viewed) => *viewed,
            Ran::Ended(next) => {
                told.next = *next;
                return Ok(told);
            }
        }
    } else {
        viewed
    };
    if matches!(routed.route.target, Target::Origin(_) | Target::Function(_)) {
        look(&routed, &viewed, &mut told).await;
    }
    Ok(told)
}

/// What is known before the cache is asked.
fn beginning(
    routed: &Routed,
    viewed: &ViewedRequest,
    request: &ExplainRequest,
    url: &OperatorUrl,
) -> Explanation {
    let route = &routed.route;
    let names = route.viewer_request.iter();
    let middleware = route.viewer_middleware.iter();
    Explanation {
        method: viewed.head.method.to_string(),
        url: verge_cache::PurgeTarget::new(url.target())
            .map_or_else(|_| request.url.clone(), |target| target.to_string()),
        site: routed.site.label.to_string(),
        route: route.path.clone(),
        answered_by: match &route.target {
            Target::Origin(origin) => format!("origin {}", origin.name),
            Target::Function(used) => format!("function {}", used.function.name),
            Target::Redirect { .. } => "redirect".to_owned(),
            Target::Static { .. } => "static answer".to_owned(),
        },
        functions: names.map(|used| used.function.name.to_string()).collect(),
        middleware: middleware
            .map(|used| used.function.name.to_string())
            .collect(),
        run: None,
        bypass: bypass(route),
        key: None,
        next: fixed(route),
        coding: None,
        stored: Vec::new(),
        parts: Vec::new(),
        unknown: Vec::new(),
        purges: Vec::new(),
        last_refusal: None,
    }
}

fn bypass(route: &Route) -> Vec<String> {
    let rules = route.policy.bypass.iter();
    rules.map(rule_text).collect()
}

fn rule_text(rule: &BypassRule) -> String {
    match rule {
        BypassRule::Field(name) => format!("field {name}"),
        BypassRule::Cookie(name) => format!("cookie {name}"),
    }
}

/// What the route itself answers.
fn fixed(route: &Route) -> ExplainedNext {
    let what = "The route answers by itself; neither cache nor origin is asked.";
    ExplainedNext {
        status: match &route.target {
            Target::Redirect { status, .. } | Target::Static { status, .. } => {
                Some(status.as_u16())
            }
            Target::Origin(_) | Target::Function(_) => None,
        },
        ..outcome("fixed", "route", "", what)
    }
}

/// All that is kept for a request, wherever.
pub(super) struct Holdings {
    pub(super) key: Key,
    /// What memory selects.
    pub(super) found: Lookup,
    pub(super) memory: Vec<Kept>,
    pub(super) listed: Listed,
    /// The slice with which an answer begins, on a route in slices.
    pub(super) slice: Option<FirstSlice>,
    /// How memory and tiers together keep all that is wanted; looked at for a request that takes
    /// what is stored or nothing.
    pub(super) all_kept: AllKept,
}

/// What is kept of the slice with which an answer begins.
pub(super) struct FirstSlice {
    pub(super) number: u64,
    pub(super) held: Held,
    pub(super) listed: Listed,
    /// Whether all others are known to be kept, too; looked at for one that is to be validated.
    pub(super) is_proven: bool,
}

impl FirstSlice {
    async fn of(slices: &Slices) -> Self {
        let (node, number) = (&slices.routed.node, slices.first());
        let listed = Listed::of(node, &slices.key(number)).await;
        let held = slices.proven(slices.held(number)).await;
        let is_due = !matches!(held, Held::Answers(..)) && slices.is_due_in(&listed);
        Self {
            number,
            is_proven: is_due && slices.are_proven().await,
            held,
            listed,
        }
    }
}

impl Holdings {
    /// The tiers that could not be asked, each once, and why.
    fn unknown(&self) -> Vec<ExplainedTier> {
        let slice = self.slice.iter().flat_map(|slice| &slice.listed.unknown);
        let mut told: Vec<ExplainedTier> = Vec::new();
        for (tier, reason) in self.listed.unknown.iter().chain(slice) {
            if told.iter().all(|known| known.tier != tier.label()) {
                told.push(ExplainedTier {
                    tier: tier.label().to_owned(),
                    reason: (*reason).to_owned(),
                });
            }
        }
        told
    }
}

/// Fills in what the cache says.
async fn look(routed: &Routed, viewed: &ViewedRequest, told: &mut Explanation) {
    let lookup = next::lookup(routed, viewed);
    let past = next::past(routed, lookup, &viewed.head.fields);
    let keyed = match key::keyed(routed, viewed) {
        Ok(keyed) => keyed,
        Err(refusal) => {
            let what = "The request has no key: it goes past the cache.";
            let refused = || outcome("bypass", refusal.label(), refusal.section(), what);
            told.next = past.unwrap_or_else(refused);
            return;
        }
    };
    told.key = Some(explained_key(routed, viewed, &keyed.key));
    // From here on the request is what its key says of it.
    let asked_for = viewed;
    let viewed = keyed.reduced.as_deref().unwrap_or(viewed);
    let holdings = holdings(routed, viewed, keyed.key).await;
    let (cache, now) = (&routed.node.cache, routed.node.clock.now());
    let (next, answering) = match past {
        Some(next) => (next, None),
        None => next::decide(routed, lookup, (asked_for, viewed), &holdings),
    };
    told.next = next;
    told.coding = answering.and_then(|kept| next::coding(routed, viewed, &kept));
    told.stored = stored::responses(&holdings, &viewed.head.fields);
    told.parts = stored::parts(routed, viewed, &holdings.key);
    told.unknown = holdings.unknown();
    let last = cache.last_refusal(&holdings.key);
    told.last_refusal = last.map(|last| stored::refusal(last, now));
    let all = holdings.memory.iter();
    let all = all.chain(holdings.listed.tiers.iter().flat_map(|(_, kept)| kept));
    let mut heads = all.map(|kept| &kept.head);
    let head = heads.next().map(AsRef::as_ref);
    let purges = cache.purges_of(&holdings.key, head);
    told.purges = purges
        .iter()
        .take(TOLD_MAX)
        .map(|purge| explained_purge(routed, purge))
        .collect();
}

async fn holdings(routed: &Routed, viewed: &ViewedRequest, key: Key) -> Holdings {
    let node = &routed.node;
    let listed = Listed::of(node, &key).await;
    let directives = RequestDirectives::parse(&viewed.head.fields);
    let (mut slice, mut all_kept) = (None, AllKept::No);
    if let RangePolicy::Slices { size } = routed.route.ranges {
        let slices = Slices::new(routed, viewed, (&key, &directives), size);
        slice = Some(FirstSlice::of(&slices).await);
        if directives.only_if_cached {
            all_kept = slices.all_kept().await;
        }
    }
    // Memory last: what was moved there meanwhile is not missed.
    let memory = node.cache.kept(&key);
    Holdings {
        found: node.cache.peek(&key, &viewed.head.fields),
        memory,
        listed,
        slice,
        all_kept,
        key,
    }
}

fn explained_key(routed: &Routed, viewed: &ViewedRequest, key: &Key) -> ExplainedKey {
    let digest = key.digest();
    let query = viewed.head.path_and_query.query();
    let dropped = match &routed.route.key {
        Some(rule) => {
            let reduced = rule.policy.reduce_query(query);
            let names = reduced.dropped.iter().take(TOLD_MAX);
            names.map(|name| (*name).to_owned()).collect()
        }
        None => Vec::new(),
    };
    ExplainedKey {
        text: key.to_string(),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        dropped,
    }
}

fn explained_purge(routed: &Routed, purge: &PurgeSeen) -> ExplainedPurge {
    let ago = routed.node.cache.since(purge.at);
    ExplainedPurge {
        scope: purge
            .scope
            .map_or("forgotten", |scope| scope.label())
            .to_owned(),
        hardness: purge.hardness.label().to_owned(),
        seconds_ago: ago.as_secs(),
        sequence: purge.number,
    }
}

/// An outcome without more than its rule.
pub(super) fn outcome(
    outcome: &str,
    reason: &str,
    section: &str,
    what: impl Into<String>,
) -> ExplainedNext {
    ExplainedNext {
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        section: section.to_owned(),
        what: what.into(),
        tier: None,
        status: None,
    }
}

/// The same with the status that the client gets.
pub(super) fn outcome_with(next: ExplainedNext, status: StatusCode) -> ExplainedNext {
    ExplainedNext {
        status: Some(status.as_u16()),
        ..next
    }
}
