use proptest::prelude::*;

use super::*;

fn target<'a>(path: &'a str, query: Option<&'a str>) -> Target<'a> {
    Target {
        scheme: Scheme::Https,
        authority: "shop.example",
        path,
        query,
    }
}

fn part<'a>(name: &'a str, value: &'a str) -> KeyPart<'a> {
    KeyPart {
        name,
        value: value.as_bytes(),
    }
}

#[test]
fn absent_and_empty_query_are_different_keys() {
    let hasher = KeyHasher::new();
    let absent = Key::new(&hasher, target("/a", None), &[]);
    let empty = Key::new(&hasher, target("/a", Some("")), &[]);
    assert_ne!(absent, empty);
    assert_eq!(absent.to_string(), "https://shop.example/a");
    assert_eq!(empty.to_string(), "https://shop.example/a?");
}

#[test]
fn order_of_declared_parts_does_not_matter() {
    let hasher = KeyHasher::new();
    let (a, b) = (part("group", "a"), part("plan", "gold"));
    let one = Key::new(&hasher, target("/", None), &[a, b]);
    let other = Key::new(&hasher, target("/", None), &[b, a]);
    assert_eq!(one, other);
    assert_eq!(one.hash_value(), other.hash_value());
}

#[test]
fn keys_with_parts_share_the_hash_of_their_uri() {
    let hasher = KeyHasher::new();
    let plain = Key::new(&hasher, target("/", Some("q")), &[]);
    let parted = Key::new(&hasher, target("/", Some("q")), &[part("user", "7")]);
    assert_ne!(plain, parted);
    assert_eq!(plain.uri_hash(), parted.uri_hash());
    assert!(parted.has_parts() && !plain.has_parts());
}

#[test]
fn digests_are_the_same_in_every_process() {
    let (one, other) = (KeyHasher::new(), KeyHasher::new());
    let parts = [part("user", "7")];
    let key = Key::new(&one, target("/a", Some("q")), &parts);
    let again = Key::new(&other, target("/a", Some("q")), &parts);
    assert_eq!(key.digest(), again.digest());
    let hex: String = key.digest().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "ffe407584fff5919ff224c027a7deac849971d014417b22c60c05126e0c68542"
    );
    let plain = Key::new(&one, target("/a", Some("q")), &[]);
    assert_ne!(plain.digest(), key.digest());
    assert_eq!(plain.digest(), key.uri_digest());
    let absent = Key::new(&one, target("/a", None), &[]);
    let empty = Key::new(&one, target("/a", Some("")), &[]);
    assert_ne!(absent.digest(), empty.digest());
}

#[test]
fn values_of_declared_parts_are_not_shown() {
    let hasher = KeyHasher::new();
    let key = Key::new(
        &hasher,
        target("/", None),
        &[part("user", "s3cret"), part("z", "y")],
    );
    assert_eq!(key.to_string(), "https://shop.example/ {user} {z}");
}

proptest! {
    #[test]
    fn keys_are_equal_only_for_equal_inputs(
        a in (".{0,6}", ".{0,6}", proptest::option::of(".{0,4}"),
              proptest::collection::vec((".{0,3}", ".{0,3}"), 0..3)),
        b in (".{0,6}", ".{0,6}", proptest::option::of(".{0,4}"),
              proptest::collection::vec((".{0,3}", ".{0,3}"), 0..3)),
    ) {
        type Input = (String, String, Option<String>, Vec<(String, String)>);
        fn build(hasher: &KeyHasher, input: &Input) -> Key {
            let parts: Vec<_> = input.3.iter().map(|(n, v)| part(n, v)).collect();
            let target = Target {
                scheme: Scheme::Http,
                authority: &input.0,
                path: &input.1,
                query: input.2.as_deref(),
            };
            Key::new(hasher, target, &parts)
        }
        fn canonical(mut input: Input) -> Input {
            input.3.sort();
            input
        }
        let hasher = KeyHasher::new();
        let same = canonical(a.clone()) == canonical(b.clone());
        prop_assert_eq!(build(&hasher, &a) == build(&hasher, &b), same);
    }
}
