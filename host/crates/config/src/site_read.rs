//! Reads `[[site]]` and `[[site.route]]` into the types of [`crate::site`].

use crate::function::ON_FAILURE;
use crate::host::{is_host, is_host_name};
use crate::kinds::{
    ANY_TEXT, Choice, Count, FIELD_NAME, FIELD_VALUE, Flag, Kind, Size, Text, found,
    is_field_value, is_token,
};
use crate::names::Names;
use crate::policy::Policy;
use crate::route_key::RouteKey;
use crate::route_paths::{PATH, RoutePaths};
use crate::site::{
    FieldCondition, FieldMatch, FunctionUse, Ranges, Redirect, Route, Site, SiteName, StaticAnswer,
    Target, Triggers,
};
use crate::table::Table;
use crate::walk::Item;

/// What routes refer to.
pub(crate) struct Targets<'n> {
    pub(crate) origins: &'n Names,
    pub(crate) functions: &'n Names,
    /// What routes say that say nothing else.
    pub(crate) policy: &'n Policy,
}

/// Reads all sites; host names are unique over all of them.
pub(crate) fn read_sites(tables: &[Table<'_, '_>], targets: &Targets<'_>) -> Vec<Site> {
    let mut taken: Vec<(SiteName, String)> = Vec::new();
    tables
        .iter()
        .map(|table| read_site(table, targets, &mut taken))
        .collect()
}

fn read_site(
    table: &Table<'_, '_>,
    targets: &Targets<'_>,
    taken: &mut Vec<(SiteName, String)>,
) -> Site {
    let items = table.items("names", "hosts", true);
    if items.is_empty() && table.item("names").is_none_or(|item| item.value.is_array()) {
        table.missing(
            "names",
            "one or more hosts, such as [\"shop.example\"] or [\"*\"]",
        );
    }
    let mut names = Vec::new();
    for item in &items {
        let Some(name) = item.read(&NameOfSite) else {
            continue;
        };
        match taken.iter().find(|(known, _)| *known == name) {
            Some((_, place)) => {
                item.problem(
                    format!("{} is already named at {place}", NameOfSite.show(&name)),
                    "expected each host once",
                );
            }
            None => {
                taken.push((name.clone(), item.path.clone()));
                names.push(name);
            }
        }
    }
    let first = names.first().map(|name| NameOfSite.show(name));
    let server_timing = table.or("server_timing", &Flag, false);
    let routes = table.tables("route");
    if routes.is_empty() && table.item("route").is_none() {
        table.problem("has no route", "expected one or more [[site.route]]");
    }
    let mut paths = RoutePaths::default();
    let routes = routes
        .iter()
        .filter_map(|route| read_route(route, targets, &mut paths))
        .collect();
    Site {
        name: first.unwrap_or_default().trim_matches('"').into(),
        names,
        server_timing,
        routes,
    }
}

const METHOD: Text = Text {
    what: "a method in capital letters, such as \"GET\"",
    accepts: |text| is_token(text) && !text.bytes().any(|byte| byte.is_ascii_lowercase()),
};

const SWITCH: Choice<bool> = Choice(&[("on", Ok(true)), ("off", Ok(false))]);

const RANGES: Choice<Ranges> = Choice(&[
    ("pieces", Ok(Ranges::Pieces)),
    ("whole", Ok(Ranges::Whole)),
    ("slices", Ok(Ranges::Slices)),
    ("pass", Ok(Ranges::Pass)),
]);

/// Bytes of a slice. Smaller ones cost more in requests than they save.
const SLICE: Size<u64> = Size(64 * 1024..=64 * 1024 * 1024);

