//! Vary and the variants it selects (RFC 9110 12.5.5, RFC 9111 4.1).
//!
//! Two requests select the same variant if the fields that the stored response
//! varies by are the same after lines are joined and, in lists that are known
//! to be such, whitespace is normalised. An absent field differs from an empty
//! one.

use std::fmt;

use http::header::{COOKIE, VARY};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::syntax::{field_members, list_members, trim_ows};

/// Most fields that a response may vary by; with more it counts as `*`.
pub const VARY_FIELDS_MAX: usize = 32;

/// What a response varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Things that no request shows (`*`): it is never reused without
    /// validation (RFC 9111 4.1).
    Any,
    /// These fields, sorted and each once; none if it does not vary.
    Fields(SmallVec<[HeaderName; 4]>),
}

/// The values that a request has for the fields of a [`Vary`], in normal form.
/// It may hold secrets (cookies), so `Debug` shows only its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VariantKey(Box<[u8]>);

/// Stands before the value of a field that is present.
const PRESENT: u8 = 1;
/// Stands in place of the value of a field that is absent.
const ABSENT: u8 = 0;
/// Ends a name and a value; no field value can hold it.
const END: u8 = 0;

impl Vary {
    /// From all Vary lines of a response. What is not a list of field names
    /// counts as `*`.
    #[must_use]
    pub fn parse(response: &HeaderMap) -> Self {
        let mut names = SmallVec::new();
        for member in field_members(response, &VARY) {
            if member == b"*" || names.len() == VARY_FIELDS_MAX {
                return Self::Any;
            }
            match HeaderName::from_bytes(member) {
                Ok(name) => names.push(name),
                Err(_) => return Self::Any,
            }
        }
        Self::sorted(names)
    }

    /// By the fields of these names.
    #[must_use]
    pub fn of_names(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self::sorted(names.into_iter().collect())
    }

    fn sorted(mut names: SmallVec<[HeaderName; 4]>) -> Self {
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self::Fields(names)
    }

    /// Whether the response is the same for all requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Fields(names) => names.is_empty(),
        }
    }

    /// The fields; none for [`Vary::Any`].
    #[must_use]
    pub fn names(&self) -> &[HeaderName] {
        match self {
            Self::Any => &[],
            Self::Fields(names) => names,
        }
    }

    /// The key of the variant that `request` selects; None for [`Vary::Any`].
    #[must_use]
    pub fn variant_key(&self, request: &HeaderMap) -> Option<VariantKey> {
        match self {
            Self::Any => None,
            Self::Fields(names) => {
                let mut key = Vec::new();
                feed(names, request, &mut |piece| key.extend_from_slice(piece));
                Some(VariantKey(key.into_boxed_slice()))
            }
        }
    }

    /// Whether `request` selects the variant `key`; allocates nothing.
    #[must_use]
    pub fn selects(&self, key: &VariantKey, request: &HeaderMap) -> bool {
        match self {
            Self::Any => false,
            Self::Fields(names) => {
                let mut rest = Some(&*key.0);
                feed(names, request, &mut |piece| {
                    rest = rest.and_then(|rest| rest.strip_prefix(piece));
                });
                rest.is_some_and(<[u8]>::is_empty)
            }
        }
    }
}

impl VariantKey {
    /// A key that [`VariantKey::as_bytes`] gave; any other bytes are a key that no request has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The normal form: unambiguous, and equal for requests that select the
    /// same variant.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VariantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VariantKey({} bytes)", self.0.len())
    }
}

/// Gives `sink` the normal form of a request's fields, piece by piece.
fn feed(names: &[HeaderName], request: &HeaderMap, sink: &mut impl FnMut(&[u8])) {
    for name in names {
        sink(name.as_str().as_bytes());
        sink(&[END]);
        let lines = request.get_all(name);
        if !request.contains_key(name) {
            sink(&[ABSENT]);
            continue;
        }
        sink(&[PRESENT]);
        let mut separator: &[u8] = b"";
        if is_list(name) {
            let members = lines.iter().flat_map(|line| list_members(line.as_bytes()));
            for member in members {
                sink(separator);
                sink(member);
                separator = b",";
            }
        } else {
            for line in lines {
                sink(separator);
                sink(trim_ows(line.as_bytes()));
                // What lines are joined by: RFC 9113 8.2.3 and RFC 9110 5.3.
                separator = if name == COOKIE { b"; " } else { b", " };
            }
        }
        sink(&[END]);
    }
}

