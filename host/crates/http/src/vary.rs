//! Vary and the variants it selects (RFC 9110 12.5.5, RFC 9111 4.1).
//!
//! Two requests select the same variant if the fields that the stored response
//! varies by are the same in a normal form, which changes nothing that could
//! mean anything (RFC 9111 4.1):
//! - lines are joined, whitespace around them and in lists that are known to be
//!   such is left out;
//! - of Accept-Encoding and Accept-Language the case of names, the spelling of
//!   weights and the order of members of different weight do not matter; the
//!   order of members of one weight does not matter in Accept-Encoding, and
//!   does in Accept-Language (RFC 9110 12.5.4). One that is malformed is
//!   compared as it is.
//!
//! An absent field differs from an empty one.

use std::cmp::Ordering;
use std::fmt;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, VARY};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::syntax::{field_members, is_token, list_members, trim_ows};

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
        if let Some(order) = Order::of(name)
            && let Some(members) = weighted_members(request, name, order)
        {
            for member in &members {
                sink(separator);
                member.feed(sink);
                separator = b",";
            }
        } else if is_list(name) {
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

/// What the order of list members of the same weight means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nothing (RFC 9110 12.5.3).
    Meaningless,
    /// A preference, to some recipients (RFC 9110 12.5.4).
    Preference,
}

impl Order {
    /// Of the fields whose members are compared by what they mean.
    fn of(name: &HeaderName) -> Option<Self> {
        match *name {
            ACCEPT_ENCODING => Some(Self::Meaningless),
            ACCEPT_LANGUAGE => Some(Self::Preference),
            _ => None,
        }
    }
}

/// Most members that are put in order; a longer list is compared as it is.
const WEIGHTED_MAX: usize = 16;

/// A list member with its weight in thousandths (RFC 9110 12.4.2).
#[derive(Clone, Copy)]
struct Weighted<'a> {
    value: &'a [u8],
    weight: u16,
}

/// The members of a field in normal form, the greatest weight first; `None` if
/// any is malformed, or if there are too many.
fn weighted_members<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
    order: Order,
) -> Option<SmallVec<[Weighted<'a>; WEIGHTED_MAX]>> {
    let mut members = SmallVec::new();
    for member in field_members(request, name) {
        if members.len() == WEIGHTED_MAX {
            return None;
        }
        let member = Weighted::read(member)?;
        // Which of two weights of one name counts is nowhere said.
        if members
            .iter()
            .any(|known: &Weighted<'_>| known.contradicts(&member))
        {
            return None;
        }
        members.push(member);
    }
    // Stable: equal members keep the order that they came in.
    members.sort_by(|a: &Weighted<'_>, b| {
        b.weight.cmp(&a.weight).then_with(|| match order {
            Order::Meaningless => compare_words(a.value, b.value),
            Order::Preference => Ordering::Equal,
        })
    });
    members.dedup_by(|later: &mut Weighted<'_>, earlier: &mut Weighted<'_>| {
        later.weight == earlier.weight && later.value.eq_ignore_ascii_case(earlier.value)
    });
    Some(members)
}

fn compare_words(a: &[u8], b: &[u8]) -> Ordering {
    let lower = |word: &[u8]| word.iter().map(u8::to_ascii_lowercase).collect::<Word>();
    lower(a).cmp(&lower(b))
}

/// A coding or a language range in lower case; seldom longer than this.
type Word = SmallVec<[u8; 32]>;

impl<'a> Weighted<'a> {
    /// `gzip`, `gzip;q=0.5`, `*;q=0`: a coding or a language range, and at most
    /// a weight.
    fn read(member: &'a [u8]) -> Option<Self> {
        let (value, weight) = match memchr::memchr(b';', member) {
            None => (member, 1000),
            Some(at) => {
                let (value, rest) = member.split_at_checked(at)?;
                (trim_ows(value), weight(trim_ows(rest.get(1..)?))?)
            }
        };
        is_token(value).then_some(Self { value, weight })
    }

    fn contradicts(&self, other: &Self) -> bool {
        self.weight != other.weight && self.value.eq_ignore_ascii_case(other.value)
    }

    fn feed(&self, sink: &mut impl FnMut(&[u8])) {
        let lower: Word = self.value.iter().map(u8::to_ascii_lowercase).collect();
        sink(&lower);
        if self.weight < 1000 {
            let digit = |place: u16| b'0' + u8::try_from(self.weight / place % 10).unwrap_or(0);
            sink(&[
                b';',
                b'q',
                b'=',
                b'0',
                b'.',
                digit(100),
                digit(10),
                digit(1),
            ]);
        }
    }
}

