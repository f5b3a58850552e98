//! `[site.route.key]`: which parts of a request are what a stored response is
//! found by. What the parts mean is told where they are applied.

use crate::kinds::{Choice, FIELD_NAME, Flag, Size, Text, is_token};
use crate::table::Table;

/// Most names of parameters in `allow` or `drop`.
const PATTERNS_MAX: usize = 64;
/// Most fields, and most cookies, that are key parts.
const PARTS_MAX: usize = 16;

/// How the query counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyQuery {
    /// As it stands.
    #[default]
    AsIs,
    /// With its parameters sorted by name; those of one name keep their order.
    Sorted,
    /// Not at all.
    None,
}

/// A list of parameters that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPreset {
    /// What analytics and advertising services add to links.
    Tracking,
}

/// What the origin sees of input that is no part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyForward {
    /// Nothing.
    #[default]
    AsKeyed,
    /// All of it; each name is told in the log.
    AsAsked,
}

/// `[site.route.key]`: what counts of a request; without it, the query as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteKey {
    /// How the query counts; default `as-is`.
    pub query: KeyQuery,
    /// Only these parameters count: names, or beginnings of names with a `*`. None: all.
    pub allow: Option<Vec<String>>,
    /// These parameters do not count.
    pub drop: Vec<String>,
    /// Nor do these.
    pub drop_preset: Option<DropPreset>,
    /// Fields whose values count, in lower case.
    pub fields: Vec<String>,
    /// Cookies that count, and then no other cookie does. None: cookies are left to Vary.
    pub cookies: Option<Vec<String>>,
    /// Whether HEAD is kept apart from GET; default false.
    pub method: bool,
    /// What the origin sees of the rest; default `as-keyed`.
    pub forward: KeyForward,
    /// Most bytes of the values of fields and cookies; 64B to 64KiB, default 4KiB. A request
    /// with more goes past the cache.
    pub max_bytes: usize,
}

const QUERY: Choice<KeyQuery> = Choice(&[
    ("as-is", Ok(KeyQuery::AsIs)),
    ("sorted", Ok(KeyQuery::Sorted)),
    ("none", Ok(KeyQuery::None)),
]);

const PRESET: Choice<DropPreset> = Choice(&[("tracking", Ok(DropPreset::Tracking))]);

const FORWARD: Choice<KeyForward> = Choice(&[
    ("as-keyed", Ok(KeyForward::AsKeyed)),
    ("as-asked", Ok(KeyForward::AsAsked)),
]);

const PARAMETER: Text = Text {
    what: "the name of a parameter, or its beginning with a `*`",
    accepts: |text| {
        let name = text.strip_suffix('*').unwrap_or(text);
        !text.is_empty() && !name.contains('*') && !text.chars().any(char::is_control)
    },
};

const COOKIE: Text = Text {
    what: "the name of a cookie",
    accepts: is_token,
};

impl RouteKey {
    /// Reads the table of a route; `None` if there is none.
    pub(crate) fn read(table: &Table<'_, '_>) -> Option<Self> {
        let query = table.or("query", &QUERY, KeyQuery::AsIs);
        let allow = optional_list(table, "allow", "parameters", &PARAMETER, PATTERNS_MAX);
        let dropped = optional_list(table, "drop", "parameters", &PARAMETER, PATTERNS_MAX);
        let drop_preset = table.maybe("drop_preset", PRESET);
        let mut fields = optional_list(table, "fields", "field names", &FIELD_NAME, PARTS_MAX)
            .unwrap_or_default();
        fields
            .iter_mut()
            .for_each(|name| name.make_ascii_lowercase());
        let key = Self {
            query,
            allow,
            drop: dropped.unwrap_or_default(),
            drop_preset,
            fields,
            cookies: optional_list(table, "cookies", "cookies", &COOKIE, PARTS_MAX),
            method: table.or("method", &Flag, false),
            forward: table.or("forward", &FORWARD, KeyForward::AsKeyed),
            max_bytes: table.or("max_bytes", &Size(64..=64 << 10), 4 << 10),
        };
        key.check(table);
        table.is_given().then_some(key)
    }

    fn check(&self, table: &Table<'_, '_>) {
        let drops = !self.drop.is_empty() || self.drop_preset.is_some();
        if self.allow.is_some() && drops {
            table.problem_at(
                "allow",
                "has both parameters that count and parameters that do not",
                "expected `allow`, or `drop` and `drop_preset`",
            );
        }
        if self.query == KeyQuery::None && (self.allow.is_some() || drops) {
            table.problem_at(
                "query",
                "nothing of the query counts, so there is nothing to choose from it",
                "expected \"as-is\" or \"sorted\" beside `allow`, `drop` and `drop_preset`",
            );
        }
    }
}

/// A list that may be absent, each value once and at most `max` of them.
fn optional_list(
    table: &Table<'_, '_>,
    key: &'static str,
    what: &str,
    kind: &Text,
    max: usize,
) -> Option<Vec<String>> {
    let mut values: Vec<String> = Vec::new();
    for value in table.list(key, what, true, kind) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    if values.len() > max {
        table.problem_at(
            key,
            format!("has {} {what}", values.len()),
            format!("expected at most {max}"),
        );
    }
    table.item(key).is_some().then_some(values)
}
