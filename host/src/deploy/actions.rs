//! Deploy, promote, roll back: each makes a state, a generation with it, keeps the state on disk
//! and swaps. When any of these fails, nothing has changed.

use std::sync::Arc;
use std::time::Instant;

use verge_runtime::Digest;

use super::plan::Plan;
use super::signing::{Keys, Untrusted};
use super::state::{BesideMode, FunctionState, Source, Unchanged, Version};
use super::store::Store;
use crate::generation::Generation;
use crate::generation::components::check_beginning;
use crate::node::NodeState;
use crate::route::FunctionEntry;
use crate::telemetry::Rfc3339;

/// A version that comes from outside.
pub struct NewVersion {
    /// Its component.
    pub component: Vec<u8>,
    /// How it runs beside the live one; it takes the live one's place if `None`.
    pub mode: Option<BesideMode>,
    /// What minisign wrote to a file beside it.
    pub signature: Option<String>,
}

/// Why an action did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What sort of reason.
    pub kind: RefusalKind,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub expected: String,
}

/// What sort of reason an action has to do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no such function.
    Unknown,
    /// What runs does not allow it.
    Conflict,
    /// The version cannot run.
    Unfit,
    /// The node cannot keep it.
    Failed,
}

/// An action that was done.
pub struct Done {
    /// The function as it is now.
    pub function: Arc<FunctionEntry>,
    /// The version that the action was about.
    pub digest: Digest,
}

impl Refusal {
    fn new(kind: RefusalKind, what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            expected: expected.into(),
        }
    }
}

impl From<Unchanged> for Refusal {
    fn from(why: Unchanged) -> Self {
        let expected = match &why {
            Unchanged::IsLive(_) => "another version",
            Unchanged::NothingBeside => {
                "a version that was deployed with a share or as a shadow, or the digest of one"
            }
            Unchanged::NotKept(_) => "the beginning of a digest that GET /functions/NAME lists",
            Unchanged::Ambiguous(_) => "more digits",
            Unchanged::NothingBefore => "a function of which another version was live before",
        };
        Self::new(RefusalKind::Conflict, why.to_string(), expected)
    }
}

/// Puts a new version in place. Blocks: it compiles.
///
/// # Errors
/// Why it cannot run; nothing has changed.
pub fn deploy(node: &NodeState, name: &str, new: &NewVersion) -> Result<Done, Refusal> {
    let bytes = &new.component;
    check_beginning(bytes).map_err(|what| {
        let expected = "a component built for wasm32-wasip2";
        Refusal::new(
            RefusalKind::Unfit,
            format!("the component {what}"),
            expected,
        )
    })?;
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name)?;
    let digest = Digest::of(bytes);
    let signature = new.signature.as_deref();
    let signer = subject.keys()?.check(bytes, signature).map_err(|why| {
        let what = format!("the component may not run: {why}");
        Refusal::new(RefusalKind::Unfit, what, Untrusted::EXPECTED)
    })?;
    let version = Version {
        digest,
        deployed: Rfc3339(node.clock.wall()).to_string(),
        source: Source::Deploy,
        signature: signer.is_some().then(|| new.signature.clone()).flatten(),
        signer,
        bytes: bytes.len() as u64,
        turn: None,
        withdrawn: None,
    };
    let kept = subject.generation.config.deploy.kept;
    let state = subject.state.deploy(version, new.mode.clone(), kept)?;
    let store = subject.store;
    store.keep_component(&digest, bytes).map_err(not_kept)?;
    subject.put("deployed", state, digest, Some(bytes))
}

/// Puts the version beside the live one in its place, or the kept one whose digest begins with
/// `wanted`.
///
/// # Errors
/// Why not; nothing has changed.
pub fn promote(node: &NodeState, name: &str, wanted: Option<&str>) -> Result<Done, Refusal> {
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name)?;
    let state = subject.state.promote(wanted)?;
    let digest = state.live;
    subject.put("promoted", state, digest, None)
}

/// Takes the version beside the live one away, or puts the one before the live one in its place.
/// The digest is that of the version that was taken back.
///
/// # Errors
/// Why not; nothing has changed.
pub fn roll_back(node: &NodeState, name: &str, reason: &str) -> Result<Done, Refusal> {
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name)?;
    subject.take_back(reason, "rolled-back")
}

