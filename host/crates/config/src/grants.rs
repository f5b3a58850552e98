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
    /// Names of address lists that it may ask (`acl`).
    pub acls: Vec<Arc<str>>,
    /// Its own settings; granted by `[function.NAME.config]`, which may be empty.
    pub config: bool,
    /// Names of secrets that it may read (`secret`).
    pub secrets: Vec<Arc<str>>,
    /// Counters that limit rates (`rate_limit`); default false.
    pub rate_limit: Option<RateScope>,
    /// Names of key-value stores that it may use (`kv`).
    pub kv: Vec<Arc<str>>,
    /// The node's cache, for what it makes itself (`cache`); default false.
    pub cache: bool,
    /// Work after the response (`defer`); default false.
    pub defer: bool,
    /// What clients say of their devices (`device`); default false.
    pub device: bool,
    /// Where addresses are (`geo`); default false. It needs a file in `[geo]`.
    pub geo: bool,
    /// The node's log (`log`); default false.
    pub log: bool,
    /// Origins that it may send requests to (`fetch`).
    pub fetch: Vec<Arc<str>>,
    /// The routes of the site whose request it serves, behind viewer-request (`fetch_site`);
    /// default false.
    pub fetch_site: bool,
    /// Counters and histograms of its own (`metrics`); default false.
    pub metrics: bool,
    /// Origins that it may choose for a request (`origins`), besides those of the site's routes
    /// and of `fetch`.
    pub origins: Vec<Arc<str>>,
    /// Which of the lists above were given, empty ones too.
    pub given: GivenLists,
}

/// Lists of [`Grants`] that the file has. An empty one lets a function load that imports the
/// capability and can do without: it finds nothing there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GivenLists {
    /// `acl`.
    pub acls: bool,
    /// `fetch`.
    pub fetch: bool,
    /// `kv`.
    pub kv: bool,
    /// `secret`.
    pub secrets: bool,
}

/// What the rest of the file has that can be granted.
pub(crate) struct Grantable<'n> {
    pub(crate) secrets: &'n Names,
    pub(crate) acls: &'n Names,
    /// Whether `[geo]` has a file.
    pub(crate) geo: bool,
    pub(crate) kv: &'n Names,
    pub(crate) origins: &'n Names,
    /// Whether there is a `[redis]`.
    pub(crate) redis: bool,
}

impl Grants {
    pub(crate) fn read(table: &Table<'_, '_>, there: &Grantable<'_>, config: bool) -> Self {
        let named = |key, what, names: &Names| {
            let items = table.items(key, what, true);
            items
                .iter()
                .filter_map(|item| names.resolve(item))
                .collect()
        };
        let is_given = |key| table.item(key).is_some();
        let grants = Self {
            acls: named("acl", "names of address lists", there.acls),
            cache: table.or("cache", &Flag, false),
            config,
            defer: table.or("defer", &Flag, false),
            device: table.or("device", &Flag, false),
            geo: table.or("geo", &Flag, false),
            fetch: named("fetch", "names of origins", there.origins),
            fetch_site: table.or("fetch_site", &Flag, false),
            kv: named("kv", "names of key-value stores", there.kv),
            log: table.or("log", &Flag, false),
            metrics: table.or("metrics", &Flag, false),
            origins: named("origins", "names of origins", there.origins),
            rate_limit: table.or("rate_limit", &Rates, None),
            secrets: named("secret", "names of secrets", there.secrets),
            // Last: keys are known in the order in which they are read.
            given: GivenLists {
                acls: is_given("acl"),
                fetch: is_given("fetch"),
                kv: is_given("kv"),
                secrets: is_given("secret"),
            },
        };
        if grants.geo && !there.geo {
            let expected = "expected `city` or `asn` in [geo]";
            table.problem_at("geo", "there is no file to ask", expected);
        }
        if grants.rate_limit == Some(RateScope::Region) && !there.redis {
            let expected = "expected a section [redis] with `url` or `nodes`";
            table.problem_at("rate_limit", "there is no [redis]", expected);
        }
        grants
    }
}
