//! `grants` of `[function.NAME]`: what it may import.

use std::sync::Arc;

use crate::kinds::Flag;
use crate::names::Names;
use crate::table::Table;

/// What a function may import besides clocks and randomness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grants {
    /// Its own settings; granted by `[function.NAME.config]`, which may be empty.
    pub config: bool,
    /// Names of secrets that it may read (`secret`).
    pub secrets: Vec<Arc<str>>,
    /// Counters that limit rates (`rate_limit`); default false.
    pub rate_limit: bool,
    /// The node's log (`log`); default false.
    pub log: bool,
}

impl Grants {
    pub(crate) fn read(table: &Table<'_, '_>, secrets: &Names, config: bool) -> Self {
        let named = table.items("secret", "names of secrets", true);
        Self {
            config,
            secrets: named
                .iter()
                .filter_map(|item| secrets.resolve(item))
                .collect(),
            rate_limit: table.or("rate_limit", &Flag, false),
            log: table.or("log", &Flag, false),
        }
    }
}
