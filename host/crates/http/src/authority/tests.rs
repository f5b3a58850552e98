use proptest::prelude::*;

use super::*;
use crate::testing::fields;

fn parsed(value: &str) -> Option<String> {
    Authority::parse(value.as_bytes(), Scheme::Https)
        .ok()
        .map(|a| a.to_string())
}

#[test]
fn valid_authorities_come_out_in_normal_form() {
    for (value, expected) in [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:", "example.com"),
        ("example.com:443", "example.com"),
        ("example.com:00443", "example.com"),
        ("example.com:8443", "example.com:8443"),
        ("example.com.:80", "example.com:80"),
        ("example.com:0", "example.com:0"),
        ("example.com:65535", "example.com:65535"),
        ("localhost", "localhost"),
        ("a_b-c.d", "a_b-c.d"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1.:1", "192.0.2.1:1"),
        ("1.example", "1.example"),
        ("0xg", "0xg"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
        ("[::1]:8443", "[::1]:8443"),
        ("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]"),
    ] {
        assert_eq!(parsed(value).as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn invalid_authorities_are_refused() {
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(62).as_str(); 5].join(".");
    for value in [
        "",
        ".",
        ":80",
        "..",
        "a..b",
        ".a",
        "a..",
        "user@example.com",
        "user:pass@example.com",
        "exa mple.com",
        " example.com",
        "example.com ",
        "example.com\t",
        "example.com/",
        "example.com?x",
        "example.com#x",
        "example.com,example.org",
        "ex%61mple.com",
        "example.com:80:80",
        "example.com:+80",
        "example.com:-1",
        "example.com:8o",
        "example.com:65536",
        "example.com:000080",
        "256.0.0.1",
        "127.1",
        "1",
        "01.2.3.4",
        "0x7f.0.0.0x1",
        "0x7f000001",
        "a.1",
        "[::1",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[127.0.0.1]",
        "[v1.x]",
        "[fe80::1%25eth0]",
        "::1",
        "b\u{fc}cher.example",
        long_label.as_str(),
        long_name.as_str(),
    ] {
        assert_eq!(parsed(value), None, "{value}");
    }
}

#[test]
fn parts_are_told_apart() {
    let authority = Authority::parse(b"[::1]:8080", Scheme::Http).expect("valid");
    assert_eq!(authority.host(), "[::1]");
    assert_eq!(authority.port(), Some(8080));
    assert_eq!(authority.address(), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let authority = Authority::parse(b"A.example:80", Scheme::Http).expect("valid");
    assert_eq!(authority.host(), "a.example");
    assert_eq!(authority.port(), None);
    assert_eq!(authority.address(), None);
}

#[test]
fn one_authority_is_decided_from_target_and_host() {
    let v11 = Version::HTTP_11;
    let v2 = Version::HTTP_2;
    let missing = Err(ClientFault::AuthorityMissing);
    let conflicting = Err(ClientFault::AuthorityConflicting);
    let invalid = Err(ClientFault::AuthorityInvalid);
    for (version, target, hosts, expected) in [
        (v11, "/", vec!["a.example"], Ok("a.example")),
        (v11, "/", vec![], missing),
        (v11, "/", vec![""], invalid),
        (Version::HTTP_10, "/", vec![], missing),
        (
            Version::HTTP_10,
            "http://a.example/",
            vec![],
            Ok("a.example"),
        ),
        (v11, "/", vec!["a.example", "a.example"], conflicting),
        (
            v11,
            "http://a.example/",
            vec!["A.example:80"],
            Ok("a.example"),
        ),
        (v11, "http://a.example/", vec!["b.example"], conflicting),
        (v11, "http://a.example/", vec!["a.example:81"], conflicting),
        (v11, "http://a.example/", vec![], missing),
        (v11, "http://u@a.example/", vec!["a.example"], invalid),
        (v2, "http://a.example/", vec![], Ok("a.example")),
        (v2, "http://a.example/", vec!["a.example"], Ok("a.example")),
        (v2, "http://a.example/", vec!["b.example"], conflicting),
        (v2, "/", vec!["b.example"], Ok("b.example")),
        (v2, "/", vec![], missing),
    ] {
        let lines: Vec<_> = hosts.iter().map(|value| ("host", *value)).collect();
        let uri: Uri = target.parse().expect("a URI");
        let found = reconcile(version, Scheme::Http, &uri, &fields(&lines));
        let found = found
            .as_ref()
            .map(Authority::as_str)
            .map_err(|fault| *fault);
        assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Authority::parse(&bytes, Scheme::Http);
    }

    #[test]
    fn the_normal_form_is_stable(value in "[a-zA-Z0-9.:_\\[\\]-]{1,40}") {
        if let Ok(first) = Authority::parse(value.as_bytes(), Scheme::Http) {
            let again = Authority::parse(first.as_str().as_bytes(), Scheme::Http);
            prop_assert_eq!(again, Ok(first));
        }
    }

    #[test]
    fn real_authorities_round_trip(
        name in "[a-z][a-z0-9-]{0,10}(\\.[a-z][a-z0-9]{0,5}){0,3}",
        port in proptest::option::of(any::<u16>()),
    ) {
        let value = match port {
            Some(port) => format!("{name}:{port}"),
            None => name.clone(),
        };
        let authority = Authority::parse(value.as_bytes(), Scheme::Http);
        let authority = authority.expect("valid");
        prop_assert_eq!(authority.host(), name);
        prop_assert_eq!(authority.port(), port.filter(|p| *p != 80));
    }

    #[test]
    fn every_ipv6_address_round_trips(bits in any::<u128>()) {
        let address = Ipv6Addr::from(bits);
        let authority = Authority::parse(format!("[{address}]").as_bytes(), Scheme::Http);
        prop_assert_eq!(authority.expect("valid").address(), Some(IpAddr::V6(address)));
    }
}
