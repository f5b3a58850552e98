//! Requests and states that meet each other, and the origin that knows the states.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use parking_lot::Mutex;
use verge_http::range::{RangeSelection, content_range, content_range_unsatisfied, select_ranges};

use crate::origin::{OriginResponse, respond};
use crate::{Origin, Recorded};

/// A request as a client sends it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub method: &'static str,
    pub fields: &'static [(&'static str, &'static str)],
}

const fn get(fields: &'static [(&'static str, &'static str)]) -> Asked {
    Asked {
        method: "GET",
        fields,
    }
}

const fn head(fields: &'static [(&'static str, &'static str)]) -> Asked {
    Asked {
        method: "HEAD",
        fields,
    }
}

const CC: &str = "cache-control";

/// The entity tag of what a node coded itself.
const CODED: &str = "\"a-gzip\"";

/// Every sort of request that the cache tells apart. Content is ten bytes, `"a"` its entity tag.
pub const REQUESTS: &[Asked] = &[
    get(&[]),
    get(&[(CC, "only-if-cached")]),
    get(&[(CC, "max-age=0")]),
    get(&[(CC, "max-age=30")]),
    get(&[(CC, "min-fresh=30")]),
    get(&[(CC, "min-fresh=6000")]),
    get(&[(CC, "max-stale")]),
    get(&[(CC, "max-stale=5")]),
    get(&[(CC, "max-stale, max-age=5")]),
    get(&[(CC, "no-cache")]),
    get(&[("pragma", "no-cache")]),
    get(&[(CC, "no-store")]),
    get(&[(CC, "no-store, max-stale")]),
    get(&[(CC, "only-if-cached, max-stale")]),
    get(&[(CC, "only-if-cached, no-cache")]),
    get(&[(CC, "only-if-cached, no-store")]),
    get(&[("range", "bytes=0-3")]),
    get(&[("range", "bytes=2-6")]),
    get(&[("range", "bytes=0-")]),
    get(&[("range", "bytes=-3")]),
    get(&[("range", "bytes=0-1, 4-5")]),
    get(&[("range", "bytes=4-5, 0-1")]),
    get(&[("range", "bytes=4-5, 0-1"), (CC, "max-stale")]),
    get(&[("range", "bytes=4-5, 0-1"), (CC, "only-if-cached")]),
    get(&[("range", "bytes=0-1, 4-5"), (CC, "max-stale")]),
    get(&[("range", "bytes=99-")]),
    get(&[("range", "bytes=0-3"), ("if-range", "\"a\"")]),
    get(&[("range", "bytes=0-3"), ("if-range", "\"z\"")]),
    get(&[("range", "bytes=0-3"), (CC, "only-if-cached")]),
    get(&[("range", "bytes=2-6"), (CC, "only-if-cached")]),
    get(&[("range", "bytes=0-3"), (CC, "no-cache")]),
    get(&[("range", "bytes=0-3"), (CC, "max-stale")]),
    get(&[("range", "bytes=0-3"), (CC, "no-store")]),
    get(&[("if-none-match", "\"a\"")]),
    get(&[("if-none-match", "\"z\"")]),
    get(&[("if-none-match", "\"a\""), (CC, "only-if-cached")]),
    get(&[("accept-encoding", "gzip")]),
    get(&[("accept-encoding", "gzip"), ("if-none-match", "\"a\"")]),
    get(&[("accept-encoding", "gzip"), ("if-none-match", CODED)]),
    get(&[("if-modified-since", "Sat, 01 Jan 2050 00:00:00 GMT")]),
    get(&[("if-match", "\"a\"")]),
    get(&[("if-match", "\"z\"")]),
    get(&[("if-match", "\"a\""), (CC, "only-if-cached")]),
    get(&[("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT")]),
    get(&[("authorization", "Basic eDp5")]),
    get(&[("authorization", "Basic eDp5"), (CC, "only-if-cached")]),
    get(&[("accept-language", "de")]),
    get(&[("accept-language", "de"), (CC, "only-if-cached")]),
    get(&[("cookie", "session=1")]),
    get(&[("x-preview", "1")]),
    get(&[("x-preview", "1"), (CC, "only-if-cached")]),
    head(&[]),
    head(&[(CC, "only-if-cached")]),
    head(&[(CC, "no-cache")]),
    head(&[(CC, "no-store")]),
    head(&[(CC, "max-stale")]),
    head(&[(CC, "only-if-cached, max-stale")]),
    head(&[(CC, "max-age=0")]),
    head(&[("range", "bytes=0-3")]),
    head(&[("if-none-match", "\"a\"")]),
    head(&[("if-match", "\"a\"")]),
    head(&[("accept-encoding", "gzip"), ("if-none-match", CODED)]),
    head(&[("accept-encoding", "gzip"), ("if-none-match", "\"a\"")]),
    head(&[("accept-language", "de")]),
    Asked {
        method: "POST",
        fields: &[],
    },
    Asked {
        method: "OPTIONS",
        fields: &[],
    },
    Asked {
        method: "POST",
        fields: &[(CC, "only-if-cached")],
    },
];