fn read_route(
    table: &Table<'_, '_>,
    targets: &Targets<'_>,
    paths: &mut RoutePaths,
) -> Option<Route> {
    let path = table.required("path", &PATH);
    if let (Some(path), Some(item)) = (&path, table.item("path"))
        && let Err((what, expected)) = paths.insert(path)
    {
        item.problem(what, expected);
    }
    let methods = table.list("methods", "methods", true, &METHOD);
    let fields = read_fields(&table.table("fields"));
    let triggers = Triggers {
        viewer_request: read_uses(table, "viewer_request", targets.functions),
        origin_request: read_uses(table, "origin_request", targets.functions),
        origin_response: read_uses(table, "origin_response", targets.functions),
        viewer_response: read_uses(table, "viewer_response", targets.functions),
        viewer_middleware: read_uses(table, "viewer_middleware", targets.functions),
        origin_middleware: read_uses(table, "origin_middleware", targets.functions),
    };
    let ranges = table.maybe("ranges", RANGES);
    let ranges = ranges.unwrap_or_else(|| default_ranges(&triggers));
    let slice = table.or("slice", &SLICE, 1024 * 1024);
    let cache = table.or("cache", &SWITCH, true);
    let key = RouteKey::read(&table.table("key"));
    let compression = table.maybe("compression", SWITCH);
    let policy = Policy::read(&table.table("policy"), targets.policy);
    let target = read_target(table, targets);
    Some(Route {
        path: path?,
        methods,
        fields,
        target: target?,
        triggers,
        cache,
        ranges,
        slice,
        key,
        compression,
        policy,
    })
}

/// A function behind the origin can change content, and few can do so with a part of it: what they
/// leave as it was would be put together to a whole that none of them has seen.
fn default_ranges(triggers: &Triggers) -> Ranges {
    let is_changed = !triggers.origin_response.is_empty() || !triggers.origin_middleware.is_empty();
    match is_changed {
        true => Ranges::Whole,
        false => Ranges::default(),
    }
}

fn read_fields(table: &Table<'_, '_>) -> Vec<FieldMatch> {
    let mut fields = Vec::new();
    for (name, item) in table.entries() {
        if !is_token(&name) {
            item.problem(
                format!("\"{}\" is not a field name", name.escape_debug()),
                format!("expected {}", FIELD_NAME.expected()),
            );
        }
        let condition = match item.value.as_bool() {
            Some(true) => FieldCondition::Present,
            Some(false) => FieldCondition::Absent,
            None if item.value.is_str() => match item.read(&FIELD_VALUE) {
                Some(value) => FieldCondition::Equals(value),
                None => continue,
            },
            None => {
                item.problem(
                    found(item.value),
                    "expected a value, true (the field is there) or false (it is not)",
                );
                continue;
            }
        };
        fields.push(FieldMatch {
            name: name.to_ascii_lowercase(),
            condition,
        });
    }
    fields
}

/// Reads `["auth", { function = "limit", on_failure = "open" }]`.
fn read_uses(table: &Table<'_, '_>, key: &'static str, functions: &Names) -> Vec<FunctionUse> {
    let items = table.items(key, "names of functions", true);
    items
        .iter()
        .filter_map(|item| read_use(item, functions))
        .collect()
}

fn read_use(item: &Item<'_, '_>, functions: &Names) -> Option<FunctionUse> {
    if item.value.is_str() {
        return Some(FunctionUse {
            function: functions.resolve(item)?,
            on_failure: None,
        });
    }
    if !item.value.is_table() {
        item.problem(
            found(item.value),
            "expected a function's name or { function = \"NAME\", on_failure = \"open\" }",
        );
        return None;
    }
    let table = item.table()?;
    let item = table.item("function");
    let name = item.as_ref().and_then(|item| item.value.as_str());
    let shown = name.map(|name| format!("\"{name}\""));
    table.note("function", "the name of a function".to_owned(), None, shown);
    let function = item.map(|item| functions.resolve(&item));
    if function.is_none() {
        table.missing("function", "the name of a function");
    }
    let on_failure = table.maybe("on_failure", ON_FAILURE);
    Some(FunctionUse {
        function: function??,
        on_failure,
    })
}

