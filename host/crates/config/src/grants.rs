//! `grants` of `[function.NAME]`: what it may import.

use std::sync::Arc;

use toml::de::DeValue;

use crate::kinds::{Flag, Kind, quoted, text_of};
use crate::names::Names;
use crate::table::Table;

/// Whose counters limit rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// Those of this node.
    Node,
    /// Those of all nodes with the same Redis.
    Region,
}

/// `false`, `true` (those of the node), or a word.
struct Rates;

impl Kind for Rates {
    type Value = Option<RateScope>;

    fn expected(&self) -> String {
        "false, true, \"node\" or \"region\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String> {
        if let Some(granted) = value.as_bool() {
            return Ok(granted.then_some(RateScope::Node));
        }
        match text_of(value)? {
            "node" => Ok(Some(RateScope::Node)),
            "region" => Ok(Some(RateScope::Region)),
            other => Err(format!("{} is not known", quoted(other))),
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        match value {
            None => "false".to_owned(),
            Some(RateScope::Node) => quoted("node"),
            Some(RateScope::Region) => quoted("region"),
        }
    }
}

/// What a function may import besides clocks and randomness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grants {
    /// Its own settings; granted by `[function.NAME.config]`, which may be empty.
    pub config: bool,
    /// Names of secrets that it may read (`secret`).
    pub secrets: Vec<Arc<str>>,
    /// Counters that limit rates (`rate_limit`); default false.
    pub rate_limit: Option<RateScope>,
    /// Names of key-value stores that it may use (`kv`).
    pub kv: Vec<Arc<str>>,
    /// The node's log (`log`); default false.
    pub log: bool,
    /// Origins that it may send requests to (`fetch`).
    pub fetch: Vec<Arc<str>>,
    /// The routes of the site whose request it serves, behind viewer-request (`fetch_site`);
    /// default false.
    pub fetch_site: bool,
}

/// What the rest of the file has that can be granted.
pub(crate) struct Grantable<'n> {
    pub(crate) secrets: &'n Names,
    pub(crate) kv: &'n Names,
    pub(crate) origins: &'n Names,
    /// Whether there is a `[redis]`.
    pub(crate) redis: bool,
}

impl Grants {
    pub(crate) fn read(table: &Table<'_, '_>, there: &Grantable<'_>, config: bool) -> Self {
        let secrets = table.items("secret", "names of secrets", true);
        let secrets = secrets.iter();
        let kv = table.items("kv", "names of key-value stores", true);
        let kv = kv.iter();
        let fetch = table.items("fetch", "names of origins", true);
        let fetch = fetch.iter();
        let grants = Self {
            config,
            secrets: secrets
                .filter_map(|item| there.secrets.resolve(item))
                .collect(),
            rate_limit: table.or("rate_limit", &Rates, None),
            kv: kv.filter_map(|item| there.kv.resolve(item)).collect(),
            log: table.or("log", &Flag, false),
            fetch: fetch
                .filter_map(|item| there.origins.resolve(item))
                .collect(),
            fetch_site: table.or("fetch_site", &Flag, false),
        };
        if grants.rate_limit == Some(RateScope::Region) && !there.redis {
            let expected = "expected a section [redis] with `url` or `nodes`";
            table.problem_at("rate_limit", "there is no [redis]", expected);
        }
        grants
    }
}