/// Whether the field is known to be a list, where whitespace around commas and
/// empty members mean nothing (RFC 9111 4.1). Case and order are kept.
fn is_list(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept"
            | "accept-charset"
            | "accept-encoding"
            | "accept-language"
            | "access-control-request-headers"
            | "cache-control"
            | "prefer"
            | "sec-ch-ua"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn vary(lines: &[&str]) -> Vary {
        let lines: Vec<_> = lines.iter().map(|value| ("vary", *value)).collect();
        Vary::parse(&fields(&lines))
    }

    #[test]
    fn vary_is_a_sorted_set_of_names() {
        let names = |lines: &[&str]| match vary(lines) {
            Vary::Any => vec!["*".to_owned()],
            Vary::Fields(names) => names.iter().map(|n| n.as_str().to_owned()).collect(),
        };
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&["", " ,"]), [""; 0]);
        assert_eq!(names(&["Cookie, accept", "ACCEPT"]), ["accept", "cookie"]);
        assert_eq!(names(&["*"]), ["*"]);
        assert_eq!(names(&["accept", "x, *"]), ["*"]);
        assert_eq!(names(&["not a name"]), ["*"]);
        assert_eq!(names(&["\"accept\""]), ["*"]);
        let many: Vec<_> = (0..=VARY_FIELDS_MAX).map(|n| format!("f{n}")).collect();
        assert_eq!(names(&[&many.join(",")]), ["*"]);
    }

    #[test]
    fn requests_select_by_normal_form() {
        let same = true;
        for (name, stored, presented, expected) in [
            ("accept-encoding", vec!["gzip, br"], vec!["gzip,br"], same),
            (
                "accept-encoding",
                vec!["gzip, br"],
                vec!["gzip", "br"],
                same,
            ),
            ("accept-encoding", vec!["gzip, br"], vec!["br, gzip"], !same),
            ("accept-encoding", vec!["gzip"], vec!["GZIP"], !same),
            ("accept-encoding", vec![""], vec![], !same),
            ("accept", vec!["a;b=\"x, y\""], vec!["a;b=\"x,y\""], !same),
            ("user-agent", vec!["a (b, c)"], vec!["a (b,c)"], !same),
            ("user-agent", vec![], vec![], same),
            ("x", vec!["a", "b"], vec!["a, b"], same),
            ("cookie", vec!["a=1", "b=2"], vec!["a=1; b=2"], same),
            ("x", vec!["ab"], vec!["a", "b"], !same),
        ] {
            let lines = |values: &[&'static str]| {
                fields(&values.iter().map(|v| (name, *v)).collect::<Vec<_>>())
            };
            let vary = vary(&[name]);
            let (stored, presented) = (lines(&stored), lines(&presented));
            let key = vary.variant_key(&stored).expect("not any");
            assert_eq!(
                vary.selects(&key, &presented),
                expected,
                "{name} {presented:?}"
            );
            assert!(vary.selects(&key, &stored));
            assert_eq!(vary.variant_key(&presented) == Some(key), expected);
        }
    }

    #[test]
    fn any_selects_nothing_and_none_selects_all() {
        let request = fields(&[("a", "1")]);
        let none = vary(&[]);
        let key = none.variant_key(&request).expect("not any");
        assert!(none.is_empty() && none.selects(&key, &fields(&[("a", "2")])));
        assert!(!Vary::Any.is_empty() && !Vary::Any.selects(&key, &request));
        assert_eq!(Vary::Any.variant_key(&request), None);
    }

    #[test]
    fn keys_of_different_vary_differ() {
        let request = fields(&[]);
        let a = vary(&["a"]).variant_key(&request).expect("not any");
        assert!(!vary(&["b"]).selects(&a, &request));
        assert!(!vary(&["a, b"]).selects(&a, &request));
        assert!(!vary(&[]).selects(&a, &request));
    }

    #[test]
    fn debug_shows_no_values() {
        let key = vary(&["cookie"]).variant_key(&fields(&[("cookie", "s=secret")]));
        assert!(!format!("{key:?}").contains("secret"));
    }

    fn lines() -> impl Strategy<Value = Vec<(&'static str, String)>> {
        let name = prop_oneof![Just("accept"), Just("cookie"), Just("x")];
        proptest::collection::vec((name, "[a-b,\" ]{0,6}"), 0..5)
    }

    fn as_fields(lines: &[(&'static str, String)]) -> HeaderMap {
        let lines: Vec<_> = lines.iter().map(|(n, v)| (*n, v.as_str())).collect();
        fields(&lines)
    }

    proptest! {
        #[test]
        fn any_vary_is_survived_and_stable(value in "[ -~]{0,40}") {
            let first = vary(&[&value]);
            let again = Vary::of_names(first.names().to_vec());
            match first {
                Vary::Any => prop_assert!(again.is_empty()),
                Vary::Fields(_) => prop_assert_eq!(first, again),
            }
        }

        #[test]
        fn selecting_is_having_the_same_key(a in lines(), b in lines()) {
            let (a, b) = (as_fields(&a), as_fields(&b));
            let vary = vary(&["accept, cookie, x"]);
            let (key_a, key_b) = (vary.variant_key(&a), vary.variant_key(&b));
            let key = key_a.clone().expect("not any");
            prop_assert!(vary.selects(&key, &a));
            prop_assert_eq!(vary.selects(&key, &b), key_a == key_b);
        }

        #[test]
        fn the_order_of_names_does_not_matter(request in lines()) {
            let request = as_fields(&request);
            let one = vary(&["x, accept", "cookie"]).variant_key(&request);
            let other = vary(&["cookie, x, accept"]).variant_key(&request);
            prop_assert_eq!(one, other);
        }
    }
}
