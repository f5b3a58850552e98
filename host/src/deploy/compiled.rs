//! Compiled versions that do not run now: kept in memory, so that going back to one takes no
//! compiler. Bounded: of each function those that its state lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_runtime::{Compiled, Digest};

use super::state::FunctionState;

/// Compiled components by function.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<Arc<str>, Vec<Compiled>>);

impl Kept {
    /// The version with this digest, if it is here.
    pub(crate) fn find(&self, function: &str, digest: &Digest) -> Option<Compiled> {
        let versions = self.0.get(function)?;
        versions
            .iter()
            .find(|compiled| compiled.digest() == *digest)
            .cloned()
    }

    /// Adds a version of a function. It stays until the next [`settle`](Self::settle) at least.
    pub(crate) fn add(&mut self, function: &Arc<str>, compiled: Compiled) {
        if self.find(function, &compiled.digest()).is_none() {
            let versions = self.0.entry(Arc::clone(function)).or_default();
            versions.push(compiled);
        }
    }

    /// Lets go of versions that `state`, which holds now, does not list. Whether all others are
    /// here.
    pub(crate) fn settle(&mut self, function: &str, state: &FunctionState) -> bool {
        if let Some(versions) = self.0.get_mut(function) {
            versions.retain(|compiled| state.version(&compiled.digest()).is_some());
        }
        let mut listed = state.versions.iter();
        listed.all(|version| self.find(function, &version.digest).is_some())
    }

    /// Lets go of functions that are not there any more.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }
}
