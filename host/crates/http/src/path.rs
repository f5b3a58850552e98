//! The normal form of paths (RFC 3986 6.2.2): one for routes, for keys and for the URIs that
//! responses name.

use http::uri::PathAndQuery;

/// The target with its path in normal form, so that one resource has one path for routes, for the
/// cache and for the origin (RFC 3986 6.2.2). Needlessly encoded characters are decoded; what cannot
/// be one resource's one name, a dot segment in whatever spelling, is `None`: an origin that resolves
/// it would serve another path than the one whose route was taken.
#[must_use]
pub fn normal(target: &PathAndQuery) -> Option<PathAndQuery> {
    let path = target.path();
    let decoded = path.contains('%').then(|| decode_unreserved(path));
    let normal = decoded.as_deref().unwrap_or(path);
    if normal
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return None;
    }
    if normal == path {
        return Some(target.clone());
    }
    let text = match target.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.to_owned(),
    };
    PathAndQuery::try_from(text).ok()
}

/// `path` with percent-encoded unreserved characters decoded (RFC 3986 2.3, 6.2.2.2) and the
/// digits of other encodings in upper case (6.2.2.1).
#[must_use]
pub fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        decoded.push_str(before);
        let digits = encoded
            .get(1..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, digits) {
            (Some(byte), _) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
            }
            (Some(_), Some(digits)) => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
            _ => {
                // Not an encoding: it stands for itself.
                decoded.push('%');
                rest = encoded.get(1..).unwrap_or_default();
                continue;
            }
        }
        rest = encoded.get(3..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_needless_encodings_are_decoded_rfc_3986_6_2_2() {
        for (path, expected) in [
            ("/a", "/a"),
            ("/%61%7eb%2D", "/a~b-"),
            ("/%2f%3f%c3%a9", "/%2F%3F%C3%A9"),
            ("/%2e%2E/", "/../"),
            ("/%2561", "/%2561"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%61", "/%zza"),
            ("/%\u{e9}1", "/%\u{e9}1"),
        ] {
            assert_eq!(decode_unreserved(path), expected, "{path}");
        }
    }
}
