//! Path patterns of routes, checked with the router that will serve them.

use crate::kinds::Text;

/// What a path pattern is made of; braces are looked at by [`RoutePaths`].
pub(crate) const PATH: Text = Text {
    what: "a path pattern, such as \"/\", \"/items/{id}\" or \"/api/{*rest}\"",
    accepts: |text| {
        text.starts_with('/')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
    },
};

/// The pattern for an empty rest: `/api/` of `/api/{*rest}`; none without a rest.
pub(crate) fn empty_rest(pattern: &str) -> Option<&str> {
    let inner = pattern.strip_suffix('}')?;
    let (before, name) = inner.rsplit_once("{*")?;
    // `{{` is an escaped brace: after an odd number of braces there is no parameter.
    let braces = before.len() - before.trim_end_matches('{').len();
    (braces.is_multiple_of(2) && !name.contains(['{', '}', '/'])).then_some(before)
}

/// The paths of one site's routes so far. Several routes may have the same path.
#[derive(Default)]
pub(crate) struct RoutePaths {
    router: matchit::Router<()>,
    known: Vec<String>,
}

impl RoutePaths {
    /// Adds a path, or says what is wrong with it and what would be right.
    pub(crate) fn insert(&mut self, path: &str) -> Result<(), (String, String)> {
        if self.known.iter().any(|known| known == path) {
            return Ok(());
        }
        let wrong =
            |what: &str, expected: &str| Err((what.to_owned(), format!("expected {expected}")));
        match self.router.insert(path, ()) {
            Ok(()) => {
                self.known.push(path.to_owned());
                Ok(())
            }
            Err(matchit::InsertError::Conflict { with }) => Err((
                format!("\"{path}\" is ambiguous beside \"{with}\""),
                "expected the same pattern, or one that differs in a fixed part".to_owned(),
            )),
            Err(matchit::InsertError::InvalidParamSegment) => wrong(
                "has a segment with more than one parameter",
                "at most one {name} between two slashes",
            ),
            Err(matchit::InsertError::InvalidParam) => wrong(
                "has a parameter without a name or a brace without its pair",
                "{name}, {*name}, or {{ and }} for braces",
            ),
            Err(matchit::InsertError::InvalidCatchAll) => wrong(
                "has a {*name} that is not at its end",
                "{*name} as the last part",
            ),
            Err(other) => Err((other.to_string(), PATH.what.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_may_be_empty() {
        for (pattern, expected) in [
            ("/{*rest}", Some("/")),
            ("/api/{*rest}", Some("/api/")),
            ("/u/{id}/{*rest}", Some("/u/{id}/")),
            ("/api/v{*rest}", Some("/api/v")),
            ("/api/{{{*rest}", Some("/api/{{")),
            ("/api/{rest}", None),
            ("/api/", None),
            ("/api/{{*x}}", None),
        ] {
            assert_eq!(empty_rest(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn paths_are_checked_as_the_router_does() {
        let mut paths = RoutePaths::default();
        for good in [
            "/",
            "/api/{*rest}",
            "/api/",
            "/x/{id}",
            "/x/{id}",
            "/x/fixed",
            "/img-{name}.png",
        ] {
            assert_eq!(paths.insert(good), Ok(()), "{good}");
        }
        for bad in ["/x/{other}", "/y/{a}{b}", "/y/{", "/y/{}", "/y/{*a}/b"] {
            assert!(paths.insert(bad).is_err(), "{bad}");
        }
    }
}
