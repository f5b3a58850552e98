//! Versions of functions, as the admin API tells and changes them.

use std::sync::Arc;

use super::{NodeState, purging};
use crate::admin::functions::{FunctionAction, FunctionVersions, VersionChange, VersionStatus};
use crate::admin::{PurgeItem, PurgeScopeText};
use crate::deploy::actions::{self, Refusal, RefusalKind};
use crate::deploy::state::{BesideMode, FunctionState, Source, Version};
use crate::route::FunctionEntry;

/// Why a version is taken back when an operator says so.
const BY_HAND: &str = "rolled back by hand";

/// All functions with their versions, by name.
pub(super) fn all(node: &NodeState) -> Vec<FunctionVersions> {
    let generation = node.generation.load();
    generation
        .functions
        .values()
        .map(|entry| told(entry))
        .collect()
}

/// One function with its versions.
pub(super) fn one(node: &NodeState, name: &str) -> Result<FunctionVersions, Refusal> {
    let generation = node.generation.load();
    actions::find(&generation, name).map(|entry| told(entry))
}

/// Does what `action` says. Blocks.
pub(super) fn change(
    node: &Arc<NodeState>,
    name: &str,
    action: FunctionAction,
) -> Result<VersionChange, Refusal> {
    let (done, purge) = match action {
        FunctionAction::Deploy(new) => (actions::deploy(node, name, &new)?, false),
        FunctionAction::Promote(wanted) => {
            (actions::promote(node, name, wanted.as_deref())?, false)
        }
        FunctionAction::RollBack { purge } => (actions::roll_back(node, name, BY_HAND)?, purge),
    };
    let version = done.digest.to_string();
    if purge {
        let item = PurgeItem {
            scope: PurgeScopeText::Function(version.clone()),
            soft: false,
        };
        purging::purge(node, &item).map_err(|problem| Refusal {
            kind: RefusalKind::Failed,
            what: format!("it was rolled back, but not purged: {}", problem.what),
            expected: problem.expected,
        })?;
    }
    Ok(VersionChange {
        version,
        purged: purge,
        note: done.note.map(str::to_owned),
        warning: done.warning.map(str::to_owned),
        function: told(&done.function),
    })
}

fn told(entry: &FunctionEntry) -> FunctionVersions {
    let versions = match &entry.state {
        Some(state) => {
            let versions = state.versions.iter();
            versions.map(|known| version(entry, state, known)).collect()
        }
        None => vec![VersionStatus {
            digest: entry.function.digest().to_string(),
            status: "live".to_owned(),
            deployed: String::new(),
            source: word(Source::Configuration).to_owned(),
            signer: None,
            bytes: 0,
            note: None,
            differences: Vec::new(),
        }],
    };
    FunctionVersions {
        name: entry.name.to_string(),
        triggers: entry
            .function
            .triggers()
            .map(|t| t.label().to_owned())
            .collect(),
        live: entry.function.digest().to_string(),
        is_kept: entry.state.is_some(),
        versions,
    }
}

fn version(entry: &FunctionEntry, state: &FunctionState, version: &Version) -> VersionStatus {
    let beside = state.beside.as_ref();
    let beside = beside.filter(|beside| beside.digest == version.digest);
    let shadow = entry.beside.as_ref().filter(|_| beside.is_some());
    let shadow = shadow.and_then(|running| running.entry.shadow.as_ref());
    let (status, note) = match beside.map(|beside| &beside.mode) {
        _ if version.digest == state.live => ("live", None),
        Some(BesideMode::Share(share)) => ("share", Some(share.to_string())),
        Some(BesideMode::Shadow) => ("shadow", shadow.map(|report| report.summary())),
        None if version.withdrawn.is_some() => ("rolled-back", version.withdrawn.clone()),
        None => ("kept", None),
    };
    VersionStatus {
        digest: version.digest.to_string(),
        status: status.to_owned(),
        deployed: version.deployed.clone(),
        source: word(version.source).to_owned(),
        signer: version.signer.clone(),
        bytes: version.bytes,
        note,
        differences: shadow.map_or_else(Vec::new, |report| report.differences()),
    }
}

const fn word(source: Source) -> &'static str {
    match source {
        Source::Configuration => "configuration",
        Source::Deploy => "deploy",
    }
}
