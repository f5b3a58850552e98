//! Address lists in tests.

use super::Host;
use crate::backend::native::{acl, with};

impl Host {
    /// Grants the function a list, its entries as an operator writes them:
    /// `10.0.0.0/8 deny scanner`.
    ///
    /// # Panics
    /// One of them is not valid.
    pub fn acl(self, name: &str, entries: &[&str]) -> Self {
        let parsed = entries.iter().map(|text| match acl::parse(text) {
            Some(entry) => entry,
            None => unreachable!("`{text}` is no entry: expected a range, allow or deny, a label"),
        });
        let entries = parsed.collect();
        with(|state| state.acls.0.insert(name.to_owned(), entries));
        self
    }
}
