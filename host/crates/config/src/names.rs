//! Names that parts of a configuration give to each other: origins, functions
//! and secrets.

use std::sync::Arc;

use crate::kinds::ANY_TEXT;
use crate::problem::nearest;
use crate::walk::Item;

/// All names of one sort of thing, the wrongly defined ones included, so that
/// one mistake is reported once.
pub(crate) struct Names {
    /// What is named: `origin`.
    sort: &'static str,
    names: Vec<Arc<str>>,
}

impl Names {
    pub(crate) fn new<'n>(sort: &'static str, names: impl Iterator<Item = &'n str>) -> Self {
        Self {
            sort,
            names: names.map(Arc::from).collect(),
        }
    }

    /// The name that a value refers to; a problem is reported if there is none.
    pub(crate) fn resolve(&self, item: &Item<'_, '_>) -> Option<Arc<str>> {
        let text = item.read(&ANY_TEXT)?;
        if let Some(name) = self.names.iter().find(|name| ***name == *text) {
            return Some(Arc::clone(name));
        }
        let all: Vec<&str> = self.names.iter().map(AsRef::as_ref).collect();
        let sort = self.sort;
        let list = if all.is_empty() {
            format!("there is no [{sort}.NAME]")
        } else {
            format!("({sort}s: {})", all.join(", "))
        };
        let expected = match nearest(&text, all) {
            Some(near) => format!("did you mean \"{near}\"? {list}"),
            None => list.trim_matches(['(', ')']).to_owned(),
        };
        item.problem(
            format!("no {sort} is named \"{}\"", text.escape_debug()),
            expected,
        );
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter()
    }
}
