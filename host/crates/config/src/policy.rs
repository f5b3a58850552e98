//! `[site.route.policy]`, with its defaults in `[cache]`: what may be stored,
//! and for how long it is fresh.

use std::time::Duration;

use toml::de::DeValue;

use crate::kinds::{
    Choice, FIELD_NAME, Flag, Kind, Maybe, Text, found, is_token, quoted, text_of, time,
};
use crate::table::Table;
use crate::walk::Item;

/// What may be stored, and for how long it is fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Freshness lifetime of a response that names none (RFC 9111 4.2.2) and is
    /// cacheable by default; 0s (a heuristic one) to 365d, default 0s.
    pub default_ttl: Duration,
    /// The longest freshness lifetime, whoever named it; 0s to 365d, default: none.
    pub max_ttl: Option<Duration>,
    /// Whether a response that names no lifetime is fresh for a tenth of the time since
    /// its Last-Modified (RFC 9111 4.2.2); default true.
    pub heuristic: bool,
    /// The longest such lifetime; 0s to 365d, default 1d.
    pub heuristic_max: Duration,
    /// Freshness lifetimes by status for responses that name none.
    pub statuses: Vec<(StatusPattern, Duration)>,
    /// By how many percent at most lifetimes are shortened at random; 0 to 100, default 0.
    pub jitter: u8,
    /// The last so many percent of a lifetime in which a hit asks for a new response in
    /// the background; 0 to 100, default 0.
    pub refresh_ahead: u8,
    /// For responses that name no stale-while-revalidate (RFC 5861 3); default: none.
    pub stale_while_revalidate: Option<Duration>,
    /// For responses that name no stale-if-error (RFC 5861 4); default: none.
    pub stale_if_error: Option<Duration>,
    /// What becomes of the origin's directives; default `follow`.
    pub origin_directives: OriginDirectives,
    /// Whether explicitly fresh responses with Set-Cookie are stored (RFC 9111 7.3);
    /// default true (`store`).
    pub stores_set_cookie: bool,
    /// Requests that go past the cache.
    pub bypass: Vec<Bypass>,
}

/// The statuses that a lifetime is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPattern {
    /// `404`: one status, 200 to 999.
    Exact(u16),
    /// `5xx`: all with this first digit, 2 to 9.
    Class(u8),
}

/// What becomes of the origin's directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginDirectives {
    /// They are followed.
    Follow,
    /// They are followed but for the lifetime, which is the policy's.
    Override,
    /// Only no-store and private are followed.
    Ignore,
    /// None is followed, no-store and private included.
    IgnoreAll,
}

/// Requests that go past the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// Those with this field, in lower case.
    Field(String),
    /// Those with a cookie of this name.
    Cookie(String),
}

/// `[cache]`: fields of responses that are for caches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFields {
    /// Targeted fields in lower case, the most specific first (RFC 9213 2.2); default
    /// `verge-cdn-cache-control` and `cdn-cache-control`.
    pub targeted: Vec<String>,
    /// Whether clients get them (RFC 9213 3.1); default true.
    pub pass_targeted: bool,
    /// Whether clients get Surrogate-Key and Cache-Tag; default false.
    pub pass_surrogate_keys: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_ttl: Duration::ZERO,
            max_ttl: None,
            heuristic: true,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            statuses: Vec::new(),
            jitter: 0,
            refresh_ahead: 0,
            stale_while_revalidate: None,
            stale_if_error: None,
            origin_directives: OriginDirectives::Follow,
            stores_set_cookie: true,
            bypass: Vec::new(),
        }
    }
}

const ORIGIN_DIRECTIVES: Choice<OriginDirectives> = Choice(&[
    ("follow", Ok(OriginDirectives::Follow)),
    ("override", Ok(OriginDirectives::Override)),
    ("ignore", Ok(OriginDirectives::Ignore)),
    ("ignore-all", Ok(OriginDirectives::IgnoreAll)),
]);

const SET_COOKIE: Choice<bool> = Choice(&[("store", Ok(true)), ("refuse", Ok(false))]);

impl Policy {
    /// Reads a table; what it does not say is as in `defaults`.
    pub(crate) fn read(table: &Table<'_, '_>, defaults: &Self) -> Self {
        let ttl = || time("0s", "365d");
        let policy = Self {
            default_ttl: table.or("default_ttl", &ttl(), defaults.default_ttl),
            max_ttl: table.or("max_ttl", &Maybe(ttl()), defaults.max_ttl),
            heuristic: table.or("heuristic", &Flag, defaults.heuristic),
            heuristic_max: table.or("heuristic_max", &ttl(), defaults.heuristic_max),
            statuses: read_statuses(table, &defaults.statuses),
            jitter: table.or("jitter", &Percent, defaults.jitter),
            refresh_ahead: table.or("refresh_ahead", &Percent, defaults.refresh_ahead),
            stale_while_revalidate: table.or(
                "stale_while_revalidate",
                &Maybe(ttl()),
                defaults.stale_while_revalidate,
            ),
            stale_if_error: table.or("stale_if_error", &Maybe(ttl()), defaults.stale_if_error),
            origin_directives: table.or(
                "origin_directives",
                &ORIGIN_DIRECTIVES,
                defaults.origin_directives,
            ),
            stores_set_cookie: table.or("set_cookie", &SET_COOKIE, defaults.stores_set_cookie),
            bypass: read_bypass(table, &defaults.bypass),
        };
        policy.check(table);
        policy
    }

