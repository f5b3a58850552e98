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