const CONTENT: &str = "0123456789";

/// States by the first segment of the path: what the origin says there. Tests that bring a state
/// about in another way than by one request say how.
pub const STATES: &[(&str, &[(&str, &str)])] = &[
    (
        "none",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "fresh",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    ("bare", &[("cache-control", "max-age=600")]),
    (
        "aged",
        &[
            ("cache-control", "max-age=600"),
            ("age", "60"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "stale",
        &[
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "stale-bare",
        &[("cache-control", "max-age=60"), ("age", "70")],
    ),
    (
        "revalidate",
        &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "if-error",
        &[
            ("cache-control", "max-age=60, stale-if-error=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "must",
        &[
            ("cache-control", "max-age=60, must-revalidate"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "no-cache",
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
    ),
    (
        "immutable",
        &[
            ("cache-control", "max-age=600, immutable"),
            ("age", "60"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "varies",
        &[
            ("cache-control", "max-age=600"),
            ("vary", "accept-language"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "public",
        &[("cache-control", "public, max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "private",
        &[("cache-control", "private"), ("etag", "\"a\"")],
    ),
    (
        "soft",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "soft-window",
        &[
            ("cache-control", "max-age=600, stale-while-revalidate=600"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "hard",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "pieces",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "superseded",
        &[
            ("cache-control", "max-age=60, stale-if-error=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "large-first",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "large-two",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "large-window",
        &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-window-two",
        &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-window-first",
        &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-stale",
        &[
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-whole",
        &[("cache-control", "max-age=600"), ("etag", "\"a\"")],
    ),
    (
        "large-whole-stale",
        &[
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-whole-window",
        &[
            ("cache-control", "max-age=60, stale-while-revalidate=600"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
    (
        "large-text",
        &[
            ("cache-control", "max-age=600"),
            ("etag", "\"a\""),
            ("content-type", "text/plain"),
        ],
    ),
    (
        "stale-pieces",
        &[
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ],
    ),
];

/// What is stored as `superseded` becomes, with the same Date, once it was asked for again.
const RENEWED: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];

/// What a server answers that knows validators and ranges, but none of `large-whole`.
fn answer(request: &Recorded, fields: &[(&str, &str)]) -> OriginResponse {
    let content = match state(request.path()).starts_with("large") {
        true => CONTENT.repeat(20_000),
        false => CONTENT.to_owned(),
    };
    let total = content.len() as u64;
    let is_current = |name: &str| request.field(name) == Some("\"a\"");
    let has_tag = fields.contains(&("etag", "\"a\""));
    if request.field("if-match").is_some() && !is_current("if-match") {
        return respond(412, &[], "");
    }
    if has_tag && is_current("if-none-match") {
        return respond(304, fields, "");
    }
    let allowed = request.field("if-range").is_none_or(|tag| tag == "\"a\"");
    let allowed = allowed && !state(request.path()).starts_with("large-whole");
    match select_ranges(&Method::GET, &request.fields, allowed, total) {
        RangeSelection::Single(part) => {
            let range = content_range(part, total);
            let mut fields = fields.to_vec();
            fields.push(("content-range", range.to_str().unwrap()));
            let part = &content[part.first as usize..=part.last as usize];
            respond(206, &fields, part.to_owned())
        }
        RangeSelection::Unsatisfiable => {
            let range = content_range_unsatisfied(total);
            respond(416, &[("content-range", range.to_str().unwrap())], "")
        }
        RangeSelection::Whole(_) | RangeSelection::Multiple(_) => respond(200, fields, content),
    }
}

/// An origin that knows the states.
pub async fn origin() -> Origin {
    let date = verge_http::date::fmt(SystemTime::now());
    let renewed = Arc::new(Mutex::new(HashSet::new()));
    Origin::start(move |request| {
        let date = date.clone();
        let state = state(request.path());
        let fields = STATES.iter().find(|(name, _)| *name == state);
        let is_superseded = state == "superseded";
        let fields = match fields {
            _ if is_superseded && !renewed.lock().insert(request.path().to_owned()) => RENEWED,
            Some((_, fields)) => fields,
            None => &[],
        };
        async move {
            let mut fields = fields.to_vec();
            if is_superseded {
                fields.push(("date", date.to_str().unwrap()));
            }
            answer(&request, &fields)
        }
    })
    .await
}

/// Every request under a path of its own in every state.
pub fn pairs(states: &[&str]) -> Vec<(String, Asked)> {
    let mut pairs = Vec::new();
    for state in states {
        for (number, asked) in REQUESTS.iter().enumerate() {
            pairs.push((format!("/{state}/{number}"), *asked));
        }
    }
    pairs
}

/// The state that a path is in.
pub fn state(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// All states of content that is small.
pub fn all_states() -> Vec<&'static str> {
    let states = STATES.iter().map(|(state, _)| *state);
    states.filter(|state| !state.starts_with("large")).collect()
}
