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

    /// Adds versions of a function, and lets go of those that `state` does not list.
    pub(crate) fn keep(
        &mut self,
        function: &Arc<str>,
        state: &FunctionState,
        added: impl IntoIterator<Item = Compiled>,
    ) {
        let versions = self.0.entry(Arc::clone(function)).or_default();
        for compiled in added {
            if !versions
                .iter()
                .any(|known| known.digest() == compiled.digest())
            {
                versions.push(compiled);
            }
        }
        versions.retain(|compiled| state.version(&compiled.digest()).is_some());
    }

    /// Lets go of functions that are not there any more.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }
}
