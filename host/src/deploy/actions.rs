//! Deploy, promote, roll back: each makes a state, a generation with it, keeps the state on disk
//! and swaps. When any of these fails, nothing has changed; but a rollback swaps first, and needs
//! no disk. What takes long, compiling and keeping a component, is done before anybody can have to
//! wait for it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use verge_runtime::{Compiled, Digest};

use super::Preparing;
use super::plan::Plan;
use super::refusal::not_kept;
pub use super::refusal::{Refusal, RefusalKind};
use super::shadow;
use super::signing::{Keys, Untrusted};
use super::state::{BesideMode, FunctionState, Source, Version};
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

/// An action that was done.
pub struct Done {
    /// The function as it is now.
    pub function: Arc<FunctionEntry>,
    /// The version that the action was about.
    pub digest: Digest,
    /// What is to be said of it beside.
    pub note: Option<&'static str>,
    /// What is wrong, although it was done.
    pub warning: Option<&'static str>,
}

/// That an action was done and would not outlive a restart.
const UNKEPT: &str =
    "it is not kept on disk, and a restart would not know it; the node tries again";

/// Puts a new version in place. Blocks: it compiles, while everything else goes on.
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
    let begun = node.clock.now();
    let preparing = node.foundation.versions.prepare();
    let subject = Subject::of(node, name, begun)?;
    shadow::check(&subject.generation, name, new.mode.as_ref())?;
    let digest = Digest::of(bytes);
    if new.mode.is_none() && subject.state.live == digest {
        return subject.unchanged(digest);
    }
    let now = node.clock.wall();
    let kept = subject.generation.config.deploy.kept;
    let version = subject.version(digest, new, now)?;
    // What is refused anyway is not compiled.
    let next = |subject: &Subject<'_>| {
        let mode = new.mode.clone();
        subject.state.deploy(version.clone(), mode, kept, now)
    };
    next(&subject)?;
    let compiled = subject.compile(&digest, bytes)?;
    let kept = subject.store.keep_component(&digest, bytes);
    kept.map_err(not_kept)?;
    let _one_at_a_time = node.reloads.running.lock();
    // Another generation may serve by now.
    let subject = Subject::of(node, name, begun)?;
    if !subject.keys()?.know(version.signer.as_deref()) {
        let what = "no key that the function has now signed the component";
        return Err(Refusal::new(RefusalKind::Unfit, what, Untrusted::EXPECTED));
    }
    if new.mode.is_none() && subject.state.live == digest {
        return subject.unchanged(digest);
    }
    let state = next(&subject)?;
    subject.put(
        Word::Deployed,
        state,
        digest,
        Some(&compiled),
        Some(preparing),
    )
}

/// Puts the version beside the live one in its place, or the kept one whose digest begins with
/// `wanted`.
///
/// # Errors
/// Why not; nothing has changed.
pub fn promote(node: &NodeState, name: &str, wanted: Option<&str>) -> Result<Done, Refusal> {
    let begun = node.clock.now();
    let now = node.clock.wall();
    let subject = Subject::of(node, name, begun)?;
    subject.make_ready(&subject.state.promote(wanted, now)?);
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name, begun)?;
    let state = subject.state.promote(wanted, now)?;
    let digest = state.live;
    subject.put(Word::Promoted, state, digest, None, None)
}

/// Takes the version beside the live one away, or puts the one before the live one in its place.
/// The digest is that of the version that was taken back.
///
/// # Errors
/// Why not; nothing has changed.
pub fn roll_back(node: &NodeState, name: &str, reason: &str) -> Result<Done, Refusal> {
    let begun = node.clock.now();
    let subject = Subject::of(node, name, begun)?;
    subject.make_ready(&subject.state.roll_back(reason, false)?.0);
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name, begun)?;
    subject.take_back(reason, Word::RolledBack)
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
    let begun = node.clock.now();
    let subject = Subject::of(node, name, begun)?;
    if subject.state.live == digest {
        let mut without_trial = FunctionState::clone(&subject.state);
        without_trial.beside = None;
        if let Ok((state, _)) = without_trial.roll_back(reason, true) {
            subject.make_ready(&state);
        }
    }
    let _one_at_a_time = node.reloads.running.lock();
    let subject = Subject::of(node, name, begun)?;
    let beside = subject.state.beside.as_ref();
    let is_beside = beside.is_some_and(|beside| beside.digest == digest);
    if !is_beside && subject.state.live != digest {
        // It was taken away meanwhile.
        return Ok(());
    }
    if !is_beside && beside.is_some() {
        // What is on trial beside a bad version ends with it: its trial tells nothing any more.
        let reason = "the version beside which it ran does badly";
        subject.take_back(reason, Word::RolledBack)?;
    }
    let subject = Subject::of(node, name, begun)?;
    let taken = subject.take_back(reason, Word::RolledBackByItself);
    if taken.is_err()
        && let Ok(function) = find(&subject.generation, name)
        && let Some(version) = function.running(&digest)
    {
        // Told again, should it go on so.
        version.capabilities.health.watch_again();
    }
    taken.map(drop)
}

/// Compiles the versions that the node could go back to. Blocks for as long as that takes.
pub(crate) fn warm(node: &NodeState) {
    let generation = node.generation.load_full();
    let foundation = &node.foundation;
    foundation.versions.warm(&generation, &foundation.engine);
}