/// Takes a version back that does badly, if it still runs.
///
/// # Errors
/// Why it cannot be taken back; nothing has changed.
pub(crate) fn take_back(
    node: &NodeState,
    name: &str,
    digest: Digest,
    reason: &str,
) -> Result<(), Refusal> {
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name)?;
    let beside = subject.state.beside.as_ref();
    let is_beside = beside.is_some_and(|beside| beside.digest == digest);
    if !is_beside && subject.state.live != digest {
        // It was taken away meanwhile.
        return Ok(());
    }
    if !is_beside && beside.is_some() {
        // What is on trial beside a bad version ends with it: its trial tells nothing any more.
        subject.take_back("the version beside which it ran does badly", "rolled-back")?;
    }
    let subject = Subject::of(node, name)?;
    let taken = subject.take_back(reason, "rolled-back-by-itself");
    if taken.is_err()
        && let Ok(function) = find(&subject.generation, name)
    {
        // Told again, should it go on so.
        function.capabilities.health.watch(true);
    }
    taken.map(drop)
}

/// Compiles the versions that the node could go back to. Blocks for as long as that takes.
pub(crate) fn warm(node: &NodeState) {
    let generation = node.generation.load_full();
    let foundation = &node.foundation;
    foundation.versions.warm(&generation, &foundation.engine);
}

/// A function whose versions change.
struct Subject<'a> {
    node: &'a NodeState,
    name: &'a str,
    generation: Arc<Generation>,
    state: Arc<FunctionState>,
    store: &'a Store,
    begun: Instant,
}

impl<'a> Subject<'a> {
    fn of(node: &'a NodeState, name: &'a str) -> Result<Self, Refusal> {
        let begun = node.clock.now();
        let generation = node.generation.load_full();
        let entry = find(&generation, name)?;
        let state = entry.state.clone();
        let store = node.foundation.versions.store();
        let (Some(state), Some(store)) = (state, store) else {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "this node keeps no versions of functions",
                "`folder` in the section [deploy] of its configuration",
            ));
        };
        Ok(Self {
            node,
            name,
            generation,
            state,
            store,
            begun,
        })
    }

    fn take_back(&self, reason: &str, word: &'static str) -> Result<Done, Refusal> {
        let (state, withdrawn) = self.state.roll_back(reason)?;
        let live = state.live;
        let done = self.put(word, state, withdrawn, None)?;
        tracing::warn!(
            function = self.name,
            version = %withdrawn.short(),
            live = %live.short(),
            "version taken back: {reason}"
        );
        Ok(done)
    }

    fn keys(&self) -> Result<Keys, Refusal> {
        let function = find(&self.generation, self.name)?;
        Keys::of(&self.generation.config, &function.settings)
            .map_err(|(place, what)| Refusal::new(RefusalKind::Failed, what, place))
    }

    /// Makes `state` what serves.
    fn put(
        &self,
        word: &'static str,
        state: FunctionState,
        digest: Digest,
        component: Option<&Vec<u8>>,
    ) -> Result<Done, Refusal> {
        let node = self.node;
        let plan = Plan::of(state);
        let given = component.map(|bytes| (digest, bytes.as_slice()));
        let next = self
            .generation
            .with_versions(&node.foundation, self.name, &plan, given)
            .map_err(|problems| {
                let told: Vec<&str> = problems.iter().map(|p| p.what.as_str()).collect();
                Refusal::new(RefusalKind::Unfit, told.join("; "), "")
            })?;
        if let Some(state) = &plan.state {
            let kept = self.store.keep_state(self.name, state);
            kept.map_err(not_kept)?;
        }
        let number = next.number;
        node.swap(next);
        let serving = node.generation.load_full();
        let versions = &node.foundation.versions;
        versions.settle(&serving);
        node.telemetry.metrics().set_generation(number);
        let took = node.clock.now().saturating_duration_since(self.begun);
        tracing::info!(
            function = self.name,
            version = %digest.short(),
            generation = number,
            took_ms = took.as_millis(),
            "version {word}"
        );
        let function = Arc::clone(find(&serving, self.name)?);
        function.metrics.record_deploy(word);
        let health = &function.capabilities.health;
        match &function.beside {
            Some(beside) => beside.entry.capabilities.health.watch(false),
            None if function.function.digest() == digest => health.watch(true),
            // What is gone back to is known.
            None => {}
        }
        Ok(Done { function, digest })
    }
}

fn not_kept(what: String) -> Refusal {
    let expected = "a folder `deploy.folder` that can be written";
    Refusal::new(RefusalKind::Failed, what, expected)
}

/// A function of a generation.
pub(crate) fn find<'a>(
    generation: &'a Generation,
    name: &str,
) -> Result<&'a Arc<FunctionEntry>, Refusal> {
    generation.functions.get(name).ok_or_else(|| {
        let names: Vec<&str> = generation.functions.keys().map(|name| &**name).collect();
        let expected = match names.as_slice() {
            [] => "a node with functions".to_owned(),
            _ => format!("one of {}", names.join(", ")),
        };
        let what = format!("there is no function `{}`", name.escape_debug());
        Refusal::new(RefusalKind::Unknown, what, expected)
    })
}