/// `q=0.5` in thousandths (RFC 9110 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole, fraction @ ..] = parameter else {
        return None;
    };
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = match digits.get(place) {
            Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
            Some(_) => return None,
            None => 0,
        };
        thousandths = thousandths * 10 + digit;
    }
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
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
            ("accept-encoding", vec!["gzip, br"], vec!["br, gzip"], same),
            ("accept-encoding", vec!["gzip"], vec!["GZIP"], same),
            ("accept-encoding", vec!["gzip"], vec!["gzip;q=1"], same),
            (
                "accept-encoding",
                vec!["gzip"],
                vec!["gzip ; Q=1.000"],
                same,
            ),
            ("accept-encoding", vec!["gzip, gzip"], vec!["gzip"], same),
            ("accept-encoding", vec!["br;q=.5"], vec!["br;q=0.5"], !same),
            ("accept-encoding", vec!["br;q=0.5"], vec!["br;q=0.50"], same),
            (
                "accept-encoding",
                vec!["br;q=0.5, gzip"],
                vec!["gzip, br;q=0.5"],
                same,
            ),
            ("accept-encoding", vec!["br;q=0.5"], vec!["br"], !same),
            ("accept-encoding", vec!["br;q=0"], vec!["br;q=0.001"], !same),
            ("accept-encoding", vec!["gzip, br;q=0"], vec!["gzip"], !same),
            ("accept-encoding", vec!["gzip;q=2"], vec!["gzip"], !same),
            ("accept-encoding", vec!["gzip;x=1"], vec!["gzip"], !same),
            (
                "accept-encoding",
                vec!["br, br;q=0"],
                vec!["br;q=0, br"],
                !same,
            ),
            ("accept-encoding", vec!["x-gzip"], vec!["gzip"], !same),
            ("accept-encoding", vec!["*"], vec!["gzip"], !same),
            ("accept-language", vec!["EN-us, de"], vec!["en-US,de"], same),
            ("accept-language", vec!["en, de"], vec!["de, en"], !same),
            (
                "accept-language",
                vec!["en;q=0.5, de"],
                vec!["de, en;q=0.5"],
                same,
            ),
            (
                "accept-language",
                vec!["en", "de;q=0.7"],
                vec!["en, de; q=0.70"],
                same,
            ),
            ("accept-language", vec!["en_US"], vec!["en-US"], !same),
            ("accept-language", vec![""], vec![], !same),
            ("cookie", vec!["a=1; b=2"], vec!["b=2; a=1"], !same),
            ("user-agent", vec!["A"], vec!["a"], !same),
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

    fn weighted_list() -> impl Strategy<Value = String> {
        let weight = prop_oneof![
            Just(""),
            Just(";q=1"),
            Just(";q=0.5"),
            Just(";q=0.50"),
            Just(";q=0"),
            Just(";x")
        ];
        let member = (
            prop_oneof![Just("a"), Just("B"), Just("b"), Just("*")],
            weight,
        );
        let member = member.prop_map(|(name, weight)| format!("{name}{weight}"));
        proptest::collection::vec(member, 0..4).prop_map(|members| members.join(","))
    }

    /// What a recipient can make of a list: what it prefers over what, in words of its own.
    fn meaning(list: &str, name: &str) -> Option<Vec<(u32, Vec<String>)>> {
        let mut by_weight = std::collections::BTreeMap::<u32, Vec<String>>::new();
        for member in list.split(',').filter(|member| !member.is_empty()) {
            let (value, weight) = match member.split_once(";q=") {
                Some((value, weight)) => (value, weight.parse::<f32>().ok()?),
                None if member.contains(';') => return None,
                None => (member, 1.0),
            };
            let values = by_weight.entry((weight * 1000.0) as u32).or_default();
            if name == "accept-encoding" || values.last() != Some(&value.to_lowercase()) {
                values.push(value.to_lowercase());
            }
        }
        if name == "accept-encoding" {
            for values in by_weight.values_mut() {
                values.sort();
                values.dedup();
            }
        }
        // Nobody knows what two weights of one name mean.
        let mut weights = std::collections::BTreeMap::new();
        for (weight, values) in &by_weight {
            for value in values {
                if *weights.entry(value).or_insert(weight) != weight {
                    return None;
                }
            }
        }
        Some(by_weight.into_iter().collect())
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
        fn one_key_means_one_meaning(a in weighted_list(), b in weighted_list(),
                                     name in prop_oneof![Just("accept-encoding"), Just("accept-language")]) {
            let vary = vary(&[name]);
            let key = |list: &str| vary.variant_key(&fields(&[(name, list)]));
            if key(&a) == key(&b) {
                prop_assert_eq!(meaning(&a, name), meaning(&b, name), "{} / {}", a, b);
            }
        }

        #[test]
        fn spelling_does_not_matter(list in weighted_list(), name in
                                    prop_oneof![Just("accept-encoding"), Just("accept-language")]) {
            let vary = vary(&[name]);
            let key = |list: &str| vary.variant_key(&fields(&[(name, list)]));
            let other = list.to_ascii_uppercase().replace(',', " ,\t").replace(';', " ;  ");
            // Members that are malformed are compared as they are.
            if meaning(&list, name).is_some() {
                prop_assert_eq!(key(&list), key(&other));
            }
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