/// Keeps versions that could not be kept on disk when they changed. Blocks.
pub(crate) fn keep_again(node: &NodeState) {
    let _one_at_a_time = node.reloads.running.lock();
    let versions = &node.foundation.versions;
    versions.settle(&node.generation.load_full(), None);
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Deployed,
    Promoted,
    RolledBack,
    RolledBackByItself,
}

impl Word {
    const fn label(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
            Self::RolledBackByItself => "rolled-back-by-itself",
        }
    }
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
    fn of(node: &'a NodeState, name: &'a str, begun: Instant) -> Result<Self, Refusal> {
        let generation = node.generation.load_full();
        let entry = find(&generation, name)?;
        let Some(store) = node.foundation.versions.store() else {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "this node keeps no versions of functions",
                "`folder` in the section [deploy] of its configuration",
            ));
        };
        let state = entry.state.clone().ok_or_else(|| {
            let what = format!("the versions of `{name}` cannot be read; the node's log says why");
            let expected = "a folder `deploy.folder` that can be read, and then a reload";
            Refusal::new(RefusalKind::Conflict, what, expected)
        })?;
        Ok(Self {
            node,
            name,
            generation,
            state,
            store,
            begun,
        })
    }

    /// Nothing has changed: the version is the live one already.
    fn unchanged(&self, digest: Digest) -> Result<Done, Refusal> {
        let function = Arc::clone(find(&self.generation, self.name)?);
        Ok(Done {
            function,
            digest,
            note: Some("it was already; nothing has changed"),
            warning: None,
        })
    }

    fn take_back(&self, reason: &str, word: Word) -> Result<Done, Refusal> {
        let is_at_fault = word == Word::RolledBackByItself;
        let (state, withdrawn) = self.state.roll_back(reason, is_at_fault)?;
        let live = state.live;
        let done = self.put(word, state, withdrawn, None, None)?;
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

    /// What is known of a new version, once its signature is checked.
    fn version(
        &self,
        digest: Digest,
        new: &NewVersion,
        now: SystemTime,
    ) -> Result<Version, Refusal> {
        let signature = new.signature.as_deref();
        let signer = self.keys()?.check(&new.component, signature);
        let signer = signer.map_err(|why| {
            let what = format!("the component may not run: {why}");
            Refusal::new(RefusalKind::Unfit, what, Untrusted::EXPECTED)
        })?;
        Ok(Version {
            digest,
            deployed: Rfc3339(now).to_string(),
            source: Source::Deploy,
            signature: signature.filter(|_| signer.is_some()).map(str::to_owned),
            signer,
            bytes: new.component.len() as u64,
            turn: None,
            withdrawn: None,
        })
    }

    /// A component, compiled unless it was before.
    fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Compiled, Refusal> {
        let foundation = &self.node.foundation;
        let known = foundation.versions.kept.lock().find(self.name, digest);
        if let Some(known) = known {
            return Ok(known);
        }
        foundation
            .engine
            .compile(bytes)
            .map_err(|error| Refusal::new(RefusalKind::Unfit, error.to_string(), ""))
    }

    /// Compiles what `state` runs, before anybody waits for it. What cannot be is told when it is
    /// put in place.
    fn make_ready(&self, state: &FunctionState) {
        let foundation = &self.node.foundation;
        let Ok(entry) = find(&self.generation, self.name) else {
            return;
        };
        let beside = state.beside.as_ref().map(|beside| beside.digest);
        for digest in [Some(state.live), beside].into_iter().flatten() {
            if let Some(version) = state.version(&digest) {
                let (versions, engine) = (&foundation.versions, &foundation.engine);
                let _ = versions.make_ready(&self.generation, entry, version, engine);
            }
        }
    }

    /// Makes `state` what serves. A rollback needs no disk: what cannot be kept now is kept later.
    fn put(
        &self,
        word: Word,
        state: FunctionState,
        digest: Digest,
        component: Option<&Compiled>,
        preparing: Option<Preparing<'_>>,
    ) -> Result<Done, Refusal> {
        let node = self.node;
        let is_back = matches!(word, Word::RolledBack | Word::RolledBackByItself);
        let plan = Plan::of(state);
        let next = self
            .generation
            .with_versions(&node.foundation, self.name, &plan, component)
            .map_err(|problems| {
                let told: Vec<&str> = problems.iter().map(|p| p.what.as_str()).collect();
                Refusal::new(RefusalKind::Unfit, told.join("; "), "")
            })?;
        if let Some(state) = plan.state.as_ref().filter(|_| !is_back) {
            let kept = self.store.keep_state(self.name, state);
            kept.map_err(not_kept)?;
        }
        let number = next.number;
        node.swap(next);
        let serving = node.generation.load_full();
        let versions = &node.foundation.versions;
        versions.settle(&serving, preparing);
        node.telemetry.metrics().set_generation(number);
        let took = node.clock.now().saturating_duration_since(self.begun);
        tracing::info!(
            function = self.name,
            version = %digest.short(),
            generation = number,
            took_ms = took.as_millis(),
            "version {}",
            word.label()
        );
        let function = Arc::clone(find(&serving, self.name)?);
        function.metrics.record_deploy(word.label());
        let warning = versions.is_unkept(self.name);
        Ok(Done {
            function,
            digest,
            note: None,
            warning: warning.then_some(UNKEPT),
        })
    }
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
