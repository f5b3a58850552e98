//! The cookies of a request (RFC 6265 4.2), reduced to those that count.
//!
//! Pairs are what stands between semicolons; what is kept is kept byte for byte.

use http::HeaderMap;
use http::header::COOKIE;
use verge_http::syntax::trim_ows;

/// All pairs of all Cookie lines, in order.
fn pairs(request: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    request
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(trim_ows)
        .filter(|pair| !pair.is_empty())
}

/// The name of a pair; a pair without `=` has none.
fn name_of(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=');
    trim_ows(end.and_then(|end| pair.get(..end)).unwrap_or_default())
}

fn is_named(names: &[String], pair: &[u8]) -> bool {
    let own = name_of(pair);
    names.iter().any(|name| name.as_bytes() == own)
}

/// Whether there is a cookie named `name`, whatever its value.
pub(in crate::policy) fn is_sent(name: &str, request: &HeaderMap) -> bool {
    let mut pairs = pairs(request).filter(|pair| pair.contains(&b'='));
    pairs.any(|pair| name_of(pair) == name.as_bytes())
}

/// The pairs of cookies named `name`; `None` if there is none. Semicolons, which cannot stand
/// in a pair, keep several apart.
pub(super) fn value(name: &str, request: &HeaderMap) -> Option<Vec<u8>> {
    let mut value: Option<Vec<u8>> = None;
    for pair in pairs(request).filter(|pair| name_of(pair) == name.as_bytes()) {
        let value = value.get_or_insert_default();
        value.extend_from_slice(pair);
        value.push(b';');
    }
    value
}

/// The pairs of the cookies with these names as one Cookie field, which may be empty; `None` if
/// there are no others.
pub(super) fn kept(names: &[String], request: &HeaderMap) -> Option<Vec<u8>> {
    if pairs(request).all(|pair| is_named(names, pair)) {
        return None;
    }
    let mut kept = Vec::new();
    for pair in pairs(request).filter(|pair| is_named(names, pair)) {
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    Some(kept)
}

/// The names of all other cookies, as far as they are text.
pub(super) fn others<'r>(names: &[String], request: &'r HeaderMap) -> Vec<&'r str> {
    pairs(request)
        .filter(|pair| !is_named(names, pair))
        .filter_map(|pair| std::str::from_utf8(name_of(pair)).ok())
        .collect()
}