    fn check(&self, table: &Table<'_, '_>) {
        if self.max_ttl.is_some_and(|max| self.default_ttl > max) {
            table.problem_at(
                "default_ttl",
                "`default_ttl` is over `max_ttl`",
                "expected at most as much as `max_ttl`",
            );
        }
        if self.origin_directives != OriginDirectives::Follow
            && self.default_ttl.is_zero()
            && self.statuses.is_empty()
        {
            table.problem_at(
                "origin_directives",
                "the origin's lifetimes do not count, and there is none in their place",
                "expected `default_ttl` or `statuses` beside it",
            );
        }
    }
}

impl CacheFields {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = ["verge-cdn-cache-control", "cdn-cache-control"];
        let items = table.items("targeted_fields", "field names", true);
        let is_given = table.item("targeted_fields").is_some();
        let mut targeted = Vec::new();
        for item in &items {
            let Some(name) = item.read(&FIELD_NAME) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            if ["cache-control", "expires"].contains(&name.as_str()) {
                item.problem(
                    format!("`{name}` is for all caches"),
                    "expected a targeted field, such as \"CDN-Cache-Control\"",
                );
            }
            targeted.push(name);
        }
        if !is_given {
            targeted = default.map(str::to_owned).to_vec();
        }
        Self {
            targeted,
            pass_targeted: table.or("pass_targeted_fields", &Flag, true),
            pass_surrogate_keys: table.or("pass_surrogate_keys", &Flag, false),
        }
    }
}

/// Reads `{ "404" = "10s", "5xx" = "1s" }`.
fn read_statuses(
    table: &Table<'_, '_>,
    defaults: &[(StatusPattern, Duration)],
) -> Vec<(StatusPattern, Duration)> {
    let is_given = table.item("statuses").is_some();
    table.note(
        "statuses",
        "a table of statuses or classes of them with a duration each".to_owned(),
        Some("{}".to_owned()),
        is_given.then(|| "{}".to_owned()),
    );
    if !is_given {
        return defaults.to_vec();
    }
    let mut statuses = Vec::new();
    for (name, item) in table.table("statuses").entries() {
        let ttl = item.read(&time("0s", "365d"));
        match status_pattern(&name) {
            Some(pattern) => statuses.extend(ttl.map(|ttl| (pattern, ttl))),
            None => item.problem(
                format!("{} is not a status that can be stored", quoted(&name)),
                "expected one such as \"404\" (not 206 or 304), or a class such as \"5xx\"",
            ),
        }
    }
    statuses
}

fn status_pattern(name: &str) -> Option<StatusPattern> {
    let &[digit @ b'2'..=b'9', a, b] = name.as_bytes() else {
        return None;
    };
    if (a, b) == (b'x', b'x') {
        return Some(StatusPattern::Class(digit - b'0'));
    }
    // Parts and updates are not stored as they come (RFC 9111 3.3, 4.3.3).
    let code: u16 = name.parse().ok()?;
    (![206, 304].contains(&code)).then_some(StatusPattern::Exact(code))
}

/// Reads `[{ field = "x-preview" }, { cookie = "session" }]`.
fn read_bypass(table: &Table<'_, '_>, defaults: &[Bypass]) -> Vec<Bypass> {
    let items = table.items(
        "bypass",
        "{ field = \"NAME\" } or { cookie = \"NAME\" }",
        true,
    );
    if table.item("bypass").is_none() {
        return defaults.to_vec();
    }
    items.iter().filter_map(read_bypass_rule).collect()
}

const COOKIE_NAME: Text = Text {
    what: "the name of a cookie",
    accepts: is_token,
};

fn read_bypass_rule(item: &Item<'_, '_>) -> Option<Bypass> {
    const EXPECTED: &str = "expected { field = \"NAME\" } or { cookie = \"NAME\" }";
    if !item.value.is_table() {
        item.problem(found(item.value), EXPECTED);
        return None;
    }
    let table = item.table()?;
    let field = table.maybe("field", FIELD_NAME);
    let cookie = table.maybe("cookie", COOKIE_NAME);
    match (field, cookie, table.item("field"), table.item("cookie")) {
        (Some(name), _, Some(_), None) => Some(Bypass::Field(name.to_ascii_lowercase())),
        (_, Some(name), None, Some(_)) => Some(Bypass::Cookie(name)),
        (_, _, Some(_), Some(_)) => {
            table.problem("has both `field` and `cookie`", EXPECTED);
            None
        }
        (_, _, None, None) => {
            table.problem("names nothing to look at", EXPECTED);
            None
        }
        // What is wrong with the name was said when it was read.
        _ => None,
    }
}

/// `"10%"`: a whole number of hundredths, 0 to 100.
struct Percent;

impl Kind for Percent {
    type Value = u8;

    fn expected(&self) -> String {
        "a share, from \"0%\" to \"100%\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<u8, String> {
        let text = text_of(value)?;
        let number = text.strip_suffix('%').unwrap_or("");
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{} is not a share", quoted(text)));
        }
        let number = number.parse::<u8>().ok().filter(|number| *number <= 100);
        number.ok_or_else(|| format!("{} is out of range", quoted(text)))
    }

    fn show(&self, value: &u8) -> String {
        quoted(&format!("{value}%"))
    }
}