/// Reads exactly one of `origin`, `function`, `redirect` and `static`.
fn read_target(table: &Table<'_, '_>, targets: &Targets<'_>) -> Option<Target> {
    let resolve = |key, names: &Names| {
        let item = table.item(key);
        let shown = item
            .as_ref()
            .and_then(|item| item.value.as_str())
            .map(|name| format!("\"{name}\""));
        table.note(
            key,
            format!("the name of one {key}"),
            Some("none".to_owned()),
            shown,
        );
        item.map(|item| names.resolve(&item))
    };
    let origin = resolve("origin", targets.origins).map(|name| name.map(Target::Origin));
    let function = resolve("function", targets.functions).map(|name| name.map(Target::Function));
    let redirect = read_redirect(&table.table("redirect")).map(|to| to.map(Target::Redirect));
    let fixed = read_static(&table.table("static")).map(|answer| Some(Target::Static(answer)));
    let mut given: Vec<Option<Target>> = [origin, function, redirect, fixed]
        .into_iter()
        .flatten()
        .collect();
    const EXPECTED: &str = "expected exactly one of `origin`, `function`, `redirect` and `static`";
    match given.len() {
        0 => {
            table.problem("has no target", EXPECTED);
            None
        }
        1 => given.pop().flatten(),
        several => {
            table.problem(format!("has {several} targets"), EXPECTED);
            None
        }
    }
}

const LOCATION: Text = Text {
    what: "a URI such as \"https://shop.example/\", or a path",
    accepts: |text| {
        let is_absolute = text.split_once("://").is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !rest.is_empty()
        });
        text.bytes().all(|byte| byte.is_ascii_graphic()) && (is_absolute || text.starts_with('/'))
    },
};

/// The status of a redirect (RFC 9110 15.4).
struct RedirectStatus;

impl Kind for RedirectStatus {
    type Value = u16;

    fn expected(&self) -> String {
        "301, 302, 303, 307 or 308".to_owned()
    }

    fn read(&self, value: &toml::de::DeValue<'_>) -> Result<u16, String> {
        let status = Count(0..=u16::MAX).read(value)?;
        if [301, 302, 303, 307, 308].contains(&status) {
            Ok(status)
        } else {
            Err(format!("{status} is not a redirect"))
        }
    }

    fn show(&self, value: &u16) -> String {
        value.to_string()
    }
}

fn read_redirect(table: &Table<'_, '_>) -> Option<Option<Redirect>> {
    if !table.is_given() {
        return None;
    }
    let to = table.required("to", &LOCATION);
    let status = table.or("status", &RedirectStatus, 308);
    let keep_path = table.or("keep_path", &Flag, false);
    Some(to.map(|to| Redirect {
        to,
        status,
        keep_path,
    }))
}

const CONTENT_TYPE: Text = Text {
    what: "a media type, such as \"text/html; charset=utf-8\"",
    accepts: |text| text.contains('/') && is_field_value(text),
};

fn read_static(table: &Table<'_, '_>) -> Option<StaticAnswer> {
    if !table.is_given() {
        return None;
    }
    Some(StaticAnswer {
        status: table.or("status", &Count(200..=599), 200),
        body: table.or("body", &ANY_TEXT, String::new()),
        content_type: table.or(
            "content_type",
            &CONTENT_TYPE,
            "text/plain; charset=utf-8".to_owned(),
        ),
    })
}

/// Reads a [`SiteName`].
struct NameOfSite;

impl Kind for NameOfSite {
    type Value = SiteName;

    fn expected(&self) -> String {
        "a host without a port, such as \"shop.example\" or \"*.shop.example\", or \"*\"".to_owned()
    }

    fn read(&self, value: &toml::de::DeValue<'_>) -> Result<SiteName, String> {
        let Some(text) = value.as_str() else {
            return Err(found(value));
        };
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix("*.") {
            _ if lower == "*" => Ok(SiteName::Default),
            Some(suffix) if is_host_name(suffix) => Ok(SiteName::Wildcard(suffix.into())),
            None if lower.contains(':') && !lower.starts_with('[') && is_host(&lower) => {
                Ok(SiteName::Exact(format!("[{lower}]").into()))
            }
            None if is_host(&lower) => Ok(SiteName::Exact(lower.into())),
            _ => Err(format!("\"{}\" is not valid", text.escape_debug())),
        }
    }

    fn show(&self, value: &SiteName) -> String {
        match value {
            SiteName::Exact(name) => format!("\"{name}\""),
            SiteName::Wildcard(suffix) => format!("\"*.{suffix}\""),
            SiteName::Default => "\"*\"".to_owned(),
        }
    }
}
